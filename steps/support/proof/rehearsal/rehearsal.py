"""Rehearse the whole life of a change on a copy: migrate, roll back, migrate again, write, roll back, migrate.

Each phase runs in the same kind of transaction as in production. If that transaction fails, the script of the phase
runs once more in a plain transaction, to find what else the script loses.
"""

import asyncio
import math
import shutil
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from steps.support.core.deadline import waiting_for
from steps.support.core.errors import Rejected
from steps.support.gateways.guards import Declared, Guards
from steps.support.gateways.marker import Attempt, Claim, Lease
from steps.support.gateways.turso import Migrated, Turso
from steps.support.proof.config import LockLimits
from steps.support.proof.guards.declared import (
    Groups,
    column_groups,
    declared_numbers,
    plan_counts,
    statement_bounds,
    unheld_reaches,
    without_bounds,
)
from steps.support.proof.rehearsal.broken_rows import Broken, broken_rows
from steps.support.proof.rehearsal.contract import Answers, Contracts, ask_contracts
from steps.support.proof.rehearsal.integrity import Integrity, alters_columns, check_integrity
from steps.support.proof.rehearsal.moments import CLOCK, NEVER, Moments, holds_moment
from steps.support.proof.rehearsal.server import Engine, Running, checkpoint, place_database
from steps.support.proof.rehearsal.snapshot import Snapshot, take_snapshot
from steps.support.proof.rehearsal.target import ENGINE
from steps.support.proof.rehearsal.write_lock import Done, measure
from steps.support.proof.result import LockUse
from steps.support.proof.rows.cascades import cascades
from steps.support.proof.rows.diff import row_diff
from steps.support.proof.rows.pages import changed_virtual_tables
from steps.support.proof.rows.renamed import renamed_tables
from steps.support.proof.rows.result import Key, Renamed, TableDiff
from steps.support.proof.rows.rowids import renumbered
from steps.support.proof.rows.tables import first_rows
from steps.support.proof.verdict.round_trip import Refused, values_to_try
from steps.support.schema.comparison.diff import renames
from steps.support.schema.comparison.fingerprint import Respelling, respellings
from steps.support.schema.reader import open_file
from steps.support.sql.change import DatabaseChange
from steps.support.sql.checks import SqlCheck
from steps.support.sql.contract import statements_of
from steps.support.sql.findings import MIGRATE, ROLLBACK, WRITES, Finding, in_file
from steps.support.sql.statement import Statement, Value
from steps.support.sql.tokens import folded, quoted
from steps.support.sql.verbs import as_count

Result = TypeVar("Result")
Diff = Mapping[str, TableDiff]

FOLLOWED = 10_000  # rows of one table that are followed one by one, at most; writes.sql may not change more
TICK = 0.05  # seconds between two readings of the clock
TRIED = 300  # written values, at most, that are written to the old schema to find those that it refuses
LOCKED = 24 * 3600.0  # seconds after which the lock on the copy expires
FIX = "Fix the script, or the data on which it failed, on a copy; production would have refused it, and not changed."
FIX_WRITES = "Make the new schema accept what the app writes, or fix writes.sql."


@dataclass(frozen=True, slots=True)
class RollbackEffect:
    """What a rollback did.

    `growth`: by the name of a measured figure, by how much the figure grew. `kept`: the number of rows in each of the
    tool's own tables.
    """

    growth: Mapping[str, int]
    kept: Mapping[str, int]


@dataclass(slots=True)
class RehearsalLog:
    """What a rehearsal observed. A field is None if the rehearsal stopped earlier; then `failures` says why.

    `engine`: the engine's answer to ENGINE.
    `contract_before`, `contract_after`: which code cannot run on the schema before and after the migration.
    `seconds`: how long each phase took, in seconds, by the name of the phase.
    `before`, `after_migration`, `after_rollback`, `after_second_migration`, `after_writes`, `after_second_rollback`:
    snapshots at these points.
    `broken`: the rows that broke a condition of their own table before the change.
    `rows_migrated`: the rows that differ between before and after the migration.
    `renamed`: the tables that the migration renames, in place or by a copy, compared with their new names.
    `rows_not_restored`: the rows that differ between before the migration and after the rollback.
    `rows_written`: the rows that writes.sql changed on the new schema.
    `rows_rolled_back`: the rows that differ between before the migration and after the second rollback.
    `rows_migrated_again`: the rows that differ between before writes.sql and after the last migration.
    `refused`: the written values that the old schema refuses, with its errors.
    `kept`: the rows in the tool's own tables after the second rollback.
    `respelled`: the objects whose definition the rollback restores in meaning, but with a different text.
    `counts`: how production counts the rows for which `-- changes:` lines declare a number.
    `rollbacks`: what each of the two rollbacks did.
    `moments`: the time span of the rehearsal, by the engine's clock.
    `lock_uses`: how long migration and rollback hold other writers back.
    `by_hand`: by script, findings about rows that it loses if a person runs it in a shell, with the engine's settings.
    """

    engine: Mapping[str, Value]
    before: Snapshot
    contract_before: Answers
    contract_after: Answers
    seconds: dict[str, float]
    broken: Broken = field(default_factory=dict)
    failures: list[Finding] = field(default_factory=list)
    migrated: Migrated | None = None
    rows_migrated: Diff | None = None
    renamed: Sequence[Renamed] = ()
    after_migration: Snapshot | None = None
    rows_not_restored: Diff | None = None
    after_rollback: Snapshot | None = None
    after_second_migration: Snapshot | None = None
    rows_written: Diff | None = None
    after_writes: Snapshot | None = None
    rows_rolled_back: Diff | None = None
    after_second_rollback: Snapshot | None = None
    rows_migrated_again: Diff | None = None
    refused: Refused = field(default_factory=dict)
    kept: Mapping[str, Sequence[Sequence[Value]]] = field(default_factory=dict)
    respelled: tuple[Respelling, ...] = ()
    counts: tuple[Declared, ...] = ()
    rollbacks: list[RollbackEffect] = field(default_factory=list)
    moments: Moments = NEVER
    lock_uses: list[LockUse] = field(default_factory=list)
    by_hand: Mapping[str, Sequence[Finding]] = field(default_factory=dict)


async def rehearse(  # noqa: PLR0913, PLR0917 - what a rehearsal is made of
    before: Path, change: DatabaseChange, guards: Guards, engine: Engine, folder: Path, limits: LockLimits
) -> RehearsalLog:
    """Rehearse a change in an existing folder, on another copy of the file `before`. Raise what the engine raises."""
    await place_database(before, folder / "live")
    after = folder / "after.db"
    async with engine.opened(folder / "live") as running:
        rehearsal = _Rehearsal(running, change, guards, limits, before, after)
        log = await rehearsal.run()
    await asyncio.to_thread(shutil.rmtree, folder / "live")
    scripts = {
        MIGRATE: (before, change.migrate, _left(log.rows_migrated)),
        ROLLBACK: (after, change.rollback, _left(log.rows_not_restored)),
    }
    log.by_hand = {name: await _by_hand(*scripts[name], engine, folder / "hand") for name in rehearsal.run_alone}
    return log


def _left(diff: Diff | None) -> Mapping[str, int]:
    """Return, by table, the number of rows on the later of the two sides that a diff compares."""
    return {name: found.after or 0 for name, found in (diff or {}).items()}


async def _by_hand(
    file: Path, statements: Sequence[Statement], left: Mapping[str, int], engine: Engine, folder: Path
) -> Sequence[Finding]:
    """Run a script unchanged, as a shell would, and return findings for rows that foreign keys delete.

    `left`: by table, how many rows are left after the tool ran the script. A table that has at least as many rows left
    here lost only rows that the script is meant to delete.
    """
    waiting_for("rehearsal: what would be lost if a person ran it in a shell")
    live = await place_database(file, folder)
    async with engine.opened(folder) as running:
        await running.database.trials([statements], keep=True)
        diff = await asyncio.to_thread(row_diff, file, checkpoint(live))
        found = await asyncio.to_thread(cascades, file, live, diff)
    rows = {each.name: each.after or 0 for each in diff.values()}
    meant = {name for name in rows if diff[folded(name)].removed and rows[name] >= left.get(folded(name), 0)}
    await asyncio.to_thread(shutil.rmtree, folder)
    return [each for each in found if each.place not in meant]


def _rows_of(file: Path, names: Collection[str]) -> Mapping[str, Sequence[Sequence[Value]]]:
    """Return, by table, its first rows in a database file. Nothing may write to the file meanwhile."""
    with open_file(file) as connection:
        return {name: first_rows(connection, name, FOLLOWED) for name in names}


def _update(table: str, key: Key, column: str, value: Value) -> Statement:
    (new, own), *keys = map(_sent, (value, *(each for _, each in key)))
    where = " AND ".join(f"{quoted(name)} IS {sql}" for (name, _), (sql, _) in zip(key, keys, strict=True))
    values = (*own, *(each for _, sent in keys for each in sent))
    return Statement(f"UPDATE {quoted(table)} SET {quoted(column)} = {new} WHERE {where}", values)


def _sent(value: Value) -> tuple[str, tuple[Value, ...]]:
    """Return the SQL for a value, and the arguments to send. Infinity is written as SQL: it cannot be an argument."""
    if isinstance(value, float) and math.isinf(value):
        return ("9e999" if value > 0 else "-9e999"), ()
    return "?", (value,)


class _Rehearsal:
    """One rehearsal. `run_alone`: the scripts that also succeed when they run as a person would run them in a shell."""

    def __init__(  # noqa: PLR0913, PLR0917 - what a rehearsal is made of
        self, running: Running, change: DatabaseChange, guards: Guards, limits: LockLimits, before: Path, after: Path
    ) -> None:
        self.run_alone: list[str] = []
        self._running, self._change, self._guards, self._limits = running, change, guards, limits
        self._before, self._live, self._after = before, running.file, after
        self._seconds: dict[str, float] = {}
        self._attempts, self._as_in_production, self._began = 0, True, 0.0
        self._schema = ""
        self._defects_before = Integrity()

    async def run(self) -> RehearsalLog:
        """Run the rehearsal and return its log."""
        engine_answer = (await self._turso.read(ENGINE)).records[0]
        before, contract = await asyncio.to_thread(take_snapshot, self._before), await self._ask_contracts()
        self._schema = await self._turso.schema()
        before = replace(before, integrity=await self._check(None, indexes=True))
        self._defects_before = before.integrity
        broken = await broken_rows(self._running.database, before.integrity, FOLLOWED)
        log = RehearsalLog(engine_answer, before, contract, contract, self._seconds, broken)
        if self._change.migrate:
            self._began = await self._later_than_the_copy()
            await self._run_phases(log)
            log.moments = Moments(self._began, await self._clock())
        log.lock_uses.sort(key=lambda each: each.script)
        return log

    async def _clock(self) -> float:
        """Return the time by the engine's clock, in seconds since 1970."""
        return float(str((await self._turso.read(CLOCK)).scalar))

    async def _later_than_the_copy(self) -> float:
        """Wait until the engine's clock is in a later second than every time in the copy, and return the clock's time.

        Without the wait, a time that a script writes could happen to equal a time that was already in the copy.
        """
        now = await self._clock()
        if not await asyncio.to_thread(holds_moment, self._before, Moments(now, now)):
            return now
        second = now // 1
        while (now := await self._clock()) // 1 <= second:
            await asyncio.sleep(TICK)
        return now

    @property
    def _turso(self) -> Turso:
        """Return the database, through the connection that the last start of the engine opened."""
        return Turso(self._running.database)

    async def _run_phases(self, log: RehearsalLog) -> None:
        """Run the phases one after another, and stop at the first failure that makes the next phase impossible."""
        lease, counts = await self._take_lock(), bool(declared_numbers(self._change))
        await self._try_alone(MIGRATE, self._change.migrate)
        # declared rows are counted from the second migration on: if any are declared, measure the second one
        if not await self._migrate(log, "migrate", lease, measured=not counts):
            return
        await self._timed("verify", self._ask(self._change.verify))
        log.contract_after = await self._ask_contracts()
        log.after_migration = await self._snapshot()
        log.rows_migrated = await self._diff(self._before, FOLLOWED, column_groups(self._change))
        log.renamed = await self._renamed()
        log.after_migration = await self._checked(log.after_migration, log.rows_migrated, self._before)
        await self._renumbered(log, MIGRATE)
        await self._plan_counts(log)
        if not await self._roll_back(log, "rollback", lease, measured=True):
            return
        await self._learn_letters(log)
        await self._timed("verify rollback", self._ask(self._change.verify_rollback))
        log.after_rollback = await self._snapshot()
        log.rows_not_restored = await self._diff(self._before, FOLLOWED)
        log.after_rollback = await self._checked(log.after_rollback, log.rows_not_restored, self._before)
        await self._renumbered(log, ROLLBACK)
        if not await self._migrate(log, "migrate again", lease, measured=counts):
            return
        if counts:
            self._seconds["migrate"] = self._seconds["migrate again"]
        log.after_second_migration = await self._snapshot()
        await asyncio.to_thread(shutil.copyfile, self._live, self._after)
        await self._try_alone(ROLLBACK, self._change.rollback)
        if not await self._write(log):
            return
        log.after_writes = await self._snapshot()
        log.rows_written = await self._diff(self._after, FOLLOWED)
        log.after_writes = await self._checked(log.after_writes, log.rows_written, self._after)
        if not await self._roll_back(log, "rollback after writes", lease):
            return
        log.after_second_rollback = await self._snapshot()
        log.rows_rolled_back = await self._diff(self._before, FOLLOWED)
        log.after_second_rollback = await self._checked(log.after_second_rollback, log.rows_rolled_back, self._before)
        log.refused = await self._try_written_values(log)
        log.kept = await asyncio.to_thread(_rows_of, checkpoint(self._live), await self._turso.kept())
        if await self._migrate(log, "migrate after writes", lease):
            moments = Moments(self._began, await self._clock())  # each migration may fill a column with the time
            log.rows_migrated_again = await self._diff(self._after, FOLLOWED, moments=moments)

    async def _ask_contracts(self) -> Answers:
        contracts = Contracts(self._change.old_code, self._change.new_code)
        return await self._timed("contract", ask_contracts(self._turso.database, contracts))

    async def _snapshot(self) -> Snapshot:
        return await asyncio.to_thread(take_snapshot, checkpoint(self._live))

    async def _diff(
        self, since: Path, keep: int = 0, groups: Groups = MappingProxyType({}), moments: Moments = NEVER
    ) -> Diff:
        compared = asyncio.to_thread(row_diff, since, checkpoint(self._live), keep, groups, moments)
        return await self._timed("comparing rows", compared)

    async def _renamed(self) -> Sequence[Renamed]:
        script, groups = self._change.scripts[0], column_groups(self._change)
        compared = asyncio.to_thread(renamed_tables, self._before, checkpoint(self._live), script, FOLLOWED, groups)
        return await self._timed("comparing rows", compared)

    async def _checked(self, snapshot: Snapshot, diff: Diff, since: Path) -> Snapshot:
        """Return the snapshot with the result of an integrity check.

        Check only tables that may differ from the file `since`, or that had a defect before the change.
        """
        was = self._defects_before
        touched = {name for name, found in diff.items() if not found.by_pages}
        touched |= await asyncio.to_thread(changed_virtual_tables, since, checkpoint(self._live))
        touched |= {folded(each.table) for each in was.defects}
        indexes = was.is_of_indexes or alters_columns(self._change.scripts)
        return replace(snapshot, integrity=await self._check(touched, indexes=indexes))

    async def _check(self, touched: Collection[str] | None, *, indexes: bool) -> Integrity:
        checking = check_integrity(self._running.database, touched, indexes=indexes)
        return await self._timed("checking integrity", checking)

    async def _renumbered(self, log: RehearsalLog, file: str) -> None:
        """Add findings about rows whose rowid changed although an index, trigger, view or the app uses the rowid."""
        script = self._change.scripts[0 if file == MIGRATE else 1]
        app = [*statements_of(self._change.old_code), *statements_of(self._change.new_code), *self._change.writes]
        found = await asyncio.to_thread(renumbered, self._before, checkpoint(self._live), script, app)
        log.failures += in_file(file, found)

    async def _plan_counts(self, log: RehearsalLog) -> None:
        """Plan how declared rows are counted. Later rehearsed migrations count them, but assert no numbers."""
        log.counts = await asyncio.to_thread(
            plan_counts, self._before, self._live, self._change, log.rows_migrated or {}
        )
        touched = log.migrated.touched if log.migrated else None
        reaches = unheld_reaches(statement_bounds(self._change, touched, log.counts)) if touched else ()
        self._guards = replace(self._guards, declared=without_bounds(log.counts), reaches=reaches)

    async def _learn_letters(self, log: RehearsalLog) -> None:
        """Record the objects whose definition the rollback restores with a different text, for later marker rows."""
        log.respelled = respellings(self._schema, await self._turso.schema())
        self._guards = replace(self._guards, respelled=log.respelled)

    async def _take_lock(self) -> Lease:
        """Take the lock in the copy, even if a run held the lock in production when production was copied."""
        mine = Claim("rehearsal", "the rehearsal", "this machine", LOCKED)
        taken, holder = await self._turso.lock(mine)
        if holder and not taken:
            await self._turso.unlock(holder.run, holder.who)
            _, holder = await self._turso.lock(mine)
        return Lease(mine.run, holder.token if holder else 0)

    async def _try_alone(self, name: str, statements: Sequence[Statement]) -> None:
        if await self._timed(f"{name} by hand", self._turso.database.trials([statements])) == (None,):
            self.run_alone.append(name)

    async def _migrate(self, log: RehearsalLog, phase: str, lease: Lease, *, measured: bool = False) -> bool:
        """Migrate as in production; if that is rejected, run only the script. Return False if neither succeeds.

        `measured`: whether to measure how long the transaction holds other writers back.
        """
        self._attempts += 1
        attempt = Attempt(f"rehearsal-{self._attempts}", "", "", "", "", "", await self._turso.schema())
        if self._as_in_production:
            try:
                migrated = await self._commit(
                    log,
                    MIGRATE if measured else "",
                    phase,
                    lambda turso: turso.migrate(self._change, attempt, self._guards, lease),
                )
            except Rejected as error:
                self._fail(log, error.subject, f"{error.cause}, during {phase!r}")
            else:
                log.migrated = log.migrated or migrated
                return True
        return await self._run_alone(phase, self._change.migrate)

    async def _roll_back(self, log: RehearsalLog, phase: str, lease: Lease, *, measured: bool = False) -> bool:
        """Roll back as in production; if that is rejected, run only the script. Return False if neither succeeds.

        `measured`: whether to measure how long the transaction holds other writers back.
        """
        marker = await self._turso.marker(f"rehearsal-{self._attempts}")
        if self._as_in_production and marker:
            script = self._change.rollback, self._change.verify_rollback
            try:
                rolled_back = await self._commit(
                    log,
                    ROLLBACK if measured else "",
                    phase,
                    lambda turso: (turso.roll_back_copy if measured else turso.roll_back)(marker, *script, lease),
                )
                kept = await self._turso.kept()
            except Rejected as error:
                self._fail(log, error.subject, f"{error.cause}, during {phase!r}")
            else:
                log.rollbacks.append(RollbackEffect(rolled_back.growth, {folded(name): n for name, n in kept.items()}))
                return True
        return await self._run_alone(phase, self._change.rollback)

    async def _commit(
        self, log: RehearsalLog, script: str, phase: str, commit: Callable[[Turso], Awaitable[Done]]
    ) -> Done:
        """Commit a transaction. If `script` is not empty, other writers write meanwhile; log how long they wait."""

        async def timed() -> Done:  # may be called twice: a measurement may restart the engine and commit again
            return await self._timed(phase, commit(self._turso))

        if not script:
            return await timed()
        return await measure(self._running, script, self._limits, timed, log.lock_uses.append)

    async def _run_alone(self, phase: str, statements: Sequence[Statement]) -> bool:
        """Run a script in a plain transaction with foreign keys off. Return True if it commits."""
        try:
            await self._timed(phase, self._turso.database.transaction(statements))
        except Rejected:
            return False
        return True

    async def _write(self, log: RehearsalLog) -> bool:
        """Run writes.sql. Return True if the new schema accepts it."""
        writes = [*map(as_count, self._change.writes)]
        (error,) = await self._timed("writes", self._turso.database.trials([writes], keep=True))
        if error:
            log.failures.append(Finding(WRITES, f"the new schema rejects what the app writes: {error}", FIX_WRITES))
        return not error

    async def _try_written_values(self, log: RehearsalLog) -> Refused:
        """Write the values that the rollback replaced to the old schema; return those that fail, with their errors."""
        written = log.rows_written or {}, log.rows_rolled_back or {}
        tried = values_to_try(log.rows_migrated or {}, *written, renames(self._change.scripts[0]))
        several = dict(islice((((table, key, column), value) for table, key, column, value in tried), TRIED))
        updates = [[_update(*where, value)] for where, value in several.items()]
        errors = await self._timed("writes on the old schema", self._turso.database.trials(updates)) if updates else ()
        return {where: error for where, error in zip(several, errors, strict=True) if error}

    async def _ask(self, checks: Sequence[SqlCheck]) -> None:
        """Run checks to measure how long they take. Ignore their results, which the transaction already asserted."""
        await self._turso.database.trials([[check.statement] for check in checks])

    def _fail(self, log: RehearsalLog, place: str, cause: str) -> None:
        log.failures.append(Finding(place, cause, FIX))
        self._as_in_production = False

    async def _timed(self, phase: str, work: Awaitable[Result]) -> Result:
        waiting_for(f"rehearsal: {phase}")
        began = asyncio.get_running_loop().time()
        result = await work
        took = asyncio.get_running_loop().time() - began
        self._seconds[phase] = self._seconds.get(phase, 0.0) + took
        return result
