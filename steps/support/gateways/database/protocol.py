"""The one narrow interface to a SQLite-like database, which is the same for every transport.

This module also has the statements that every transport puts around a write transaction, and the check of which
statements may be sent.
"""

import math
import re
from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from steps.support.core.errors import Rejected
from steps.support.sql.statement import Statement, Value
from steps.support.sql.tokens import TRANSACTION_CONTROL, first_word


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows that one statement returned, and the number of rows that it changed.

    `seconds`: how long the engine took. `written`: how many rows were written, including those of the schema and of
    indexes. Both are 0 if the transport does not know them.
    """

    columns: tuple[str, ...] = ()
    values: tuple[tuple[Value, ...], ...] = ()
    changed: int = 0
    seconds: float = field(default=0.0, compare=False)
    written: int = field(default=0, compare=False)

    @property
    def records(self) -> list[dict[str, Value]]:
        """The rows, each as column name -> value."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.values]

    @property
    def scalar(self) -> Value:
        """The first value of the first row, or None if there is no row."""
        return self.values[0][0] if self.values else None


class Moment(Protocol):
    """A database as it is at one moment, until it is closed."""

    received: int  # bytes of the last answer

    @property
    def address(self) -> str:
        """The database's address, without any secret."""

    async def rows(self, statement: Statement) -> Rows:
        """Run one statement that only reads, and return its rows. Raise as `Database.query` does."""

    async def close(self) -> None:
        """End the moment; nothing can be read after it."""


class StatementFailed(Rejected):
    """A statement failed. Its whole transaction was rolled back, and nothing changed."""

    def __init__(self, *, subject: str, statement: Statement, message: str, engine_code: str) -> None:
        super().__init__(
            code="migration-failed",
            operation="running",
            subject=statement.name or " ".join(statement.sql.split())[:80],
            cause=f"{message} ({engine_code})",
            remedy=f"Nothing was changed in {subject}.",
        )
        self.statement = statement
        self.message = message
        self.engine_code = engine_code


class Database(Protocol):
    """What every transport provides, without retries or time limits. Its errors are NotSent, Rejected and Unknown."""

    @property
    def address(self) -> str:
        """The database's address, without any secret."""

    async def query(self, statement: Statement) -> Rows:
        """Run one statement on its own, with the engine's default settings, and return its rows.

        Raise StatementFailed if the engine refuses it.
        """

    async def transaction(self, statements: Sequence[Statement]) -> tuple[Rows, ...]:
        """Run statements as one write transaction with foreign keys off. All of them take effect, or none does.

        Foreign keys are switched off before BEGIN IMMEDIATE and read back inside the transaction. Each statement runs
        only if the previous one succeeded and the transaction is still open. If all of them ran, COMMIT follows;
        otherwise ROLLBACK does. Return each statement's rows. Raise StatementFailed, which names the first statement
        that failed, if nothing was committed, or Unknown if the answer to COMMIT was not read.
        """

    async def trials(self, several: Sequence[Sequence[Statement]], *, keep: bool = False) -> tuple[str | None, ...]:
        """Run each group of statements as one transaction with the engine's own settings, as an app or a shell would.

        For each group, return the error of the first statement that failed, or None if all of them ran. A transaction
        is committed if `keep` is set and all of its statements ran; otherwise it is rolled back. Each transaction holds
        the write lock while it runs.
        """

    async def parse(self, statements: Sequence[Statement]) -> tuple[str | None, ...]:
        """Return each statement's syntax error, or None. The engine parses the statements without running them.

        Parsing leaves no trace in the database, and no writer waits for it. A missing table or column is not a syntax
        error. A bound parameter is one, and so is a statement that the server refuses.
        """

    def moment(self) -> AbstractAsyncContextManager[Moment] | None:
        """Return the way to read the whole database as it is at one moment, while it is open. A file has none."""

    async def aclose(self) -> None:
        """Close the connection."""


_INDEPENDENT_OF_SCHEMA = re.compile(
    r"syntax error|incomplete input|unrecognized token|only execute one statement|null character"
    r"|RAISE\(\) may only|same number of terms|parameters (are not allowed|prohibited)"
    r"|no such function|wrong number of arguments"
)


def syntax_error(message: str) -> str | None:
    """Return the message if the statement would fail on any schema, or None if an earlier statement may make it run."""
    return message if _INDEPENDENT_OF_SCHEMA.search(message) else None


def bound_parameters(names: Sequence[str | None]) -> str | None:
    """Return the error for a statement with bound parameters, or None if it has none."""
    return f"bound parameters without a value: {', '.join(name or '?' for name in names)}" if names else None


FOREIGN_KEYS_OFF = Statement("PRAGMA foreign_keys=OFF", name="switching foreign keys off")
BEGIN = Statement("BEGIN IMMEDIATE", name="beginning the transaction")
FOREIGN_KEYS_ARE_OFF = Statement(
    "SELECT CASE WHEN (SELECT foreign_keys FROM pragma_foreign_keys) = 0 THEN 1"
    " ELSE json_extract('{}', 'foreign keys are still on') END",
    name="reading back that foreign keys are off",
)
OPENING = (FOREIGN_KEYS_OFF, BEGIN, FOREIGN_KEYS_ARE_OFF)
COMMIT = Statement("COMMIT", name="committing")
ROLLBACK = Statement("ROLLBACK", name="rolling back")


def admit(statements: Iterable[Statement], subject: str) -> None:
    """Raise StatementFailed if a statement would end the transaction early, or if it cannot be sent."""
    for statement in statements:
        admit_values(statement, subject)
        if (word := first_word(statement.sql)) in TRANSACTION_CONTROL:
            message = f"{word} is not allowed inside the transaction"
            raise StatementFailed(
                subject=subject, statement=statement, message=message, engine_code="TRANSACTION_CONTROL"
            )


def admit_values(statement: Statement, subject: str) -> None:
    """Raise StatementFailed if SQL cannot represent the statement's text or one of its values."""
    for value in (statement.sql, *statement.args):
        if message := _value_error(value):
            raise StatementFailed(subject=subject, statement=statement, message=message, engine_code="ARGS_INVALID")
    if "\0" in statement.sql:
        raise StatementFailed(
            subject=subject,
            statement=statement,
            message="the text contains a NUL character",
            engine_code="ARGS_INVALID",
        )


def _value_error(value: Value) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value} cannot be sent as a value"
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return "an integer of more than 64 bits"
    if isinstance(value, str) and not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
        return "text that is not valid Unicode"
    return ""
