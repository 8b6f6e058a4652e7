"""One run from its first event to its report: its journal, its signals, its screen, and every way to end it."""

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

from steps.support.config.loading import network, secret_values, target, target_id
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
from steps.support.run.budget import PREFLIGHT, Budget, Forecast, ForwardDeadline
from steps.support.run.downtime import Visits
from steps.support.run.journal import Journal, reason
from steps.support.run.release import Release
from steps.support.run.signals import Interrupts
from steps.support.run.step import Plan, ReversibleStep, Step

FIXED = {"schema_contract": PREFLIGHT, "branch_head": 10.0}  # seconds that steps without a setting may take
LEASE_SLACK = 60.0  # seconds; the lock lasts this much longer than the longest run with a rollback after a suspend


@dataclass(frozen=True, slots=True)
class Run:
    """A run as orchestrate.py uses it: its id, journal, budget and signals, and `ask`, which asks the operator."""

    id: str
    journal: Journal
    budget: Budget
    interrupts: Interrupts
    visits: Visits | None
    ask: Callable[[], Any]
    folder: Path
    times: Mapping[str, Any]  # the budget as configured, in seconds
    network: str = ""  # which hosts are reached through a proxy, in words

    @property
    def lease(self) -> float:
        """Return the seconds for which the lock is claimed."""
        return self.budget.longest + self.budget.reserve + LEASE_SLACK

    def start(self, budget: Budget) -> ForwardDeadline:
        """Start the clock with this budget, and note that."""
        self.journal.note(Started(total=budget.total, reserve=budget.reserve))
        return budget.start()

    def planned(
        self,
        target: Mapping[str, str],
        release: Release,
        plan: Plan,
        expected: Forecast,
    ) -> None:
        """Journal the plan: the target, the steps in order, their seconds, and how they are rolled back."""
        rows = [_row(each.step, each.observed, expected, self.budget) for each in plan]
        facts = {key: value for each in plan for key, value in each.step.facts(each.observed).items()}
        facts |= {"network": self.network} if self.network else {}
        seconds = {"seconds": round(expected.seconds, 3), "undo_seconds": round(expected.rollback_seconds, 3)}
        planned = Planned(
            target=target,
            folder=str(self.folder),
            budget=self.times,
            order=release.order,
            ruled_out=release.ruled_out,
            steps=rows,
            forecast=seconds,
            facts=facts,
        )
        self.journal.intend(planned)

    @property
    def exit_code(self) -> int:
        """Return the exit code of the process. The run must have ended."""
        return fold.exit_code(self.journal.state)

    def warn(self, text: str) -> None:
        """Warn the operator, and let the run go on."""
        self.journal.note(Warned(text=text))


@asynccontextmanager
async def session(
    mode: str,
    release: Release,
    settings: Settings,
    options: Namespace,
    **about: str | None,
) -> AsyncIterator[Run]:
    """Open a run, and close it with its report. No exception leaves the block: it is journalled and reported.

    `about`: `of`, the previous run that this one is about; `broken`, the fault that a rehearsal injects.
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
            visits, times = _visits(release, settings), opened.budget
            yield Run(release.run, journal, budget, interrupts, visits, ask, folder, times, network(settings))
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - however a run ends, a report follows
            journal.note(Stopped(why=reason(error)))
            if options.verbose:
                _write_error(printable_lines(redact.text("".join(format_exception(error)))))
        report = fold.report(journal.state)
        journal.note(Ended(folder=str(folder), facts=report))
        _write(folder / "report.json", lambda: json.dumps(report, indent=2, default=str) + "\n")
        _write(folder / "report.html", lambda: _page(report, journal.events))
        if os.environ.get(IN_ACTIONS) == "true" and (summary := os.environ.get("GITHUB_STEP_SUMMARY")):
            _write(Path(summary), lambda: job_summary(report), mode="a")


def _row(step: Step[Any], observed: Any, expected: Forecast, budget: Budget) -> dict[str, Any]:
    seconds = {"expected_seconds": round(expected.steps[step.name], 3), "limit_seconds": budget.limits[step.name]}
    row = {"name": step.name, "plan": step.plan(observed), **seconds}
    if not isinstance(step, ReversibleStep):
        return row
    undo, row = round(expected.rollback[step.name], 3), {**row, "prepares": step.prepares}
    return {**row, "way_back": step.rollback_plan(observed), "undo_seconds": undo, "writes": step.writes}


def _journal(run: str, folder: Path, redact: Redactor) -> Journal:
    try:
        return Journal(folder / "journal.jsonl", redact, run)
    except OSError as error:
        remedy = "Make it writable, or set `runs` to another folder."
        raise Refused(
            code="runs-folder", operation="creating", subject=str(folder), cause=str(error), remedy=remedy
        ) from None


def _addresses(mode: str, settings: Settings, options: Namespace) -> list[str]:
    """Return the addresses to notify. There are none for a rehearsal, or for a run that only reads."""
    secret = settings.secrets.notify_urls
    return [] if secret is None or mode == "dry-run" or options.dry_run else addresses(secret.get_secret_value())


def _visits(release: Release, settings: Settings) -> Visits | None:
    """Return the visits that measure downtime; None if nothing may be asked, or none are wanted."""
    if not (release.probe and settings.probe_rate):
        return None
    return Visits(release.probe, 1 / settings.probe_rate)


def _budget(settings: Settings) -> Budget:
    """Return the budget of a run. If the clock starts only once the build is staged, the build has its own budget."""
    times, limits = settings.budget, {**settings.limits.of_steps, **FIXED}
    proof_seconds = PREFLIGHT + 2 * settings.rehearsal.most_seconds
    preflights = {"turso_migration": proof_seconds, "schema_contract": proof_seconds}
    preflights["branch_head"] = PREFLIGHT + settings.limits.deployment_appears
    whole = Budget(times.total, times.reserve, limits, preflights=preflights)
    if times.starts == "push":
        return whole
    build_limits = {**limits, "vercel_deployment": times.build, "deploy_command": times.build}
    return Budget(times.build + times.reserve, times.reserve, build_limits, whole, preflights)


async def _ask(journal: Journal, target: str) -> None:
    """Wait until the operator presses Enter. Raise Refused at any other answer.

    Ctrl-C ends the run before anything is touched.
    """
    loop, answered = asyncio.get_running_loop(), asyncio.Event()
    with suppress(termios.error):
        termios.tcflush(sys.stdin, termios.TCIFLUSH)  # ignore an Enter that was typed before the question
    journal.note(Asking(target=target))
    loop.add_reader(sys.stdin, answered.set)
    try:
        await answered.wait()
    finally:
        loop.remove_reader(sys.stdin)
    if sys.stdin.readline() != "\n":  # the end of the input is not an answer
        raise Refused(
            code="not-confirmed",
            operation="asking",
            subject="the operator",
            cause="you typed something other than Enter",
            remedy="Run again to release.",
        )


async def _nothing() -> None:
    """Ask no question."""


def _write_error(text: str) -> None:
    with suppress(OSError, ValueError):  # the terminal may be gone
        sys.stderr.write(text)


def _page(report: Mapping[str, Any], events: Sequence[Event]) -> str:
    from steps.support.console.report import page  # noqa: PLC0415 - the template engine is slow to import

    return page.html(report, events)


def _write(path: Path, text: Callable[[], str], mode: Literal["w", "a"] = "w") -> None:
    try:
        content = text()
        path.touch(mode=0o600)
        with path.open(mode, encoding="utf-8") as file:
            file.write(content)
    except Exception as error:  # noqa: BLE001 - a report that cannot be written must not fail the run
        _write_error(printable_lines(f"warning: {path} is not written: {error}\n"))
