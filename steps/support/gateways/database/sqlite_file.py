"""A SQLite file as a database, with the same guarantees as a server. It is opened with libsql-client.

The engine is Python's own SQLite. It runs on the event loop's thread: while a statement runs, nothing else does, and no
timeout can stop it. It is therefore suitable for copies and rehearsals, but not while production must be watched.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import TypeVar
from urllib.parse import urlsplit

from libsql_client import LibsqlError, ResultSet, Transaction, create_client  # type: ignore[import-untyped] # it ships no types

from steps.support.core.errors import NotSent
from steps.support.gateways.database.protocol import (
    BEGIN,
    COMMIT,
    OPENING,
    Rows,
    StatementFailed,
    admit,
    admit_values,
    bound_parameters,
    syntax_error,
)
from steps.support.sql.statement import Statement
from steps.support.sql.tokens import first_word, tokenize

PAUSE = 0.02  # seconds between attempts to get a lock; the client itself does not wait for one

Result = TypeVar("Result")


class SqliteFile:
    """A database in an existing file. `url` is `file:PATH`. Raise NotSent if the file does not exist.

    `foreign_keys`: whether to enforce them outside of `transaction`, as a server does. The engine by itself does not.
    """

    def __init__(self, url: str, *, foreign_keys: bool = False) -> None:
        self._address = url
        self._foreign_keys = Statement(f"PRAGMA foreign_keys={'ON' if foreign_keys else 'OFF'}")
        with self._open():
            self._client = create_client(url)

    @property
    def address(self) -> str:
        """The URL of the file."""
        return self._address

    async def query(self, statement: Statement) -> Rows:
        """Run one statement on its own."""
        admit_values(statement, self._address)
        with self._open():
            return await self._retry_while_locked(statement, lambda: self._query_alone(statement))

    async def transaction(self, statements: Sequence[Statement]) -> tuple[Rows, ...]:
        """Run statements as one transaction with foreign keys off; all take effect, or none does. See Database."""
        admit(statements, self._address)
        with self._open(), self._client.transaction() as transaction:  # closing it rolls back if it is not committed
            for statement in (COMMIT, *OPENING):
                await self._run(transaction, statement)
            results = [await self._timed(transaction, statement) for statement in statements]
            await self._retry_while_locked(COMMIT, transaction.commit)
            return tuple(results)

    async def trials(self, several: Sequence[Sequence[Statement]], *, keep: bool = False) -> tuple[str | None, ...]:
        """Run groups of statements as transactions with the engine's own settings; see Database."""
        return tuple([await self._trial(statements, keep=keep) for statements in several])

    async def _trial(self, statements: Sequence[Statement], *, keep: bool) -> str | None:
        admit(statements, self._address)
        statements = [*map(only_names, statements)]
        with self._open(), self._client.transaction() as transaction:  # closing it rolls back
            try:
                for statement in (COMMIT, self._foreign_keys, BEGIN, *statements):
                    await self._run(transaction, statement)
            except StatementFailed as failed:
                return f"{failed.statement.name}: {failed.message} ({failed.engine_code})".removeprefix(": ")
            if keep:
                await self._retry_while_locked(COMMIT, transaction.commit)
            return None

    async def parse(self, statements: Sequence[Statement]) -> tuple[str | None, ...]:
        """Return each statement's syntax error, or None. It is found with EXPLAIN, which runs nothing; see Database."""
        with self._open():
            return tuple([await self._syntax_error(statement) for statement in statements])

    def moment(self) -> None:
        """Return None, because the database is a file; see Database."""

    async def aclose(self) -> None:
        """Close the client. Its connections have ended with each call."""
        await self._client.close()

    async def _timed(self, transaction: Transaction, statement: Statement) -> Rows:
        began = monotonic()
        rows = await self._run(transaction, statement)
        return replace(rows, seconds=monotonic() - began)

    async def _run(self, transaction: Transaction, statement: Statement) -> Rows:
        return await self._retry_while_locked(statement, lambda: _execute_in(transaction, statement))

    async def _query_alone(self, statement: Statement) -> Rows:
        # the client begins a batch with BEGIN, in which foreign keys cannot be switched
        opening = [COMMIT.sql, self._foreign_keys.sql, "BEGIN"]
        call = (statement.sql, list(statement.args))
        *_, result, changes = await self._client.batch([*opening, call, "SELECT changes()"])
        counts = _rows(result).changed if first_word(statement.sql) != "WITH" else int(changes.rows[0][0])
        return replace(_rows(result), changed=counts)

    async def _syntax_error(self, statement: Statement) -> str | None:
        admit_values(statement, self._address)
        sql = statement.sql if first_word(statement.sql) == "EXPLAIN" else f"EXPLAIN {statement.sql}"
        try:
            await self._retry_while_locked(statement, lambda: self._client.execute(sql))
        except StatementFailed as failed:
            return parse_error(statement, failed.message)
        return None

    async def _retry_while_locked(self, statement: Statement, attempt: Callable[[], Awaitable[Result]]) -> Result:
        """Repeat the attempt while another connection holds the lock. The caller must set a time limit."""
        while True:
            try:
                return await attempt()
            except LibsqlError as error:
                if not error.code.startswith("SQLITE_BUSY"):
                    raise StatementFailed(
                        subject=self._address, statement=statement, message=error.explanation, engine_code=error.code
                    ) from None
            await asyncio.sleep(PAUSE)

    @contextmanager
    def _open(self) -> Iterator[None]:
        """Raise NotSent if the file cannot be used as a database, or if it is missing: SQLite would create it."""
        if not Path(urlsplit(self._address).path).is_file():
            remedy = "Check the path; the tool does not create databases."
            raise NotSent(
                code="database-access",
                operation="opening",
                subject=self._address,
                cause="there is no such file",
                remedy=remedy,
            )
        try:
            yield
        except (LibsqlError, sqlite3.Error) as error:
            raise NotSent(
                code="database-access",
                operation="opening",
                subject=self._address,
                cause=str(error),
                remedy="Check the path and the file's permissions.",
            ) from None


async def _execute_in(transaction: Transaction, statement: Statement) -> Rows:
    call = (statement.sql, list(statement.args))
    if first_word(statement.sql) != "WITH":
        return _rows(await transaction.execute(*call))
    before = (await transaction.execute("SELECT total_changes()")).rows[0][0]
    result = await transaction.execute(*call)
    since = "SELECT CASE WHEN total_changes() > ? THEN changes() ELSE 0 END"
    return replace(_rows(result), changed=int((await transaction.execute(since, [before])).rows[0][0]))


def _rows(result: ResultSet) -> Rows:
    """Return a result's rows. Python's driver reports -1 changed rows after WITH, which becomes 0."""
    return Rows(result.columns, tuple(row.astuple() for row in result.rows), max(0, result.rows_affected))


def only_names(statement: Statement) -> Statement:
    """Return the statement with double-quoted names in backticks, so that an unknown name fails, as on a server.

    SQLite reads an unknown name in double quotes as text. CREATE and ALTER stay as they are, because the engine keeps
    their text.
    """
    if first_word(statement.sql) in {"CREATE", "ALTER"}:
        return statement
    sql, end = "", 0
    for token in tokenize(statement.sql):
        if token.kind == "name" and token.text[0] == '"':
            name = token.text[1:-1].replace('""', '"').replace("`", "``")
            sql += f"{statement.sql[end : token.start]}`{name}`"
            end = token.start + len(token.text)
    return replace(statement, sql=sql + statement.sql[end:])


def parse_error(statement: Statement, message: str) -> str | None:
    """Return SQLite's error for a statement that would fail on any schema, or None for any other statement."""
    return bound_parameters(_parameters(statement, message)) or syntax_error(message)


def _parameters(statement: Statement, message: str) -> list[str | None]:
    if "number of bindings" not in message:
        return []
    return [token.text for token in tokenize(statement.sql) if token.kind == "parameter"]
