"""A release beside writers: changes that would lock them out are refused, and blocked writes are reported as such."""

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from itertools import count
from pathlib import Path

import pytest

from steps.support.core.errors import Problem
from steps.support.proof.rehearsal import sqld
from steps.support.sql.statement import Statement
from tests.support.production.base import ROOT, Event
from tests.support.production.changes import changed
from tests.support.production.process import Production

pytestmark = [pytest.mark.anyio, pytest.mark.on("process")]

WRITERS = 3
BACK_FILL = {
    "migrate.sql": """-- name: back-fill
-- changes: events
ALTER TABLE events ADD COLUMN length INTEGER;
UPDATE events SET length = length(text) WHERE id > 0;
""",
    "rollback.sql": "ALTER TABLE events DROP COLUMN length;\n",
    "verify.sql": "-- check: all are filled\nSELECT id FROM events WHERE length IS NULL LIMIT 1;\n",
    "verify_rollback.sql": "-- check: none is there\nSELECT 1 FROM pragma_table_info('events') WHERE name = 'length';\n",
    "writes.sql": "-- nothing yet\n",
}
FILL = """WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})
  INSERT INTO events SELECT i, 'something that happened, number ' || i || ', and what came of it' || hex(zeroblob({} / 2)) FROM n"""
SLOW = """
-- check: a slow one
-- expect: any
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000) SELECT max(i) AS most FROM n;
"""
ONE = "INSERT INTO app (writer, number) VALUES (?, ?)"


async def filled(production: Production, folder: Path, rows: int, width: int = 0) -> None:
    """Add a table of that many rows to production, and write a release that fills a new column of it.

    `width`: characters by which each text is longer.
    """
    await production.sql("CREATE TABLE events (id INTEGER PRIMARY KEY, text TEXT NOT NULL)")
    await production.sql("CREATE TABLE app (writer INTEGER NOT NULL, number INTEGER NOT NULL)")
    await production.sql(FILL.format(rows, width))
    production.sql_folder = changed(folder, BACK_FILL)


@asynccontextmanager
async def written(production: Production) -> AsyncIterator[list[str]]:
    """Run three writers meanwhile; return the errors that any of them got."""
    failed: list[str] = []

    async def writing(writer: int) -> None:
        for number in count():
            try:
                await production.world.database.query(Statement(ONE, (writer, number)))
            except Problem as problem:
                failed.append(str(problem))
            await asyncio.sleep(0.02)

    tasks = [asyncio.ensure_future(writing(number)) for number in range(WRITERS)]
    try:
        yield failed
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_change_that_would_lock_out_writers_is_refused(production: Production, tmp_path: Path) -> None:
    """Filling a column of 100,000 rows in one transaction is refused: nothing is touched, all writes continue."""
    await filled(production, tmp_path / "sql", 100_000, width=200)
    was = await production.sql("SELECT group_concat(sql), count(*) FROM sqlite_schema WHERE name NOT GLOB '_orch*'")
    async with written(production) as failed:
        ending = await production.release()
    assert (ending.code, ending.report["verdict"]) == (3, "refused"), ending.report
    cause, way_out = ending.report["cause"], ending.report["next_action"]
    for words in ("migrate.sql: it ", "MB, and limits.lock_bytes is 20.0 MB", "migrate.sql line 4 (UPDATE events"):
        assert words in cause
    assert "100,000 rows" in cause
    assert "Divide the change" in cause + way_out
    assert "Traceback" not in ending.said
    assert failed == []
    after = await production.sql("SELECT group_concat(sql), count(*) FROM sqlite_schema WHERE name NOT GLOB '_orch*'")
    assert after == was
    assert await production.sql("INSERT INTO app VALUES (9, 9)") == []


async def test_short_lock_is_released_beside_writers(production: Production, tmp_path: Path) -> None:
    """Filling 20,000 rows beside three writers arrives; plan and report state how long writers wait."""
    await filled(production, tmp_path / "sql", 20_000)
    async with written(production) as failed:
        ending = await production.release()
    assert (ending.code, ending.report["verdict"]) == (0, "deployed"), ending.report
    assert failed == []
    lock = ending.report["rehearsal"]["lock"]
    assert list(lock) == ["migrate.sql", "rollback.sql"]
    (planned,) = [step for step in ending.report["plan"] if step["name"] == "turso_migration"]
    told = f"holds writers back for {lock['migrate.sql']['seconds']:.2f} s and writes"
    assert told in planned["plan"]
    assert "holds writers back for" in planned["way_back"]
    assert await production.sql("INSERT INTO app VALUES (9, 9)") == []


@contextmanager
def locked(production: Production) -> Iterator[None]:
    """Hold the write lock of the server's file from outside: it answers reads and takes no writes."""
    file = production.folder / "database" / sqld.PLACE
    with closing(sqlite3.connect(file, isolation_level=None, timeout=5)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


async def test_blocked_writes_after_the_commit_are_reported(production: Production, tmp_path: Path) -> None:
    """Reads work and writes do not: the verification says so, and the change is rolled back once it can be."""
    production.sql_folder = Path(shutil.copytree(ROOT / "sql", tmp_path / "sql"))
    with (production.sql_folder / "verify.sql").open("a") as verify:
        verify.write(SLOW)  # leaves time to take the lock first
    before = await production.state()
    with ExitStack() as stack:

        async def react(event: Event) -> None:
            if (event["event"], event.get("step")) == ("begun", "verification_query"):
                stack.enter_context(locked(production))
            if (event["event"], event.get("step")) == ("failed", "verification_query"):
                stack.close()

        ending = await production.release(react=react, limits="verification_query = 20")
    assert (ending.code, ending.report["verdict"]) == (1, "rolled_back"), ending.report
    assert ending.steps()["verification_query"] == "failed"
    assert "it answers queries but takes no writes: none succeeded within" in ending.report["cause"]
    assert "runbook.md#no-writes" in ending.report["next_action"]
    assert await production.state() == before


async def test_later_rollback_that_would_lock_out_writers_is_refused(production: Production) -> None:
    """A later rollback is measured on today's copy: refused if too long, done if nothing else writes."""
    before = await production.state()
    assert (await production.release()).code == 0
    after = await production.state()
    refused = await production.release("--rollback", limits="lock = 0.0001")
    assert (refused.code, refused.report["verdict"]) == (3, "refused"), refused.report
    for words in ("proving ", "rollback.sql: it holds writers back for", "turso.sole_writer = true"):
        assert words in refused.report["cause"]
    assert "Divide the change" not in refused.report["cause"]
    assert await production.state() == after
    sole = f'url = "{production.world.database_url}"\nsole_writer = true'
    assert (await production.release("--rollback", limits="lock = 0.0001", turso=sole)).code == 0
    assert await production.state() == before
