"""Each kind of database on which guards hold."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import aclosing, nullcontext
from pathlib import Path

import pytest

from steps.support.gateways.database.connect import connect
from steps.support.gateways.turso import Turso
from steps.support.proof.rehearsal import sqld
from tests.support.proof.proved_production import Production


@pytest.fixture(params=["server", "file"])
async def production(request: pytest.FixtureRequest, sqld_binary: Path, tmp_path: Path) -> AsyncIterator[Production]:
    """Yield each kind of database in turn, empty; a change to a file is rehearsed on SQLite."""
    path = tmp_path / "some.db"
    sqlite3.connect(path).close()
    binary = sqld_binary if request.param == "server" else None
    serving = sqld.serve(binary, tmp_path / "sqld") if binary else nullcontext(f"file:{path}")
    async with serving as url, aclosing(connect(url, None)) as database:
        yield Production(Turso(database), binary, tmp_path)
