"""One run from its first event to its report: journal, signals, screen, and whatever it may end with."""

import asyncio
import json
import sys
from argparse import Namespace
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steps.support.console import report
from steps.support.console.screen import Screen, silence
from steps.support.engine.budget import Budget
from steps.support.engine.journal import Event, Journal, reason
from steps.support.engine.signals import Interrupts
from steps.support.engine.step import Refused
from steps.support.redaction import Redactor
from steps.support.release import Release
from steps.support.settings import Settings

LEASE_SLACK = 60.0  # seconds that the lock outlasts the longest run, going back after a suspend included


@dataclass(frozen=True, slots=True)
class Run:
    """What the policy needs of a run: its name, its time, where it writes, and who may interrupt it."""

    id: str
    journal: Journal
    budget: Budget
    interrupts: Interrupts
    ask: Callable[[], Any]

    @property
    def lease(self) -> float:
        """Seconds for which the lock is taken."""
        return self.budget.total + self.budget.reserve + LEASE_SLACK

    @property
    def exit_code(self) -> int:
        """The process's exit code, once the run has ended."""
        return report.exit_code(self.journal.events)

    def warn(self, text: str) -> None:
        """Tell the operator something that changes nothing."""
        self.journal.note("warning", text=text)


@asynccontextmanager
async def session(
    mode: str, release: Release, settings: Settings, options: Namespace, broken: str | None = None
) -> AsyncIterator[Run]:
    """Open a run, and close it with its report whatever it ends with; nothing is raised out of it."""
    folder = settings.runs / release.run
    budget = Budget(settings.budget.total, settings.budget.reserve, settings.limits.model_dump())
    journal = _journal(release.run, folder, settings)
    interrupts = Interrupts(lambda name: journal.note("signal", name=name))
    journal.listen(_printed if options.json else Screen(sys.stdout))
    change = {"name": release.change.name, "sha256": release.change.sha256}
    time = {"total": budget.total, "reserve": budget.reserve}
    journal.note("opened", mode=mode, order=release.order, change=change, budget=time, broken=broken)
    try:
        with interrupts.installed():
            yield Run(release.run, journal, budget, interrupts, _ask if _asks(mode, options) else _nothing)
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - every ending ends in a report
        journal.note("stopped", **reason(error))
        _show_traceback(options)
    journal.note("ended", folder=str(folder), **report.fold(journal.events))
    _write(folder / "report.json", report.fold(journal.events))
    journal.close()


def _journal(run: str, folder: Path, settings: Settings) -> Journal:
    try:
        return Journal(folder / "journal.jsonl", Redactor(settings.secrets.values()), run)
    except OSError as error:
        raise Refused(
            "creating", str(folder), str(error), "Make it writable, or set `runs` to another folder."
        ) from None


def _asks(mode: str, options: Namespace) -> bool:
    return mode == "prod" and not options.yes and sys.stdin.isatty()


async def _ask() -> None:
    """Wait for Enter; Ctrl-C leaves, nothing touched."""
    loop, answered = asyncio.get_running_loop(), asyncio.Event()
    sys.stderr.write("Enter releases this, Ctrl-C leaves everything as it is: ")
    sys.stderr.flush()
    loop.add_reader(sys.stdin, answered.set)
    try:
        await answered.wait()
    finally:
        loop.remove_reader(sys.stdin)
    if sys.stdin.readline().strip():
        raise Refused("asking", "the operator", "the answer was not a bare Enter", "Run again to release.")


async def _nothing() -> None:
    """Ask nothing."""


def _printed(event: Event) -> None:
    try:
        print(json.dumps(event, default=str), flush=True)  # noqa: T201 - --json is for this
    except BrokenPipeError:
        silence(sys.stdout)


def _write(path: Path, content: Any) -> None:
    try:
        path.touch(mode=0o600)
        path.write_text(json.dumps(content, indent=2, default=str) + "\n", encoding="utf-8")
    except OSError as error:
        sys.stderr.write(f"warning: the report is not written: {error}\n")


def _show_traceback(options: Namespace) -> None:
    if options.verbose:
        import traceback  # noqa: PLC0415

        traceback.print_exc()
