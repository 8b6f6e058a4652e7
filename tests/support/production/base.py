"""A small production of any kind, with what tests add to it."""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path

import httpx

from steps.support.gateways import transaction
from steps.support.sql.statement import Value
from steps.support.standin.drill.trial import READING, ROOT, AnyTrial, Event, Reaction, RunResult, State

__all__ = [
    "BUILT_IN",
    "FAILING",
    "LOST",
    "READING",
    "ROOT",
    "AnyProduction",
    "Event",
    "Reaction",
    "RunResult",
    "State",
    "contents",
]  # fmt: skip

PAGE = 4000  # rows
LOST = "!committed_at"  # an expectation that holds before the migration and fails after it
FAILING, BUILT_IN = READING.replace('`200`"]', f'`200`", "{LOST}"]'), ""


@dataclass
class AnyProduction(AnyTrial):
    """A production on which other people act too."""

    @abstractmethod
    def visitor(self, **headers: str) -> httpx.AsyncClient:
        """Return a client that requests the site as a visitor does."""

    def change(self, folder: Path) -> None:
        """Release the change of this folder in place of the shipped one."""
        self.sql_folder = folder

    @abstractmethod
    async def main(self) -> str:
        """Return the last commit of the remote's main."""

    @abstractmethod
    async def commit_more(self) -> None:
        """Add an empty commit to what is to be released."""

    @abstractmethod
    async def bring_back(self) -> None:
        """Do in the checkout what the report of a rolled-back release says: pull, and revert the restoring commit."""

    @abstractmethod
    async def overtake(self) -> None:
        """Push another person's empty commit on top of the commit to release."""


async def contents(production: AnyTrial) -> tuple[str, dict[str, list[tuple[Value, ...]]]]:
    """Read the schema and all rows with queries."""
    tables = [str(name) for (name,) in await production.sql(transaction.TABLES)]
    rows = {table: await _rows(production, table) for table in [*tables, "sqlite_sequence"]}
    own = [row for row in rows["sqlite_sequence"] if not str(row[0]).startswith("_orchestrate_")]
    return str((await production.sql(transaction.SCHEMA))[0][0]), {**rows, "sqlite_sequence": own}


async def _rows(production: AnyTrial, table: str) -> list[tuple[Value, ...]]:
    """Read a whole table, in pages that a server can answer."""
    rows: list[tuple[Value, ...]] = []
    while page := await production.sql(f'SELECT * FROM "{table}" ORDER BY 1 LIMIT {PAGE} OFFSET {len(rows)}'):
        rows += page
    return rows
