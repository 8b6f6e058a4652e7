"""A database on which changes are made as in production, and a name of a table that must be quoted."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from steps.support.core.errors import Rejected
from steps.support.gateways.database.protocol import Database
from steps.support.gateways.guards import Guards
from steps.support.gateways.marker import Attempt, Claim, Lease
from steps.support.gateways.turso import Migrated, Turso
from steps.support.sql.change import DatabaseChange
from steps.support.sql.script import split
from steps.support.sql.statement import Statement, Value
from steps.support.sql.tokens import quoted

ODD = """it's a "table"?; -- ünïcode [1]"""


@dataclass(frozen=True)
class Rig:
    """A database on one transport, on which this test holds the lock, and a folder for its change."""

    database: Database
    folder: Path
    attempts: list[str] = field(default_factory=list)

    @property
    def turso(self) -> Turso:
        """Return the tool's own view of the database."""
        return Turso(self.database)

    async def lease(self) -> Lease:
        """Hold the lock."""
        _, holder = await self.turso.lock(Claim("run", "me", "here", 3600))
        assert holder
        return Lease(holder.run, holder.token)

    async def made(self, script: str) -> None:
        """Run a script with foreign keys off."""
        await self.database.transaction(split(script, "made.sql"))

    async def migrated(self, change: DatabaseChange, what: Guards) -> Migrated:
        """Apply a change as production would."""
        self.attempts.append(f"attempt {len(self.attempts)}")
        attempt = Attempt(self.attempts[-1], "", "", "", "", "", await self.turso.schema())
        return await self.turso.migrate(change, attempt, what, await self.lease())

    async def rolled_back(self, change: DatabaseChange) -> None:
        """Roll the last change back."""
        marker = await self.turso.marker(self.attempts[-1])
        assert marker
        await self.turso.roll_back(marker, change.rollback, change.verify_rollback, await self.lease())

    async def refused(self, change: DatabaseChange, what: Guards) -> str:
        """Return why a change is refused, or nothing if it is not; a refused change must have changed nothing."""
        await self.lease()  # it creates the tool's own tables, which are not part of the change
        before = await self.everything()
        try:
            await self.migrated(change, what)
        except Rejected as refused:
            assert await self.everything() == before
            return f"{refused.subject}: {refused.cause}"
        return ""

    async def everything(self) -> dict[str, Sequence[tuple[Value, ...]]]:
        """Return all definitions and all rows, except the lock, which is extended by a minute each time."""
        found = await self.database.query(Statement("SELECT name, sql, type FROM sqlite_schema ORDER BY name"))
        tables = [str(name) for name, _, kind in found.values if kind == "table" and name != "_orchestrate_lock"]
        rows = await self.database.transaction([Statement(f"SELECT * FROM {quoted(name)}") for name in tables])
        return {"": found.values, **{name: each.values for name, each in zip(tables, rows, strict=True)}}

    async def scalar(self, sql: str) -> Value:
        """Return one value."""
        return (await self.database.query(Statement(sql))).scalar
