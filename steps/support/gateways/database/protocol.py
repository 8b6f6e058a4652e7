"""The one narrow interface to a SQLite-like database, whatever carries it."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from steps.support.core.errors import Rejected
from steps.support.sql.statement import Statement, Value

Dump = Callable[[], AbstractAsyncContextManager[AsyncGenerator[bytes, None]]]


@dataclass(frozen=True, slots=True)
class Rows:
    """What one statement returned, and how many rows it changed.

    `seconds`: what it took at the engine. `written`: rows written, those of the schema and of indexes too. Both are 0
    if the transport does not know.
    """

    columns: tuple[str, ...] = ()
    values: tuple[tuple[Value, ...], ...] = ()
    changed: int = 0
    seconds: float = field(default=0.0, compare=False)
    written: int = field(default=0, compare=False)

    @property
    def records(self) -> list[dict[str, Value]]:
        """Give each row as column name -> value."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.values]

    @property
    def scalar(self) -> Value:
        """Give the first value of the first row, or None where there is no row."""
        return self.values[0][0] if self.values else None


class StatementFailed(Rejected):
    """A statement failed; its whole transaction was rolled back and nothing changed."""

    def __init__(self, subject: str, statement: Statement, message: str, code: str) -> None:
        super().__init__("running", statement.name or " ".join(statement.sql.split())[:80], f"{message} ({code})",
                         f"Nothing was changed in {subject}.")  # fmt: skip
        self.statement = statement
        self.message = message
        self.code = code


class Database(Protocol):
    """What a transport offers. It never retries and never limits time; its errors are NotSent, Rejected, Unknown."""

    @property
    def address(self) -> str:
        """Where the database is, without any secret."""

    async def query(self, statement: Statement) -> Rows:
        """Run one statement on its own, with the engine's default settings.

        Raises StatementFailed when the engine refuses it.
        """

    async def transaction(self, statements: Sequence[Statement]) -> tuple[Rows, ...]:
        """Run all statements as one write transaction with foreign keys off, or none of them.

        Foreign keys are switched off before BEGIN IMMEDIATE and read back inside; each statement runs only if the one
        before succeeded and the transaction is still open; then COMMIT, else ROLLBACK. Returns each statement's rows.
        Raises StatementFailed (naming the first statement that failed: nothing was committed), or Unknown when the
        answer to COMMIT was not read.
        """

    async def trials(self, several: Sequence[Sequence[Statement]], *, keep: bool = False) -> tuple[str | None, ...]:
        """Run each group of statements as one transaction with the engine's own settings, as app and shell would.

        Gives for each the error of the first statement that failed, None where all ran. They are rolled back whatever
        comes of them; with `keep` a transaction is committed where all of it ran. Each holds the write lock meanwhile.
        """

    async def parse(self, statements: Sequence[Statement]) -> tuple[str | None, ...]:
        """Have the engine parse statements without running them: each one's syntax error, or None.

        Nothing of it stays in the database, and no writer waits for it. A missing table or column is no syntax error.
        Bound parameters and statements that the server refuses are.
        """

    def dumps(self) -> tuple[Dump, ...]:
        """Give the ways to read all of it as SQL text of one moment, best first; none where it is a file.

        Opening one raises NoSuchPath where the server does not know it.
        """

    async def aclose(self) -> None:
        """Close the connection."""
