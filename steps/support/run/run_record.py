"""Runs of before, as their journals tell them: what was begun, what it saw, and whether it was settled since."""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from steps.support.core.errors import Refused
from steps.support.core.events import SETTLED, Event, Line, Opened, event_of
from steps.support.core.run_state import RunState, state_of
from steps.support.run.step import ReversibleStep

JOURNAL = "journal.jsonl"
CHANGE = ("name", "sha256")  # what a journal keeps of a change
LEFTOVERS = ("rehearsal", "copy.db*", "*.part")


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What is to be known of a run in order to put it back, or to keep it.

    `saw`: what each change that was begun had seen, as plain values, oldest first. `migrates`: a change of the database
    was planned. `arrived`: it got to its end, so that putting it back is regret, and not recovery. `ended`: it said
    itself that nothing is left to be done. `settled`: what became of it since: put back, accepted or unlocked, empty
    for nothing. `damaged`: lines of its journal that cannot be read.
    """

    run: str
    change: Mapping[str, str]
    order: str
    saw: Mapping[str, Any]
    migrates: bool = True
    arrived: bool = False
    ended: bool = False
    settled: str = ""
    damaged: int = 0

    @property
    def is_open(self) -> bool:
        """Whether it was cut off or went astray, and nobody has settled it since."""
        return bool(self.saw) and not self.ended and not self.settled


def read(journal: Path) -> tuple[list[Event], int]:
    """Read the events of a journal, and count the lines that cannot be read.

    A line may be torn: by a power cut, or a full disk. Where it was an intent, what it announced was not begun.
    """
    lines, damaged = list[Line](), 0
    for line in journal.read_bytes().splitlines():
        try:
            event = json.loads(line)
            lines.append({"event": event["event"], **event})
        except (ValueError, TypeError, KeyError, RecursionError):
            damaged += bool(line)
    return [event_of(line) for line in lines], damaged


def records(folder: Path, target: str = "") -> list[RunRecord]:
    """Give the releases to a target whose journals are in a folder, newest first; without one, to any."""
    told = list(filter(None, map(_readable, folder.glob(f"*/{JOURNAL}"))))
    told.sort(key=lambda each: (str(each[0].opened.at), each[0].opened.run), reverse=True)
    settled, resumed = _settled(state for state, _ in told), _resumed(state for state, _ in told)
    ours = [each for each in told if each[0].opened.mode == "prod" and not each[0].opened.dry_run]
    return [
        _past(state, damaged, settled, resumed)
        for state, damaged in ours
        if target in ("", state.opened.target_id or target)
    ]


def unreadable(folder: Path) -> list[Path]:
    """Return the journals that do not tell of the run their folder is named after, empty ones left out."""
    journals = (journal for journal in folder.glob(f"*/{JOURNAL}") if not _is_empty(journal))
    return sorted(journal for journal in journals if not _readable(journal))


def choose(folder: Path, named: str, target: str = "") -> RunRecord | None:
    """Give the run of that name, or the one that a run of that name was about.

    Without a name: the newest that is open, else the newest of all, whether or not it began anything: an older one is
    not meant by somebody who does not name it.
    """
    known = records(folder, target)
    if named:
        told = _readable(folder / named / JOURNAL)
        meant = (told and _of(told[0])) or named
        return next((each for each in known if each.run == meant), None)
    return next((each for each in known if each.is_open), next(iter(known), None))


def observed_of(change: ReversibleStep[Any], saw: Any) -> Any:
    """Give what a change saw from its plain values. Raises Refused where they are not what it sees."""
    try:
        return TypeAdapter(get_type_hints(type(change).preflight)["return"]).validate_python(saw)
    except ValidationError as error:
        cause = f"what {change.name} saw is not there: {error.errors()[0]['msg']}"
        raise Refused("reading", "the journal", cause, "Use the version of this tool that wrote it.") from None


@contextmanager
def journal_lock(folder: Path, run: str) -> Iterator[None]:
    """Keep a run's journal locked while the block runs. Raises Refused where its process, or another, has it."""
    with (folder / run / JOURNAL).open("rb") as file:
        try:
            flock(file, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            cause = "its process is alive on this machine, or somebody is putting it back"
            raise Refused("opening", f"run {run}", cause, "Let it end, or stop it with Ctrl-C.") from None
        yield


def sweep(folder: Path) -> None:
    """Remove what a rehearsal that was cut off left in the folder of its run: copies of production. Backups stay."""
    for left in [each for pattern in LEFTOVERS for each in folder.glob(f"*/{pattern}")]:
        with suppress(OSError, Refused), journal_lock(folder, left.parent.name):
            if left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink()


def _is_empty(journal: Path) -> bool:
    with suppress(OSError):
        return journal.stat().st_size == 0
    return False


def _readable(journal: Path) -> tuple[RunState, int] | None:
    """Return the run that a journal tells of, and how many of its lines cannot be read; None if it tells of none."""
    with suppress(OSError, LookupError, TypeError, AttributeError):
        events, damaged = read(journal)
        if _is_a_run(events, journal.parent.name):
            state = state_of(events)
            _past(state, damaged, {}, set())
            return state, damaged
    return None


def _is_a_run(events: Sequence[Event], name: str) -> bool:
    """Return True if a journal begins as that of the run of this name: one that was moved is another run's."""
    opened = events[0] if events else None
    if not isinstance(opened, Opened) or opened.run != name:
        return False
    return all(isinstance(opened.change[key], str) for key in CHANGE)


def _of(state: RunState) -> str:
    """Name the run of before that this one is about, if it is about one."""
    return str(state.opened.of or "")


def _settled(runs: Iterable[RunState]) -> dict[str, str]:
    """Return what has become of each run that later ones are about; the newest journal has the word.

    A run that somebody began to put back since, and did not get to the end with, is settled by nothing before that.
    """
    settled: dict[str, str] = {}
    for state in runs:
        if not (of := _of(state)) or of in settled:
            continue
        if state.ended and state.ended.report.get("exit_code") == 0:
            settled[of] = SETTLED.get(str(state.opened.mode), "")
        elif state.resumed:
            settled[of] = ""
    return settled


def _resumed(runs: Iterable[RunState]) -> set[str]:
    """Name the runs that somebody has begun to put back."""
    return {_of(state) for state in runs if state.resumed}


def _past(state: RunState, damaged: int, settled: Mapping[str, str], resumed: set[str]) -> RunRecord:
    opened, names, planned = state.opened, list(map(str, state.begun)), state.planned
    run = opened.run
    told = {name: saw for name, saw in state.saw.items() if name in names}
    saw = {**dict.fromkeys(names), **told}  # a step that tells nothing was begun all the same
    order, steps = (planned.order or "", planned.steps) if planned else ("", ())
    migrates = "turso_migration" in [step["name"] for step in steps]
    verdict = state.ended.verdict if state.ended else ""
    alone = run not in resumed  # nobody has begun to put it back since
    arrived = state.arrived is not None and state.turned_back is None and alone
    ended = verdict in ("rolled_back", "refused", "deployed") and alone
    itself = "rolled_back" if verdict in ("rolled_back", "refused") and alone else ""
    became = itself or settled.get(run, "")
    change = {key: opened.change[key] for key in CHANGE}  # a later version may write more
    return RunRecord(run, change, str(order), saw, migrates, arrived, ended, became, damaged)
