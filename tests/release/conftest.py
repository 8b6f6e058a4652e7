"""A whole small production - real sqld, real git over HTTP, stand-in platform and site - and the tool as a process."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from steps.support.standin.drill.trial import Trial
from steps.support.standin.faults import Faults
from steps.support.standin.world import TOKEN, local_production
from tests.support.production.base import (
    BUILT_IN,
    FAILING,
    LOST,
    READING,
    ROOT,
    AnyProduction,
    Event,
    Reaction,
    RunResult,
    State,
)
from tests.support.production.sample import samples

AUTHOR = ("-c", "user.name=t", "-c", "user.email=t@example.invalid")

__all__ = ["BUILT_IN", "FAILING", "LOST", "READING", "ROOT", "Event", "Production", "Reaction", "RunResult", "State"]


@dataclass
class Production(Trial, AnyProduction):
    """A production of real processes, and the tool as a process."""

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
        async with httpx.AsyncClient(base_url=self.world.site_url, headers={"Cookie": f"auth-token={TOKEN}"}) as client:
            while True:
                statuses.append((await client.get("/api/data")).status_code)
                await asyncio.sleep(0.1)


@pytest.fixture(scope="session")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Load sample.sql once for all tests; return a folder with large.db and small.db."""
    return samples(tmp_path_factory.mktemp("sampled"))


@asynccontextmanager
async def _on(database: Path, folder: Path, binary: Path) -> AsyncIterator[Production]:
    """Create a production on a copy of a database; builds take a moment, and one release waits in the checkout."""
    faults, copy = Faults(), Path(shutil.copy(database, folder / "copy.db"))
    async with local_production(folder, ROOT / "sql", binary, faults, copy=copy) as made:
        made.platform.build_seconds, made.platform.alias_seconds = 1.5, 0.1
        yield Production(made, faults, folder)


@pytest.fixture
async def large_production(tmp_path: Path, sampled: Path, sqld_binary: Path) -> AsyncIterator[Production]:
    """Return a production with 20,160 readings."""
    async with _on(sampled / "large.db", tmp_path, sqld_binary) as made:
        yield made


@pytest.fixture
async def production(tmp_path: Path, sampled: Path, sqld_binary: Path) -> AsyncIterator[Production]:
    """Return a production with few enough readings to compare them in a moment."""
    async with _on(sampled / "small.db", tmp_path, sqld_binary) as made:
        yield made
