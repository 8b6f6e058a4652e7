"""The production database, in the tool's own words, on whatever transport carries it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from steps.support.core.errors import Rejected
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
from steps.support.sql.change import DatabaseChange
from steps.support.sql.checks import SqlCheck
from steps.support.sql.own_tables import named_in, needed_by
from steps.support.sql.statement import Statement, Value
from steps.support.sql.tokens import folded, quoted

Row = Mapping[str, Value]

RENEWAL = 60  # seconds
SHOWN = 40  # characters of a statement
IN_A_FILE = re.compile(r"\.sql line \d+$")


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the lock; times are UTC as the database tells them."""

    run: str
    who: str
    host: str
    since: str
    expires: str
    token: int

    @property
    def is_given_back(self) -> bool:
        """Whether the run ended its lease itself."""
        return self.expires.startswith("1970-01-01")


@dataclass(frozen=True, slots=True)
class Cost:
    """What one statement of a committed transaction took: seconds at the server, and rows that it changed or wrote."""

    name: str
    seconds: float
    rows: int


@dataclass(frozen=True, slots=True)
class Migrated:
    """What a committed change did: the rows that its statements changed, and by how much each measured figure grew.

    `touched`: the rows of each statement of the script. `costs`: of every statement of the transaction, in order.
    """

    rows_changed: int
    growth: Mapping[str, int]
    touched: tuple[int, ...] = field(default=(), compare=False)
    costs: tuple[Cost, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class RolledBack:
    """What a committed rollback did: by how much each measured figure grew.

    `costs`: of every statement of the transaction, in order.
    """

    growth: Mapping[str, int]
    costs: tuple[Cost, ...] = field(default=(), compare=False)


class Turso:
    """What a run asks of the database. Nothing here retries or decides; errors are the transport's."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._token: int | None = None  # of the lock that was taken through this, for whoever renews it

    @property
    def address(self) -> str:
        """Where the database is, without any secret."""
        return self._database.address

    @property
    def database(self) -> Database:
        """The transport itself, for whoever copies all of it."""
        return self._database

    async def read(self, statement: Statement) -> Rows:
        """Run one reading statement."""
        return await self._database.query(statement)

    async def parse(self, statements: Sequence[Statement]) -> tuple[str | None, ...]:
        """Have the engine parse statements; each one's syntax error, or None."""
        return await self._database.parse(statements)

    async def schema(self) -> str:
        """Give the schema's fingerprint: every object's type, name and DDL, the tool's own left out."""
        return str((await self.read(Statement(transaction.SCHEMA))).scalar)

    async def marker(self, attempt: str) -> Row | None:
        """Give an attempt's marker row; None where there is none."""
        return await self._own(marker.marker_of(attempt))

    async def applied(self, name: str) -> Row | None:
        """Give the marker row of a change that is applied; None where it is not."""
        return await self._own(marker.applied_marker(name))

    async def migrate(self, change: DatabaseChange, attempt: Attempt, what: Guards, lease: Lease) -> Migrated:
        """Commit the change whole, or not at all. Unknown when COMMIT's answer was lost."""
        statements = transaction.migrate(change, attempt, what, lease)
        results = await self._commit(statements, what.there)
        of = dict(zip(map(id, statements), results, strict=True))
        touched = tuple(of[id(statement)].changed for statement in change.migrate)
        growth = _growth(statements, results, what.there)
        return Migrated(sum(touched), growth, touched, _costs(statements, results))

    async def fence(self, attempt: str, name: str) -> Row:
        """Settle an attempt for good: give its marker row, or make one after which it can never commit."""
        return (await self._database.transaction(marker.fence(attempt, name)))[-1].records[0]

    async def roll_back(
        self, marker: Row, statements: Sequence[Statement], checks: Sequence[SqlCheck], lease: Lease
    ) -> RolledBack:
        """Roll an applied attempt back, whole or not at all."""
        back = guards.guards_of_json(str(marker["rollback_guards"]))
        whole = transaction.roll_back(statements, checks, str(marker["attempt"]), back, lease)
        results = await self._commit(whole, back)
        return RolledBack(_growth(whole, results, back), _costs(whole, results))

    async def kept(self) -> dict[str, int]:
        """Count the rows of each table of ours that keeps what going back, or the next migration, would need."""
        names = [str(name) for (name,) in (await self.read(kept_tables())).values]
        counts = [Statement(f"SELECT count(*) FROM {quoted(name)}") for name in names]
        return {name: int(str((await self.read(count)).scalar)) for name, count in zip(names, counts, strict=True)}

    async def accept(self, marker: Row, lease: Lease) -> tuple[str, ...]:
        """Have an applied change stay: drop what it kept for rolling it back, and say so in its row.

        What another change still needs for its rollback, or waits for, stays. Returns the tables that are gone.
        """
        attempt = str(marker["attempt"])
        others = (await self.read(rollbacks_in_need(attempt, str(marker["name"])))).values
        needed = set[str]().union(*(named_in(str(text)) for (text,) in others))
        own = needed_by(str(marker["rollback_sql"])) - needed
        kept = [str(name) for (name,) in (await self.read(kept_tables())).values if folded(str(name)) in own]
        await self._commit(transaction.accept(attempt, kept, lease))
        return tuple(kept)

    async def lock(self, claim: Claim) -> tuple[bool, Holder | None]:
        """Take the lock if it can be had; gives whether it was, and who holds it then."""
        wanted = (*CREATE, take_lock(claim), HOLDER)
        taken, holders = (await self._database.transaction(wanted))[-2:]
        self._token = int(str(taken.scalar)) if taken.values else None
        return bool(taken.values), _holder(next(iter(holders.records), None))

    async def holder(self) -> Holder | None:
        """Say who holds the lock; None where nobody does."""
        return _holder(await self._own(HOLDER))

    async def last_holder(self) -> Holder | None:
        """Say who held the lock last, though it was given back or its lease has ended; None where nobody ever did."""
        return _holder(await self._own(marker.last_lock()))

    async def lease(self, run: str) -> Lease:
        """Renew this run's hold on the lock, for a minute at least. Raises Rejected when another run has taken it."""
        token = (await self._database.query(marker.renew_lock(run, self._token, RENEWAL))).scalar
        if token is None:
            cause = "another run has taken the lock over"
            raise Rejected("writing to", self.address, cause, "Run again to see which.")
        return Lease(run, int(str(token)))

    async def write(self, run: str) -> None:
        """Write something small and harmless on a stream of its own: a second more for this run's lease."""
        await self._database.query(marker.prolong_lock(run, self._token))

    async def unlock(self, run: str, who: str) -> None:
        """Give the lock back, if it is still this run's, and was taken by this one of those who may put it back."""
        await self._database.query(marker.release_lock(run, who, self._token))

    async def _commit(self, statements: Sequence[Statement], measures: Sequence[Measure] = ()) -> tuple[Rows, ...]:
        try:
            return await self._database.transaction(statements)
        except StatementFailed as failed:
            remedy = f"Nothing was changed in {self.address}: mend it, or what it found."
            raise Rejected("running", *transaction.worded_failure(failed, measures), remedy) from None

    async def _own(self, statement: Statement) -> Row | None:
        """Read one row of a table of ours, which the first run has yet to create."""
        exists = Statement("SELECT 1 FROM sqlite_schema WHERE name = '_orchestrate_migrations'")
        if (await self.read(exists)).scalar is None:
            return None
        return next(iter((await self.read(statement)).records), None)


def _growth(statements: Sequence[Statement], results: Sequence[Rows], measures: Sequence[Measure]) -> dict[str, int]:
    pairs = zip(statements, results, strict=True)
    return guards.growth(measures, (rows for statement, rows in pairs if statement.name == guards.HOLDING))


def _costs(statements: Iterable[Statement], results: Iterable[Rows]) -> tuple[Cost, ...]:
    pairs = zip(statements, results, strict=True)
    return tuple(
        Cost(_shown(statement), round(rows.seconds, 4), rows.changed or rows.written) for statement, rows in pairs
    )


def _shown(statement: Statement) -> str:
    """Name a statement: where it stands in its file, and how it begins."""
    sql = " ".join(statement.sql.split())
    begins = sql if len(sql) <= SHOWN else f"{sql[:SHOWN].rstrip()} ..."
    return f"{statement.name} ({begins})" if IN_A_FILE.search(statement.name) else statement.name or begins


def _holder(row: Row | None) -> Holder | None:
    return Holder(**row) if row else None  # type: ignore[arg-type]  # the columns are the fields
