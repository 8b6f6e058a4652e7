"""Read previous runs from their journals: what they began and observed, and whether they have been resolved since."""

import json
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from steps.support.core.errors import Refused
from steps.support.core.events import RESOLVED_BY, Event, Line, Opened, event_of
from steps.support.core.run_state import RunState, state_of
from steps.support.run.step import ReversibleStep

JOURNAL = "journal.jsonl"
CHANGE = ("name", "sha256")  # what a journal keeps of a change
LEFTOVERS = ("rehearsal", "copy.db*", "*.part")


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What is known of a previous run, to roll it back or to keep it.

    `saw`: what each step that was begun had observed, as plain values, oldest step first. `migrates`: whether a change
    of the database was planned. `arrived`: whether all steps were applied, so that a rollback is a choice and not a
    recovery. `ended`: whether its own journal says that nothing is left to do. `resolution`: how it was resolved since,
    as "rolled_back", "accepted" or "unlocked"; empty if it was not. `damaged`: how many lines of its journal cannot be
    read.
    """

    run: str
    change: Mapping[str, str]
    order: str
    saw: Mapping[str, Any]
    migrates: bool = True
    arrived: bool = False
    ended: bool = False
    resolution: str = ""
    damaged: int = 0

    @property
    def is_open(self) -> bool:
        """Return True if the run was interrupted or not fully rolled back, and has not been resolved since."""
        return bool(self.saw) and not self.ended and not self.resolution


def read(journal: Path) -> tuple[list[Event], int]:
    """Return the events of a journal, and the number of lines that cannot be read.

    A power cut or a full disk can leave an incomplete line. If that line is an intent, its action was not begun.
    """
    lines, damaged = list[Line](), 0
    for line in journal.read_bytes().splitlines():
        try:
            event = json.loads(line)
            lines.append({"event": event["event"], **event})
        except (ValueError, TypeError, KeyError, RecursionError):
            damaged += bool(line)
    return [event_of(line) for line in lines], damaged


def records(folder: Path, targets: Collection[str] = ()) -> list[RunRecord]:
    """Return the releases whose journals are in a folder, newest first; only those to `targets`, if any is given."""
    runs = list(filter(None, map(_readable, folder.glob(f"*/{JOURNAL}"))))
    runs.sort(key=lambda each: (str(each[0].opened.at), each[0].opened.run), reverse=True)
    resolved, resumed = _resolved(state for state, _ in runs), _resumed(state for state, _ in runs)
    releases = [each for each in runs if each[0].opened.mode == "prod" and not each[0].opened.dry_run]
    return [
        _record(state, damaged, resolved, resumed)
        for state, damaged in releases
        if not (targets and state.opened.target_id) or state.opened.target_id in targets
    ]


def unreadable(folder: Path) -> list[Path]:
    """Return the journals that cannot be read, or belong to another run than their folder. Ignore empty ones."""
    journals = (journal for journal in folder.glob(f"*/{JOURNAL}") if not _is_empty(journal))
    return sorted(journal for journal in journals if not _readable(journal))


def choose(folder: Path, named: str, targets: Collection[str] = ()) -> RunRecord | None:
    """Return the release of that name, or the one that the rollback, acceptance or unlock of that name was about.

    Without a name, return the newest release that is open. If none is, return the newest of all, even if it began
    nothing, because older ones must be named. Return None if there is none.
    """
    known = records(folder, targets)
    if named:
        found = _readable(folder / named / JOURNAL)
        run = (found and _of(found[0])) or named
        return next((each for each in known if each.run == run), None)
    return next((each for each in known if each.is_open), next(iter(known), None))


def observed_of(change: ReversibleStep[Any], saw: Any) -> Any:
    """Return the observation of a step, made from plain values. Raise Refused if these do not fit its type."""
    try:
        return TypeAdapter(get_type_hints(type(change).preflight)["return"]).validate_python(saw)
    except ValidationError as error:
        cause = f"what {change.name} observed is not there: {error.errors()[0]['msg']}"
        raise Refused(
            code="journal-version",
            operation="reading",
            subject="the journal",
            cause=cause,
            remedy="Use the version of this tool that wrote it.",
        ) from None


@contextmanager
def journal_lock(folder: Path, run: str) -> Iterator[None]:
    """Lock a run's journal while the block runs. Raise Refused if the run itself or another process holds the lock."""
    with (folder / run / JOURNAL).open("r+b") as file:  # NFS gives an exclusive lock only to a file open for writing
        try:
            flock(file, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            cause = "its process is alive on this machine, or someone is rolling it back"
            raise Refused(
                code="run-alive",
                operation="opening",
                subject=f"run {run}",
                cause=cause,
                remedy="Let it end, or stop it with Ctrl-C.",
            ) from None
        yield


def sweep(folder: Path) -> None:
    """Remove the copies of production that interrupted rehearsals left in their runs' folders. Keep the backups."""
    for leftover in [each for pattern in LEFTOVERS for each in folder.glob(f"*/{pattern}")]:
        with suppress(OSError, Refused), journal_lock(folder, leftover.parent.name):
            if leftover.is_dir():
                shutil.rmtree(leftover)
            else:
                leftover.unlink()


def _is_empty(journal: Path) -> bool:
    with suppress(OSError):
        return journal.stat().st_size == 0
    return False


def _readable(journal: Path) -> tuple[RunState, int] | None:
    """Return the run in a journal and the number of unreadable lines, or None if the folder's run is not in it."""
    with suppress(OSError, LookupError, TypeError, AttributeError):
        events, damaged = read(journal)
        if _is_a_run(events, journal.parent.name):
            state = state_of(events)
            _record(state, damaged, {}, set())  # raises if fields are missing
            return state, damaged
    return None


def _is_a_run(events: Sequence[Event], name: str) -> bool:
    """Return True if a journal begins with the named run. A journal that was moved belongs to another run."""
    opened = events[0] if events else None
    if not isinstance(opened, Opened) or opened.run != name:
        return False
    return all(isinstance(opened.change[key], str) for key in CHANGE)


def _of(state: RunState) -> str:
    """Return the name of the previous run that this one is about, or an empty string."""
    return str(state.opened.of or "")


def _resolved(runs: Iterable[RunState]) -> dict[str, str]:
    """Return, by the name of a run, how a later run resolved it.

    `runs`: newest first; the newest one that concerns a run decides. A rollback that was begun but not finished
    reopens its run, even if an earlier rollback had resolved it.
    """
    resolved: dict[str, str] = {}
    for state in runs:
        if not (of := _of(state)) or of in resolved:
            continue
        if state.ended and state.ended.report.get("exit_code") == 0:
            resolved[of] = RESOLVED_BY.get(str(state.opened.mode), "")
        elif state.resumed:
            resolved[of] = ""
    return resolved


def _resumed(runs: Iterable[RunState]) -> set[str]:
    """Return the names of the runs whose rollback was begun later, with --rollback."""
    return {_of(state) for state in runs if state.resumed}


def _record(state: RunState, damaged: int, resolved: Mapping[str, str], resumed: set[str]) -> RunRecord:
    opened, names, planned = state.opened, list(map(str, state.begun)), state.planned
    run = opened.run
    known = {name: saw for name, saw in state.saw.items() if name in names}
    saw = {**dict.fromkeys(names), **known}  # a step without an observation was begun, too
    order, steps = (planned.order or "", planned.steps) if planned else ("", ())
    migrates = "turso_migration" in [step["name"] for step in steps]
    verdict = state.ended.verdict if state.ended else ""
    untouched = run not in resumed  # no later rollback of it was begun
    arrived = state.arrived is not None and state.turned_back is None and untouched
    ended = verdict in ("rolled_back", "refused", "deployed") and untouched
    own = "rolled_back" if verdict in ("rolled_back", "refused") and untouched else ""
    resolution = own or resolved.get(run, "")
    change = {key: opened.change[key] for key in CHANGE}  # a later version may write more
    return RunRecord(run, change, str(order), saw, migrates, arrived, ended, resolution, damaged)
