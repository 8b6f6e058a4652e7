"""One run from its first event to its report: journal, signals, screen, and whatever it may end with."""

import asyncio
import json
import os
import sys
import termios
from argparse import Namespace
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from traceback import format_exception
from typing import Any, Literal

from steps.support.config.loading import secret_values, target, target_id
from steps.support.config.settings import Settings
from steps.support.console.actions import job_summary
from steps.support.console.notify import Notifier
from steps.support.console.report import fold
from steps.support.console.screen import IN_ACTIONS, screen_for
from steps.support.core.errors import Refused
from steps.support.core.events import (
    Asking,
    Ended,
    Event,
    Opened,
    Planned,
    SignalReceived,
    Started,
    Stopped,
    Warned,
)
from steps.support.core.redaction import Redactor, addresses
from steps.support.core.text import printable_lines
from steps.support.gateways.site import Request
from steps.support.run.budget import PREFLIGHT, Budget, Forecast, ForwardDeadline
from steps.support.run.journal import Journal, reason
from steps.support.run.release import Release
from steps.support.run.signals import Interrupts
from steps.support.run.step import Plan, ReversibleStep, Step

LEASE_SLACK = 60.0  # seconds that the lock outlasts the longest run, going back after a suspend included


@dataclass(frozen=True, slots=True)
class Run:
    """What the policy needs of a run: its name, its time, where it writes, and who may interrupt it."""

    id: str
    journal: Journal
    budget: Budget
    interrupts: Interrupts
    probe: Request | None
    ask: Callable[[], Any]
    folder: Path
    times: Mapping[str, Any]  # the budget as it is set

    @property
    def lease(self) -> float:
        """Seconds for which the lock is taken."""
        return self.budget.longest + self.budget.reserve + LEASE_SLACK

    def start(self, budget: Budget) -> ForwardDeadline:
        """Start the clock, and say so."""
        self.journal.note(Started(total=budget.total, reserve=budget.reserve))
        return budget.start()

    def planned(
        self,
        target: Mapping[str, str],
        what: Release,
        plan: Plan,
        expected: Forecast,
    ) -> None:
        """Say what will be done, to what, in which order, how long it will take, and how it is undone."""
        rows = [_row(each.step, each.observed, expected, self.budget) for each in plan]
        facts = {key: value for each in plan for key, value in each.step.facts(each.observed).items()}
        seconds = {"seconds": round(expected.seconds, 3), "undo_seconds": round(expected.rollback_seconds, 3)}
        planned = Planned(
            target=target,
            folder=str(self.folder),
            budget=self.times,
            order=what.order,
            ruled_out=what.ruled_out,
            steps=rows,
            forecast=seconds,
            facts=facts,
        )
        self.journal.intend(planned)

    @property
    def exit_code(self) -> int:
        """The process's exit code, once the run has ended."""
        return fold.exit_code(self.journal.state)

    def warn(self, text: str) -> None:
        """Tell the operator something that changes nothing."""
        self.journal.note(Warned(text=text))


@asynccontextmanager
async def session(
    mode: str,
    release: Release,
    settings: Settings,
    options: Namespace,
    **about: str | None,
) -> AsyncIterator[Run]:
    """Open a run, and close it with its report whatever it ends with; nothing is raised out of it.

    `about`: `of`, the previous run that it is about; `broken`, what is broken in a rehearsal.
    """
    folder, redact = settings.runs / release.run, Redactor(secret_values(settings))
    journal = _journal(release.run, folder, redact)
    interrupts = Interrupts(lambda name, again: journal.note(SignalReceived(name=name, again=again)))
    budget = _budget(settings)
    opened = Opened(
        mode=mode,
        dry_run=options.dry_run,
        of=about.get("of"),
        broken=about.get("broken"),
        change={"name": release.change.name, "sha256": release.change.sha256},
        target=target(settings),
        target_id=target_id(settings),
        budget=settings.budget.model_dump(),
    )
    asks = mode != "dry-run" and not options.yes and sys.stdin.isatty()
    ask = partial(_ask, journal, opened.target) if asks else _nothing
    notifier = Notifier(_addresses(mode, settings, options))
    shown = screen_for(sys.stdout, os.environ, as_json=options.json)
    with shown as listener, interrupts.installed(), closing(notifier), closing(journal):
        journal.listen(listener)
        journal.listen(notifier)
        journal.intend(opened)
        try:
            yield Run(release.run, journal, budget, interrupts, release.probe, ask, folder, opened.budget)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - every ending ends in a report
            journal.note(Stopped(why=reason(error)))
            if options.verbose:
                _complain(printable_lines(redact.text("".join(format_exception(error)))))
        told = fold.report(journal.state)
        journal.note(Ended(folder=str(folder), facts=told))
        _write(folder / "report.json", lambda: json.dumps(told, indent=2, default=str) + "\n")
        _write(folder / "report.html", lambda: _page(told, journal.events))
        if os.environ.get(IN_ACTIONS) == "true" and (under := os.environ.get("GITHUB_STEP_SUMMARY")):
            _write(Path(under), lambda: job_summary(told), mode="a")


def _row(step: Step[Any], observed: Any, expected: Forecast, budget: Budget) -> dict[str, Any]:
    seconds = {"expected_seconds": round(expected.steps[step.name], 3), "limit_seconds": budget.limits[step.name]}
    said = {"name": step.name, "plan": step.plan(observed), **seconds}
    if not isinstance(step, ReversibleStep):
        return said
    undo, said = round(expected.rollback[step.name], 3), {**said, "prepares": step.prepares}
    return {**said, "way_back": step.rollback_plan(observed), "undo_seconds": undo, "writes": step.writes}


def _journal(run: str, folder: Path, redact: Redactor) -> Journal:
    try:
        return Journal(folder / "journal.jsonl", redact, run)
    except OSError as error:
        remedy = "Make it writable, or set `runs` to another folder."
        raise Refused("creating", str(folder), str(error), remedy) from None


def _addresses(mode: str, settings: Settings, options: Namespace) -> list[str]:
    """Give whom to notify: of what only looks or rehearses, nobody."""
    secret = settings.secrets.notify_urls
    return [] if secret is None or mode == "dry-run" or options.dry_run else addresses(secret.get_secret_value())


def _budget(settings: Settings) -> Budget:
    """Give the time of a run; where it starts with what is live, the build before has its own."""
    times, limits = settings.budget, {**settings.limits.of_steps, "schema_contract": PREFLIGHT}
    proving = PREFLIGHT + 2 * settings.rehearsal.most_seconds
    looks = {"turso_migration": proving, "schema_contract": proving}
    whole = Budget(times.total, times.reserve, limits, looks=looks)
    if times.starts == "push":
        return whole
    built = {**limits, "vercel_deployment": times.build}
    return Budget(times.build + times.reserve, times.reserve, built, whole, looks)


async def _ask(journal: Journal, target: str) -> None:
    """Wait for Enter; Ctrl-C leaves, nothing touched."""
    loop, answered = asyncio.get_running_loop(), asyncio.Event()
    with suppress(termios.error):
        termios.tcflush(sys.stdin, termios.TCIFLUSH)  # an Enter that was typed before the question answers nothing
    journal.note(Asking(target=target))
    loop.add_reader(sys.stdin, answered.set)
    try:
        await answered.wait()
    finally:
        loop.remove_reader(sys.stdin)
    if sys.stdin.readline() != "\n":  # the end of input is no answer
        raise Refused("asking", "the operator", "the answer was not a bare Enter", "Run again to release.")


async def _nothing() -> None:
    """Ask nothing."""


def _complain(text: str) -> None:
    with suppress(OSError, ValueError):  # whoever would read it may be gone
        sys.stderr.write(text)


def _page(told: Mapping[str, Any], events: Sequence[Event]) -> str:
    from steps.support.console.report import page  # noqa: PLC0415 - a template engine takes a while, and only the end needs it

    return page.html(told, events)


def _write(path: Path, text: Callable[[], str], mode: Literal["w", "a"] = "w") -> None:
    try:
        content = text()
        path.touch(mode=0o600)
        with path.open(mode, encoding="utf-8") as file:
            file.write(content)
    except Exception as error:  # noqa: BLE001 - a report that cannot be made or written changes nothing of the run
        _complain(printable_lines(f"warning: {path} is not written: {error}\n"))
