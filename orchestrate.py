"""Release one change, code and schema, to production within two minutes, or roll everything back."""

import asyncio
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

FAIL_HELP = """with --dry-run: break that step. STEP: git_push, vercel_deployment, activation, turso_migration,
verification_query or health_checks. KIND: fail (the service refuses; the default), hang (it never answers), lost (it
does its work and the answer is lost), cut (the connection is reset and nothing is done), drip (a byte at a time),
garbage, or kill (the tool is killed while the step waits, and --rollback rolls back what it left)"""


def parse(words: Sequence[str]) -> Namespace:
    """Parse the command line. Exit with code 0 after --help, and with code 2 at a mistake."""
    parser = ArgumentParser(prog="orchestrate.py", description=__doc__, epilog="Exit codes and endings: runbook.md.")
    parser.add_argument("--prod", action="store_true", help="read production, show the plan, ask once, then release")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="rehearse on local stand-ins, one run that succeeds and one that fails; with --prod: read and plan only",
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="settings (TOML); default: [tool.orchestrate] in pyproject.toml"
    )
    parser.add_argument(
        "--rollback", nargs="?", const="", metavar="RUN", help="with --prod: roll back the last run, or RUN"
    )
    parser.add_argument(
        "--accept",
        nargs="?",
        const="",
        metavar="RUN",
        help="with --prod: keep the change and drop what its rollback would need",
    )
    parser.add_argument("--unlock", metavar="RUN", help="with --prod: release the lock of a dead run")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--json", action="store_true", help="write journal events to stdout, one JSON object per line")
    parser.add_argument("--verbose", action="store_true", help="show tracebacks")
    parser.add_argument("--fail", metavar="STEP[:KIND]", help=FAIL_HELP)
    parser.add_argument(
        "--drill",
        action="store_true",
        help="with --dry-run: break every step in every way, and check each outcome",
    )
    parser.add_argument("--staged", action="store_true", help="with --dry-run: builds wait until they are promoted")
    parser.add_argument(
        "--copy", type=Path, metavar="FILE", help="with --dry-run: rehearse on a copy of this SQLite file or .sql dump"
    )
    options = parser.parse_args(words)
    if not (options.prod or options.dry_run):
        parser.error("give --prod, or --dry-run to rehearse")
    if options.prod and (options.fail or options.staged or options.copy or options.drill):
        parser.error("--fail, --staged, --copy and --drill need the stand-ins: use --dry-run without --prod")
    if options.drill and (options.fail or options.staged or options.copy):
        parser.error("--drill tries every fault by itself: leave out --fail, --staged and --copy")
    chosen = [value for value in (options.rollback, options.accept, options.unlock) if value is not None]
    if chosen and (not options.prod or options.dry_run or len(chosen) > 1):
        parser.error("use one of --rollback, --accept and --unlock, with --prod and without --dry-run")
    if options.copy and not options.copy.is_file():
        parser.error(f"--copy: there is no file {options.copy}")
    return options


if __name__ == "__main__":
    OPTIONS = parse(sys.argv[1:])  # before the slow imports below, so that --help is answered at once
    if find_spec("httpx") is None:
        sys.stderr.write("orchestrate: its dependencies are not installed for this Python. Put `uv run` in front.\n")
        sys.exit(2)

from steps.orders import reversible_steps, settle_order, steps_of
from steps.support.change.folder import read_change
from steps.support.config.loading import for_production, load, target_ids
from steps.support.console.exit_codes import exit_code_of
from steps.support.core import event_loop
from steps.support.core.errors import Refused
from steps.support.core.events import Arrived, StepBegun, TurnedBack
from steps.support.run.budget import ForwardDeadline, forecast, preflight_deadline, refuse_unfitting
from steps.support.run.downtime import probing
from steps.support.run.journal import APPLY_EVENTS, PREFLIGHT_EVENTS, Journal, reason
from steps.support.run.lock import claim, locked, refuse_if_locked
from steps.support.run.recovery import (
    accept_run,
    previous_run,
    record_of_marker,
    refuse_abandoned_lease,
    refuse_open,
    roll_back_run,
    unlock_run,
)
from steps.support.run.release import Gateways, Release, new_release, new_run, previous_release
from steps.support.run.rollback import roll_back, superseded
from steps.support.run.run_record import choose, sweep, unreadable
from steps.support.run.session import Run, session
from steps.support.run.step import Begun, Plan, PlannedStep, ReversibleStep, Step, reversible
from steps.support.run.wiring import demands, health_checks, production, proof_settings, source
from steps.support.sql.change import named_change

ROLLED_BACK, NEEDS_HUMAN = 1, 4  # exit codes: rolled back and verified; rollback incomplete or unconfirmed


async def carry_out(gateways: Gateways, release: Release, run: Run) -> None:
    """Carry out a release.

    Run the preflights, show the plan and ask the operator. Then take the lock, check again, start the clock, and apply
    the steps or roll them back.
    """
    plan = await preflight(gateways, release, run)
    await run.ask()
    async with locked(gateways.turso, claim(run.id, run.lease), run.warn):
        async with preflight_deadline():
            for each in reversible(plan):
                await each.step.recheck(gateways, each.observed)
        async with probing(gateways.site, run.visits, run.journal):
            await apply_or_roll_back(gateways, plan, run)


async def preflight(gateways: Gateways, release: Release, run: Run) -> Plan:
    """Run every preflight, and return the plan in its order. Change nothing.

    Raise Refused if another run holds the lock, if there is no safe order, or if the plan does not fit into the budget.
    """
    async with preflight_deadline():
        await refuse_if_locked(gateways.turso)
    planned = [PlannedStep(step, await observe(gateways, step, run)) for step in steps_of(release)]
    release, plan = settle_order(release, planned)
    expected = forecast(plan)
    run.planned(gateways.target, release, plan, expected)
    refuse_unfitting(plan, expected, run.budget)
    return plan


async def observe(gateways: Gateways, step: Step[Any], run: Run) -> Any:
    """Run a step's preflight within its time limit, and return what it observed."""
    with run.journal.timed(PREFLIGHT_EVENTS, step.name):
        async with preflight_deadline(run.budget.preflight_seconds(step.name)):
            return await step.preflight(gateways)


async def apply_or_roll_back(gateways: Gateways, plan: Plan, run: Run) -> None:
    """Apply the steps in order while the clock runs. If anything goes wrong, roll back every step that was begun."""
    deadline, begun = run.start(run.budget), in_order(plan)
    try:
        for each in plan:
            if next_budget := deadline.budget.after(each.step):
                deadline = run.start(next_budget)
            deadline.admit(each.step, each.step.expected_seconds(each.observed))
            before, begins = begun, begun_with(each, plan)
            begun = in_order(plan, *before, *begins)
            try:
                await apply(gateways, each, begins, deadline, run.journal)
            except Refused:
                begun = before  # a step that refuses has certainly changed nothing
                raise
        run.journal.note(Arrived(used=deadline.used))
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - any error: what was begun is rolled back
        with run.interrupts.rolling_back():
            run.journal.note(TurnedBack(why=reason(error), used=deadline.used))
            reserve = deadline.begin_rollback()
            if reserve.suspended:
                run.warn(f"{run.journal.standstill} past the budget: the rollback gets its whole reserve from now")
            await roll_back(gateways, begun, reserve, run.journal)
    else:
        with run.interrupts.rolling_back():
            if temporary := [each for each in begun if each.step.temporary]:
                await roll_back(gateways, temporary, deadline.begin_rollback(), run.journal)
        for remark in await superseded(gateways, begun):
            run.warn(remark)


async def apply(
    gateways: Gateways, each: PlannedStep[Step[Any]], begins: Begun, deadline: ForwardDeadline, journal: Journal
) -> None:
    """Apply a step within its time limit.

    Its intent is on disk before it starts, because a call that is cut off may still take effect.
    """
    step, saw = each.step, {begun.name: begun.observed for begun in begins}  # their rollback will need it
    prepares, limit = isinstance(step, ReversibleStep) and step.prepares, deadline.limit(step.name)
    journal.intend(StepBegun(step=step.name, begins=list(saw), saw=saw, prepares=prepares, limit=limit))
    with journal.timed(APPLY_EVENTS, step.name) as report:
        async with deadline.scope(step.name):
            report(await step.apply(gateways, each.observed))


def begun_with(each: PlannedStep[Step[Any]], plan: Plan) -> Begun:
    """Return the steps that begin with this one.

    These are the step itself, if it can be rolled back, and the steps that it triggers.
    """
    triggers = isinstance(each.step, ReversibleStep) and each.step.triggers
    return [other for other in reversible(plan) if other.step is each.step or (triggers and other.step.triggered)]


def in_order(plan: Plan, *chosen: PlannedStep[ReversibleStep[Any]]) -> Begun:
    """Return the chosen steps in the order of the plan."""
    return [each for each in reversible(plan) if any(each.step is other.step for other in chosen)]


async def main(options: Namespace) -> int:
    """Do what the command line asks for, and return the exit code."""
    if options.dry_run and not options.prod:
        return await (drill_faults(options) if options.drill or kills_tool(options) else rehearse(options))
    if (options.rollback, options.accept, options.unlock) != (None, None, None):
        return await resolve_earlier_run(options)
    return await release_to_production(options)


async def release_to_production(options: Namespace) -> int:
    """Release to production, and return the exit code. With --dry-run, only read production and plan."""
    settings = for_production(load(options.config))
    checks = health_checks(settings, settings.secrets.environment())
    if options.dry_run:
        checks = tuple(check.harmless for check in checks)
    release = new_release(settings.sql, checks, demands(settings), proof_settings(settings), source=source(settings))
    release = replace(release, rollback_message=settings.rollback_message)
    async with session("prod", release, settings, options) as run, production(settings) as gateways:
        sweep(settings.runs)
        _warn_unreadable(settings.runs, run)
        refuse_open(settings.runs, target_ids(settings), own_command(options))
        await refuse_abandoned_lease(gateways.turso, settings.runs, own_command(options))
        if options.dry_run:
            await preflight(gateways, release, run)
        else:
            await carry_out(gateways, release, run)
    return run.exit_code


async def resolve_earlier_run(options: Namespace) -> int:
    """Resolve a previous run: roll it back, accept its change, or release its lock. Return the exit code."""
    settings = for_production(load(options.config))
    actions = {"rollback": roll_back_run, "accept": accept_run, "unlock": unlock_run}
    mode, name = next((mode, name) for mode in actions if (name := getattr(options, mode)) is not None)
    record, own_run = choose(settings.runs, name, target_ids(settings)), new_run()
    proof_config = replace(proof_settings(settings), folder=settings.runs / own_run)
    change = named_change(**(record.change if record else {"name": "", "sha256": ""}))
    health = health_checks(settings, settings.secrets.environment())
    own_release = replace(previous_release(own_run, change, "", proof_config), health=health)
    async with (
        session(mode, own_release, settings, options, of=record.run if record else name) as run,
        production(settings) as gateways,
    ):
        _warn_unreadable(settings.runs, run)
        names = [step.name for step in reversible_steps(own_release)]
        known = record or await record_of_marker(gateways.turso, name, names)
        release = previous_release(known.run, named_change(**known.change), known.order, proof_config)
        release = replace(release, rollback_message=settings.rollback_message)
        async with preflight_deadline():
            steps = reversible_steps(release, known.saw)
            previous = await previous_run(gateways, known, steps, here=record is not None)
        await actions[mode](gateways, previous, run, settings.runs)
    return run.exit_code


def _warn_unreadable(runs: Path, run: Run) -> None:
    for journal in unreadable(runs):
        cause = "cannot be read, or belongs to a run of another name"
        run.warn(f"{journal} {cause}: it is not known whether that run is resolved")


def own_command(options: Namespace) -> tuple[str, ...]:
    """Return the command line with which an operator calls this tool again for production."""
    config = ("--config", str(options.config)) if options.config else ()
    return ("python", "orchestrate.py", "--prod", *config)


async def rehearse(options: Namespace) -> int:
    """Rehearse on local stand-ins, and return the exit code.

    Rehearse a run that succeeds and then one that fails late, or only the run that --fail describes.
    """
    if options.fail:
        return await rehearse_once(options, options.fail)
    if code := await rehearse_once(options, None):
        return code
    if (code := await rehearse_once(options, "health_checks:fail")) != ROLLED_BACK:
        return code or NEEDS_HUMAN
    sys.stderr.write("orchestrate: both rehearsals ended as expected: one arrived, one was rolled back\n")
    return 0


def kills_tool(options: Namespace) -> bool:
    """Return True if --fail kills the tool itself. Only the drill, which is another process, can rehearse that."""
    return bool(options.fail and options.fail.endswith(":kill"))


async def drill_faults(options: Namespace) -> int:
    """Break every step in every way, or only as --fail describes.

    Return exit code 0 if every outcome is the expected one, otherwise 1.
    """
    from steps.support.proof.rehearsal import sqld  # noqa: PLC0415 - production needs no stand-in
    from steps.support.standin.drill import drill  # noqa: PLC0415 - production needs no stand-in

    settings = load(options.config)
    if not (binary := sqld.find(settings.rehearsal.sqld)):
        raise Refused(
            code="stand-ins",
            operation="drilling",
            subject="the database",
            cause="only the real server can be broken",
            remedy=f"Fetch it: {sqld.FETCH}",
        )
    read_change(settings.sql, sample=True)
    return int(not await drill.run(drill.chosen(options.fail), settings.sql, binary, print))


async def rehearse_once(options: Namespace, broken: str | None) -> int:
    """Rehearse one run on the stand-ins, with the fault `broken` or without any. Return the exit code."""
    from steps.support.standin.rehearsal import SECRETS, fault, rehearsal  # noqa: PLC0415 - production needs no stand-in

    settings = load(options.config)
    checks, needs_sample = health_checks(settings, SECRETS), options.copy is None
    release = new_release(settings.sql, checks, demands(settings), proof_settings(settings), sample=needs_sample)
    faults = fault(broken, tuple(step.name for step in steps_of(release)))
    async with session("dry-run", release, settings, options, broken=broken) as run:
        async with rehearsal(settings, faults, run.journal, staged=options.staged, copy=options.copy) as gateways:
            await carry_out(gateways, release, run)
    return run.exit_code


if __name__ == "__main__":
    sys.exit(exit_code_of(lambda: event_loop.run(main(OPTIONS)), OPTIONS.verbose))
