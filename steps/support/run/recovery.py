"""Resolve a previous run: roll it back, accept its change, or release its lock.

Each command first reads production, and then takes the lock in the name of the previous run, so that none of that run's
requests that are still under way can commit. Each can be killed and run again.
"""

import asyncio
import shlex
import socket
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from steps.support.core.errors import NeedsHuman, Refused, Rejected
from steps.support.core.events import Accepted, Accepting, Recalled, Resumed, Verified
from steps.support.core.limits import ACCEPTANCE_ANSWERED
from steps.support.core.retry import preflight_read, retry
from steps.support.gateways.marker import APPLIED, Claim
from steps.support.gateways.turso import Holder, Row, Turso
from steps.support.run.budget import preflight_deadline
from steps.support.run.downtime import probing
from steps.support.run.lock import locked, operator, refusal
from steps.support.run.release import Gateways
from steps.support.run.rollback import remaining, roll_back, superseded
from steps.support.run.run_record import RunRecord, journal_lock, observed_of, records
from steps.support.run.session import Run
from steps.support.run.step import Begun, PlannedStep, ReversibleStep

Steps = Sequence[ReversibleStep[Any]]


@dataclass(frozen=True, slots=True)
class PreviousRun:
    """A previous run, and its steps that can be rolled back, each with what it observed.

    `here`: whether the run's journal is on this machine; without it, it is not known how the run ended. `token`: the
    fencing token of the lock, read before anything else.
    """

    record: RunRecord
    begun: Begun
    here: bool
    token: int

    @property
    def had_arrived(self) -> bool:
        """Return True if others may have built on what the run did, so that its rollback must be proved again."""
        return self.record.arrived or not self.here or self.record.resolution == "rolled_back"


def refuse_open(runs: Path, targets: Collection[str], command: Sequence[str]) -> None:
    """Raise Refused if a previous run is unresolved. The message has the commands that resolve it.

    A run that is alive does not count, because it holds the lock.
    """
    for each in records(runs, targets):
        if each.is_open and _is_dead(runs, each.run):
            cause = "it was interrupted, or only partly rolled back"
            raise Refused(
                code="unresolved-run",
                operation="releasing after",
                subject=f"run {each.run}",
                cause=cause,
                remedy=_resolutions(command, each.run),
            )


async def refuse_abandoned_lease(turso: Turso, runs: Path, command: Sequence[str]) -> None:
    """Raise Refused if a run on another machine let its lease expire without releasing the lock.

    Such a run may have died midway.
    """
    last = await preflight_read(turso.last_holder)
    if last is None or last.is_released or await preflight_read(turso.holder) is not None:
        return
    if any(each.run == last.run and not each.is_open for each in records(runs)):
        return
    cause = f"the lease of {last.who} on {last.host} expired at {last.expires} UTC, and the lock was not released"
    remedy = f"Resolve that run there, or here. {_resolutions(command, last.run)}"
    raise Refused(
        code="unresolved-run", operation="releasing after", subject=f"run {last.run}", cause=cause, remedy=remedy
    )


def _resolutions(command: Sequence[str], run: str) -> str:
    options = {"To roll it back": "--rollback", "To keep it": "--accept", "Once it is resolved by hand": "--unlock"}
    return ";\n".join(f"{what}: {shlex.join([*command, option, run])}" for what, option in options.items())


async def record_of_marker(turso: Turso, run: str, changes: Collection[str]) -> RunRecord:
    """Return what the marker row says of a run whose journal is not here.

    `changes`: the names of the steps that may have to be rolled back. Without a marker row, the record has no steps.
    """
    marker = await preflight_read(turso.marker, run)
    if not marker or marker["release_commit"] is None:
        return RunRecord(run, {"name": "an unknown change", "sha256": ""}, "", {})
    change = {"name": str(marker["name"]), "sha256": str(marker["sha256"])}
    return RunRecord(run, change, str(marker["code_order"]), dict.fromkeys(changes, marker))


async def _refuse_unknown(turso: Turso, previous: PreviousRun) -> None:
    """Raise Refused if nothing is known of a run. The message says who held the lock last."""
    if previous.here or previous.begun:
        return
    holder = await preflight_read(turso.last_holder)
    held = f"run {holder.run} of {holder.who} on {holder.host} since {holder.since} UTC" if holder else "no run"
    cause = f"its journal is not here, and it is not in the database; the lock was last held by {held}"
    remedy = (
        "Run this where its journal is, or restore branch and production by hand, then release its lock: --unlock RUN."
    )
    raise Refused(
        code="run-not-found",
        operation="looking for",
        subject=f"run {previous.record.run or '(none is named)'}",
        cause=cause,
        remedy=remedy,
    )


async def previous_run(gateways: Gateways, record: RunRecord, steps: Steps, *, here: bool) -> PreviousRun:
    """Return a run with what each of its steps observed.

    This comes from the journal if it is `here`, otherwise from the marker row, as far as that has it.
    """
    last = await preflight_read(gateways.turso.last_holder)
    token = last.token if last else 0
    if here:
        kept = [each for each in steps if not (each.temporary and record.ended)]
        begun = [PlannedStep(each, observed_of(each, record.saw[each.name])) for each in kept]
    else:
        recalled = [PlannedStep(each, await each.recall(gateways, record.saw[each.name])) for each in steps]
        begun = [each for each in recalled if each.observed is not None]
    return PreviousRun(record, begun, here, token)


async def roll_back_run(gateways: Gateways, previous: PreviousRun, run: Run, runs: Path) -> None:
    """Roll back a run, newest step first, and verify it.

    If all of its steps were applied, others may have built on them: raise Refused if production has changed since.
    """
    await _refuse_unknown(gateways.turso, previous)
    _note_recalled(previous, run)
    await _refuse_accepted(gateways.turso, previous)
    if not previous.begun:
        return
    if previous.record.resolution == "rolled_back" and not await _is_back_in_production(gateways, previous, run):
        run.journal.note(Verified(remains={}))
        return
    if previous.had_arrived:
        await _refuse_superseded(gateways, previous)
        for each in previous.begun:
            async with preflight_deadline(run.budget.preflight_seconds(each.name)):
                await each.step.prove_rollback(gateways, each.observed)
    await run.ask()
    async with _held(gateways.turso, previous, run, runs):
        await _refuse_accepted(gateways.turso, previous)
        if previous.had_arrived:
            await _refuse_superseded(gateways, previous)
        saw = {each.name: each.observed for each in previous.begun}
        run.journal.intend(Resumed(begins=[*saw], saw=saw))
        with run.interrupts.rolling_back():
            deadline = run.start(replace(run.budget, reserve=run.budget.total, then=None))
            async with probing(gateways.site, run.visits, run.journal):
                await roll_back(gateways, previous.begun, deadline.begin_rollback(), run.journal)


async def _is_back_in_production(gateways: Gateways, previous: PreviousRun, run: Run) -> bool:
    """Return True if what a rolled back run released is in production again. Warn of what others have changed."""
    is_back = False
    async with preflight_deadline():
        for each in previous.begun:
            if await preflight_read(each.step.verify_rollback, gateways, each.observed):
                others = await preflight_read(each.step.superseded_by, gateways, each.observed)
                is_back = is_back or not others
                if others:
                    run.warn(f"{each.name}: {others}; this was not done by this run, and is left alone")
    return is_back


async def accept_run(gateways: Gateways, previous: PreviousRun, run: Run, runs: Path) -> None:
    """Keep the change of a run, and drop the data kept for its rollback. The run then counts as resolved."""
    _refuse_unaccepted(previous, await preflight_read(gateways.turso.marker, previous.record.run))
    _note_recalled(previous, run)
    await run.ask()
    async with _held(gateways.turso, previous, run, runs):
        marker = await preflight_read(gateways.turso.marker, previous.record.run)
        _refuse_unaccepted(previous, marker)
        run.journal.intend(Accepting(of=previous.record.run))
        with run.interrupts.rolling_back():
            if temporary := [each for each in previous.begun if each.step.temporary]:
                await roll_back(gateways, temporary, run.start(run.budget).begin_rollback(), run.journal)
            if marker:
                run.journal.note(Accepted(tables=await _accept(gateways.turso, marker)))
        for remark in await superseded(gateways, previous.begun):
            run.warn(remark)


async def _accept(turso: Turso, marker: Row) -> list[str]:
    """Accept a change, and return the dropped tables. If an answer is lost, accept it again.

    Raise NeedsHuman if the database rejects it, or if the outcome stays unknown.
    """
    try:
        async with asyncio.timeout(ACCEPTANCE_ANSWERED):
            lease = await retry(turso.lease, str(marker["attempt"]))
            return list(await retry(turso.accept, marker, lease, patience=None))
    except (Rejected, TimeoutError) as error:
        cause = str(error) or "the database does not answer"
        raise NeedsHuman(
            code="accept-refused",
            operation="accepting",
            subject=str(marker["name"]),
            cause=cause,
            remedy="Run --accept again: it is safe to repeat.",
        ) from None


async def unlock_run(gateways: Gateways, previous: PreviousRun, run: Run, runs: Path) -> None:
    """Release the lock of a dead run. Raise Refused if it is in doubt what becomes of its change of the database."""
    marker, last = (
        await preflight_read(gateways.turso.marker, previous.record.run),
        await preflight_read(gateways.turso.last_holder),
    )
    if not (previous.here or marker or (last and last.run == previous.record.run)):
        await _refuse_unknown(gateways.turso, previous)
    if _is_in_doubt(previous, marker):
        cause = "its change is in the database, and is not accepted"
        remedy = f"Roll it back with --rollback {previous.record.run}, or keep it with --accept {previous.record.run}."
        raise Refused(
            code="unlock-refused",
            operation="unlocking",
            subject=f"run {previous.record.run}",
            cause=cause,
            remedy=remedy,
        )
    _note_recalled(previous, run)
    await run.ask()
    async with _held(gateways.turso, previous, run, runs):
        async with preflight_deadline():
            marker = await preflight_read(gateways.turso.fence, previous.record.run, previous.record.change["name"])
        if _is_in_doubt(previous, marker):
            raise NeedsHuman(
                code="unlock-refused",
                operation="unlocking",
                subject=f"run {previous.record.run}",
                cause="its change was committed in the meantime",
                remedy="Run again.",
            )
        for remark in await remaining(gateways, previous.begun):
            run.warn(f"still there: {remark}")


@asynccontextmanager
async def _held(turso: Turso, previous: PreviousRun, run: Run, runs: Path) -> AsyncIterator[None]:
    """Hold the lock in the name of the previous run, and lock its journal if that is here.

    Raise Refused if that run may be alive.
    """
    with ExitStack() as files:
        if previous.here:
            files.enter_context(journal_lock(runs, previous.record.run))
        _refuse_alive(await preflight_read(turso.holder), previous)
        who, host = operator()
        claim = Claim(previous.record.run, f"{who} (in run {run.id})", host, run.lease, after=previous.token)
        async with locked(turso, claim, run.warn):
            yield


def _refuse_alive(holder: Holder | None, previous: PreviousRun) -> None:
    """Raise Refused if another run holds the lock, or if this one may still be alive on another machine."""
    if holder and holder.run != previous.record.run:
        raise refusal(holder)
    if holder and not (previous.here and holder.host == socket.gethostname()):
        cause = f"{holder.who} holds it until {holder.expires} UTC, and it may be alive on {holder.host}"
        remedy = "Wait until then, or run this on that machine, with its journal."
        raise Refused(
            code="run-alive", operation="taking over", subject=f"run {holder.run}", cause=cause, remedy=remedy
        )


async def _refuse_accepted(turso: Turso, previous: PreviousRun) -> None:
    marker = await preflight_read(turso.marker, previous.record.run)
    if previous.record.resolution == "accepted" or (marker and marker["accepted_at"] is not None):
        cause = "it was accepted, and the data for a rollback was dropped"
        raise Refused(
            code="rollback-refused",
            operation="rolling back",
            subject=f"run {previous.record.run}",
            cause=cause,
            remedy="Release the next change instead.",
        )


async def _refuse_superseded(gateways: Gateways, previous: PreviousRun) -> None:
    """Raise Refused if others have changed production since the run.

    This is so if what a step changed is neither as the run left it nor as it was before.
    """
    since = list[str]()
    async with preflight_deadline():
        for each in previous.begun:
            others = await preflight_read(each.step.superseded_by, gateways, each.observed)
            remains = await preflight_read(each.step.verify_rollback, gateways, each.observed)
            if others and remains:
                since.append(others)
    if since:
        remedy = "It can now be rolled back only by hand: agree with those who did that, or release the next change."
        cause = f"production has changed since: {'; '.join(since)}"
        raise Refused(
            code="rollback-refused",
            operation="rolling back",
            subject=f"run {previous.record.run}",
            cause=cause,
            remedy=remedy,
        )


def _refuse_unaccepted(previous: PreviousRun, marker: Row | None) -> None:
    """Raise Refused if there is nothing to keep, because the change is not in the database."""
    if marker and marker["state"] == APPLIED:
        return
    if marker is None and previous.here and not previous.record.migrates:
        return
    state = str(marker["state"]) if marker else "not in the database"
    cause = f"{previous.record.change['name']} is {state}"
    remedy = f"There is nothing to keep. To roll back what is left of the run: --rollback {previous.record.run}."
    raise Refused(
        code="accept-refused", operation="accepting", subject=f"run {previous.record.run}", cause=cause, remedy=remedy
    )


def _is_in_doubt(previous: PreviousRun, marker: Row | None) -> bool:
    applied = marker and marker["state"] == APPLIED and marker["accepted_at"] is None
    return bool(applied) and not previous.record.arrived


def _note_recalled(previous: PreviousRun, run: Run) -> None:
    """Note which run it is, how it ended and which steps it had begun. Warn if its journal is damaged or not here."""
    old = previous.record
    ending = "arrived" if old.arrived else "interrupted or not rolled back" if old.saw else "it began nothing"
    state = old.resolution or ending
    names = [each.name for each in reversed(previous.begun)]
    run.journal.note(Recalled(of=old.run, change=old.change, state=state, begun=names, here=previous.here))
    if old.damaged:
        run.warn(f"{old.damaged} lines of its journal cannot be read")
    if not previous.here:
        run.warn(
            "its journal is not here: the auto-assign setting is taken as it is now; check whether the crons are on"
        )


def _is_dead(runs: Path, run: str) -> bool:
    try:
        with journal_lock(runs, run):
            return True
    except Refused:
        return False
