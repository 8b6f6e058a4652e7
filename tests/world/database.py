"""A database in memory, on Python's own SQLite, that keeps what every transport promises."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from time import time

from steps.support.core.errors import Unknown
from steps.support.gateways.database import frame
from steps.support.gateways.database.protocol import Dump, Rows, StatementFailed
from steps.support.gateways.database.sqlite_file import only_names, parse_error
from steps.support.sql.statement import Statement
from steps.support.sql.tokens import first_word, tokenize
from steps.support.standin.faults import Faults, Kind

ADDRESS = "memory:production"
READS = {"SELECT", "PRAGMA", "EXPLAIN"}
WRITES = {"INSERT", "UPDATE", "DELETE", "REPLACE"}
LOOK = "It may have been done: check before repeating it."

Clock = Callable[[], float]


class MemoryStore:
    """The database itself, as every client of it sees it; `clock` tells it the seconds since 1970.

    Foreign keys are minded, as on a server. What is in it can be taken down as bytes and put back.
    """

    def __init__(self, clock: Clock = time) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=1000)
        self.connection.create_function("unixepoch", 0, lambda: int(clock()))
        self.connection.execute("PRAGMA foreign_keys=ON")
        self._lock = asyncio.Lock()

    def snapshot(self) -> bytes:
        """Take everything down."""
        return self.connection.serialize()

    def restore(self, content: bytes) -> None:
        """Put everything back as it was taken down."""
        with closing(sqlite3.connect(":memory:")) as kept:
            kept.deserialize(content)  # into a connection in use it may crash the process, a backup never does
            kept.backup(self.connection)

    @asynccontextmanager
    async def written(self) -> AsyncIterator[None]:
        """Hold the write lock; whoever writes waits for it."""
        async with self._lock:
            yield

    @property
    def held(self) -> bool:
        """Say whether somebody holds the write lock."""
        return self._lock.locked()

    def close(self) -> None:
        """Let go of all of it."""
        self.connection.close()


class MemoryDatabase:
    """Implements Database; each call works on the event loop's thread, and takes no time.

    `faults` is what a run meets on its way: a server that says no, hangs, or loses its answers.
    """

    def __init__(self, store: MemoryStore, faults: Faults | None = None) -> None:
        self._store = store
        self._faults = faults or Faults()

    @property
    def address(self) -> str:
        """Where it is."""
        return ADDRESS

    async def query(self, statement: Statement) -> Rows:
        """Run one statement on its own; see Database."""
        frame.admit_values(statement, ADDRESS)
        verifying = await self._met()
        if self._store.held and not _reads(statement.sql):
            async with self._store.written():
                rows = self._ran(statement)
        else:
            rows = self._ran(statement)
        _answered(lost=verifying)
        return rows

    async def transaction(self, statements: Sequence[Statement]) -> tuple[Rows, ...]:
        """Run all statements as one transaction with foreign keys off, or none; see Database."""
        frame.admit(statements, ADDRESS)
        verifying = await self._met()
        async with self._store.written():
            rows = self._whole(statements)
        _answered(lost=verifying or self._kind("turso_migration") == "lost")
        return rows

    async def trials(self, several: Sequence[Sequence[Statement]], *, keep: bool = False) -> tuple[str | None, ...]:
        """Run groups of statements as transactions with the engine's own settings; see Database."""
        for statements in several:
            frame.admit(statements, ADDRESS)
        verifying = await self._met()
        async with self._store.written():
            errors = tuple(self._tried([*map(only_names, statements)], keep=keep) for statements in several)
        _answered(lost=verifying or self._kind("turso_migration") == "lost")
        return errors

    async def parse(self, statements: Sequence[Statement]) -> tuple[str | None, ...]:
        """Have the engine explain statements without running them; see Database."""
        for statement in statements:
            frame.admit_values(statement, ADDRESS)
        verifying = await self._met()
        errors = tuple(map(self._complaint, statements))
        _answered(lost=verifying)
        return errors

    def dumps(self) -> tuple[Dump, ...]:
        """Give none: nobody copies it; see Database."""
        return ()

    async def aclose(self) -> None:
        """Do nothing: the store stays its maker's to close."""

    def _kind(self, step: str) -> Kind | None:
        return self._faults.kind_for(step)

    async def _met(self) -> bool:
        """Let a request come in, or go wrong as the fault of the moment wants it; says whether its answer is lost."""
        await asyncio.sleep(0)
        kind = self._faults.kind_for("turso_migration", "verification_query")
        if kind == "hang":
            await asyncio.Event().wait()
        if kind == "fail":
            cause = "it is not the answer of a libSQL server (HTTP 500: internal error)"
            raise Unknown("reading the answer of", ADDRESS, cause, LOOK)
        return self._kind("verification_query") == "lost"

    def _whole(self, statements: Sequence[Statement]) -> tuple[Rows, ...]:
        try:
            for statement in frame.OPENING:
                self._ran(statement)
            rows = tuple([self._within(statement) for statement in statements])
            self._within(frame.COMMIT)
        finally:
            self._ended()
            self._store.connection.execute("PRAGMA foreign_keys=ON")
        return rows

    def _tried(self, statements: Sequence[Statement], *, keep: bool) -> str | None:
        try:
            for statement in (frame.BEGIN, *statements, *([frame.COMMIT] if keep else [])):
                self._ran(statement)
        except StatementFailed as failed:
            return f"{failed.statement.name}: {failed.message} ({failed.code})".removeprefix(": ")
        finally:
            self._ended()
        return None

    def _within(self, statement: Statement) -> Rows:
        """Run one statement, if the transaction is still open."""
        if not self._store.connection.in_transaction:
            raise StatementFailed(ADDRESS, statement, "the transaction is not open any more", "SQLITE_ERROR")
        return self._ran(statement)

    def _ended(self) -> None:
        if self._store.connection.in_transaction:
            self._store.connection.execute("ROLLBACK")

    def _ran(self, statement: Statement) -> Rows:
        connection = self._store.connection
        before = connection.total_changes
        try:
            cursor = connection.execute(statement.sql, statement.args)
            values = tuple(cursor.fetchall())
        except (sqlite3.Error, sqlite3.Warning) as error:
            code = getattr(error, "sqlite_errorname", "SQLITE_ERROR")
            raise StatementFailed(ADDRESS, statement, str(error), code) from None
        columns = tuple(name for name, *_ in cursor.description or ())
        changed = max(0, cursor.rowcount) if connection.total_changes > before else 0
        if cursor.rowcount < 0 and connection.total_changes > before and first_word(statement.sql) == "WITH":
            (changed,) = connection.execute("SELECT changes()").fetchone()  # Python does not count these
        return Rows(columns, values, changed)

    def _complaint(self, statement: Statement) -> str | None:
        sql = statement.sql if first_word(statement.sql) == "EXPLAIN" else f"EXPLAIN {statement.sql}"
        try:
            self._ran(Statement(sql))
        except StatementFailed as failed:
            return parse_error(statement, failed.message)
        return None


def _reads(sql: str) -> bool:
    """Say whether a statement only reads; one that begins with WITH may do either."""
    if first_word(sql) != "WITH":
        return first_word(sql) in READS
    return not any(token.kind == "word" and token.text.upper() in WRITES for token in tokenize(sql))


def _answered(*, lost: bool) -> None:
    """Raise Unknown where the answer is lost."""
    if lost:
        raise Unknown("reading the answer of", "the database", "the connection was reset (ReadError)", LOOK)
