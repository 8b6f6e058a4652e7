"""A whole small production - real sqld, real git over HTTP, stand-in platform and site - and the tool as a process."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from steps.support.standin.drill.trial import Trial
from steps.support.standin.faults import Faults
from steps.support.standin.world import TOKEN, local_production
from tests.support.production.base import ROOT, AnyProduction

AUTHOR = ("-c", "user.name=t", "-c", "user.email=t@example.invalid")


@dataclass
class Production(Trial, AnyProduction):
    """A production of real processes, and the tool as a process."""

    def visitor(self, **headers: str) -> httpx.AsyncClient:
        """Return a client that requests the site as a visitor does."""
        return httpx.AsyncClient(base_url=self.world.site_url, headers=headers)

    async def main(self) -> str:
        """Return the last commit of the remote's main."""
        return await self.git("rev-parse", "main")

    async def commit_more(self) -> None:
        """Add an empty commit to what is to be released."""
        words = ("commit", "--quiet", "--allow-empty", "-m", "more")
        await self.git(*AUTHOR, *words, where=self.world.checkout)

    async def bring_back(self) -> None:
        """Do in the checkout what the report of a rolled-back release says: pull, and revert the restoring commit."""
        restoring = await self.main()
        await self.git("pull", "--ff-only", "--quiet", "origin", "main", where=self.world.checkout)
        await self.git(*AUTHOR, "revert", "--no-edit", restoring, where=self.world.checkout)

    async def overtake(self) -> None:
        """Push a foreign, empty commit on top of the commit to release."""
        here, of = self.world.checkout, ("HEAD^{tree}", "-p", "HEAD", "-m", "other")
        commit = await self.git(*AUTHOR, "commit-tree", *of, where=here)
        await self.git("push", "--quiet", "origin", f"{commit}:main", where=here)

    @asynccontextmanager
    async def visited(self) -> AsyncIterator[list[int]]:
        """Have a visitor ask for data ten times a second meanwhile; return the statuses of the answers."""
        statuses: list[int] = []
        visitor = asyncio.ensure_future(self._visit(statuses))
        try:
            yield statuses
        finally:
            visitor.cancel()
            await asyncio.gather(visitor, return_exceptions=True)

    async def _visit(self, statuses: list[int]) -> None:
        async with self.visitor(Cookie=f"auth-token={TOKEN}") as client:
            while True:
                statuses.append((await client.get("/api/data")).status_code)
                await asyncio.sleep(0.1)


@asynccontextmanager
async def process_production(folder: Path, database: Path, binary: Path) -> AsyncIterator[Production]:
    """Create a production on a copy of a database; one release waits in the checkout."""
    faults, copy = Faults(), Path(shutil.copy(database, folder / "copy.db"))
    async with local_production(folder, ROOT / "sql", binary, faults, copy=copy) as made:
        yield Production(made, faults, folder)
