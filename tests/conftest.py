"""Fixtures that every test may use: the real libSQL server, on a fresh folder."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from steps.support.standin import sqld


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio, the loop that the tool itself uses."""
    return "asyncio"


@pytest.fixture(scope="session")
def sqld_binary() -> Path:
    """Give the real server, fetched into the project's cache where it is missing; no test is skipped for want of it."""
    return sqld.fetch()


@pytest.fixture
async def server(sqld_binary: Path, tmp_path: Path) -> AsyncIterator[str]:
    """Give the URL of a real server on an empty database of this test's own."""
    async with sqld.serve(sqld_binary, tmp_path / "sqld") as url:
        yield url
