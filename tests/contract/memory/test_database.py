"""The database in memory: its faults, compared with a real server behind its proxy, and its snapshots."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import aclosing, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from steps.support.core.errors import Problem
from steps.support.gateways.database.connect import connect
from steps.support.gateways.database.protocol import Database
from steps.support.proof.rehearsal import sqld
from steps.support.sql.statement import Statement
from steps.support.standin.faults import Faults, Kind
from steps.support.standin.proxy import Proxy
from steps.support.standin.servers import serve
from tests.support.virtual.database import MemoryDatabase, MemoryStore

pytestmark = pytest.mark.anyio

INSERT = Statement("INSERT INTO t (v) VALUES (1)")
COUNT = Statement("SELECT count(*) FROM t")


@dataclass(frozen=True)
class Ways:
    """A database as a run reaches it, which can be broken, and as the site reaches it, which never is."""

    run: Database
    site: Database
    faults: Faults


@asynccontextmanager
async def _to_server(binary: Path, folder: Path) -> AsyncIterator[Ways]:
    faults = Faults()
    async with sqld.serve(binary, folder) as direct, serve(Proxy(direct, faults).application()) as url:
        async with aclosing(connect(url, None)) as run, aclosing(connect(direct, None)) as site:
            yield Ways(run, site, faults)


@asynccontextmanager
async def _to_memory(*_: Path) -> AsyncIterator[Ways]:
    faults = Faults()
    with closing(MemoryStore()) as store:
        yield Ways(MemoryDatabase(store, faults), MemoryDatabase(store), faults)


@pytest.fixture(params=[_to_server, _to_memory], ids=["server", "memory"])
async def ways(request: pytest.FixtureRequest, sqld_binary: Path, tmp_path: Path) -> AsyncIterator[Ways]:
    """Yield the two ways to each kind of database, with an empty table in it."""
    async with request.param(sqld_binary, tmp_path) as made:
        await made.site.query(Statement("CREATE TABLE t (v)"))
        yield made


async def _outcome(action: Awaitable[object], limit: float) -> str:
    try:
        async with asyncio.timeout(limit):
            await action
    except (Problem, TimeoutError) as error:
        return type(error).__name__
    return "done"


@pytest.mark.parametrize(
    ("step", "kind", "read", "written", "changed"),
    [
        ("turso_migration", "fail", "Unknown", "Unknown", 0),
        ("turso_migration", "hang", "TimeoutError", "TimeoutError", 0),
        ("turso_migration", "lost", "done", "Unknown", 1),
        ("verification_query", "fail", "Unknown", "Unknown", 0),
        ("verification_query", "hang", "TimeoutError", "TimeoutError", 0),
        ("verification_query", "lost", "Unknown", "Unknown", 1),
        ("git_push", "fail", "done", "done", 1),
    ],
)
async def test_faults_break_the_run_and_not_the_site(
    ways: Ways, step: str, kind: Kind, read: str, written: str, changed: int
) -> None:
    """The run's requests are refused, never answered, or lose answers; the site's always work, and see what was done."""
    limit = 0.5 if kind == "hang" else 30
    ways.faults.arm(step, kind)
    assert await _outcome(ways.run.query(COUNT), limit) == read
    assert await _outcome(ways.run.parse([COUNT]), limit) == read
    assert await _outcome(ways.run.transaction([INSERT]), limit) == written
    assert (await ways.site.query(COUNT)).scalar == changed
    ways.faults.disarm()
    assert (await ways.run.query(COUNT)).scalar == changed


async def test_a_snapshot_is_restored() -> None:
    """The snapshot is restored unchanged, and foreign keys are still enforced."""
    with closing(MemoryStore()) as store:
        database = MemoryDatabase(store)
        await database.query(Statement("CREATE TABLE t (v)"))
        before = store.snapshot()
        await database.transaction([INSERT, Statement("CREATE TABLE u (v)")])
        store.restore(before)
        assert (await database.query(Statement("SELECT group_concat(name) FROM sqlite_schema"))).scalar == "t"
        assert (await database.query(COUNT)).scalar == 0
        assert (await database.query(Statement("SELECT foreign_keys FROM pragma_foreign_keys"))).scalar == 1


async def test_its_clock_is_the_one_given() -> None:
    """Its own clock is the one given to the store, also in column defaults."""
    with closing(MemoryStore(lambda: 1234.9)) as store:
        database = MemoryDatabase(store)
        await database.query(Statement("CREATE TABLE t (v, at INTEGER DEFAULT (unixepoch()))"))
        await database.query(INSERT)
        rows = await database.query(Statement("SELECT at, unixepoch(), datetime(at, 'unixepoch') FROM t"))
        assert rows.values == ((1234, 1234, "1970-01-01 00:20:34"),)
