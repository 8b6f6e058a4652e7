"""What becomes of a run of before: it is put back, it is accepted, or its lock is released.

Each looks at the world first, takes the lock as that run, so that whatever of it is still under way can no longer
commit, and is safe to be killed and run again.
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
    """A previous run, and its steps that are to be rolled back, with what each observed.

    `here`: its journal is on this machine; elsewhere nobody knows how it ended. `token`: of the lock as it was before
    anything was looked at.
    """

    past: RunRecord
    begun: Begun
    here: bool
    token: int

    @property
    def had_arrived(self) -> bool:
        """Whether others may have built on it, so that going back has to be proved anew."""
        return self.past.arrived or not self.here or self.past.settled == "rolled_back"


def refuse_open(runs: Path, target: str, command: Sequence[str]) -> None:
    """Raise Refused while a run is not settled, with the commands that settle it; whoever is alive has the lock."""
    for each in records(runs, target):
        if each.is_open and _is_dead(runs, each.run):
            cause = "it was cut off, or not everything of it was put back"
            raise Refused("releasing after", f"run {each.run}", cause, _ways_out(command, each.run))


async def refuse_abandoned_lease(turso: Turso, runs: Path, command: Sequence[str]) -> None:
    """Raise Refused where a run elsewhere let its lease end and did not give the lock back: it may have died midway."""
    last = await preflight_read(turso.last_holder)
    if last is None or last.is_given_back or await preflight_read(turso.holder) is not None:
        return
    if any(each.run == last.run and not each.is_open for each in records(runs)):
        return
    cause = f"{last.who} on {last.host} let its lease end at {last.expires} UTC and did not give the lock back"
    remedy = f"Settle it there, or here. {_ways_out(command, last.run)}"
    raise Refused("releasing after", f"run {last.run}", cause, remedy)


def _ways_out(command: Sequence[str], run: str) -> str:
    ways = {"To put it back": "--rollback", "To keep it": "--accept", "When it is settled by hand": "--unlock"}
    return ";\n".join(f"{what}: {shlex.join([*command, way, run])}" for what, way in ways.items())


async def record_of_marker(turso: Turso, run: str, changes: Collection[str]) -> RunRecord:
    """Give what the database knows of a run whose journal is not here: what its marker row keeps of these changes."""
    marker = await preflight_read(turso.marker, run)
    if not marker or marker["release_commit"] is None:
        return RunRecord(run, {"name": "an unknown change", "sha256": ""}, "", {})
    change = {"name": str(marker["name"]), "sha256": str(marker["sha256"])}
    return RunRecord(run, change, str(marker["code_order"]), dict.fromkeys(changes, marker))


async def _refuse_unknown(turso: Turso, what: PreviousRun) -> None:
    """Raise Refused where nothing is known of a run, and say who held the lock last."""
    if what.here or what.begun:
        return
    holder = await preflight_read(turso.last_holder)
    held = f"run {holder.run} of {holder.who} on {holder.host} since {holder.since} UTC" if holder else "nobody"
    cause = f"its journal is not here, and the database holds nothing of it; the lock was last held by {held}"
    remedy = (
        "Run this where its journal is, or settle the branch and production by hand and release its lock: --unlock RUN."
    )
    raise Refused("looking for", f"run {what.past.run or '(none is named)'}", cause, remedy)


async def previous_run(gateways: Gateways, past: RunRecord, steps: Steps, *, here: bool) -> PreviousRun:
    """Give what each change saw: from the journal, or as far as the marker row tells."""
    last = await preflight_read(gateways.turso.last_holder)
    token = last.token if last else 0
    if here:
        kept = [each for each in steps if not (each.temporary and past.ended)]
        begun = [PlannedStep(each, observed_of(each, past.saw[each.name])) for each in kept]
    else:
        recalled = [PlannedStep(each, await each.recall(gateways, past.saw[each.name])) for each in steps]
        begun = [each for each in recalled if each.observed is not None]
    return PreviousRun(past, begun, here, token)


async def roll_back_run(gateways: Gateways, what: PreviousRun, run: Run, runs: Path) -> None:
    """Put a run back, newest change first, and verify it; one that arrived only as nobody has built on it since."""
    await _refuse_unknown(gateways.turso, what)
    _tell(what, run)
    await _refuse_accepted(gateways.turso, what)
    if not what.begun:
        return
    if what.past.settled == "rolled_back" and not await _is_there_again(gateways, what, run):
        run.journal.note(Verified(remains={}))
        return
    if what.had_arrived:
        await _refuse_overtaken(gateways, what)
        for each in what.begun:
            async with preflight_deadline(run.budget.preflight_seconds(each.name)):
                await each.step.prove_rollback(gateways, each.observed)
    await run.ask()
    async with _held(gateways.turso, what, run, runs):
        await _refuse_accepted(gateways.turso, what)
        if what.had_arrived:
            await _refuse_overtaken(gateways, what)
        saw = {each.name: each.observed for each in what.begun}
        run.journal.intend(Resumed(begins=[*saw], saw=saw))
        with run.interrupts.rolling_back():
            deadline = run.start(replace(run.budget, reserve=run.budget.total, then=None))
            async with probing(gateways.site, run.probe, run.journal):
                await roll_back(gateways, what.begun, deadline.begin_rollback(), run.journal)


async def _is_there_again(gateways: Gateways, what: PreviousRun, run: Run) -> bool:
    """Return True if anything of a run that was put back is there as the run left it; tell what others changed."""
    again = False
    async with preflight_deadline():
        for each in what.begun:
            if await preflight_read(each.step.verify_rollback, gateways, each.observed):
                others = await preflight_read(each.step.superseded_by, gateways, each.observed)
                again = again or not others
                if others:
                    run.warn(f"{each.name}: {others}; that is somebody else's, and is left alone")
    return again


async def accept_run(gateways: Gateways, what: PreviousRun, run: Run, runs: Path) -> None:
    """Have the change of a run stay: what was kept for undoing it is dropped, and the run counts as settled."""
    _refuse_unaccepted(what, await preflight_read(gateways.turso.marker, what.past.run))
    _tell(what, run)
    await run.ask()
    async with _held(gateways.turso, what, run, runs):
        marker = await preflight_read(gateways.turso.marker, what.past.run)
        _refuse_unaccepted(what, marker)
        run.journal.intend(Accepting(of=what.past.run))
        with run.interrupts.rolling_back():
            if passing := [each for each in what.begun if each.step.temporary]:
                await roll_back(gateways, passing, run.start(run.budget).begin_rollback(), run.journal)
            if marker:
                run.journal.note(Accepted(tables=await _accepted(gateways.turso, marker)))
        for told in await superseded(gateways, what.begun):
            run.warn(told)


async def _accepted(turso: Turso, marker: Row) -> list[str]:
    """Accept, and ask again where the answer was lost. Raises NeedsHuman where it is not known what came of it."""
    try:
        async with asyncio.timeout(ACCEPTANCE_ANSWERED):
            lease = await retry(turso.lease, str(marker["attempt"]))
            return list(await retry(turso.accept, marker, lease, patience=None))
    except (Rejected, TimeoutError) as error:
        cause = str(error) or "the database does not answer"
        raise NeedsHuman(
            "accepting", str(marker["name"]), cause, "Run --accept again: it does nothing twice."
        ) from None


async def unlock_run(gateways: Gateways, what: PreviousRun, run: Run, runs: Path) -> None:
    """Release the lock of a run that is dead. Raises Refused while its change of the database is in doubt."""
    marker, last = (
        await preflight_read(gateways.turso.marker, what.past.run),
        await preflight_read(gateways.turso.last_holder),
    )
    if not (what.here or marker or (last and last.run == what.past.run)):
        await _refuse_unknown(gateways.turso, what)
    if _is_in_doubt(what, marker):
        cause = "its change is in the database, and nobody has accepted it"
        remedy = f"Put it back with --rollback {what.past.run}, or keep it with --accept {what.past.run}."
        raise Refused("unlocking", f"run {what.past.run}", cause, remedy)
    _tell(what, run)
    await run.ask()
    async with _held(gateways.turso, what, run, runs):
        async with preflight_deadline():
            marker = await preflight_read(gateways.turso.fence, what.past.run, what.past.change["name"])
        if _is_in_doubt(what, marker):
            raise NeedsHuman("unlocking", f"run {what.past.run}", "its change came in meanwhile", "Run again.")
        for told in await remaining(gateways, what.begun):
            run.warn(f"still there: {told}")


@asynccontextmanager
async def _held(turso: Turso, what: PreviousRun, run: Run, runs: Path) -> AsyncIterator[None]:
    """Hold the lock as the run of before, and its journal. Raises Refused where that run may be alive."""
    with ExitStack() as files:
        if what.here:
            files.enter_context(journal_lock(runs, what.past.run))
        _refuse_alive(await preflight_read(turso.holder), what)
        who, host = operator()
        mine = Claim(what.past.run, f"{who} (in run {run.id})", host, run.lease, after=what.token)
        async with locked(turso, mine, run.warn):
            yield


def _refuse_alive(holder: Holder | None, what: PreviousRun) -> None:
    """Raise Refused where the lock is another run's, or this one's on a machine where nobody can tell that it died."""
    if holder and holder.run != what.past.run:
        raise refusal(holder)
    if holder and not (what.here and holder.host == socket.gethostname()):
        cause = f"{holder.who} holds it until {holder.expires} UTC, and it may be alive on {holder.host}"
        remedy = "Wait until then, or run this on that machine, with its journal."
        raise Refused("taking over", f"run {holder.run}", cause, remedy)


async def _refuse_accepted(turso: Turso, what: PreviousRun) -> None:
    marker = await preflight_read(turso.marker, what.past.run)
    if what.past.settled == "accepted" or (marker and marker["accepted_at"] is not None):
        cause = "it was accepted, and what going back would need was dropped"
        raise Refused("putting back", f"run {what.past.run}", cause, "Release the next change instead.")


async def _refuse_overtaken(gateways: Gateways, what: PreviousRun) -> None:
    """Raise Refused where something is neither as the run left it nor as before: somebody else has been there."""
    since = list[str]()
    async with preflight_deadline():
        for each in what.begun:
            told = await preflight_read(each.step.superseded_by, gateways, each.observed)
            remains = await preflight_read(each.step.verify_rollback, gateways, each.observed)
            if told and remains:
                since.append(told)
    if since:
        remedy = "It can only be put back by hand now: agree with whoever did that, or release the next change."
        cause = f"production was changed since: {'; '.join(since)}"
        raise Refused("putting back", f"run {what.past.run}", cause, remedy)


def _refuse_unaccepted(what: PreviousRun, marker: Row | None) -> None:
    """Raise Refused where the change is not in the database, so that there is nothing that could stay."""
    if marker and marker["state"] == APPLIED:
        return
    if marker is None and what.here and not what.past.migrates:
        return
    state = str(marker["state"]) if marker else "not in the database"
    cause = f"{what.past.change['name']} is {state}"
    remedy = f"There is nothing to keep; to put back what is left of it: --rollback {what.past.run}."
    raise Refused("accepting", f"run {what.past.run}", cause, remedy)


def _is_in_doubt(what: PreviousRun, marker: Row | None) -> bool:
    applied = marker and marker["state"] == APPLIED and marker["accepted_at"] is None
    return bool(applied) and not what.past.arrived


def _tell(what: PreviousRun, run: Run) -> None:
    """Say which run it is, and what of it was begun."""
    old = what.past
    went = "arrived" if old.arrived else "cut off, or not put back" if old.saw else "it began nothing"
    state = old.settled or went
    names = [each.name for each in reversed(what.begun)]
    run.journal.note(Recalled(of=old.run, change=old.change, state=state, begun=names, here=what.here))
    if old.damaged:
        run.warn(f"{old.damaged} lines of its journal cannot be read")
    if not what.here:
        run.warn("its journal is not here: whether auto-assign was on is taken from now; see whether the crons are on")


def _is_dead(runs: Path, run: str) -> bool:
    try:
        with journal_lock(runs, run):
            return True
    except Refused:
        return False
