"""Production shortly after its proof: a database that the app wrote to since the copy was taken."""

from pathlib import Path

from steps.support.change.folder import read_change
from steps.support.core.errors import Rejected
from steps.support.gateways.guards import Guards
from steps.support.gateways.marker import Attempt, Claim, Lease
from steps.support.gateways.turso import Turso
from steps.support.proof.config import ProofConfig
from steps.support.proof.proof import prove
from steps.support.proof.result import Proof
from steps.support.sql.change import DatabaseChange
from steps.support.sql.findings import FILES
from steps.support.sql.script import split
from tests.support.proof.proofs import ENOUGH, NOTHING, OF_ANY, Files


class Production:
    """A database with a change that was just proved on a copy of it; `binary`: the engine of the rehearsal."""

    _change: DatabaseChange | None = None

    def __init__(self, turso: Turso, binary: Path | None, folder: Path) -> None:
        self.turso, self._binary, self._folder = turso, binary, folder
        self._guards, self._attempts = Guards((), ()), 0

    async def proved(self, before: str, migrate: str, rollback: str, writes: str = NOTHING) -> Proof:
        """Prove a change on a copy of the database, after running `before` on the database."""
        await self.written(before)
        self._change = read_change(
            self._written({"migrate.sql": migrate, "rollback.sql": rollback, "writes.sql": writes})
        )
        proof = await prove(self.turso, self._change, ProofConfig(self._folder / "run", self._binary, ENOUGH))
        self._guards = proof.guards
        return proof

    async def written(self, sql: str) -> None:
        """Run what the app writes."""
        await self.turso.database.transaction(split(sql, "app.sql"))

    async def migrated(self) -> str:
        """Migrate as production would; return why it was refused, empty if it was not."""
        assert self._change
        self._attempts += 1
        attempt = Attempt(f"run {self._attempts}", "", "", "", "", "", await self.turso.schema())
        try:
            await self.turso.migrate(self._change, attempt, self._guards, await self._lease())
        except Rejected as refused:
            return f"{refused.subject}: {refused.cause}"
        return ""

    async def rolled_back(self) -> str:
        """Roll the change back as production would; return why it was refused, empty if it was not."""
        assert self._change
        marker = await self.turso.marker(f"run {self._attempts}")
        assert marker
        try:
            await self.turso.roll_back(marker, self._change.rollback, self._change.verify_rollback, await self._lease())
        except Rejected as refused:
            return f"{refused.subject}: {refused.cause}"
        return ""

    async def _lease(self) -> Lease:
        _, holder = await self.turso.lock(Claim("run", "me", "here", 3600))
        assert holder
        return Lease(holder.run, holder.token)

    def _written(self, files: Files) -> Path:
        for name in FILES:
            path = self._folder / "sql" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text({**OF_ANY, **files}.get(name, NOTHING), encoding="utf-8")
        return self._folder / "sql"
