"""The whole life of a change, on a copy: there, back, there again, with the app writing in between, and back again.

Each beat is what production would be asked, in the same transaction. Where one of them fails there, it runs once more
by itself, so that everything else that it loses can be named too.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from steps.support.core.deadline import waiting_for
from steps.support.core.errors import Rejected
from steps.support.gateways.guards import Declared, Guards
from steps.support.gateways.marker import Attempt, Claim, Lease
from steps.support.gateways.turso import Migrated, Turso
from steps.support.proof.config import LockLimits
from steps.support.proof.contract import Answers, Contracts, ask_contracts
from steps.support.proof.declared_changes import declared_ranges, plan_counts, without_bounds
from steps.support.proof.result import LockUse
from steps.support.proof.rows.cascades import cascades
from steps.support.proof.rows.diff import row_diff
from steps.support.proof.rows.result import TableDiff
from steps.support.proof.server import Engine, Running, checkpoint, place_database
from steps.support.proof.snapshot import Snapshot, take_snapshot
from steps.support.proof.write_lock import Done, measure
from steps.support.sql.change import DatabaseChange
from steps.support.sql.checks import SqlCheck
from steps.support.sql.findings import Finding
from steps.support.sql.known_names import MIGRATE, ROLLBACK, WRITES
from steps.support.sql.statement import Statement, Value
from steps.support.sql.tokens import folded

Result = TypeVar("Result")
Diff = Mapping[str, TableDiff]

ENGINE = Statement(
    "SELECT sqlite_version() AS version, (SELECT foreign_keys FROM pragma_foreign_keys) AS foreign_keys",
    name="the engine's version, and whether foreign keys are on",
)
FOLLOWED = 10_000  # rows of a table that writes.sql may change: each is followed there and back
LOCKED = 24 * 3600.0  # seconds that the lock on the copy is held
MEND = "Mend it, or what it found, on a copy: production would have refused it too, and been left as it was."
MEND_WRITES = "Have the new schema take what the app writes, or mend writes.sql."


@dataclass(frozen=True, slots=True)
class RollbackEffect:
    """What a rollback did: by how much each measured figure grew, and the rows that wait in each table of ours then."""

    growth: Mapping[str, int]
    kept: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a rehearsal saw. What it did not come to is None; `failures` say why.

    `engine`: what the target was asked of itself, too. `seconds`: of each beat, by its name. Moments: `before`, then
    `there`, `back` and `again`; `grown` with what writes.sql wrote, and `back_grown` with that on the old schema. Rows:
    `moved` from before to there, `unreturned` from before to back. `written` is what writes.sql did on the new schema;
    `returned` what became of that on the old one, compared with before; `regained` on the new one once more. `by_hand`:
    what a script loses, by its name, where it runs as it stands, with the engine's own settings. `declared`: how the
    numbers of `-- changes:` are counted. `undone`: what each of the two rollbacks did. `locks`: what the migration
    and the rollback ask of other writers.
    """

    engine: Mapping[str, Value]
    before: Snapshot
    asked_before: Answers
    asked_after: Answers
    seconds: Mapping[str, float]
    failures: tuple[Finding, ...]
    migrated: Migrated | None = None
    moved: Diff | None = None
    there: Snapshot | None = None
    unreturned: Diff | None = None
    back: Snapshot | None = None
    again: Snapshot | None = None
    written: Diff | None = None
    returned: Diff | None = None
    regained: Diff | None = None
    grown: Snapshot | None = None
    back_grown: Snapshot | None = None
    locks: tuple[LockUse, ...] = ()
    by_hand: Mapping[str, Sequence[Finding]] = field(default_factory=dict)
    declared: tuple[Declared, ...] = ()
    undone: tuple[RollbackEffect, ...] = ()


class _Stopped(Exception):  # noqa: N818 - no error: the rehearsal has come as far as it can
    """A beat failed in every way, so that what follows it has nothing to stand on."""


async def rehearse(  # noqa: PLR0913, PLR0917 - what a rehearsal is made of
    before: Path, change: DatabaseChange, guards: Guards, engine: Engine, folder: Path, allowed: LockLimits
) -> Rehearsal:
    """Rehearse a change on a copy of the file `before`, in a folder that is there. Raises what the engine raises."""
    await place_database(before, folder / "live")
    after = folder / "after.db"
    async with engine.opened(folder / "live") as running:
        course = _Course(running, change, guards, allowed, before, after)
        found = await course.run()
    await asyncio.to_thread(shutil.rmtree, folder / "live")
    seen = Rehearsal(**found)
    scripts = {
        MIGRATE: (before, change.migrate, _left(seen.moved)),
        ROLLBACK: (after, change.rollback, _left(seen.unreturned)),
    }
    by_hand = {name: await _by_hand(*scripts[name], engine, folder / "hand") for name in course.alone}
    return replace(seen, by_hand=by_hand)


def _left(diff: Diff | None) -> Mapping[str, int]:
    """Give the rows that each table has in the end."""
    return {name: found.after or 0 for name, found in (diff or {}).items()}


async def _by_hand(
    file: Path, statements: Sequence[Statement], left: Mapping[str, int], engine: Engine, folder: Path
) -> Sequence[Finding]:
    """Run a script as it stands, the way a shell sends it, and name what foreign keys take along beyond the script.

    `left`: the rows that each table has where the tool runs it; references set to NULL leave as many.
    """
    waiting_for("rehearsal: what would be lost if it were run by hand")
    live = await place_database(file, folder)
    async with engine.opened(folder) as running:
        await running.database.trials([statements], keep=True)
        diff = await asyncio.to_thread(row_diff, file, checkpoint(live))
        found = await asyncio.to_thread(cascades, file, live, diff)
    rows = {each.name: each.after or 0 for each in diff.values()}
    meant = {name for name in rows if diff[folded(name)].removed and rows[name] >= left.get(folded(name), 0)}
    await asyncio.to_thread(shutil.rmtree, folder)
    return [each for each in found if each.place not in meant]


class _Course:
    """One rehearsal on its way; `alone` are the scripts that also run where nobody switches foreign keys off."""

    def __init__(  # noqa: PLR0913, PLR0917 - what a rehearsal is made of
        self, running: Running, change: DatabaseChange, guards: Guards, allowed: LockLimits, before: Path, after: Path
    ) -> None:
        self.alone: list[str] = []
        self._running, self._change, self._guards, self._allowed = running, change, guards, allowed
        self._before, self._live, self._after = before, running.file, after
        self._seconds: dict[str, float] = {}
        self._locks: list[LockUse] = []
        self._failures: list[Finding] = []
        self._attempts, self._as_in_production = 0, True

    async def run(self) -> dict[str, Any]:
        """Give everything that came of it, by the names of what Rehearsed has."""
        found: dict[str, Any] = {"engine": (await self._turso.read(ENGINE)).records[0]}
        found["before"] = await asyncio.to_thread(take_snapshot, self._before)
        found["asked_before"] = found["asked_after"] = await self._asked()
        with suppress(_Stopped):
            async for name, value in self._beats() if self._change.migrate else _nothing():
                found[name] = value  # noqa: PERF403 - what came before a stop counts
        locks = tuple(sorted(self._locks, key=lambda each: each.script))
        return {**found, "seconds": self._seconds, "locks": locks, "failures": tuple(self._failures)}

    @property
    def _turso(self) -> Turso:
        """The database since the engine was started last."""
        return Turso(self._running.database)

    async def _beats(self) -> AsyncIterator[tuple[str, Any]]:
        lease = await self._locked()
        await self._try_alone(MIGRATE, self._change.migrate)
        counts = bool(declared_ranges(self._change))  # only the second transaction compares: what it asks is measured
        yield "migrated", await self._migrate("migrate", lease, beside="" if counts else MIGRATE)
        await self._timed("verify", self._ask(self._change.verify))
        yield "asked_after", await self._asked()
        yield "there", await self._moment()
        moved = await self._diff(self._before, FOLLOWED)
        yield "moved", moved
        counted = await asyncio.to_thread(plan_counts, self._before, self._live, self._change, moved)
        self._guards = replace(self._guards, declared=without_bounds(counted))
        yield "declared", counted
        undone = [await self._roll_back("rollback", lease, beside=ROLLBACK)]
        await self._timed("verify rollback", self._ask(self._change.verify_rollback))
        yield "back", await self._moment()
        yield "unreturned", await self._diff(self._before)
        await self._migrate("migrate again", lease, beside=MIGRATE if counts else "")
        if counts:
            self._seconds["migrate"] = self._seconds["migrate again"]
        yield "again", await self._moment()
        await asyncio.to_thread(shutil.copyfile, self._live, self._after)
        await self._try_alone(ROLLBACK, self._change.rollback)
        await self._write()
        yield "grown", await self._moment()
        yield "written", await self._diff(self._after, FOLLOWED)
        undone.append(await self._roll_back("rollback after writes", lease))
        yield "undone", tuple(filter(None, undone))
        yield "back_grown", await self._moment()
        yield "returned", await self._diff(self._before, FOLLOWED)
        await self._migrate("migrate after writes", lease)
        yield "regained", await self._diff(self._after, FOLLOWED)

    async def _asked(self) -> Answers:
        return await self._timed(
            "contract", ask_contracts(self._turso.database, Contracts(self._change.old_code, self._change.new_code))
        )

    async def _moment(self) -> Snapshot:
        return await asyncio.to_thread(take_snapshot, checkpoint(self._live))

    async def _diff(self, since: Path, keep: int = 0) -> Diff:
        return await self._timed("comparing rows", asyncio.to_thread(row_diff, since, checkpoint(self._live), keep))

    async def _locked(self) -> Lease:
        """Take the lock of the copy, whoever held it where the copy was taken."""
        mine = Claim("rehearsal", "the rehearsal", "this machine", LOCKED)
        taken, holder = await self._turso.lock(mine)
        if holder and not taken:
            await self._turso.unlock(holder.run, holder.who)
            _, holder = await self._turso.lock(mine)
        return Lease(mine.run, holder.token if holder else 0)

    async def _try_alone(self, name: str, statements: Sequence[Statement]) -> None:
        if await self._timed(f"{name} by hand", self._turso.database.trials([statements])) == (None,):
            self.alone.append(name)

    async def _migrate(self, beat: str, lease: Lease, beside: str = "") -> Migrated | None:
        """Migrate as production would, and beside writers if a script is named; if it fails, run it by itself."""
        self._attempts += 1
        attempt = Attempt(f"rehearsal-{self._attempts}", "", "", "", "", "", await self._turso.schema())
        if self._as_in_production:
            try:
                return await self._beside(
                    beside, beat, lambda: self._turso.migrate(self._change, attempt, self._guards, lease)
                )
            except Rejected as error:
                self._fail(error.subject, f"{error.cause}, in the beat {beat!r}")
        await self._by_itself(beat, self._change.migrate)
        return None

    async def _roll_back(self, beat: str, lease: Lease, beside: str = "") -> RollbackEffect | None:
        """Roll back as production would, and beside writers if a script is named; if it fails, run it by itself."""
        marker = await self._turso.marker(f"rehearsal-{self._attempts}")
        if self._as_in_production and marker:
            script = self._change.rollback, self._change.verify_rollback
            try:
                undone = await self._beside(beside, beat, lambda: self._turso.roll_back(marker, *script, lease))
                kept = await self._turso.kept()
                return RollbackEffect(undone.growth, {folded(name): rows for name, rows in kept.items()})
            except Rejected as error:
                self._fail(error.subject, f"{error.cause}, in the beat {beat!r}")
        await self._by_itself(beat, self._change.rollback)
        return None

    async def _beside(self, script: str, beat: str, commit: Callable[[], Awaitable[Done]]) -> Done:
        """Commit a transaction of production's; if a script is named, note what it asks of other writers."""
        if not script:
            return await self._timed(beat, commit())
        return await measure(
            self._running, script, self._allowed, lambda: self._timed(beat, commit()), self._locks.append
        )

    async def _by_itself(self, beat: str, statements: Sequence[Statement]) -> None:
        """Run a script with nothing round it but a transaction with foreign keys off."""
        try:
            await self._timed(beat, self._turso.database.transaction(statements))
        except Rejected as error:
            raise _Stopped from error

    async def _write(self) -> None:
        (error,) = await self._timed("writes", self._turso.database.trials([self._change.writes], keep=True))
        if error:
            self._failures.append(Finding(WRITES, f"what the app writes cannot be written: {error}", MEND_WRITES))
            raise _Stopped

    async def _ask(self, checks: Sequence[SqlCheck]) -> None:
        """Ask checks once more, as the step after the commit does; what they must say stands in the transaction."""
        await self._turso.database.trials([[check.statement] for check in checks])

    def _fail(self, place: str, cause: str) -> None:
        self._failures.append(Finding(place, cause, MEND))
        self._as_in_production = False

    async def _timed(self, beat: str, work: Awaitable[Result]) -> Result:
        waiting_for(f"rehearsal: {beat}")
        began = asyncio.get_running_loop().time()
        result = await work
        took = asyncio.get_running_loop().time() - began
        self._seconds[beat] = self._seconds.get(beat, 0.0) + took
        return result


async def _nothing() -> AsyncIterator[tuple[str, Any]]:
    """There is nothing to migrate, so there are no beats."""
    return
    yield  # it is what makes this a generator
