"""Expectations about an answer."""

from typing import Any

import pytest

from steps.support.operations.health import fresh, holds

AT, EARLIER, LATER = "2025-08-30T11:46:00+10:00", "2025-08-30T11:45:00+10:00", "2025-08-30T01:46:30+00:00"


@pytest.mark.parametrize(
    ("time", "before", "committed", "is_fresh"),
    [
        (AT, EARLIER, None, True),
        (None, None, None, False),
        (AT, EARLIER, EARLIER, True),
        (AT, AT, EARLIER, False),
        (AT, None, EARLIER, True),
        (AT, EARLIER, "2025-08-30T01:46:02+00:00", True),
        (AT, EARLIER, "2025-08-30T01:46:03+00:00", False),
        (LATER, AT, AT, True),
        (None, AT, AT, False),
    ],
)
def test_fresh(time: str | None, before: str | None, committed: str | None, is_fresh: bool) -> None:  # noqa: FBT001 - a column of the table
    """Fresh means newer than the baseline, and at most two seconds older than the commit, in any time zone."""
    assert fresh(time, before, committed) is is_fresh


@pytest.mark.parametrize(
    ("expression", "facts", "true"),
    [
        ("status == `200`", {"status": 200}, True),
        ("body.a.b", {"body": None}, False),
        ("length(body.results) >= `1`", {"body": {}}, False),
        (
            "is_fresh(body.t, baseline.t, committed_at)",
            {"body": {"t": AT}, "baseline": {"t": EARLIER}, "committed_at": EARLIER},
            True,
        ),
        ("is_fresh(body.t, baseline.t, committed_at)", {"body": {"t": 5}, "baseline": {}, "committed_at": AT}, False),
        (
            "is_fresh(body.t, baseline.t, committed_at)",
            {"body": {"t": "not a time"}, "baseline": {}, "committed_at": AT},
            False,
        ),
    ],
)
def test_answer_of_another_shape_is_not_an_error(expression: str, facts: dict[str, Any], true: bool) -> None:  # noqa: FBT001 - a column of the table
    """An expectation that does not apply to an answer is not met."""
    assert holds(expression, facts) is true


@pytest.mark.parametrize(
    "odd",
    [
        "0001-01-01T00:00:00",
        "9999-12-31T23:59:59-23:59",
        "",
        "\0",
        7,
        [],
        {},
        True,
        float("inf"),
        float("nan"),
        10**400,
    ],
)
@pytest.mark.parametrize(
    "expression",
    [
        "is_fresh(body, baseline, committed_at)",
        "ceil(body) == `1`",
        "sum([body]) == `1`",
        "body.a[0].b",
        "abs(body) > `1`",
    ],
)
def test_odd_values_are_not_an_error(expression: str, odd: object) -> None:
    """An expectation is met or not met, even if the site sends something odd instead of a time or a number."""
    facts = {"body": odd, "baseline": "2026-01-01T00:00:00Z", "committed_at": "2026-01-01T00:00:00Z"}
    assert holds(expression, facts) in (True, False)
