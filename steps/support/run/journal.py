"""The journal: append-only JSON lines, redacted and flushed to disk. Everything that shows a run listens to it.

It is not read during a run. The report is folded from its events, and recovery starts from the file.
"""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, is_dataclass, replace
from datetime import UTC, datetime
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Any

import structlog

from steps.support.core.deadline import listening
from steps.support.core.errors import NeedsHuman, Problem, Refused, Unknown
from steps.support.core.events import (
    DoneEvent,
    Event,
    FailedEvent,
    Line,
    LookDone,
    LookFailed,
    LookWaiting,
    Reason,
    StepDone,
    StepFailed,
    StepWaiting,
    Stopped,
    TurnedBack,
    UndoDone,
    UndoFailed,
    UndoWaiting,
    WaitEvent,
    event_of,
)
from steps.support.core.files import make_private
from steps.support.core.redaction import Redactor
from steps.support.core.run_state import RunState, after
from steps.support.run.step import Done

Listener = Callable[[Event, RunState], None]

STRUCTURE = "event at clock run mode of target_id order step begins verdict exit_code".split()  # noqa: SIM905 - a line
_EXPLAINED = TurnedBack, Stopped, FailedEvent  # the events with a reason
STALL = 1.0  # seconds; a write that takes longer is noticed: nothing else can happen meanwhile
DEFECT = "This is a defect of the orchestrator: keep the journal and report it."


@dataclass(frozen=True, slots=True)
class TimedEvents:
    """The classes of the events of an action that takes time: it is waiting, it is done, it failed."""

    waiting: type[WaitEvent]
    done: type[DoneEvent]
    failed: type[FailedEvent]


PREFLIGHT_EVENTS = TimedEvents(LookWaiting, LookDone, LookFailed)
APPLY_EVENTS = TimedEvents(StepWaiting, StepDone, StepFailed)
ROLLBACK_EVENTS = TimedEvents(UndoWaiting, UndoDone, UndoFailed)


class Journal:
    """The journal file of one run. `intend` puts an event on disk or raises; `note` never fails a run.

    `events`: all events so far, as they are in the file. `state`: the state of the run after them.
    """

    def __init__(self, path: Path, redact: Redactor, run: str) -> None:
        self.events: list[Event] = []
        self.state = RunState()
        self._stalled = 0.0  # seconds of the writes during which the run stood still
        self._listeners: list[Listener] = []
        self._sink = _Sink(path)
        processors = [_stamp, _plain, lambda _logger, _name, event: _redacted(event, redact)]
        self._log = structlog.wrap_logger(self._sink, processors, structlog.BoundLogger, run=run)

    def listen(self, listener: Listener) -> None:
        """Call a listener for every event from now on, with the state after it. Its errors do not fail the run."""
        self._listeners.append(listener)

    def intend(self, event: Event) -> None:
        """Write an event that must be on disk before the action it announces. Raise Refused if that fails."""
        try:
            self._write(event, self._log.info)
        except OSError as error:
            raise Refused(
                code="runs-folder",
                operation="writing",
                subject=str(self._sink.path),
                cause=str(error),
                remedy="Free disk space: the tool starts nothing that it cannot journal.",
            ) from None

    def note(self, event: Event) -> None:
        """Write an event. If the disk is full, warn the operator and let the run go on."""
        try:
            self._write(event, self._log.info)
        except OSError as error:
            _warn(f"{self._sink.path}: {error}")
            self._write(event, self._log.unwritten)

    @contextmanager
    def timed(self, kind: TimedEvents, step: str) -> Iterator[Callable[[Done], None]]:
        """Note how the block ended, and how long it took.

        If it succeeds, the result that was passed to the yielded function is noted; if it raises, the error. What it
        waits for is noted meanwhile.
        """
        loop, results = asyncio.get_running_loop(), list[Done]()
        begun = loop.time()
        try:
            with listening(lambda what: self.note(kind.waiting(step=step, on=what))):
                yield results.append
        except BaseException as error:
            self.note(kind.failed(step=step, seconds=round(loop.time() - begun, 3), why=reason(error)))
            raise
        done = results[0] if results else Done("")
        seconds = round(loop.time() - begun, 3)
        self.note(kind.done(step=step, seconds=seconds, detail=done.detail, facts=done.facts))

    @property
    def standstill(self) -> str:
        """Return why the run stood still past a deadline, as the beginning of a sentence."""
        if self._stalled:
            return f"the disk took {self._stalled:.0f} s to write the journal"
        return "the machine was suspended"

    def close(self) -> None:
        """Close the file."""
        self._sink.file.close()

    def _write(self, event: Event, log: Callable[..., Line]) -> None:
        """Write an event, then tell the listeners what was written: the secrets are masked in it."""
        began = asyncio.get_running_loop().time()
        line = log(event.kind, **event.line_fields())
        took = asyncio.get_running_loop().time() - began
        self._stalled += took if took > STALL else 0.0
        self._tell(_with_code(event_of(line), event))

    def _tell(self, event: Event) -> None:
        self.events.append(event)
        self.state = state = after(self.state, event)
        for listener in self._listeners:
            try:
                listener(event, state)
            except Exception as error:  # noqa: BLE001 - a listener must not fail a run
                _warn(repr(error))


class _Sink:
    """Receives events from structlog, puts each on disk, and returns it as it was written.

    The file stays locked while its run lives, so that a rollback can tell whether the run is still alive.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        make_private(path.parent)
        self.file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab", buffering=0)
        flock(self.file, LOCK_EX | LOCK_NB)
        for folder in (path.parent, path.parent.parent):
            _on_disk(folder)  # otherwise a power cut could lose the name of the file
        os.fchmod(self.file.fileno(), 0o600)  # needed if the file existed already
        self._torn = False  # whether the last line on disk is incomplete

    def info(self, **event: Any) -> Line:
        line = (b"\n" if self._torn else b"") + json.dumps(event, default=str).encode() + b"\n"
        self._torn = True
        while line:
            line = line[self.file.write(line) :]
        os.fsync(self.file.fileno())
        self._torn = False
        return event

    def unwritten(self, **event: Any) -> Line:
        return event


def _on_disk(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def reason(error: BaseException) -> Reason:
    """Return what an operator needs to know about an error."""
    if isinstance(error, Problem):
        cause = f"{error.operation} {error.subject}: {error.cause}"
        refused, human = isinstance(error, Refused), isinstance(error, NeedsHuman)
        remedy = "" if isinstance(error, Unknown) else error.remedy  # when a run ends, it has already read the outcome
        return Reason(
            code=error.code,
            operation=error.operation,
            cause=cause,
            next_action=remedy,
            refused=refused,
            human=human,
        )
    if isinstance(error, asyncio.CancelledError):
        return Reason(cause="stopped by a signal", interrupted=True)
    return Reason(cause=f"unexpected {type(error).__name__}: {error}", next_action=DEFECT)


def _with_code(written: Event, event: Event) -> Event:
    """Return the written event with the code of its reason, which its line does not contain."""
    if isinstance(event, _EXPLAINED) and isinstance(written, _EXPLAINED):
        return replace(written, why=replace(written.why, code=event.why.code))
    return written


def _stamp(_logger: Any, _name: str, event: Any) -> Any:
    at, clock = datetime.now(UTC).isoformat(timespec="milliseconds"), asyncio.get_running_loop().time()
    return {"event": event.pop("event"), "at": at, "clock": round(clock, 3), **event}


def _redacted(event: Line, redact: Redactor) -> Line:
    """Mask the secrets, except in the fields that recovery needs, whose values are the tool's own."""
    masked = {key: value if key in STRUCTURE else redact(value) for key, value in event.items()}
    saw = {name: redact(value) for name, value in event.get("saw", {}).items()}
    return {**masked, **({"saw": saw} if "saw" in event else {})}


def _plain(_logger: Any, _name: str, event: Any) -> Any:
    return {key: _fields(value) for key, value in event.items()}


def _fields(value: Any) -> Any:
    """Return a dataclass, or each dataclass in a mapping, as a mapping of plain values."""
    if isinstance(value, Mapping):
        return {key: _fields(item) for key, item in value.items()}
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def _warn(text: str) -> None:
    with suppress(OSError, ValueError):  # the terminal may be gone
        print(f"warning: {text}", file=sys.stderr)  # noqa: T201 - the journal or its reader is what failed
