"""A database in memory, on Python's own SQLite, that keeps the promises of every transport."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from time import time

from steps.support.core.errors import Unknown
from steps.support.gateways.database.protocol import (
    BEGIN,
    COMMIT,
    OPENING,
    Rows,
    StatementFailed,
    admit,
    admit_values,
)
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
    """The database shared by all its clients; `clock` returns the seconds since 1970.

    Foreign keys are enforced, as on a server. The content can be saved as bytes and restored.
    """

    def __init__(self, clock: Clock = time) -> None:
        self.clock = clock
        self.connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=1000)
        self.connection.create_function("unixepoch", 0, lambda: int(clock()))
        self.connection.execute("PRAGMA foreign_keys=ON")
        self._lock = asyncio.Lock()

    def snapshot(self) -> bytes:
        """Return the content as bytes."""
        return self.connection.serialize()

    def restore(self, content: bytes) -> None:
        """Replace the content with a snapshot."""
        with closing(sqlite3.connect(":memory:")) as copy:
            copy.deserialize(
                content
            )  # deserializing into a connection in use may crash the process; a backup never does
            copy.backup(self.connection)

    @asynccontextmanager
    async def write_locked(self) -> AsyncIterator[None]:
        """Hold the write lock; other writers wait for it."""
        async with self._lock:
            yield

    @property
    def held(self) -> bool:
        """Return True if the write lock is held."""
        return self._lock.locked()

    def close(self) -> None:
        """Close the database; its content is lost."""
        self.connection.close()


class MemoryDatabase:
    """Implements Database; each call runs on the event loop's thread, and takes no time.

    `faults` breaks the run's requests: the server refuses, hangs, or loses its answers.
    """

    def __init__(self, store: MemoryStore, faults: Faults | None = None) -> None:
        self._store = store
        self._faults = faults or Faults()

    @property
    def address(self) -> str:
        """The address of the database."""
        return ADDRESS

    async def query(self, statement: Statement) -> Rows:
        """Run one statement on its own; see Database."""
        admit_values(statement, ADDRESS)
        lost = await self._accept()
        if self._store.held and not reads(statement.sql):
            async with self._store.write_locked():
                rows = self._run(statement)
        else:
            rows = self._run(statement)
        _answer(lost=lost)
        return rows

    async def transaction(self, statements: Sequence[Statement]) -> tuple[Rows, ...]:
        """Run all statements as one transaction with foreign keys off, or none; see Database."""
        admit(statements, ADDRESS)
        lost = await self._accept()
        async with self._store.write_locked():
            rows = self._run_all(statements)
        _answer(lost=lost or self._kind("turso_migration") == "lost")
        return rows

    async def trials(self, several: Sequence[Sequence[Statement]], *, keep: bool = False) -> tuple[str | None, ...]:
        """Run groups of statements as transactions with the engine's own settings; see Database."""
        for statements in several:
            admit(statements, ADDRESS)
        lost = await self._accept()
        async with self._store.write_locked():
            errors = tuple(self._try([*map(only_names, statements)], keep=keep) for statements in several)
        _answer(lost=lost or self._kind("turso_migration") == "lost")
        return errors

    async def parse(self, statements: Sequence[Statement]) -> tuple[str | None, ...]:
        """Let the engine explain statements without running them; see Database."""
        for statement in statements:
            admit_values(statement, ADDRESS)
        lost = await self._accept()
        errors = tuple(map(self._complaint, statements))
        _answer(lost=lost)
        return errors

    def moment(self) -> None:
        """Return None, as this database is never copied; see Database."""

    async def aclose(self) -> None:
        """Do nothing: the creator of the store closes it."""

    def _kind(self, step: str) -> Kind | None:
        return self._faults.kind_for(step)

    async def _accept(self) -> bool:
        """Accept a request, or fail as the current fault demands; return True if its answer is lost."""
        await asyncio.sleep(0)
        kind = self._faults.kind_for("turso_migration", "verification_query")
        if kind == "hang":
            await asyncio.Event().wait()
        if kind == "fail":
            cause = "it is not the answer of a libSQL server (HTTP 500: internal error)"
            raise Unknown(
                code="connection", operation="reading the answer of", subject=ADDRESS, cause=cause, remedy=LOOK
            )
        return self._kind("verification_query") == "lost"

    def _run_all(self, statements: Sequence[Statement]) -> tuple[Rows, ...]:
        try:
            for statement in OPENING:
                self._run(statement)
            rows = tuple([self._run_within(statement) for statement in statements])
            self._run_within(COMMIT)
        finally:
            self._end()
            self._store.connection.execute("PRAGMA foreign_keys=ON")
        return rows

    def _try(self, statements: Sequence[Statement], *, keep: bool) -> str | None:
        try:
            for statement in (BEGIN, *statements, *([COMMIT] if keep else [])):
                self._run(statement)
        except StatementFailed as failed:
            return f"{failed.statement.name}: {failed.message} ({failed.engine_code})".removeprefix(": ")
        finally:
            self._end()
        return None

    def _run_within(self, statement: Statement) -> Rows:
        """Run one statement, if the transaction is still open."""
        if not self._store.connection.in_transaction:
            raise StatementFailed(
                subject=ADDRESS,
                statement=statement,
                message="the transaction is not open any more",
                engine_code="SQLITE_ERROR",
            )
        return self._run(statement)

    def _end(self) -> None:
        if self._store.connection.in_transaction:
            self._store.connection.execute("ROLLBACK")

    def _run(self, statement: Statement) -> Rows:
        connection = self._store.connection
        before = connection.total_changes
        try:
            cursor = connection.execute(statement.sql, statement.args)
            values = tuple(cursor.fetchall())
        except (sqlite3.Error, sqlite3.Warning) as error:
            code = getattr(error, "sqlite_errorname", "SQLITE_ERROR")
            raise StatementFailed(subject=ADDRESS, statement=statement, message=str(error), engine_code=code) from None
        columns = tuple(name for name, *_ in cursor.description or ())
        changed = max(0, cursor.rowcount) if connection.total_changes > before else 0
        if cursor.rowcount < 0 and connection.total_changes > before and first_word(statement.sql) == "WITH":
            (changed,) = connection.execute("SELECT changes()").fetchone()  # cursor.rowcount does not count these
        return Rows(columns, values, changed)

    def _complaint(self, statement: Statement) -> str | None:
        sql = statement.sql if first_word(statement.sql) == "EXPLAIN" else f"EXPLAIN {statement.sql}"
        try:
            self._run(Statement(sql))
        except StatementFailed as failed:
            return parse_error(statement, failed.message)
        return None


def reads(sql: str) -> bool:
    """Return True if a statement only reads; one that begins with WITH may also write."""
    if first_word(sql) != "WITH":
        return first_word(sql) in READS
    return not any(token.kind == "word" and token.text.upper() in WRITES for token in tokenize(sql))


def _answer(*, lost: bool) -> None:
    """Raise Unknown if the answer is lost."""
    if lost:
        raise Unknown(
            code="connection",
            operation="reading the answer of",
            subject="the database",
            cause="the connection was reset (ReadError)",
            remedy=LOOK,
        )
