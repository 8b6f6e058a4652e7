"""What becomes of a run of before: it is put back, it is accepted, or its lock is released.

Each looks at the world first, takes the lock as that run, so that whatever of it is still under way can no longer
commit, and is safe to be killed and run again.
"""

import shlex
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from steps.support.console.session import Run
from steps.support.engine.budget import preflight
from steps.support.engine.downtime import probing
from steps.support.engine.going_back import back, overtakings, remainders
from steps.support.engine.lock import locked, refusal
from steps.support.engine.past import Past, alone, past, recalled
from steps.support.engine.step import Change, NeedsHuman, Refused
from steps.support.gateways import ledger
from steps.support.gateways.turso import Holder, Row, Turso
from steps.support.looking import looked
from steps.support.stage import Stage

Changes = Sequence[Change[Any]]

MIGRATION = "turso_migration"
TOLD = ("git_push", "vercel_deployment", "activation", MIGRATION)  # changes of which a marker row tells


@dataclass(frozen=True, slots=True)
class Before:
    """A run of before, the changes of it that were begun, and what each saw. `here`: its journal is on this machine."""

    past: Past
    changes: tuple[Change[Any], ...]
    saw: Mapping[str, Any]
    here: bool


def chosen(runs: Path, named: str) -> Past | None:
    """Give the run of that name; without one the newest that is still open, or else that began anything."""
    known = past(runs)
    if named:
        return next((each for each in known if each.run == named), None)
    begun = [each for each in known if each.saw]
    return next((each for each in begun if each.is_open), next(iter(begun), None))


def refuse_open(runs: Path, command: Sequence[str]) -> None:
    """Raise Refused while a run is not settled, with the command that settles it; whoever is alive has the lock."""
    for each in past(runs):
        if each.is_open and _is_dead(runs, each.run):
            ways = [shlex.join([*command, way, each.run]) for way in ("--rollback", "--accept")]
            cause = "it was cut off, or not everything of it was put back"
            remedy = f"To put it back: {ways[0]}. To keep it: {ways[1]}."
            raise Refused("releasing after", f"run {each.run}", cause, remedy)


async def of_marker(turso: Turso, run: str) -> Past:
    """Give what the database knows of a run whose journal is not here: what its marker row keeps, or nothing."""
    marker = await looked(partial(turso.marker, run))
    if not marker or marker["release_commit"] is None:
        return Past(run, {"name": "an unknown change", "sha256": ""}, "", {}, arrived=False, settled=False)
    change = {"name": str(marker["name"]), "sha256": str(marker["sha256"])}
    return Past(run, change, str(marker["code_order"]), dict.fromkeys(TOLD, marker), arrived=False, settled=False)


async def _unknown(turso: Turso, run: str) -> Refused:
    """Say that nothing is known of a run, and who held the lock last."""
    holder = await looked(turso.last_holder)
    held = f"run {holder.run} of {holder.who} on {holder.host} since {holder.since} UTC" if holder else "nobody"
    cause = f"its journal is not here, and the database holds nothing of it; the lock was last held by {held}"
    remedy = "Run this on that machine, or settle the branch and production by hand and release its lock with --unlock."
    return Refused("looking for", f"run {run or '(none is named)'}", cause, remedy)


async def before(stage: Stage, past: Past, changes: Changes, *, here: bool) -> Before:
    """Give what each change saw: from the journal, or as far as the marker row tells."""
    if here:
        return Before(past, tuple(changes), {each.name: recalled(each, past.saw[each.name]) for each in changes}, here)
    told = {each.name: await each.recall(stage, past.saw[each.name]) for each in changes}
    known = tuple(each for each in changes if told[each.name] is not None)
    return Before(past, known, told, here)


async def restore(stage: Stage, what: Before, run: Run, runs: Path) -> None:
    """Put a run back, newest change first, and verify it; one that arrived only as nobody has built on it since."""
    if not (what.here or what.changes):
        raise await _unknown(stage.turso, what.past.run)
    _tell(what, run)
    if what.past.settled or not what.changes:
        return
    if what.past.arrived:
        await _refuse_overtaken(stage, what)
        for change in what.changes:
            async with preflight(run.budget.look(change.name)):
                await change.prove_undo(stage, what.saw[change.name])
    await run.ask()
    async with _held(stage.turso, what, run, runs):
        if what.past.arrived:
            await _refuse_overtaken(stage, what)
        run.journal.intend("resumed", begins=[change.name for change in what.changes], saw=what.saw)
        with run.interrupts.turning_back():
            window = run.start(replace(run.budget, reserve=run.budget.total, then=None))
            async with probing(stage.site, run.probe, run.journal):
                await back(stage, what.changes, what.saw, window.turn_back(), run.journal)


async def accept(stage: Stage, what: Before, run: Run, runs: Path) -> None:
    """Have the change of a run stay: what was kept for undoing it is dropped, and the run counts as settled."""
    marker = await looked(partial(stage.turso.marker, what.past.run))
    _refuse_unaccepted(what, marker)
    _tell(what, run)
    await run.ask()
    async with _held(stage.turso, what, run, runs):
        for told in await overtakings(stage, what.changes, what.saw):
            run.warn(told)
        if passing := [change for change in what.changes if change.temporary]:
            await back(stage, passing, what.saw, run.start(run.budget).turn_back(), run.journal)
        if marker:
            async with preflight():
                dropped = await looked(partial(stage.turso.accept, marker))
            run.journal.note("accepted", tables=list(dropped))


async def unlock(stage: Stage, what: Before, run: Run, runs: Path) -> None:
    """Release the lock of a run that is dead. Raises Refused while its change of the database is in doubt."""
    marker = await looked(partial(stage.turso.marker, what.past.run))
    if _is_in_doubt(what, marker):
        cause = "its change is in the database, and nobody has accepted it"
        remedy = f"Put it back with --rollback {what.past.run}, or keep it with --accept {what.past.run}."
        raise Refused("unlocking", f"run {what.past.run}", cause, remedy)
    _tell(what, run)
    await run.ask()
    async with _held(stage.turso, what, run, runs, though_alive=True):
        async with preflight():
            marker = await looked(partial(stage.turso.fence, what.past.run, what.past.change["name"]))
        if _is_in_doubt(what, marker):
            raise NeedsHuman("unlocking", f"run {what.past.run}", "its change came in meanwhile", "Run again.")
        for told in await remainders(stage, what.changes, what.saw):
            run.warn(f"still there: {told}")


@asynccontextmanager
async def _held(turso: Turso, what: Before, run: Run, runs: Path, *, though_alive: bool = False) -> AsyncIterator[None]:
    """Hold the lock as the run of before, and its journal. Raises Refused where that run may be alive."""
    with ExitStack() as files:
        if what.here:
            files.enter_context(alone(runs, what.past.run))
        if not though_alive:
            _refuse_alive(await looked(turso.holder), what)
        async with locked(turso, what.past.run, run.lease, run.warn):
            yield


def _refuse_alive(holder: Holder | None, what: Before) -> None:
    """Raise Refused where the lock is another run's, or this one's on a machine where nobody can tell that it died."""
    if holder and holder.run != what.past.run:
        raise refusal(holder)
    if holder and not (what.here and holder.host == socket.gethostname()):
        cause = f"its lease runs until {holder.expires} UTC, and it may be alive on {holder.host}"
        remedy = f"Wait until then; or, where it is dead for certain, first --unlock {holder.run}."
        raise Refused("taking over", f"run {holder.run}", cause, remedy)


async def _refuse_overtaken(stage: Stage, what: Before) -> None:
    async with preflight():
        told = [await looked(partial(each.overtaken, stage, what.saw[each.name])) for each in what.changes]
    if since := "; ".join(filter(None, told)):
        remedy = "It can only be put back by hand now: agree with whoever did that, or release the next change."
        raise Refused("putting back", f"run {what.past.run}", f"production was changed since: {since}", remedy)


def _refuse_unaccepted(what: Before, marker: Row | None) -> None:
    """Raise Refused where the change is not in the database, so that there is nothing that could stay."""
    if marker and marker["state"] == ledger.APPLIED:
        return
    if what.past.arrived and MIGRATION not in what.past.saw:
        return
    state = str(marker["state"]) if marker else "not in the database"
    cause = f"{what.past.change['name']} is {state}"
    remedy = f"There is nothing to keep; to put back what is left of it: --rollback {what.past.run}."
    raise Refused("accepting", f"run {what.past.run}", cause, remedy)


def _is_in_doubt(what: Before, marker: Row | None) -> bool:
    applied = marker and marker["state"] == ledger.APPLIED and marker["accepted_at"] is None
    return bool(applied) and not what.past.arrived


def _tell(what: Before, run: Run) -> None:
    """Say which run it is, and what of it was begun."""
    old = what.past
    state = "settled" if old.settled else "arrived" if old.arrived else "cut off, or not put back"
    names = [change.name for change in reversed(what.changes)]
    run.journal.note("recalled", of=old.run, change=old.change, state=state, begun=names, here=what.here)
    if old.damaged:
        run.warn(f"{old.damaged} lines of its journal cannot be read; what they announced was not begun")
    if not what.here:
        run.warn("its journal is not here: where the branch was, and how the platform was set, is taken from now")


def _is_dead(runs: Path, run: str) -> bool:
    try:
        with alone(runs, run):
            return True
    except Refused:
        return False
