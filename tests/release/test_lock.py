"""A release beside writers: what would lock them out is refused, what they bear is not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import pytest

from steps.support.gateways.database import Statement
from steps.support.problem import Problem
from tests.release.conftest import Production
from tests.release.test_proof import changed

pytestmark = pytest.mark.anyio

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
  INSERT INTO events SELECT i, 'something that happened, number ' || i || ', and what came of it' FROM n"""
ONE = "INSERT INTO app (writer, number) VALUES (?, ?)"


async def filled(production: Production, folder: Path, rows: int) -> None:
    """Give production a table of so many rows, and a release that fills a new column of it."""
    await production.sql("CREATE TABLE events (id INTEGER PRIMARY KEY, text TEXT NOT NULL)")
    await production.sql("CREATE TABLE app (writer INTEGER NOT NULL, number INTEGER NOT NULL)")
    await production.sql(FILL.format(rows))
    production.sql_folder = changed(folder, BACK_FILL)


@asynccontextmanager
async def written(production: Production) -> AsyncIterator[list[str]]:
    """Have three writers at work meanwhile; gives what any of them was told instead of being heard."""
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


async def test_what_would_lock_writers_out_is_refused(production: Production, tmp_path: Path) -> None:
    """Filling a column of 400,000 rows in one transaction is refused: nothing is touched, and all writes go on."""
    await filled(production, tmp_path / "sql", 400_000)
    was = await production.sql("SELECT group_concat(sql), count(*) FROM sqlite_schema WHERE name NOT GLOB '_orch*'")
    async with written(production) as failed:
        ending = await production.release()
    assert (ending.code, ending.report["verdict"]) == (3, "refused"), ending.report
    cause, way_out = ending.report["cause"], ending.report["next_action"]
    for words in ("migrate.sql: it ", "MB, and limits.lock_bytes is 20.0 MB", "migrate.sql line 4 (UPDATE events"):
        assert words in cause
    assert "400,000 rows" in cause
    assert "Divide the change" in cause + way_out
    assert "Traceback" not in ending.said
    assert failed == []
    after = await production.sql("SELECT group_concat(sql), count(*) FROM sqlite_schema WHERE name NOT GLOB '_orch*'")
    assert after == was
    assert await production.sql("INSERT INTO app VALUES (9, 9)") == []


async def test_what_writers_bear_is_released_beside_them(production: Production, tmp_path: Path) -> None:
    """Filling 20,000 rows beside three writers arrives; the plan and the report say what it asks of them."""
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


async def test_a_regret_that_would_lock_writers_out_is_refused(production: Production) -> None:
    """Rolling back later is measured on today's copy: what has grown too long is refused, and done if nobody else writes."""
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
