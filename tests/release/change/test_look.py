"""`--prod --dry-run` writes nothing: a process, on the real server, with a change of every kind."""

from pathlib import Path
from typing import Any

import pytest

from steps.support.sql.statement import Statement
from steps.support.sql.tokens import quoted
from tests.support.production.changes import code_alone
from tests.support.production.process import Production

pytestmark = [pytest.mark.anyio, pytest.mark.on("process")]

RUNNABLE = """CREATE TABLE a1 (id INTEGER PRIMARY KEY, v TEXT);
CREATE TABLE IF NOT EXISTS a2 (id INTEGER PRIMARY KEY AUTOINCREMENT, v);
CREATE TABLE a3 AS SELECT id, serial FROM systems;
CREATE TABLE a4 (k TEXT PRIMARY KEY, v) WITHOUT ROWID;
CREATE TABLE a5 (k INT, l TEXT) STRICT;
CREATE UNIQUE INDEX a1_v ON a1 (v);
CREATE INDEX a1_lower ON a1 (lower(v)) WHERE id > 1;
CREATE VIEW a_view AS SELECT id, v FROM a1;
CREATE TRIGGER a_after AFTER INSERT ON a1 BEGIN INSERT INTO a2 (v) VALUES (new.v); DELETE FROM a4; END;
CREATE TRIGGER a_instead INSTEAD OF INSERT ON a_view BEGIN SELECT 1; END;
CREATE VIRTUAL TABLE a_text USING fts5(x);
CREATE VIRTUAL TABLE a_range USING rtree(id, lo, hi);
ALTER TABLE a1 ADD COLUMN w TEXT DEFAULT 'x';
ALTER TABLE a1 RENAME COLUMN w TO x;
ALTER TABLE a1 DROP COLUMN x;
ALTER TABLE a5 RENAME TO a6;
ALTER TABLE a6 ALTER COLUMN l TO l TEXT NOT NULL DEFAULT '';
REINDEX;
REINDEX a1_v;
INSERT INTO a1 (v) VALUES ('n'), ('o');
INSERT INTO a1 (v) VALUES ('m') RETURNING id;
INSERT INTO a1 (id, v) VALUES (1, 'p') ON CONFLICT (id) DO UPDATE SET v = excluded.v;
INSERT OR REPLACE INTO a1 (id, v) VALUES (2, 'q');
INSERT OR IGNORE INTO a1 (id, v) VALUES (2, 'r');
REPLACE INTO a4 VALUES ('k', 1);
INSERT INTO a3 SELECT id + 100, serial FROM systems;
INSERT INTO a2 DEFAULT VALUES;
INSERT INTO a_view (id, v) VALUES (1, 'v');
INSERT INTO a_text VALUES ('hello');
INSERT INTO a_text (a_text) VALUES ('optimize');
INSERT INTO a_range VALUES (1, 0, 1);
UPDATE a1 SET v = v || '!';
UPDATE a1 SET v = a3.serial FROM a3 WHERE a3.id = a1.id + 100;
UPDATE a2 SET v = 'u' WHERE id = 1 RETURNING id;
DELETE FROM a2 WHERE id = 2;
DELETE FROM a4 WHERE k = 'k' RETURNING v;
WITH q (n) AS (VALUES (1)) INSERT INTO a4 SELECT 'w', n FROM q;
WITH RECURSIVE q (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM q WHERE n < 3) DELETE FROM a3 WHERE id IN (SELECT n FROM q);
WITH q AS (SELECT 1) SELECT * FROM q;
VALUES (1), (2);
SELECT count(*) FROM systems;
EXPLAIN DELETE FROM readings;
EXPLAIN QUERY PLAN SELECT * FROM readings;
PRAGMA table_info(systems);
PRAGMA foreign_key_check;
UPDATE sqlite_sequence SET seq = 100 WHERE name = 'a2';
DROP TRIGGER a_instead;
DROP VIEW a_view;
DROP INDEX a1_lower;
DROP TABLE a_text;
DROP TABLE a_range;
DROP TABLE IF EXISTS a3;
"""
OF_VECTORS = """CREATE TABLE b1 (id INTEGER PRIMARY KEY, e F32_BLOB(3)) RANDOM ROWID;
CREATE INDEX b_new ON places (libsql_vector_idx(e));
CREATE INDEX IF NOT EXISTS b_other ON places (libsql_vector_idx(e, 'metric=cosine'));
EXPLAIN CREATE INDEX b_told ON places (libsql_vector_idx(e));
EXPLAIN QUERY PLAN CREATE INDEX b_asked ON places (libsql_vector_idx(e));
ALTER TABLE places ADD COLUMN f F32_BLOB(3);
REINDEX places_e;
INSERT INTO places (e) VALUES (vector32('[7,8,9]'));
DROP INDEX places_e;
DROP TABLE places;
"""
PLACES = (
    "CREATE TABLE places (id INTEGER PRIMARY KEY, e F32_BLOB(3))",
    "INSERT INTO places (e) VALUES (vector32('[1,2,3]')), (vector32('[4,5,6]'))",
    "CREATE INDEX places_e ON places (libsql_vector_idx(e))",
)
FIGURES = ("schema_version", "user_version", "application_id", "page_count", "freelist_count")


def _change(folder: Path, text: str) -> Path:
    """Make a change that runs these statements to migrate, and again to roll back."""
    code_alone(folder)
    (folder / "migrate.sql").write_text(text)
    (folder / "rollback.sql").write_text(text)
    (folder / "verify.sql").write_text("-- expect: any\nSELECT count(*) FROM systems;\n")
    (folder / "writes.sql").write_text("INSERT INTO readings SELECT * FROM readings WHERE 0;\n")
    return folder


async def _everything(production: Production) -> dict[str, Any]:
    """Return all of the schema, the figures that schema changes move, and every row of every table."""
    names = [str(name) for (name,) in await production.sql("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    rows = {name: await production.sql(f"SELECT * FROM {quoted(name)}") for name in names}
    figures = {name: await production.sql(f"PRAGMA {name}") for name in FIGURES}
    return {"schema": await production.sql("SELECT * FROM sqlite_schema ORDER BY type, name"), **figures, **rows}


@pytest.mark.parametrize(
    ("before", "text"),
    [((), RUNNABLE), (PLACES[:2], OF_VECTORS.replace("places_e", "b_new")), (PLACES, RUNNABLE + OF_VECTORS)],
    ids=["plain", "a first index of vectors", "an index of vectors that is there"],
)
async def test_dry_run_with_every_kind_of_statement_changes_nothing(
    production: Production, tmp_path: Path, before: tuple[str, ...], text: str
) -> None:
    """Schema, schema version, pages and rows are unchanged, whatever the proof says of such a change."""
    for sql in before:
        await production.world.database.query(Statement(sql))
    production.sql_folder = _change(tmp_path / "sql", text)
    there = await _everything(production)
    ending = await production.release("--dry-run")
    assert ending.code in (0, 3), ending.report
    looked = [event for event in ending.events if event["event"].startswith("look_")]
    assert looked[-1]["step"] == "turso_migration", "it did not come as far as the database"
    assert ending.report["cause"] is None or not ending.report["cause"].startswith(("reading", "parsing"))
    assert await _everything(production) == there
