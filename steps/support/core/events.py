"""The events of a run, with one class for each kind of journal line. The fields have the names that the line uses.

A journal may come from another version of this tool. A field that is missing from a line is therefore left empty, an
unknown field is kept in `facts`, and a line of an unknown kind becomes a `Foreign` event.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, get_origin, get_type_hints

from steps.support.core.errors import Code

LIMITED = "the site limits the probes"  # ends the text of such an answer in Probed
RESOLVED_BY = {"rollback": "rolled_back", "accept": "accepted", "unlock": "unlocked"}  # mode -> how it resolves a run

Line = Mapping[str, Any]  # one event as parsed JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """The fields that all events have.

    The journal sets `at` (wall time), `clock` (seconds on the run's clock) and `run`. `facts`: everything in the line
    that has no field in the class, such as what a step found out for the report.
    """

    kind: ClassVar[str] = ""
    essential: ClassVar[tuple[str, ...]] = ()  # fields that recovery depends on; a line without them cannot be read

    at: str = ""
    clock: float = 0.0
    run: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def line_fields(self) -> dict[str, Any]:
        """Return the fields of this class that are not None, and `facts`, as they appear in the line."""
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
    """Why something ended: the cause, and what to do next.

    `operation`: the operation that failed, or None if no operation of this tool failed. `code`: the section of the
    runbook that helps; the journal does not contain it, because the journal's fields are an interface.
    """

    code: Code | None = None
    cause: str
    next_action: str = ""
    refused: bool = False
    operation: str | None = None
    human: bool | None = None
    interrupted: bool | None = None

    def line_fields(self) -> dict[str, Any]:
        """Return the fields as they appear in a line, in the order that journals have always had."""
        texts = {"cause": self.cause, "next_action": self.next_action}
        if self.operation is not None:
            return {"operation": self.operation, **texts, "refused": self.refused, "human": self.human}
        return {"refused": self.refused, **texts} | ({"interrupted": True} if self.interrupted else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign(Event):
    """An event of a kind that this version does not know; another version of this tool wrote it."""

    named: str


# The run as a whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened(Event):
    """The first event of a run.

    `of`: the previous run that this one is about, or None. `broken`: the fault that a rehearsal injects, or None.
    """

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
        """Return the fields as they appear in the line. The line of a rehearsal has `broken` even if it is None."""
        about: dict[str, Any] = {} if self.of is None else {"of": self.of}
        if self.mode == "dry-run":
            about["broken"] = self.broken
        rest = {"change": self.change, "target": self.target, "target_id": self.target_id, "budget": self.budget}
        return {"mode": self.mode, "dry_run": self.dry_run, **about, **rest, **self.facts}


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned(Event):
    """The plan. Its `facts` are what the steps found out for the report."""

    kind: ClassVar[str] = "planned"

    target: Mapping[str, str] | None = None
    folder: str
    budget: Mapping[str, Any]
    order: str | None = None
    ruled_out: Mapping[str, str]
    steps: Sequence[Mapping[str, Any]]  # in the format of the report
    forecast: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking(Event):
    """The operator is being asked whether to go ahead."""

    kind: ClassVar[str] = "asking"

    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(Event):
    """A clock was started, for `total` seconds. The last `reserve` seconds of them are kept for rolling back."""

    kind: ClassVar[str] = "started"

    total: float
    reserve: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived(Event):
    """Every step was applied. `used`: the seconds that this took."""

    kind: ClassVar[str] = "arrived"

    used: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnedBack(Event):
    """The run stopped going forward after `used` seconds, before every step was applied."""

    kind: ClassVar[str] = "turned_back"

    why: Reason
    used: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified(Event):
    """The rollback was verified. `remains`: by change, what of the change is still there; empty if nothing is left."""

    kind: ClassVar[str] = "verified"

    remains: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped(Event):
    """An error ended the run."""

    kind: ClassVar[str] = "stopped"

    why: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended(Event):
    """The last event of a run. Its line holds the folder and all keys of the report."""

    kind: ClassVar[str] = "ended"

    folder: str

    @property
    def report(self) -> Mapping[str, Any]:
        """The report, by key."""
        return self.facts

    @property
    def verdict(self) -> str:
        """How the run ended, in one word. Raise KeyError if the line does not say."""
        return str(self.report["verdict"])


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalReceived(Event):
    """A signal was received. `again`: whether another signal was received before."""

    kind: ClassVar[str] = "signal"

    name: str
    again: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned(Event):
    """A warning to the operator. It does not change the course of the run."""

    kind: ClassVar[str] = "warning"

    text: str


# A previous run


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled(Event):
    """The previous run that this one is about. `here`: whether its journal is on this machine."""

    kind: ClassVar[str] = "recalled"

    of: str
    change: Mapping[str, str]
    state: str
    begun: Sequence[str]
    here: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed(Event):
    """A previous run is being rolled back.

    `begins`: the changes that the previous run had begun. `saw`: by the name of each change, what it had observed.
    """

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
    """The change was accepted, and the `tables` that were kept for its rollback were dropped."""

    kind: ClassVar[str] = "accepted"

    tables: Sequence[str]


# The site as visitors see it


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteDown(Event):
    """The site stopped serving visitors. `answer`: the HTTP status or error that the first refused visitor got."""

    kind: ClassVar[str] = "site_down"

    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteUp(Event):
    """The site serves visitors again. `answer`: the HTTP status that the first served visitor got."""

    kind: ClassVar[str] = "site_up"

    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed(Event):
    """A summary of all visits to the site, in the format of the report."""

    kind: ClassVar[str] = "probed"

    downtime: Mapping[str, Any] | None = None


# A step: preflight, apply, rollback


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEvent(Event):
    """An event of one step."""

    step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepBegun(StepEvent):
    """A step is about to be applied, for at most `limit` seconds.

    `begins`: the changes that count as begun from now on. `saw`: by the name of each change, what it had observed.
    `prepares`: whether visitors cannot notice this step.
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
    """A change was not rolled back, because it depends on another change that was not rolled back."""

    kind: ClassVar[str] = "left"

    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitEvent(StepEvent):
    """A step is waiting. `on`: what it is waiting for."""

    on: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DoneEvent(StepEvent):
    """A step succeeded. `facts`: what it adds to the report."""

    seconds: float | None = None
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedEvent(StepEvent):
    """A step failed. `why`: the reason."""

    seconds: float | None = None
    why: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class LookWaiting(WaitEvent):
    """A step is waiting for something during its preflight."""

    kind: ClassVar[str] = "look_waiting"


@dataclass(frozen=True, slots=True, kw_only=True)
class LookDone(DoneEvent):
    """A step's preflight succeeded."""

    kind: ClassVar[str] = "look_done"


@dataclass(frozen=True, slots=True, kw_only=True)
class LookFailed(FailedEvent):
    """A step's preflight failed, or refused the run because of what it observed."""

    kind: ClassVar[str] = "look_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepWaiting(WaitEvent):
    """A step is waiting for something while it is being applied."""

    kind: ClassVar[str] = "waiting"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDone(DoneEvent):
    """A step was applied."""

    kind: ClassVar[str] = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFailed(FailedEvent):
    """A step failed while it was being applied. If it refused, it certainly changed nothing."""

    kind: ClassVar[str] = "failed"
    essential: ClassVar[tuple[str, ...]] = ("step", "refused")


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoWaiting(WaitEvent):
    """The rollback of a change is waiting for something."""

    kind: ClassVar[str] = "undo_waiting"


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoDone(DoneEvent):
    """The rollback of a change succeeded."""

    kind: ClassVar[str] = "undo_done"


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoFailed(FailedEvent):
    """The rollback of a change failed."""

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
    """Return the event that a line describes. Raise KeyError if the line lacks a field that recovery depends on."""
    rest = dict(line)
    named = rest.pop("event")
    kind = _KINDS.get(named, Foreign)
    if missing := [name for name in kind.essential if name not in rest]:
        raise KeyError(*missing)
    known = {name: rest.pop(name, empty) for name, empty in _FIELDS[kind].items() if name not in ("why", "facts")}
    if "why" in _FIELDS[kind]:
        known["why"] = Reason(**{name: rest.pop(name, empty) for name, empty in _REASON.items()})
    if kind is Foreign:
        known["named"] = named
    return kind(**known, facts=rest)


def line_of(event: Event) -> dict[str, Any]:
    """Return the journal line that describes an event."""
    kind = event.named if isinstance(event, Foreign) else event.kind
    own = event.facts if isinstance(event, Foreign) else event.line_fields()
    return {"event": kind, "at": event.at, "clock": event.clock, "run": event.run, **own}


def _fields(kind: type[Event | Reason]) -> dict[str, Any]:
    """Return the names of a class's fields, each with the value to use if a line lacks that field."""
    hints = get_type_hints(kind)
    return {each.name: _empty(hints[each.name]) for each in fields(kind)}


def _empty(hint: Any) -> Any:
    made = get_origin(hint) or hint
    made = _ABSTRACT.get(made, made)
    return made() if made in (str, float, bool, dict, tuple) else None


_FIELDS = {kind: _fields(kind) for kind in (*_KINDS.values(), Foreign)}
_REASON = {name: empty for name, empty in _fields(Reason).items() if name != "code"}
