"""The state of a run after each event, as the screen, the GitHub view, notifications and the report use it.

Every state is immutable, so one thread can draw a state while the run moves on to the next.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce, singledispatch
from typing import Any

from steps.support.core.events import (
    Arrived,
    DoneEvent,
    Ended,
    Event,
    FailedEvent,
    Left,
    LookDone,
    LookFailed,
    LookWaiting,
    Opened,
    Planned,
    Probed,
    Reason,
    Recalled,
    Resumed,
    SiteDown,
    SiteUp,
    Started,
    StepBegun,
    StepDone,
    StepFailed,
    StepWaiting,
    Stopped,
    TurnedBack,
    UndoBegun,
    UndoDone,
    UndoFailed,
    UndoWaiting,
    Verified,
    WaitEvent,
    Warned,
)

NOT_OPENED = Opened(mode="", change={}, target="", target_id="", budget={})


@dataclass(frozen=True, slots=True)
class Attempt:
    """One preflight, apply or rollback of a step.

    `began`: the start, in seconds on the run's clock. `limit`: the seconds that the attempt may take. `waits_for`: what
    the step last waited for. `end`: the event that ended the attempt, or None. `begins`, `saw` and `prepares`: as in
    StepBegun.
    """

    step: str
    began: float
    limit: float | None = None
    waits_for: str = ""
    end: DoneEvent | FailedEvent | None = None
    begins: Sequence[str] = ()
    saw: Mapping[str, Any] = field(default_factory=dict)
    prepares: bool = False

    @property
    def is_done(self) -> bool:
        """Whether the attempt succeeded."""
        return isinstance(self.end, DoneEvent)

    @property
    def is_refused(self) -> bool:
        """Whether the step refused to run, so that the attempt certainly changed nothing."""
        return isinstance(self.end, FailedEvent) and self.end.why.refused


Attempts = tuple[Attempt, ...]


@dataclass(frozen=True, slots=True)
class RunState:
    """Everything that is known from the events so far. A field is None or empty if its event has not happened yet.

    `clock`: the time of the last event, on the run's clock. `clocks`: every clock that was started; only the last one
    is in force. `left`: by the name of a change, why the change was not rolled back. `facts`: what the steps found out
    for the report.
    `down_since`: the time on the run's clock when the site stopped serving visitors, or None if it serves them. `down`:
    the seconds of downtime before that.
    """

    opened: Opened = NOT_OPENED
    planned: Planned | None = None
    recalled: Recalled | None = None
    clocks: tuple[Started, ...] = ()
    preflights: Attempts = ()
    forward: Attempts = ()
    rollbacks: Attempts = ()
    left: Mapping[str, str] = field(default_factory=dict)
    arrived: Arrived | None = None
    turned_back: TurnedBack | None = None
    resumed: Resumed | None = None
    verified: Verified | None = None
    stopped: Stopped | None = None
    probed: Probed | None = None
    ended: Ended | None = None
    warnings: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    clock: float = 0.0
    down: float = 0.0
    down_since: float | None = None

    @property
    def started(self) -> Started | None:
        """The clock that was started last, or None if none was."""
        return self.clocks[-1] if self.clocks else None

    @property
    def is_rolling_back(self) -> bool:
        """Whether changes are being rolled back, or were."""
        return bool(self.turned_back or self.resumed or self.rollbacks)

    @property
    def begun(self) -> list[str]:
        """The names of the changes that were begun, in order, without those that certainly did nothing."""
        refused = {each.step for each in self.forward if each.is_refused}
        begins = [each.begins for each in self.forward if each.step not in refused]
        resumed = self.resumed.begins if self.resumed else ()
        return list(dict.fromkeys(name for names in (*begins, resumed) for name in names))

    @property
    def undone(self) -> set[str]:
        """The names of the changes that were rolled back."""
        return {each.step for each in self.rollbacks if each.is_done}

    @property
    def saw(self) -> dict[str, Any]:
        """By the name of each change, what the change had observed when it was begun."""
        resumed = self.resumed.saw if self.resumed else {}
        return {
            name: saw for all_saw in (*(each.saw for each in self.forward), resumed) for name, saw in all_saw.items()
        }

    @property
    def cause(self) -> Reason | None:
        """Why the run failed, or None if it succeeded.

        Once every step is applied, an error counts as a failure only if a person must act.
        """
        if self.turned_back:
            return self.turned_back.why
        if self.stopped and not (self.arrived and not self.stopped.why.human):
            return self.stopped.why
        return None

    def downtime(self, now: float) -> float:
        """Return the seconds for which visitors have been refused until `now`, a time on the run's clock."""
        return self.down + (now - self.down_since if self.down_since is not None else 0.0)


def after(state: RunState, event: Event) -> RunState:
    """Return the state after one more event."""
    kept: dict[str, Any] = {_KEPT[type(event)]: event} if type(event) in _KEPT else {}
    return _fold(event, replace(state, clock=event.clock, **kept))


def state_of(events: Iterable[Event]) -> RunState:
    """Return the state after all of these events."""
    return reduce(after, events, RunState())


_KEPT: Mapping[type[Event], str] = {  # the field that keeps the last event of each class
    Opened: "opened",
    Planned: "planned",
    Recalled: "recalled",
    Arrived: "arrived",
    TurnedBack: "turned_back",
    Resumed: "resumed",
    Verified: "verified",
    Stopped: "stopped",
    Probed: "probed",
    Ended: "ended",
}
_ATTEMPTS: Mapping[type[Event], str] = {  # the field that holds the attempt that an event is about
    LookWaiting: "preflights",
    LookDone: "preflights",
    LookFailed: "preflights",
    StepWaiting: "forward",
    StepDone: "forward",
    StepFailed: "forward",
    UndoWaiting: "rollbacks",
    UndoDone: "rollbacks",
    UndoFailed: "rollbacks",
}


@singledispatch
def _fold(_event: Event, state: RunState) -> RunState:
    return state


@_fold.register
def _(event: Started, state: RunState) -> RunState:
    return replace(state, clocks=(*state.clocks, event))


@_fold.register
def _(event: Warned, state: RunState) -> RunState:
    return replace(state, warnings=(*state.warnings, event.text))


@_fold.register
def _(event: StepBegun, state: RunState) -> RunState:
    begun = Attempt(event.step, event.clock, event.limit, begins=event.begins, saw=event.saw, prepares=event.prepares)
    return replace(state, forward=(*state.forward, begun))


@_fold.register
def _(event: UndoBegun, state: RunState) -> RunState:
    return replace(state, rollbacks=(*state.rollbacks, Attempt(event.step, event.clock, event.limit)))


@_fold.register
def _(event: WaitEvent, state: RunState) -> RunState:
    return _with_attempt(state, event, waits_for=event.on)


@_fold.register
def _(event: DoneEvent, state: RunState) -> RunState:
    return replace(_with_attempt(state, event, end=event), facts={**state.facts, **event.facts})


@_fold.register
def _(event: FailedEvent, state: RunState) -> RunState:
    return _with_attempt(state, event, end=event)


@_fold.register
def _(event: Left, state: RunState) -> RunState:
    return replace(state, left={**state.left, event.step: event.cause})


@_fold.register
def _(event: SiteDown, state: RunState) -> RunState:
    return replace(state, down_since=event.clock)


@_fold.register(SiteUp)
@_fold.register(Ended)
def _(event: Event, state: RunState) -> RunState:
    return replace(state, down=state.downtime(event.clock), down_since=None)


def _with_attempt(state: RunState, event: WaitEvent | DoneEvent | FailedEvent, **fields: Any) -> RunState:
    """Return the state with some fields of a step's last attempt changed.

    If the start of that attempt was not recorded, it starts with this event.
    """
    name = _ATTEMPTS[type(event)]
    attempts: Attempts = getattr(state, name)
    last = next((each for each in reversed(attempts) if each.step == event.step), None)
    old = attempts if last else (*attempts, last := Attempt(event.step, event.clock))
    changed: dict[str, Any] = {name: tuple(replace(each, **fields) if each is last else each for each in old)}
    return replace(state, **changed)
