"""The production database, with the operations that this tool needs. Any transport can carry them out."""

import asyncio
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from steps.support.core.errors import Rejected
from steps.support.core.limits import REPLICA_BEHIND
from steps.support.gateways import guards, marker, transaction
from steps.support.gateways.database.protocol import Database, Rows, StatementFailed
from steps.support.gateways.guards import Guards, Measure
from steps.support.gateways.marker import (
    CREATE,
    HOLDER,
    Attempt,
    Claim,
    Lease,
    kept_tables,
    rollbacks_in_need,
    take_lock,
)
from steps.support.schema.comparison.fingerprint import differing, respelled
from steps.support.schema.own_tables import named_in, needed_by
from steps.support.sql.change import DatabaseChange
from steps.support.sql.checks import SqlCheck
from steps.support.sql.statement import Statement, Value
from steps.support.sql.tokens import folded, quoted

Row = Mapping[str, Value]

RENEWAL = 60  # seconds
SHOWN = 40  # characters of a statement
_NO_TABLE = re.compile(r"no such table: (main\.)?_orchestrate_(migrations|lock)\b")
IN_A_FILE = re.compile(r"\.sql line \d+$")


@dataclass(frozen=True, slots=True)
class Holder:
    """The holder of the lock. Times are in UTC, by the database's clock."""

    run: str
    who: str
    host: str
    since: str
    expires: str
    token: int

    @property
    def is_released(self) -> bool:
        """True if the run itself ended its lease."""
        return self.expires.startswith("1970-01-01")


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one statement in a committed transaction.

    `seconds`: the time that it took at the server. `rows`: the rows that it changed or, if it changed none, wrote.
    """

    name: str
    seconds: float
    rows: int


@dataclass(frozen=True, slots=True)
class Migrated:
    """The result of a committed change.

    `rows_changed`: how many rows its statements changed. `growth`: how much each measured figure grew, by name.
    `touched`: how many rows each statement of the script changed. `costs`: the cost of each statement of the
    transaction.
    """

    rows_changed: int
    growth: Mapping[str, int]
    touched: tuple[int, ...] = field(default=(), compare=False)
    costs: tuple[Cost, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class RolledBack:
    """The result of a committed rollback.

    `growth`: how much each measured figure grew, by name. `costs`: the cost of each statement of the transaction.
    """

    growth: Mapping[str, int]
    costs: tuple[Cost, ...] = field(default=(), compare=False)


class OtherSchema(Rejected):
    """A rollback would have left the schema in letters that were not expected; nothing was committed.

    `left`: the fingerprint that it would have left.
    """

    left = ""


class Turso:
    """The database operations of a run. They do not retry or decide anything, and raise the errors of the transport."""

    def __init__(self, database: Database, token_expiry: float | None = None) -> None:
        self._database = database
        self.token_expiry = token_expiry  # of the token that the database was opened with, in seconds since 1970
        self._fastest = math.inf  # seconds that the fastest read took so far, which the link alone needs
        self._committed = -math.inf  # when a transaction was last sent, on the event loop's clock
        self._token: int | None = None  # of the lock taken through this object; needed to renew it

    @property
    def address(self) -> str:
        """The database's address, without any secret."""
        return self._database.address

    @property
    def round_trip(self) -> float:
        """The seconds that the link to the database adds to each request; 0 as long as that is not known."""
        return self._fastest if math.isfinite(self._fastest) else 0.0

    @property
    def behind(self) -> float:
        """The seconds for which a replica may still answer as if the last transaction had not been committed."""
        return max(0.0, self._committed + REPLICA_BEHIND - asyncio.get_running_loop().time())

    @property
    def database(self) -> Database:
        """The transport itself, for copying the whole database."""
        return self._database

    async def read(self, statement: Statement) -> Rows:
        """Run one statement that only reads, and return its rows. A replica may answer, and be some seconds behind."""
        began = asyncio.get_running_loop().time()
        rows = await self._database.query(statement)
        self._fastest = min(self._fastest, asyncio.get_running_loop().time() - began)
        return rows

    async def parse(self, statements: Sequence[Statement]) -> tuple[str | None, ...]:
        """Return the syntax error of each statement, or None. The engine parses the statements and runs nothing."""
        return await self._database.parse(statements)

    async def schema(self) -> str:
        """Return the schema as one text: the type, name and DDL of every object, except the tool's own objects."""
        return str((await self.read(Statement(transaction.SCHEMA))).scalar)

    async def marker(self, attempt: str) -> Row | None:
        """Return an attempt's marker row, or None if there is none."""
        return await self._own_row(marker.marker_of(attempt))

    async def applied(self, name: str) -> Row | None:
        """Return the marker row of an applied change, or None if it is not applied."""
        return await self._own_row(marker.applied_marker(name))

    async def migrate(self, change: DatabaseChange, attempt: Attempt, what: Guards, lease: Lease) -> Migrated:
        """Commit the whole change, or nothing of it.

        Raise Rejected if it fails, or Unknown if the answer to COMMIT was lost.
        """
        statements = transaction.migrate(change, attempt, what, lease)
        results = await self._commit(statements, what.there)
        by_statement = dict(zip(map(id, statements), results, strict=True))
        touched = tuple(by_statement[id(statement)].changed for statement in change.migrate)
        growth = _growth(statements, results, what.there)
        return Migrated(sum(touched), growth, touched, _costs(statements, results))

    async def fence(self, attempt: str, name: str) -> Row:
        """Fence an attempt, and return its marker row.

        If it has no row yet, a row is written that keeps it from ever committing.
        """
        return (await self._transaction(marker.fence(attempt, name)))[-1].records[0]

    async def roll_back(
        self, marker: Row, statements: Sequence[Statement], checks: Sequence[SqlCheck], lease: Lease
    ) -> RolledBack:
        """Roll back an applied attempt in one transaction. Raise Rejected if it fails.

        The transaction asserts that the text of the schema is the previous one, or the text that the rehearsed rollback
        left. Any other text commits nothing. If that text means the same schema, the transaction runs again and asserts
        that text.
        """
        before, held = str(marker["schema_before"]), str(marker["rollback_guards"])
        schemas = dict.fromkeys([before, respelled(before, guards.respelled_of_json(held))])
        try:
            return await self._roll_back(marker, statements, checks, lease, [*schemas])
        except OtherSchema as other:
            if found := differing(before, other.left):
                cause = "".join(f"\n{each}" for each in found)
                raise _rejected(self.address, transaction.BEFORE, f"it differs:{cause}") from None
            return await self._roll_back(marker, statements, checks, lease, [other.left])

    async def roll_back_copy(
        self, marker: Row, statements: Sequence[Statement], checks: Sequence[SqlCheck], lease: Lease
    ) -> RolledBack:
        """Roll back an applied attempt on a copy, whose schema is compared afterwards. Raise Rejected if it fails."""
        return await self._roll_back(marker, statements, checks, lease, [])

    async def _roll_back(
        self,
        marker: Row,
        statements: Sequence[Statement],
        checks: Sequence[SqlCheck],
        lease: Lease,
        schemas: Sequence[str],
    ) -> RolledBack:
        measures = guards.guards_of_json(str(marker["rollback_guards"]))
        whole = transaction.roll_back(statements, checks, str(marker["attempt"]), measures, lease, schemas)
        results = await self._commit(whole, measures)
        return RolledBack(_growth(whole, results, measures), _costs(whole, results))

    async def kept(self) -> dict[str, int]:
        """Return how many rows each table holds that keeps data for a rollback or the next migration, by its name."""
        names = [str(name) for (name,) in (await self.read(kept_tables())).values]
        counts = [Statement(f"SELECT count(*) FROM {quoted(name)}") for name in names]
        return {name: int(str((await self.read(count)).scalar)) for name, count in zip(names, counts, strict=True)}

    async def accept(self, marker: Row, lease: Lease) -> tuple[str, ...]:
        """Accept an applied change: mark its row, drop the tables kept for its rollback, and return their names.

        Tables that another change still needs, for its rollback or its next migration, stay.
        """
        attempt = str(marker["attempt"])
        others = (await self.read(rollbacks_in_need(attempt, str(marker["name"])))).values
        needed = set[str]().union(*(named_in(str(text)) for (text,) in others))
        own = needed_by(str(marker["rollback_sql"])) - needed
        kept = [str(name) for (name,) in (await self.read(kept_tables())).values if folded(str(name)) in own]
        await self._commit(transaction.accept(attempt, kept, lease))
        return tuple(kept)

    async def lock(self, claim: Claim) -> tuple[bool, Holder | None]:
        """Try to take the lock. Return whether that succeeded, and who holds the lock now."""
        wanted = (*CREATE, take_lock(claim), HOLDER)
        taken, holders = (await self._database.transaction(wanted))[-2:]
        self._token = int(str(taken.scalar)) if taken.values else None
        return bool(taken.values), _holder(next(iter(holders.records), None))

    async def holder(self) -> Holder | None:
        """Return the holder of the lock, or None if the lock is free."""
        return _holder(await self._own_row(HOLDER))

    async def last_holder(self) -> Holder | None:
        """Return the last holder of the lock, even if its lease has ended; None if the lock was never held."""
        return _holder(await self._own_row(marker.last_lock()))

    async def lease(self, run: str) -> Lease:
        """Renew this run's lease for at least 60 seconds, and return it. Raise Rejected if another run has the lock."""
        token = (await self._database.query(marker.renew_lock(run, self._token, RENEWAL))).scalar
        if token is None:
            cause = "another run has taken over the lock"
            raise Rejected(
                code="lock-held",
                operation="writing to",
                subject=self.address,
                cause=cause,
                remedy="Run again to see which one.",
            )
        return Lease(run, int(str(token)))

    async def write(self, run: str) -> None:
        """Make a small, harmless write on a stream of its own: it extends this run's lease by one second."""
        await self._database.query(marker.prolong_lock(run, self._token))

    async def unlock(self, run: str, who: str) -> None:
        """Release the lock if this run still holds it and `who` took it."""
        await self._database.query(marker.release_lock(run, who, self._token))

    async def _commit(self, statements: Sequence[Statement], measures: Sequence[Measure] = ()) -> tuple[Rows, ...]:
        try:
            return await self._transaction(statements)
        except StatementFailed as failed:
            if (left := transaction.schema_left(failed)) is not None:
                raise _other_schema(self.address, left) from None
            raise _rejected(self.address, *transaction.worded_failure(failed, measures)) from None

    async def _transaction(self, statements: Sequence[Statement]) -> tuple[Rows, ...]:
        try:
            return await self._database.transaction(statements)
        finally:
            self._committed = asyncio.get_running_loop().time()

    async def _own_row(self, statement: Statement) -> Row | None:
        """Return one row of a table of ours, or None if there is none. The first run finds no such table."""
        try:
            rows = await self.read(statement)
        except StatementFailed as failed:
            if _NO_TABLE.search(failed.message):
                return None
            raise
        return next(iter(rows.records), None)


def _rejected(address: str, subject: str, cause: str) -> Rejected:
    remedy = f"Nothing was changed in {address}. Fix the statement, or the data that it found."
    return Rejected(code="migration-failed", operation="running", subject=subject, cause=cause, remedy=remedy)


def _other_schema(address: str, left: str) -> OtherSchema:
    error = OtherSchema.because(_rejected(address, transaction.BEFORE, "its letters are others than those expected"))
    error.left = left
    return error


def _growth(statements: Sequence[Statement], results: Sequence[Rows], measures: Sequence[Measure]) -> dict[str, int]:
    pairs = zip(statements, results, strict=True)
    return guards.growth(measures, (rows for statement, rows in pairs if statement.name == guards.HOLDING))


def _costs(statements: Iterable[Statement], results: Iterable[Rows]) -> tuple[Cost, ...]:
    pairs = zip(statements, results, strict=True)
    return tuple(
        Cost(_report_name(statement), round(rows.seconds, 4), rows.changed or rows.written) for statement, rows in pairs
    )


def _report_name(statement: Statement) -> str:
    """Return the name of a statement for the report.

    For a statement from a file, this is its place in the file and its first characters.
    """
    sql = " ".join(statement.sql.split())
    start = sql if len(sql) <= SHOWN else f"{sql[:SHOWN].rstrip()} ..."
    return f"{statement.name} ({start})" if IN_A_FILE.search(statement.name) else statement.name or start


def _holder(row: Row | None) -> Holder | None:
    return Holder(**row) if row else None  # type: ignore[arg-type]  # the columns are the fields
