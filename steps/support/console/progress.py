"""The course of a run as its events tell it: what each step does, how much time is used, what is begun.

A pure fold, and every course is a value: whoever draws one draws it whole, in whatever thread.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

Event = Mapping[str, Any]


class Phase(Enum):
    """What the run is at."""

    LOOKING = "looking"
    FORWARD = "forward"
    BACK = "back"
    ENDED = "ended"


class State(Enum):
    """What a step is at, in the word that is shown for it."""

    WAITS = "waits"
    NOW = "now"
    DONE = "done"
    FAILED = "FAILED"
    GOES_BACK = "goes back"
    PUT_BACK = "put back"
    STUCK = "STUCK"
    LEFT = "LEFT"


@dataclass(frozen=True, slots=True)
class Row:
    """One step: its state, since when on the run's clock, the seconds it may take and has taken, its last words."""

    name: str
    state: State = State.WAITS
    limit: float | None = None
    since: float = 0.0
    seconds: float | None = None
    words: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """All of it. `started`: the run's clock when its time began to count; None before. Figures are seconds.

    `undo`: what undoing each change will take; `begun`: the changes that would have to be undone now, `sure`: without
    those of the step that runs. `down_since`: the
    run's clock since when visitors are refused, `down`: the seconds before that.
    """

    phase: Phase = Phase.LOOKING
    rows: tuple[Row, ...] = ()
    started: float | None = None
    ended: float | None = None
    total: float = 0.0
    reserve: float = 0.0
    undo: Mapping[str, float] = field(default_factory=dict)
    begun: tuple[str, ...] = ()
    sure: tuple[str, ...] = ()
    down: float = 0.0
    down_since: float | None = None

    def row(self, name: str) -> Row:
        """Give a step's row."""
        return next((row for row in self.rows if row.name == name), Row(name))

    def downtime(self, now: float) -> float:
        """Seconds for which visitors have been refused so far."""
        return self.down + (now - self.down_since if self.down_since is not None else 0.0)


def next_progress(course: Progress, event: Event) -> Progress:
    """Give the course as it is after an event."""
    return _FOLDS.get(event["event"], _unchanged)(course, event)


def _unchanged(course: Progress, _event: Event) -> Progress:
    return course


def _with(course: Progress, event: Event, **fields: Any) -> Progress:
    """Change a step's row, or add it at the end."""
    name = event["step"]
    changed = replace(course.row(name), **fields)
    if any(row.name == name for row in course.rows):
        return replace(course, rows=tuple(changed if row.name == name else row for row in course.rows))
    return replace(course, rows=(*course.rows, changed))


def _looks(course: Progress, event: Event) -> Progress:
    row = course.row(event["step"])
    since = row.since if row.state is State.NOW else event["clock"]
    return _with(course, event, state=State.NOW, since=since, words=event["on"])


def _looked(course: Progress, event: Event) -> Progress:
    return _with(course, event, state=State.DONE, seconds=event["seconds"], words=event["detail"])


def _planned(course: Progress, event: Event) -> Progress:
    rows = tuple(Row(step["name"], limit=step["limit_seconds"]) for step in event["steps"])
    undo = {step["name"]: step["undo_seconds"] for step in event["steps"] if "undo_seconds" in step}
    return replace(course, rows=rows, undo=undo)


def _recalled(course: Progress, event: Event) -> Progress:
    return replace(course, rows=tuple(Row(name) for name in event["begun"]))


def _started(course: Progress, event: Event) -> Progress:
    times = {"started": event["clock"], "total": event["total"], "reserve": event["reserve"]}
    phase = Phase.FORWARD if course.phase is Phase.LOOKING else course.phase
    return replace(course, phase=phase, **times)


def _begun(course: Progress, event: Event) -> Progress:
    begun = tuple(dict.fromkeys([*course.begun, *event["begins"]]))
    begins = {"state": State.NOW, "since": event["clock"], "limit": event["limit"], "words": ""}
    return replace(_with(course, event, **begins), begun=begun, sure=course.begun)


def _waits(course: Progress, event: Event) -> Progress:
    return _with(course, event, words=event["on"])


def _done(course: Progress, event: Event) -> Progress:
    return _with(course, event, state=State.DONE, seconds=event["seconds"], words=event["detail"])


def _failed(course: Progress, event: Event) -> Progress:
    refused = course.sure if event["refused"] else course.begun
    failed = _with(course, event, state=State.FAILED, seconds=event["seconds"], words=event["cause"])
    return replace(failed, begun=refused)


def _turns_back(course: Progress, _event: Event) -> Progress:
    return replace(course, phase=Phase.BACK)


def _goes_back(course: Progress, event: Event) -> Progress:
    begins = {"state": State.GOES_BACK, "since": event["clock"], "limit": event["limit"], "words": ""}
    return replace(_with(course, event, **begins), phase=Phase.BACK)


def _put_back(course: Progress, event: Event) -> Progress:
    back = _with(course, event, state=State.PUT_BACK, seconds=event["seconds"], words=event["detail"])
    return replace(back, begun=tuple(name for name in course.begun if name != event["step"]))


def _stuck(course: Progress, event: Event) -> Progress:
    return _with(course, event, state=State.STUCK, seconds=event["seconds"], words=event["cause"])


def _left(course: Progress, event: Event) -> Progress:
    return _with(course, event, state=State.LEFT, words=event["cause"])


def _down(course: Progress, event: Event) -> Progress:
    return replace(course, down_since=event["clock"])


def _up(course: Progress, event: Event) -> Progress:
    return replace(course, down=course.downtime(event["clock"]), down_since=None)


def _ended(course: Progress, event: Event) -> Progress:
    is_astray = event.get("verdict") == "needs_human"
    rows = tuple(_left_over(row, course) if is_astray else row for row in course.rows)
    return replace(_up(course, event), rows=rows, phase=Phase.ENDED, ended=event["clock"])


def _left_over(row: Row, course: Progress) -> Row:
    """Show what was done, and that nobody has put back where all was to be."""
    return replace(row, state=State.LEFT) if row.name in course.begun and row.state is State.DONE else row


_FOLDS: dict[str, Callable[[Progress, Event], Progress]] = {
    "look_waiting": _looks,
    "look_done": _looked,
    "planned": _planned,
    "recalled": _recalled,
    "started": _started,
    "begun": _begun,
    "waiting": _waits,
    "done": _done,
    "failed": _failed,
    "turned_back": _turns_back,
    "resumed": _turns_back,
    "undo_begun": _goes_back,
    "undo_waiting": _waits,
    "undo_done": _put_back,
    "undo_failed": _stuck,
    "left": _left,
    "site_down": _down,
    "site_up": _up,
    "ended": _ended,
}
