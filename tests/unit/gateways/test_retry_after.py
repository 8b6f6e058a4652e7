"""The pause that an answer asks for, in each of its forms."""

import time
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any

import httpx
import pytest

from steps.support.gateways.http import LONGEST_WAIT, retry_after

NOW = 1_767_225_600.0  # our clock; theirs is 240 s behind it
THEIRS = NOW - 240


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run each test five hours away from UTC."""
    monkeypatch.setenv("TZ", "EST5")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def _date(moment: float) -> str:
    return formatdate(moment, usegmt=True)


def _limited(**limit: Any) -> dict[str, Any]:
    return {"error": {"code": "rate_limited", "message": "Too many requests.", "limit": limit}}


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({}, {}, 0),
        ({"Retry-After": "0"}, {}, 0),
        ({"Retry-After": "7"}, {}, 7),
        ({"Retry-After": "0.25"}, {}, 0.25),
        ({"Retry-After": "7", "Date": _date(THEIRS)}, _limited(resetMs=NOW * 1000 + 90_000), 7),
        ({"Retry-After": _date(NOW + 30)}, {}, 30),
        ({"Retry-After": _date(THEIRS + 30), "Date": _date(THEIRS)}, {}, 30),
        ({"Retry-After": _date(NOW - 30)}, {}, 0),
        ({"Retry-After": _date(THEIRS - 30), "Date": _date(THEIRS)}, {}, 0),
        ({}, _limited(resetMs=NOW * 1000 + 2500), 2.5),
        ({"Date": _date(THEIRS)}, _limited(resetMs=THEIRS * 1000 + 2500), 2.5),
        ({"Retry-After": "soon"}, _limited(resetMs=NOW * 1000 + 2500), 2.5),
        ({"Date": "yesterday"}, _limited(resetMs=NOW * 1000 + 2500), 2.5),
        ({"Retry-After": "9" * 400}, {}, LONGEST_WAIT),
        ({"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"}, {}, LONGEST_WAIT),
        ({}, _limited(resetMs=1e300), LONGEST_WAIT),
        ({}, _limited(resetMs=10**400), LONGEST_WAIT),
        ({"Retry-After": "Thu, 01 Jan 2026 00:00:30 -0000"}, {}, 30),
    ],
)
def test_requested_pause_is_read(headers: dict[str, str], body: Any, seconds: float) -> None:
    """Seconds are taken as they are, a date relative to the answer's Date, else to our clock; a past date is no pause."""
    assert retry_after(httpx.Response(429, headers=headers, json=body), NOW) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "header",
    ["", "soon", "-5", "1e3", "nan", "Mon, 99 Foo 2026 00:00:00 GMT", "Mon, 05 Jan 99999 00:00:00 GMT"],
)
@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"A server error has occurred", b"\xff", b'{"error":"busy"}', b'{"error":{"limit":null}}']
    + [b'{"error":{"limit":{"resetMs":%b}}}' % value for value in (b'"soon"', b"null", b"NaN", b"0")],
)
def test_unreadable_pause_is_none(header: str, body: bytes) -> None:
    """A nonsensical header or body neither breaks the reading nor causes a wait."""
    assert retry_after(httpx.Response(429, headers={"Retry-After": header}, content=body), NOW) == 0
