"""The chart of a run, made from its report: what happened when, and the axis of seconds on which that is drawn.

All seconds count from the report's `started_at`. Positions are percentages of the axis, so that the drawing fits any
width.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from math import ceil, floor
from typing import Any

Report = Mapping[str, Any]

FORWARD, BACK, DOWN = "forward", "back", "down"
MOST_TICKS = 7
LARGER = 4  # if a run took less than a quarter of its axis, it is drawn again on a shorter one
NARROWEST = 0.4  # least width of a bar, in percent of the axis
STEPS_OF_AXIS = (1, 2, 5)


@dataclass(frozen=True, slots=True)
class Bar:
    """A span of time: when it began and ended, and how long it was allowed to last."""

    name: str
    kind: str
    status: str
    began: float
    ended: float
    seconds: float | None = None
    limit: float | None = None

    @property
    def is_open(self) -> bool:
        """Return True if the journal has no end of the span. The bar is then drawn to the end of the run."""
        return self.seconds is None


@dataclass(frozen=True, slots=True)
class Clock:
    """The seconds at which a clock was started, its reserve for rolling back begins, and its budget ends."""

    started: float
    reserve: float
    end: float


@dataclass(frozen=True, slots=True)
class Chart:
    """The bars in the order in which they began, the outages, and at least one clock."""

    bars: Sequence[Bar]
    outages: Sequence[Bar]
    clocks: Sequence[Clock]

    @property
    def begin(self) -> float:
        """Return the second at which the axis begins."""
        return min([self.clocks[0].started, *(bar.began for bar in self.outages)])

    @property
    def busy(self) -> float:
        """Return the second at which the last bar ends."""
        return max([0.0, *(bar.ended for bar in (*self.bars, *self.outages))])

    @property
    def end(self) -> float:
        """Return the second at which the axis ends: the end of the budget, or the end of a run that took longer."""
        return max(self.clocks[-1].end, self.busy)


@dataclass(frozen=True, slots=True)
class Axis:
    """A stretch of time that is drawn, in seconds."""

    begin: float
    end: float

    def at(self, seconds: float) -> float:
        """Return the position of a moment on the axis, in percent."""
        return round(100 * (seconds - self.begin) / (self.end - self.begin), 3)

    def width(self, seconds: float) -> float:
        """Return the width of a span of seconds on the axis, in percent."""
        return round(max(NARROWEST, 100 * seconds / (self.end - self.begin)), 3)

    @property
    def ticks(self) -> list[float]:
        """Return at most seven round numbers of seconds on the axis."""
        step = _step(self.end - self.begin)
        first, last = ceil(round(self.begin / step, 6)), floor(round(self.end / step, 6))
        return [round(step * each, 3) for each in range(first, last + 1)]


def chart(report: Report) -> Chart | None:
    """Return the chart of a run, or None if no clock was started."""
    clocks = [_clock(**each) for each in report["budget"]["clocks"]]
    if not clocks:
        return None
    last = report["budget"]["used_seconds"]
    rows = [(kind, row) for kind, part in ((FORWARD, "steps"), (BACK, "undo")) for row in report[part]]
    bars = [_bar(kind, row, last) for kind, row in rows if row["began_seconds"] is not None]
    return Chart(sorted(bars, key=lambda bar: bar.began), _outages(report["downtime"]), clocks)


def axes(chart_of_run: Chart) -> list[Axis]:
    """Return the axes to draw: the whole budget and, if only a small part of it was used, also that part."""
    whole, busy = Axis(chart_of_run.begin, chart_of_run.end), chart_of_run.busy - chart_of_run.begin
    if not 0 < busy * LARGER < chart_of_run.end - chart_of_run.begin:
        return [whole]
    step = _step(busy)
    return [whole, Axis(chart_of_run.begin, round(step * ceil(chart_of_run.busy / step), 3))]


def _clock(started_seconds: float, total: float, reserve: float) -> Clock:
    end = started_seconds + total
    return Clock(started_seconds, round(end - reserve, 3), round(end, 3))


def _bar(kind: str, row: Mapping[str, Any], last: float) -> Bar:
    began, seconds = row["began_seconds"], row["seconds"]
    ended = max(began, last) if seconds is None else round(began + seconds, 3)
    return Bar(row["name"], kind, row["status"], began, ended, seconds, row["limit_seconds"])


def _outages(downtime: Mapping[str, Any] | None) -> list[Bar]:
    spans = downtime["outages"] if downtime else []
    return [Bar("site", DOWN, "refused", began, ended, round(ended - began, 3)) for began, ended in spans]


def _step(span: float) -> float:
    """Return the smallest round number of seconds that divides a span into fewer than MOST_TICKS parts."""
    sizes = (size * 10.0**power for power in count(-2) for size in STEPS_OF_AXIS)
    return next(size for size in sizes if span / size < MOST_TICKS)
