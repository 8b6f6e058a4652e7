"""The chart of a run: from its report, what happened when; and the axis of seconds on which it is drawn.

All seconds count from the report's `started_at`. Places on the axis are percents of its width, so that a drawing fits
whatever it is shown on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from math import ceil, floor
from typing import Any

Report = Mapping[str, Any]

FORWARD, BACK, DOWN = "forward", "back", "down"
MOST_TICKS = 7
LARGER = 4  # a run that took less than a quarter of its axis is drawn once more, on a shorter one
NARROWEST = 0.4  # percent of the width that a bar has at the least
STEPS_OF_AXIS = (1, 2, 5)


@dataclass(frozen=True, slots=True)
class Bar:
    """Something that took time: when it began and ended, and its limit; `is_open` where nobody has written its end."""

    name: str
    kind: str
    status: str
    began: float
    ended: float
    seconds: float | None = None
    limit: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether it has no end of its own, and is drawn to the end of the run."""
        return self.seconds is None


@dataclass(frozen=True, slots=True)
class Clock:
    """A clock that was started: its budget's end, and where the part begins that is kept for going back."""

    started: float
    reserve: float
    end: float


@dataclass(frozen=True, slots=True)
class Chart:
    """The bars in the order in which they began, and the clocks; there is at least one."""

    bars: Sequence[Bar]
    outages: Sequence[Bar]
    clocks: Sequence[Clock]

    @property
    def begin(self) -> float:
        """Where the axis begins."""
        return min([self.clocks[0].started, *(bar.began for bar in self.outages)])

    @property
    def busy(self) -> float:
        """When the last of what happened ended."""
        return max([0.0, *(bar.ended for bar in (*self.bars, *self.outages))])

    @property
    def end(self) -> float:
        """Where the axis ends: with the budget, or with a run that took longer."""
        return max(self.clocks[-1].end, self.busy)


@dataclass(frozen=True, slots=True)
class Axis:
    """A stretch of time that is drawn."""

    begin: float
    end: float

    def at(self, seconds: float) -> float:
        """Give the place of a moment."""
        return round(100 * (seconds - self.begin) / (self.end - self.begin), 3)

    def width(self, seconds: float) -> float:
        """Give the width of a span."""
        return round(max(NARROWEST, 100 * seconds / (self.end - self.begin)), 3)

    @property
    def ticks(self) -> list[float]:
        """Give round numbers of seconds on it, seven at most."""
        step = _step(self.end - self.begin)
        first, last = ceil(round(self.begin / step, 6)), floor(round(self.end / step, 6))
        return [round(step * each, 3) for each in range(first, last + 1)]


def chart(report: Report) -> Chart | None:
    """Give the timeline of a run; None where no clock was started."""
    clocks = [_clock(**each) for each in report["budget"]["clocks"]]
    if not clocks:
        return None
    last = report["budget"]["used_seconds"]
    rows = [(kind, row) for kind, part in ((FORWARD, "steps"), (BACK, "undo")) for row in report[part]]
    bars = [_bar(kind, row, last) for kind, row in rows if row["began_seconds"] is not None]
    return Chart(sorted(bars, key=lambda bar: bar.began), _outages(report["downtime"]), clocks)


def axes(told: Chart) -> list[Axis]:
    """Give the axes to draw: the whole budget, and what was used of it where that is little."""
    whole, busy = Axis(told.begin, told.end), told.busy - told.begin
    if not 0 < busy * LARGER < told.end - told.begin:
        return [whole]
    step = _step(busy)
    return [whole, Axis(told.begin, round(step * ceil(told.busy / step), 3))]


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
    """Give the smallest round number of seconds that divides a span into few enough parts."""
    sizes = (size * 10.0**power for power in count(-2) for size in STEPS_OF_AXIS)
    return next(size for size in sizes if span / size < MOST_TICKS)
