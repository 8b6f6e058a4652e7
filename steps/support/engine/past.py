"""Runs of before, as their journals tell them: what was begun, what it saw, and whether it was settled since."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from steps.support.engine.step import Change, Refused

Event = Mapping[str, Any]

JOURNAL = "journal.jsonl"


@dataclass(frozen=True, slots=True)
class Past:
    """What is to be known of a run in order to put it back, or to keep it.

    `saw`: what each change that was begun had seen, as plain values, oldest first. `arrived`: it ended well, and nobody
    has begun to put it back since, so that doing so is regret, and not recovery. `settled`: nothing of it is left to be
    put back, or it was accepted.
    `damaged`: lines of its journal that cannot be read.
    """

    run: str
    change: Mapping[str, str]
    order: str
    saw: Mapping[str, Any]
    arrived: bool
    settled: bool
    damaged: int = 0

    @property
    def is_open(self) -> bool:
        """Whether it was cut off or went astray, and nobody has settled it since."""
        return bool(self.saw) and not self.arrived and not self.settled


def begun(events: Sequence[Event]) -> list[str]:
    """Name the changes that were begun, in order, less those of which it is certain that nothing was done."""
    refused = {event["step"] for event in events if event["event"] == "failed" and event["refused"]}
    begins = [event["begins"] for event in events if "begins" in event and event.get("step") not in refused]
    return list(dict.fromkeys(name for names in begins for name in names))


def read(journal: Path) -> tuple[list[Event], int]:
    """Read the events of a journal, and count the lines that cannot be read.

    A line may be torn: by a power cut, or a full disk. What it announced was not begun: an intent is on disk before.
    """
    events, damaged = list[Event](), 0
    for line in journal.read_bytes().splitlines():
        try:
            event = json.loads(line)
            events.append({"event": event["event"], **event})
        except (ValueError, TypeError, KeyError, RecursionError):
            damaged += bool(line)
    return events, damaged


def past(folder: Path) -> list[Past]:
    """Give the runs on production whose journals are in a folder, newest first."""
    journals = sorted(folder.glob(f"*/{JOURNAL}"), reverse=True)
    told = [(events, damaged) for events, damaged in map(_readable, journals) if events]
    settled = {settles for events, _ in told if (settles := _settles(events))}
    regretted = {events[0].get("of") for events, _ in told if any(event["event"] == "resumed" for event in events)}
    known = [_past(events, damaged, settled) for events, damaged in told if events[0].get("mode") == "prod"]
    return [replace(each, arrived=each.arrived and each.run not in regretted) for each in known]


def recalled(change: Change[Any], saw: Any) -> Any:
    """Give what a change saw from its plain values. Raises Refused where they are not what it sees."""
    try:
        return TypeAdapter(get_type_hints(type(change).look)["return"]).validate_python(saw)
    except ValidationError as error:
        cause = f"what {change.name} saw is not there: {error.errors()[0]['msg']}"
        raise Refused("reading", "the journal", cause, "Use the version of this tool that wrote it.") from None


@contextmanager
def alone(folder: Path, run: str) -> Iterator[None]:
    """Keep a run's journal locked while the block runs. Raises Refused where its process, or another, has it."""
    with (folder / run / JOURNAL).open("rb") as file:
        try:
            flock(file, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            cause = "its process is alive on this machine, or somebody is putting it back"
            raise Refused("opening", f"run {run}", cause, "Let it end, or stop it with Ctrl-C.") from None
        yield


def _readable(journal: Path) -> tuple[list[Event], int]:
    with suppress(OSError):
        events, damaged = read(journal)
        if events and events[0]["event"] == "opened":
            return events, damaged
    return [], 0


def _settles(events: Sequence[Event]) -> str | None:
    """Name the run that this one has settled for good, if it has."""
    last = events[-1]
    return events[0].get("of") if last["event"] == "ended" and last["exit_code"] == 0 else None


def _past(events: Sequence[Event], damaged: int, settled: set[str]) -> Past:
    opened, names = events[0], begun(events)
    saw = {name: saw for event in events for name, saw in event.get("saw", {}).items() if name in names}
    planned = next((event for event in events if event["event"] == "planned"), {"order": ""})
    verdict = next((event["verdict"] for event in events if event["event"] == "ended"), "needs_human")
    done = opened["run"] in settled or verdict in ("rolled_back", "refused")
    return Past(opened["run"], opened["change"], planned["order"], saw, verdict == "deployed", done, damaged)
