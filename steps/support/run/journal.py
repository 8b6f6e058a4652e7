"""The journal: append-only JSON lines, redacted, flushed to disk; everything else that shows a run listens to it.

Nobody reads it during a run. The report is a fold over its events; recovery starts from its file.
"""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Any

import structlog

from steps.support.core.deadline import listening
from steps.support.core.errors import NeedsHuman, Problem, Refused, Unknown
from steps.support.core.files import make_private
from steps.support.core.redaction import Redactor
from steps.support.run.step import Done

Event = Mapping[str, Any]
Listener = Callable[[Event], None]

STRUCTURE = "event at clock run mode of target_id order step begins verdict exit_code".split()  # noqa: SIM905 - a line
DEFECT = "This is a defect of the orchestrator: keep the journal and report it."


class Journal:
    """One run's journal file. `intend` reaches the disk or raises; `note` never fails a run."""

    def __init__(self, path: Path, redact: Redactor, run: str) -> None:
        self.events: list[Event] = []
        self._sink = _Sink(path, [self.events.append])
        processors = [_stamp, _plain, lambda _logger, _name, event: _redacted(event, redact)]
        self._log = structlog.wrap_logger(self._sink, processors, structlog.BoundLogger, run=run)

    def listen(self, listener: Listener) -> None:
        """Have a listener told of every event from now on. What it raises is its own affair."""
        self._sink.listeners.append(listener)

    def intend(self, event: str, **fields: Any) -> None:
        """Write an event that must be on disk before what it announces. Raises Refused when it cannot be."""
        try:
            self._log.info(event, **fields)
        except OSError as error:
            raise Refused(
                "writing", str(self._sink.path), str(error), "Make room: nothing is begun that cannot be journalled."
            ) from None

    def note(self, event: str, **fields: Any) -> None:
        """Write an event; a full disk is no reason to stop what is under way."""
        try:
            self._log.info(event, **fields)
        except OSError as error:
            _warn(f"{self._sink.path}: {error}")
            self._log.unwritten(event, **fields)

    @contextmanager
    def timed(self, kind: str, step: str) -> Iterator[Callable[[Done], None]]:
        """Note how the block ended, and its seconds: `<kind>done` with what it said, or `<kind>failed` with why."""
        loop, said = asyncio.get_running_loop(), list[Done]()
        begun = loop.time()
        try:
            with listening(lambda what: self.note(f"{kind}waiting", step=step, on=what)):
                yield said.append
        except BaseException as error:
            self.note(f"{kind}failed", step=step, seconds=round(loop.time() - begun, 3), **reason(error))
            raise
        done = said[0] if said else Done("")
        self.note(f"{kind}done", step=step, seconds=round(loop.time() - begun, 3), detail=done.detail, **done.facts)

    def close(self) -> None:
        """Close the file."""
        self._sink.file.close()


class _Sink:
    """Where structlog delivers an event: on disk when it returns, and then told to whoever listens.

    The file stays locked while its run lives: whoever is to put the run back can tell that nobody is at it.
    """

    def __init__(self, path: Path, listeners: list[Listener]) -> None:
        self.path, self.listeners = path, listeners
        make_private(path.parent)
        self.file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab", buffering=0)
        flock(self.file, LOCK_EX | LOCK_NB)
        for folder in (path.parent, path.parent.parent):
            _on_disk(folder)  # a file whose name a power cut takes away was never written
        os.fchmod(self.file.fileno(), 0o600)  # where it was there before, too
        self._torn = False  # whether the last line on disk is only a part of one

    def info(self, **event: Any) -> None:
        line = (b"\n" if self._torn else b"") + json.dumps(event, default=str).encode() + b"\n"
        self._torn = True
        while line:
            line = line[self.file.write(line) :]
        os.fsync(self.file.fileno())
        self._torn = False
        self.unwritten(**event)

    def unwritten(self, **event: Any) -> None:
        for listener in self.listeners:
            try:
                listener(event)
            except Exception as error:  # noqa: BLE001 - whoever watches a run cannot fail it
                _warn(repr(error))


def _on_disk(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def reason(error: BaseException) -> dict[str, Any]:
    """Give what an operator needs to know of an error."""
    if isinstance(error, Problem):
        cause = f"{error.operation} {error.subject}: {error.cause}"
        kinds = {"refused": isinstance(error, Refused), "human": isinstance(error, NeedsHuman)}
        remedy = "" if isinstance(error, Unknown) else error.remedy  # a run that ends has looked what came of it
        return {"operation": error.operation, "cause": cause, "next_action": remedy, **kinds}
    if isinstance(error, asyncio.CancelledError):
        return {"refused": False, "cause": "stopped by a signal", "next_action": "", "interrupted": True}
    return {"refused": False, "cause": f"unexpected {type(error).__name__}: {error}", "next_action": DEFECT}


def _stamp(_logger: Any, _name: str, event: Any) -> Any:
    at, clock = datetime.now(UTC).isoformat(timespec="milliseconds"), asyncio.get_running_loop().time()
    return {"event": event.pop("event"), "at": at, "clock": round(clock, 3), **event}


def _redacted(event: Event, redact: Redactor) -> Event:
    """Take the secrets out of what is said; what recovery goes by is the tool's own, whatever a secret is like."""
    own = {key: event[key] for key in STRUCTURE if key in event}
    saw = {name: redact(value) for name, value in event.get("saw", {}).items()}
    return {**redact(event), **own, **({"saw": saw} if "saw" in event else {})}


def _plain(_logger: Any, _name: str, event: Any) -> Any:
    return {key: _fields(value) for key, value in event.items()}


def _fields(value: Any) -> Any:
    """Give what a step saw as plain values, also where several are together."""
    if isinstance(value, Mapping):
        return {key: _fields(item) for key, item in value.items()}
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def _warn(text: str) -> None:
    with suppress(OSError, ValueError):  # whoever would read it may be gone
        print(f"warning: {text}", file=sys.stderr)  # noqa: T201 - the journal or its reader is what failed
