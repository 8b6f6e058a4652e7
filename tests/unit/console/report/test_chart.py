"""The timeline: what happened when, and the axes on which it is drawn."""

import pytest

from steps.support.console.report import fold
from steps.support.console.report.chart import Axis, axes, chart
from tests.support.journals.runs import RUNS, state


@pytest.mark.parametrize(
    ("begin", "end", "ticks"),
    [
        (0, 120, [0, 20, 40, 60, 80, 100, 120]),
        (0, 5, [0, 1, 2, 3, 4, 5]),
        (-63, 120, [-50, 0, 50, 100]),
        (0, 0.3, [0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3]),
        (0, 630, [0, 100, 200, 300, 400, 500, 600]),
    ],
)
def test_ticks_are_round_and_few(begin: float, end: float, ticks: list[float]) -> None:
    """An axis has seven round numbers at most."""
    assert Axis(begin, end).ticks == ticks


@pytest.mark.parametrize(
    ("run", "ends"),
    [
        pytest.param("deployed", [(0, 120)], id="most of the budget was used"),
        pytest.param("rollback", [(0, 120), (0, 5)], id="little of it was: once more, larger"),
        pytest.param("a clock for the build", [(-63, 120)], id="two clocks"),
        pytest.param("over its budget", [(0, 504)], id="past the end of the budget"),
        pytest.param("refused by the first change", [(0, 120), (0, 1)], id="a second was used"),
    ],
)
def test_axis_reaches_the_end_of_the_budget_or_run(run: str, ends: list[tuple[float, float]]) -> None:
    """It reaches from the first clock to the end of the budget, or of a run that took longer."""
    told = chart(fold.report(state(RUNS[run])))
    assert told
    assert [(axis.begin, axis.end) for axis in axes(told)] == ends


def test_interrupted_rollback_is_drawn_to_the_end_of_the_run() -> None:
    """A rollback cut off by a second signal reaches to the last known event."""
    told = chart(fold.report(state(RUNS["killed by a second signal"])))
    assert told
    (bar,) = [bar for bar in told.bars if bar.is_open]
    assert (bar.name, bar.status, bar.began, bar.ended) == ("turso_migration", "unknown", 71, 72)


def test_run_without_a_clock_has_no_timeline() -> None:
    """If nothing was begun there is nothing to draw."""
    assert chart(fold.report(state(RUNS["refused without a plan"]))) is None
