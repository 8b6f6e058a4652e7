"""Notifications, through apprise itself to a local server: the right words arrive, and no run is delayed."""

import logging
import sys
from time import monotonic
from typing import Any

import pytest
from apprise import Apprise

from steps.support.console import notify
from steps.support.console.notify import Notifier
from tests.support.journals.runs import tell
from tests.support.servers.receiver import hanging, receiving

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")  # a module that apprise loads

OPENED = {"event": "opened", "mode": "prod", "run": "r1", "target": "liveone, main", "change": {"name": "vendor-sites"}}
BACK = {**OPENED, "mode": "rollback", "of": "r0"}
STARTED = {"event": "started", "total": 120.0}
ENDED: dict[str, Any] = {
    "event": "ended", "mode": "prod", "verdict": "deployed", "run_id": "r1", "remains": [], "cause": None,
    "next_action": "Nothing.", "runbook": "runbook.md#deployed",
}  # fmt: skip
STUCK = {
    **ENDED, "verdict": "needs_human", "remains": ["main is at abc"], "cause": "it said:\n\x1bno", "next_action": "Follow the runbook.",
    "runbook": "runbook.md#needs-human",
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _loaded() -> None:
    """Load apprise beforehand, which takes long on a busy machine and is not what is tested."""
    assert Apprise().add(["json://127.0.0.1"])


def _notified(addresses: list[str], *events: dict[str, Any]) -> None:
    """Have a notifier process events, to its end."""
    notifier = Notifier(addresses)
    tell(notifier, *events)
    notifier.close()


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([OPENED, STARTED, STARTED], [("info", "STARTED: vendor-sites", "run r1: release to liveone, main, within 120 s")]),
        ([BACK, STARTED], [("info", "STARTED: vendor-sites", "run r1: rollback of r0 in liveone, main, within 120 s")]),
        (
            [OPENED, ENDED],
            [("success", "DEPLOYED: vendor-sites", "deployed, run r1 | next: Nothing. | see runbook.md#deployed")],
        ),
        (
            [OPENED, STUCK],
            [("failure", "NEEDS A HUMAN: vendor-sites", "needs_human, run r1 | still there: main is at abc | cause: it said: \\x1bno | next: Follow the runbook. | see runbook.md#needs-human")],
        ),
        ([OPENED, {**ENDED, "verdict": "refused"}], [("warning", "REFUSED: vendor-sites", "refused, run r1 | next: Nothing. | see runbook.md#deployed")]),
        (
            [BACK, {**ENDED, "mode": "rollback", "verdict": "rolled_back", "undo": ["git_push"]}],
            [("success", "ROLLED BACK: vendor-sites", "rolled_back, run r1 | next: Nothing. | see runbook.md#deployed")],
        ),
    ],
)  # fmt: skip
def test_start_and_every_end_arrive_in_one_line(
    events: list[dict[str, Any]], expected: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    """The start is sent once, every end with verdict, run, cause and next action; a need for a human is urgent."""
    with receiving() as (server, messages):
        _notified([f"json://{server}"], *events)
    assert [(each["type"], each["title"], each["message"]) for each in messages] == expected
    assert capsys.readouterr() == ("", "")


def test_failing_address_does_not_affect_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    """A refusing, an invalid and a hanging address cost one warning and a bounded wait; the others get all."""
    with receiving() as (server, messages), receiving(500) as (refusing, _), hanging() as silent:
        began = monotonic()
        addresses = [f"json://{silent}", "s3cret-and-no-address", f"json://user:s3cret@{refusing}", f"json://{server}"]
        _notified(addresses, OPENED, STARTED, STUCK)
        assert monotonic() - began < notify.LAST + 1
    assert [each["type"] for each in messages] == ["info", "failure"]
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f"warning: notifying, address 1 of 4: {notify.SILENT}; 2 of 4: {notify.UNKNOWN}; 3 of 4: {notify.REFUSED}"
    )


def test_missing_apprise_is_a_warning(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """If an address is configured without the extra installed, the warning says how to install it."""
    monkeypatch.setitem(sys.modules, "apprise", None)
    _notified(["json://127.0.0.1"], OPENED, STARTED, ENDED)
    assert capsys.readouterr().err == f"warning: notifying, address 1 of 1: {notify.MISSING}\n"


def test_warnings_of_apprise_are_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    """Its own warnings name hosts and may contain tokens: none reaches the process's log."""
    root, records = logging.getLogger(), list[logging.LogRecord]()
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign, assignment]
    root.addHandler(handler)
    try:
        _notified(["json://127.0.0.1:1/s3cretT0ken", "nothing://s3cretT0ken"], OPENED, ENDED)
    finally:
        root.removeHandler(handler)
    assert records == []
    assert "s3cret" not in capsys.readouterr().err


def test_no_address_starts_no_thread() -> None:
    """Without an address nothing is started, and closing is immediate."""
    began = monotonic()
    _notified([], OPENED, STARTED, ENDED)
    assert monotonic() - began < notify.LAST
