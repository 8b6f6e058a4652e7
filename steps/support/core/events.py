"""The events of a run, one class for each kind of journal line. Fields are named as in the line.

Other versions of this tool read a journal, too: a field that a line lacks is empty, an unknown field is kept in
`facts`, and a line of an unknown kind becomes a `Foreign` event.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, get_origin, get_type_hints

from steps.support.core.errors import Code

RESOLVED_BY = {"rollback": "rolled_back", "accept": "accepted", "unlock": "unlocked"}  # how a mode resolves a run

Line = Mapping[str, Any]  # one event as parsed JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What all events have. The journal sets `at` (wall time), `clock` (seconds on the run's clock) and `run`.

    `facts`: what the line holds beyond the fields of its class, such as what a step found out for the report.
    """

    kind: ClassVar[str] = ""
    essential: ClassVar[tuple[str, ...]] = ()  # fields that recovery depends on: a line without them is not read

    at: str = ""
    clock: float = 0.0
    run: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def line_fields(self) -> dict[str, Any]:
        """Return the fields of this class, and `facts`, as they stand in the line; without those that are None."""
        own = [each.name for each in fields(self) if each.name not in _COMMON]
        line: dict[str, Any] = {}
        for name, value in ((name, getattr(self, name)) for name in own):
            if isinstance(value, Reason):
                line.update(value.line_fields())
            elif value is not None:
                line[name] = value
        return line | dict(self.facts)


_COMMON = tuple(each.name for each in fields(Event))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why something ended: the operation (None if it was not one of ours), why it failed, and what to do next.

    `code`: the section of the runbook that helps. No line has it: the fields of the journal are an interface.
    """

    code: Code | None = None
    cause: str
    next_action: str = ""
    refused: bool = False
    operation: str | None = None
    human: bool | None = None
    interrupted: bool | None = None

    def line_fields(self) -> dict[str, Any]:
        """Return the fields as they stand in a line; journals have always had the keys in this order."""
        texts = {"cause": self.cause, "next_action": self.next_action}
        if self.operation is not None:
            return {"operation": self.operation, **texts, "refused": self.refused, "human": self.human}
        return {"refused": self.refused, **texts} | ({"interrupted": True} if self.interrupted else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign(Event):
    """An event of another version of this tool."""

    named: str


# The run as a whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened(Event):
    """The first event. `of`: the previous run that it is about; `broken`: the fault that a rehearsal injects."""

    kind: ClassVar[str] = "opened"
    essential: ClassVar[tuple[str, ...]] = ("run", "change")

    mode: str
    dry_run: bool | None = None
    of: str | None = None
    broken: str | None = None
    change: Mapping[str, str]
    target: str
    target_id: str
    budget: Mapping[str, Any]

    def line_fields(self) -> dict[str, Any]:
        """Return the fields as they stand in the line; a rehearsal has `broken` also if it is None."""
        about: dict[str, Any] = {} if self.of is None else {"of": self.of}
        if self.mode == "dry-run":
            about["broken"] = self.broken
        rest = {"change": self.change, "target": self.target, "target_id": self.target_id, "budget": self.budget}
        return {"mode": self.mode, "dry_run": self.dry_run, **about, **rest, **self.facts}


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned(Event):
    """The plan; its `facts` are what the steps found out for the report."""

    kind: ClassVar[str] = "planned"

    target: Mapping[str, str] | None = None
    folder: str
    budget: Mapping[str, Any]
    order: str | None = None
    ruled_out: Mapping[str, str]
    steps: Sequence[Mapping[str, Any]]  # as the report has them
    forecast: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking(Event):
    """The operator is asked whether to go ahead."""

    kind: ClassVar[str] = "asking"

    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(Event):
    """A clock starts. `total`: seconds in all; the last `reserve` seconds are kept for rolling back."""

    kind: ClassVar[str] = "started"

    total: float
    reserve: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived(Event):
    """Every step is done, after `used` seconds."""

    kind: ClassVar[str] = "arrived"

    used: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnedBack(Event):
    """The run has stopped going forward, after `used` seconds, before it arrived."""

    kind: ClassVar[str] = "turned_back"

    why: Reason
    used: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified(Event):
    """The rollback was verified. `remains`: what is still there, by name of the change; empty if nothing is."""

    kind: ClassVar[str] = "verified"

    remains: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped(Event):
    """An error has ended the run."""

    kind: ClassVar[str] = "stopped"

    why: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended(Event):
    """The last event of a run. Besides the folder, its line has the keys of the report."""

    kind: ClassVar[str] = "ended"

    folder: str

    @property
    def report(self) -> Mapping[str, Any]:
        """The report."""
        return self.facts

    @property
    def verdict(self) -> str:
        """How the run ended. Raise KeyError if the line does not have it."""
        return str(self.report["verdict"])


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalReceived(Event):
    """A signal was received; `again`: it is not the first."""

    kind: ClassVar[str] = "signal"

    name: str
    again: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned(Event):
    """Something that the operator should know and that does not change the run."""

    kind: ClassVar[str] = "warning"

    text: str


# A previous run


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled(Event):
    """The previous run that this one is about. `here`: its journal is on this machine."""

    kind: ClassVar[str] = "recalled"

    of: str
    change: Mapping[str, str]
    state: str
    begun: Sequence[str]
    here: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed(Event):
    """A previous run is being rolled back. `begins`: its changes; `saw`: what each of them had observed."""

    kind: ClassVar[str] = "resumed"

    begins: Sequence[str]
    saw: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepting(Event):
    """The change of a previous run is about to be accepted."""

    kind: ClassVar[str] = "accepting"

    of: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted(Event):
    """The change is accepted, and these tables, which were kept for rolling it back, are dropped."""

    kind: ClassVar[str] = "accepted"

    tables: Sequence[str]


# The site as visitors find it


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteDown(Event):
    """The first visit that was refused."""

    kind: ClassVar[str] = "site_down"

    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteUp(Event):
    """The first visit that was served again."""

    kind: ClassVar[str] = "site_up"

    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed(Event):
    """The sum of all visits, as in the report."""

    kind: ClassVar[str] = "probed"

    downtime: Mapping[str, Any] | None = None


# A step: preflight, apply, rollback


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEvent(Event):
    """Something that happened to a step."""

    step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepBegun(StepEvent):
    """A step is about to be applied, for at most `limit` seconds.

    `begins`: the changes that count as begun from now on. `saw`: what each of them had observed. `prepares`: visitors
    do not notice this step.
    """

    kind: ClassVar[str] = "begun"

    begins: Sequence[str]
    saw: Mapping[str, Any]
    prepares: bool
    limit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoBegun(StepEvent):
    """A change is about to be rolled back, for at most `limit` seconds."""

    kind: ClassVar[str] = "undo_begun"

    limit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Left(StepEvent):
    """A change is not rolled back, because of another."""

    kind: ClassVar[str] = "left"

    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitEvent(StepEvent):
    """A step is waiting for something."""

    on: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DoneEvent(StepEvent):
    """A step succeeded. `facts`: what it keeps for the report."""

    seconds: float | None = None
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedEvent(StepEvent):
    """A step failed."""

    seconds: float | None = None
    why: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class LookWaiting(WaitEvent):
    """A preflight is waiting."""

    kind: ClassVar[str] = "look_waiting"


@dataclass(frozen=True, slots=True, kw_only=True)
class LookDone(DoneEvent):
    """A preflight is done."""

    kind: ClassVar[str] = "look_done"


@dataclass(frozen=True, slots=True, kw_only=True)
class LookFailed(FailedEvent):
    """A preflight failed, or refused because of what it observed."""

    kind: ClassVar[str] = "look_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepWaiting(WaitEvent):
    """A step that is being applied is waiting."""

    kind: ClassVar[str] = "waiting"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDone(DoneEvent):
    """A step is applied."""

    kind: ClassVar[str] = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFailed(FailedEvent):
    """A step failed while it was applied; if it refused, it is certain that nothing was done."""

    kind: ClassVar[str] = "failed"
    essential: ClassVar[tuple[str, ...]] = ("step", "refused")


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoWaiting(WaitEvent):
    """A rollback is waiting."""

    kind: ClassVar[str] = "undo_waiting"


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoDone(DoneEvent):
    """A change is rolled back."""

    kind: ClassVar[str] = "undo_done"


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoFailed(FailedEvent):
    """A rollback failed."""

    kind: ClassVar[str] = "undo_failed"


_KINDS: Mapping[str, type[Event]] = {
    each.kind: each
    for each in (
        Opened, Planned, Asking, Started, Arrived, TurnedBack, Verified, Stopped, Ended, SignalReceived, Warned,
        Recalled, Resumed, Accepting, Accepted, SiteDown, SiteUp, Probed, StepBegun, UndoBegun, Left,
        LookWaiting, LookDone, LookFailed, StepWaiting, StepDone, StepFailed, UndoWaiting, UndoDone, UndoFailed,
    )
}  # fmt: skip
_ABSTRACT = {Mapping: dict, Sequence: tuple}


def event_of(line: Line, code: Code | None = None) -> Event:
    """Return the event of a line. Raise KeyError if the line lacks a field that recovery depends on.

    `code`: that of the event's reason, if it is known from elsewhere.
    """
    rest = dict(line)
    named = rest.pop("event")
    kind = _KINDS.get(named, Foreign)
    if missing := [name for name in kind.essential if name not in rest]:
        raise KeyError(*missing)
    known = {name: rest.pop(name, empty) for name, empty in _FIELDS[kind].items() if name not in ("why", "facts")}
    if "why" in _FIELDS[kind]:
        known["why"] = Reason(code=code, **{name: rest.pop(name, empty) for name, empty in _REASON.items()})
    if kind is Foreign:
        known["named"] = named
    return kind(**known, facts=rest)


def line_of(event: Event) -> dict[str, Any]:
    """Return the line of an event."""
    kind = event.named if isinstance(event, Foreign) else event.kind
    own = event.facts if isinstance(event, Foreign) else event.line_fields()
    return {"event": kind, "at": event.at, "clock": event.clock, "run": event.run, **own}


def _fields(kind: type[Event | Reason]) -> dict[str, Any]:
    """Return the names of a class's fields, each with the value to use if a line lacks it."""
    hints = get_type_hints(kind)
    return {each.name: _empty(hints[each.name]) for each in fields(kind)}


def _empty(hint: Any) -> Any:
    made = get_origin(hint) or hint
    made = _ABSTRACT.get(made, made)
    return made() if made in (str, float, bool, dict, tuple) else None


_FIELDS = {kind: _fields(kind) for kind in (*_KINDS.values(), Foreign)}
_REASON = {name: empty for name, empty in _fields(Reason).items() if name != "code"}
