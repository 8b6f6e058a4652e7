"""Carry one production change, code and data, to a healthy end inside two minutes - or put everything back."""

import asyncio
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

FAIL_HELP = """with --dry-run: break that step. STEP: git_push, vercel_deployment, activation, turso_migration,
verification_query or health_checks. KIND: fail (it says no; the default), hang (it never answers), lost (it does its
work and the answer is lost), cut (the connection is reset, and nothing done), drip (a byte at a time), garbage, or
kill (the tool is killed while the step waits, and --rollback puts back what it left)"""


def parse(words: Sequence[str]) -> Namespace:
    """Read the command line; --help and a mistake in it end here, with code 0 and 2."""
    parser = ArgumentParser(prog="orchestrate.py", description=__doc__, epilog="Exit codes and endings: runbook.md.")
    parser.add_argument("--prod", action="store_true", help="look, show the plan, ask once, then release to production")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="rehearse on local stand-ins, once well and once broken; with --prod: only look",
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="settings (TOML), else [tool.orchestrate] in pyproject.toml"
    )
    parser.add_argument(
        "--rollback", nargs="?", const="", metavar="RUN", help="with --prod: put back the last run, or that one"
    )
    parser.add_argument(
        "--accept", nargs="?", const="", metavar="RUN", help="with --prod: the change stays; drop what undoing it needs"
    )
    parser.add_argument("--unlock", metavar="RUN", help="with --prod: release the lock of a run that is dead")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--json", action="store_true", help="journal events on stdout, one JSON object a line")
    parser.add_argument("--verbose", action="store_true", help="show tracebacks")
    parser.add_argument("--fail", metavar="STEP[:KIND]", help=FAIL_HELP)
    parser.add_argument(
        "--drill", action="store_true", help="with --dry-run: every step broken in every way, held against a table"
    )
    parser.add_argument("--staged", action="store_true", help="with --dry-run: builds wait for their activation")
    parser.add_argument(
        "--copy", type=Path, metavar="FILE", help="with --dry-run: on a copy of this SQLite file or .sql dump"
    )
    options = parser.parse_args(words)
    if not (options.prod or options.dry_run):
        parser.error("say --prod, or --dry-run to rehearse")
    if options.prod and (options.fail or options.staged or options.copy or options.drill):
        parser.error("--fail, --staged, --copy and --drill are for --dry-run on the stand-ins")
    if options.drill and (options.fail or options.staged or options.copy):
        parser.error("--drill goes through all faults on its own worlds: leave --fail, --staged and --copy out")
    settling = [options.rollback, options.accept, options.unlock]
    if (several := len(settling) - settling.count(None)) and (not options.prod or options.dry_run or several > 1):
        parser.error("--rollback, --accept and --unlock are for --prod, one at a time, and without --dry-run")
    if options.copy and not options.copy.is_file():
        parser.error(f"--copy: there is no file {options.copy}")
    return options


if __name__ == "__main__":
    OPTIONS = parse(sys.argv[1:])  # before the imports below, so that --help and a mistyped option answer at once
    if find_spec("httpx") is None:
        sys.stderr.write("orchestrate: what it needs is not installed for this Python. Put `uv run` in front.\n")
        sys.exit(2)

from steps.orders import reversible_steps, settle, steps_of
from steps.support.change.folder import read_change
from steps.support.config.loading import for_production, load, target_id
from steps.support.console.exit_codes import exit_code_of
from steps.support.core import event_loop
from steps.support.core.errors import Refused
from steps.support.core.events import Arrived, StepBegun, TurnedBack
from steps.support.run.budget import ForwardDeadline, forecast, preflight_deadline, refuse_unfitting
from steps.support.run.downtime import probing
from steps.support.run.journal import ACT, LOOK, Journal, reason
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
from steps.support.run.wiring import demands, health_checks, production, workbench
from steps.support.sql.change import named_change

ROLLED_BACK, NEEDS_HUMAN = 1, 4  # exit codes of a run that was put back and verified, and of one that went astray


async def carry(gateways: Gateways, what: Release, run: Run) -> None:
    """Preflight, show the plan, ask; then lock, check again, start the clock, and apply or roll back."""
    plan = await preflight(gateways, what, run)
    await run.ask()
    async with locked(gateways.turso, claim(run.id, run.lease), run.warn):
        async with preflight_deadline():
            for each in reversible(plan):
                await each.step.recheck(gateways, each.observed)
        async with probing(gateways.site, run.probe, run.journal):
            await apply_or_roll_back(gateways, plan, run)


async def preflight(gateways: Gateways, what: Release, run: Run) -> Plan:
    """Have every step read the world before the clock starts; order and time follow from it. Nothing is touched."""
    async with preflight_deadline():
        await refuse_if_locked(gateways.turso)
    observed = [PlannedStep(step, await observe(gateways, step, run)) for step in steps_of(what)]
    what, plan = settle(what, observed)
    expected = forecast(plan)
    run.planned(gateways.target, what, plan, expected)
    refuse_unfitting(plan, expected, run.budget)
    return plan


async def observe(gateways: Gateways, step: Step[Any], run: Run) -> Any:
    """Return what a step's preflight observes."""
    with run.journal.timed(LOOK, step.name):
        async with preflight_deadline(run.budget.preflight_seconds(step.name)):
            return await step.preflight(gateways)


async def apply_or_roll_back(gateways: Gateways, plan: Plan, run: Run) -> None:
    """Apply the steps in order under the clock; if anything ends it early, roll back whatever was begun."""
    deadline, begun = run.start(run.budget), in_order(plan)
    try:
        for each in plan:
            if follows := deadline.budget.after(each.step):
                deadline = run.start(follows)
            deadline.admit(each.step, each.step.expected_seconds(each.observed))
            before, begins = begun, begun_with(each, plan)
            begun = in_order(plan, *before, *begins)
            try:
                await apply(gateways, each, begins, deadline, run.journal)
            except Refused:
                begun = before  # it is certain that nothing was done
                raise
        run.journal.note(Arrived(used=deadline.used))
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whatever it is, what was begun is rolled back
        with run.interrupts.rolling_back():
            run.journal.note(TurnedBack(why=reason(error), used=deadline.used))
            reserve = deadline.begin_rollback()
            if reserve.suspended:
                run.warn("the machine was suspended past the budget: going back gets its whole reserve from now")
            await roll_back(gateways, begun, reserve, run.journal)
    else:
        with run.interrupts.rolling_back():
            if temporary := [each for each in begun if each.step.temporary]:
                await roll_back(gateways, temporary, deadline.begin_rollback(), run.journal)
        for told in await superseded(gateways, begun):
            run.warn(told)


async def apply(
    gateways: Gateways, each: PlannedStep[Step[Any]], begins: Begun, deadline: ForwardDeadline, journal: Journal
) -> None:
    """Apply a step within its limit. Its intent is on disk before: a call that is cut off may still land."""
    step, saw = each.step, {begun.name: begun.observed for begun in begins}  # what their rollback will need
    prepares, limit = isinstance(step, ReversibleStep) and step.prepares, deadline.limit(step.name)
    journal.intend(StepBegun(step=step.name, begins=list(saw), saw=saw, prepares=prepares, limit=limit))
    with journal.timed(ACT, step.name) as said:
        async with deadline.scope(step.name):
            said(await step.apply(gateways, each.observed))


def begun_with(each: PlannedStep[Step[Any]], plan: Plan) -> Begun:
    """Return the steps that begin with this one: itself, and those that it sets off."""
    triggers = isinstance(each.step, ReversibleStep) and each.step.triggers
    return [other for other in reversible(plan) if other.step is each.step or (triggers and other.step.triggered)]


def in_order(plan: Plan, *those: PlannedStep[ReversibleStep[Any]]) -> Begun:
    """Return these steps in the order of the plan."""
    return [each for each in reversible(plan) if any(each.step is other.step for other in those)]


def work(options: Namespace) -> Coroutine[Any, Any, int]:
    """Give what the command line asks for; it ends with the exit code."""
    if options.dry_run and not options.prod:
        return drilled(options) if options.drill or kills(options) else rehearsed(options)
    settles = (options.rollback, options.accept, options.unlock) != (None, None, None)
    return settled_before(options) if settles else released(options)


async def released(options: Namespace) -> int:
    """Release to production; with --dry-run only look at it and plan."""
    settings = for_production(load(options.config))
    checks = health_checks(settings, settings.secrets.environment())
    asked = tuple(check.harmless for check in checks) if options.dry_run else checks
    what = new_release(settings.sql, asked, demands(settings), workbench(settings))
    async with session("prod", what, settings, options) as run, production(settings) as gateways:
        sweep(settings.runs)
        _warn_of(unreadable(settings.runs), run)
        refuse_open(settings.runs, target_id(settings), command(options))
        await refuse_abandoned_lease(gateways.turso, settings.runs, command(options))
        if options.dry_run:
            await preflight(gateways, what, run)
        else:
            await carry(gateways, what, run)
    return run.exit_code


async def settled_before(options: Namespace) -> int:
    """Settle a run of before: put it back, accept it, or release its lock."""
    settings, deeds = (
        for_production(load(options.config)),
        {"rollback": roll_back_run, "accept": accept_run, "unlock": unlock_run},
    )
    mode, named = next((mode, named) for mode in deeds if (named := getattr(options, mode)) is not None)
    old, own = choose(settings.runs, named, target_id(settings)), new_run()
    proof_config = replace(workbench(settings), folder=settings.runs / own)
    change = named_change(**(old.change if old else {"name": "", "sha256": ""}))
    health = health_checks(settings, settings.secrets.environment())
    shown = replace(previous_release(own, change, "", proof_config), health=health)
    async with (
        session(mode, shown, settings, options, of=old.run if old else named) as run,
        production(settings) as gateways,
    ):
        _warn_of(unreadable(settings.runs), run)
        known = old or await record_of_marker(gateways.turso, named, [each.name for each in reversible_steps(shown)])
        again = previous_release(known.run, named_change(**known.change), known.order, proof_config)
        async with preflight_deadline():
            what = await previous_run(gateways, known, reversible_steps(again, known.saw), here=old is not None)
        await deeds[mode](gateways, what, run, settings.runs)
    return run.exit_code


def _warn_of(journals: Sequence[Path], run: Run) -> None:
    for journal in journals:
        cause = "cannot be read, or belongs to a run of another name"
        run.warn(f"{journal} {cause}: whether that run is settled is not known")


def command(options: Namespace) -> tuple[str, ...]:
    """Give the words with which an operator calls this tool again for production."""
    config = ("--config", str(options.config)) if options.config else ()
    return ("python", "orchestrate.py", "--prod", *config)


async def rehearsed(options: Namespace) -> int:
    """Rehearse on local stand-ins: a run that goes well, then one that fails late; or the one that --fail describes."""
    if options.fail:
        return await rehearse(options, options.fail)
    if code := await rehearse(options, None):
        return code
    if (code := await rehearse(options, "health_checks:fail")) != ROLLED_BACK:
        return code or NEEDS_HUMAN
    sys.stderr.write("orchestrate: both rehearsals went as they should: one arrived, one was put back\n")
    return 0


def kills(options: Namespace) -> bool:
    """Say whether the tool itself is to be killed: that is a drill, which outlives it."""
    return bool(options.fail and options.fail.endswith(":kill"))


async def drilled(options: Namespace) -> int:
    """Break every step in every way, or kill one; 1 where what comes of it is not what is to come of it."""
    from steps.support.proof import sqld  # noqa: PLC0415 - production needs no stand-in
    from steps.support.standin.drill import drill  # noqa: PLC0415 - production needs no stand-in

    settings = load(options.config)
    if not (binary := sqld.find(settings.rehearsal.sqld)):
        raise Refused("drilling", "the database", "only the real server can be broken", f"Fetch it: {sqld.FETCH}")
    read_change(settings.sql, sample=True)
    return int(not await drill.run(drill.chosen(options.fail), settings.sql, binary, print))


async def rehearse(options: Namespace, broken: str | None) -> int:
    """Rehearse one run, with something broken on purpose or nothing."""
    from steps.support.standin.rehearsal import SECRETS, fault, rehearsal  # noqa: PLC0415 - production needs no stand-in

    settings = load(options.config)
    checks, needs_sample = health_checks(settings, SECRETS), options.copy is None
    what = new_release(settings.sql, checks, demands(settings), workbench(settings), sample=needs_sample)
    faults = fault(broken, tuple(step.name for step in steps_of(what)))
    async with session("dry-run", what, settings, options, broken=broken) as run:
        async with rehearsal(settings, faults, run.journal, staged=options.staged, copy=options.copy) as gateways:
            await carry(gateways, what, run)
    return run.exit_code


if __name__ == "__main__":
    sys.exit(exit_code_of(lambda: event_loop.run(work(OPTIONS)), OPTIONS.verbose))
