"""The events of a run, one class for each kind of line in its journal. A field has the name that it has in the line.

A journal is read again by other versions of this tool: a field that a line lacks is empty, one that is not known here
is kept in `facts`, and a line of an unknown kind is a `Foreign` event.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, get_origin, get_type_hints

SETTLED = {"rollback": "rolled_back", "accept": "accepted", "unlock": "unlocked"}  # what becomes of a run, by mode

Line = Mapping[str, Any]  # one event as JSON has it


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What every event has. The journal sets `at` (wall time), `clock` (seconds on the run's clock) and `run`.

    `facts`: what the line says beyond the fields of its class, such as what a step found out for the report.
    """

    kind: ClassVar[str] = ""
    essential: ClassVar[tuple[str, ...]] = ()  # fields that recovery depends on: a line without them is not read

    at: str = ""
    clock: float = 0.0
    run: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def said(self) -> dict[str, Any]:
        """Return the fields of this class as its line has them, in their order; one that is None is left out."""
        own = [each.name for each in fields(self) if each.name not in _COMMON]
        said: dict[str, Any] = {}
        for name, value in ((name, getattr(self, name)) for name in own):
            if isinstance(value, Reason):
                said.update(value.said())
            elif value is not None:
                said[name] = value
        return said | dict(self.facts)


_COMMON = tuple(each.name for each in fields(Event))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why something ended: what was done (None if it was nothing of ours), why it failed, and what to do next."""

    cause: str
    next_action: str = ""
    refused: bool = False
    operation: str | None = None
    human: bool | None = None
    interrupted: bool | None = None

    def said(self) -> dict[str, Any]:
        """Return it as a line has it; the order of the keys is as old as the journal."""
        told = {"cause": self.cause, "next_action": self.next_action}
        if self.operation is not None:
            return {"operation": self.operation, **told, "refused": self.refused, "human": self.human}
        return {"refused": self.refused, **told} | ({"interrupted": True} if self.interrupted else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign(Event):
    """An event of another version of this tool."""

    named: str


# The run as a whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened(Event):
    """The first event of a run. `of`: the run that it is about; `broken`: what is broken on purpose in a rehearsal."""

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

    def said(self) -> dict[str, Any]:
        """Return the line; a rehearsal says also that nothing is broken in it."""
        about: dict[str, Any] = {} if self.of is None else {"of": self.of}
        if self.mode == "dry-run":
            about["broken"] = self.broken
        to = {"change": self.change, "target": self.target, "target_id": self.target_id, "budget": self.budget}
        return {"mode": self.mode, "dry_run": self.dry_run, **about, **to, **self.facts}


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
    """A clock starts: so many seconds in all, of which the reserve is for going back."""

    kind: ClassVar[str] = "started"

    total: float
    reserve: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived(Event):
    """Every step is done, after so many seconds."""

    kind: ClassVar[str] = "arrived"

    used: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnedBack(Event):
    """The way forward has ended early, after so many seconds."""

    kind: ClassVar[str] = "turned_back"

    why: Reason
    used: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified(Event):
    """The world was asked what of the changes is still there: by name of the change, empty if nothing is."""

    kind: ClassVar[str] = "verified"

    remains: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped(Event):
    """An error has ended the run."""

    kind: ClassVar[str] = "stopped"

    why: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended(Event):
    """The last event of a run. Its line has the keys of the report beside the folder."""

    kind: ClassVar[str] = "ended"

    folder: str

    @property
    def report(self) -> Mapping[str, Any]:
        """The report."""
        return self.facts

    @property
    def verdict(self) -> str:
        """How the run ended. Raises KeyError if the line does not say it."""
        return str(self.report["verdict"])


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalReceived(Event):
    """A signal came; `again`: not the first."""

    kind: ClassVar[str] = "signal"

    name: str
    again: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned(Event):
    """Something that the operator should know, and that changes nothing."""

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
    """A previous run is being rolled back: its changes, and what each had seen."""

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
    """It is accepted, and these tables, kept for rolling it back, are dropped."""

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
    """What all visits came to, as the report has it."""

    kind: ClassVar[str] = "probed"

    downtime: Mapping[str, Any] | None = None


# A step: it looks, goes forward, is undone


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEvent(Event):
    """Something that happened to a step."""

    step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepBegun(StepEvent):
    """A step is about to act, for at most `limit` seconds.

    `begins`: the changes that count as begun from now on, and `saw`: what each of them had seen. `prepares`: visitors
    do not notice it.
    """

    kind: ClassVar[str] = "begun"

    begins: Sequence[str]
    saw: Mapping[str, Any]
    prepares: bool
    limit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoBegun(StepEvent):
    """A change is about to be undone, for at most `limit` seconds."""

    kind: ClassVar[str] = "undo_begun"

    limit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Left(StepEvent):
    """A change is not undone, because of another."""

    kind: ClassVar[str] = "left"

    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitEvent(StepEvent):
    """A step waits for something."""

    on: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DoneEvent(StepEvent):
    """A step came to a good end. `facts`: what it keeps for the report."""

    seconds: float | None = None
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedEvent(StepEvent):
    """A step failed."""

    seconds: float | None = None
    why: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class LookWaiting(WaitEvent):
    """While it looks."""

    kind: ClassVar[str] = "look_waiting"


@dataclass(frozen=True, slots=True, kw_only=True)
class LookDone(DoneEvent):
    """It has looked."""

    kind: ClassVar[str] = "look_done"


@dataclass(frozen=True, slots=True, kw_only=True)
class LookFailed(FailedEvent):
    """It could not look, or refuses after what it saw."""

    kind: ClassVar[str] = "look_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepWaiting(WaitEvent):
    """While it acts."""

    kind: ClassVar[str] = "waiting"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDone(DoneEvent):
    """It has acted."""

    kind: ClassVar[str] = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFailed(FailedEvent):
    """It failed to act; if it refused, it is certain that nothing was done."""

    kind: ClassVar[str] = "failed"
    essential: ClassVar[tuple[str, ...]] = ("step", "refused")


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoWaiting(WaitEvent):
    """While it is undone."""

    kind: ClassVar[str] = "undo_waiting"


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoDone(DoneEvent):
    """It is undone."""

    kind: ClassVar[str] = "undo_done"


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoFailed(FailedEvent):
    """It failed to be undone."""

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


def event_of(line: Line) -> Event:
    """Return the event of a line. Raises KeyError if it lacks what recovery depends on."""
    rest = dict(line)
    named = rest.pop("event")
    kind = _KINDS.get(named, Foreign)
    if missing := [name for name in kind.essential if name not in rest]:
        raise KeyError(*missing)
    found = {name: _taken(rest, name, empty) for name, empty in _FIELDS[kind].items() if name != "facts"}
    if kind is Foreign:
        found["named"] = named
    return kind(**found, facts=rest)


def line_of(event: Event) -> dict[str, Any]:
    """Return the line of an event."""
    kind = event.named if isinstance(event, Foreign) else event.kind
    said = event.facts if isinstance(event, Foreign) else event.said()
    return {"event": kind, "at": event.at, "clock": event.clock, "run": event.run, **said}


def _taken(rest: dict[str, Any], name: str, empty: Any) -> Any:
    """Take a field out of a line, or a reason, which has no field of its own there."""
    if name != "why":
        return rest.pop(name, empty)
    return Reason(**{key: rest.pop(key, nothing) for key, nothing in _REASON.items()})


def _fields(kind: type[Event | Reason]) -> dict[str, Any]:
    """Return the names of the fields of a class, each with what stands for it if a line lacks it."""
    hints = get_type_hints(kind)
    return {each.name: _empty(hints[each.name]) for each in fields(kind)}


def _empty(hint: Any) -> Any:
    made = get_origin(hint) or hint
    made = _ABSTRACT.get(made, made)
    return made() if made in (str, float, bool, dict, tuple) else None


_FIELDS = {kind: _fields(kind) for kind in (*_KINDS.values(), Foreign)}
_REASON = _fields(Reason)
