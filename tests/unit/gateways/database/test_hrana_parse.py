"""Parsing on a real server touches nothing: no table, no row, no lock, for every kind of statement."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web

from steps.support.core.errors import Rejected, Unknown
from steps.support.gateways.database import hrana_parse
from steps.support.gateways.database.connect import connect
from steps.support.gateways.database.hrana import CHUNK, Hrana
from steps.support.sql.statement import Statement
from steps.support.sql.tokens import quoted
from steps.support.standin.servers import serve

pytestmark = pytest.mark.anyio

SETUP = """CREATE TABLE t (a INTEGER PRIMARY KEY AUTOINCREMENT, b TEXT, c F32_BLOB(3))
INSERT INTO t (b, c) VALUES ('x', vector32('[1,2,3]')), ('y', vector32('[4,5,6]'))
CREATE TABLE child (id INTEGER PRIMARY KEY, t INTEGER REFERENCES t (a) ON DELETE CASCADE)
INSERT INTO child VALUES (1, 1), (2, 2)
CREATE VIEW v AS SELECT a, b FROM t
CREATE INDEX i ON t (b)
CREATE INDEX vec ON t (libsql_vector_idx(c))
CREATE VIRTUAL TABLE f USING fts5(x)
INSERT INTO f VALUES ('hello')
CREATE TABLE log (x, y)
CREATE TRIGGER tr AFTER INSERT ON t BEGIN UPDATE t SET b = 'z' WHERE a = new.a; END""".splitlines()

WRITE_WHEN_DESCRIBED = """CREATE INDEX n1 ON t (libsql_vector_idx(c))
CREATE INDEX IF NOT EXISTS n2 ON t (libsql_vector_idx(c, 'metric=cosine'))
CREATE UNIQUE INDEX n3 ON t (LIBSQL_VECTOR_IDX (c))
CREATE INDEX n4 ON t ("libsql_vector_idx"(c))
EXPLAIN CREATE INDEX n5 ON t (libsql_vector_idx(c))
EXPLAIN QUERY PLAN CREATE INDEX n6 ON t (libsql_vector_idx(c))
/* first */ CREATE/* second */INDEX n7 ON t (libsql_vector_idx(c))
DROP INDEX vec
DROP INDEX IF EXISTS main.vec
EXPLAIN DROP INDEX vec
DROP TABLE t
DROP TABLE IF EXISTS "t"
EXPLAIN QUERY PLAN DROP TABLE t""".splitlines()

OTHERS = """CREATE TABLE n20 (a)
CREATE TABLE IF NOT EXISTS n21 (a INTEGER PRIMARY KEY AUTOINCREMENT)
CREATE TABLE n22 AS SELECT * FROM t
CREATE TABLE n23 (a INT) STRICT
CREATE TABLE n24 (a TEXT PRIMARY KEY) WITHOUT ROWID
CREATE TABLE n25 (a INTEGER PRIMARY KEY, b) RANDOM ROWID
CREATE TABLE n26 (a, c F32_BLOB(3), UNIQUE (c))
CREATE TEMP TABLE n27 (a)
CREATE INDEX n30 ON t (b)
CREATE UNIQUE INDEX n31 ON t (lower(b)) WHERE a > 1
CREATE VIEW n32 AS SELECT a FROM t
CREATE TEMP VIEW n33 AS SELECT a FROM t
CREATE TRIGGER n34 AFTER INSERT ON t BEGIN INSERT INTO log VALUES (1, 2); END
CREATE TEMP TRIGGER n35 AFTER INSERT ON t BEGIN INSERT INTO log VALUES (1, 2); END
CREATE TRIGGER n36 INSTEAD OF INSERT ON v BEGIN SELECT 1; END
CREATE VIRTUAL TABLE n40 USING fts5(x)
CREATE VIRTUAL TABLE n41 USING rtree(id, lo, hi)
CREATE VIRTUAL TABLE n42 USING fts4(x)
CREATE VIRTUAL TABLE n43 USING fts5vocab(f, row)
CREATE VIRTUAL TABLE n44 USING geopoly(a)
CREATE VIRTUAL TABLE n45 USING dbstat
ALTER TABLE t RENAME TO n50
ALTER TABLE t RENAME COLUMN c TO n51
ALTER TABLE t ADD COLUMN n52 TEXT NOT NULL DEFAULT 'x'
ALTER TABLE log DROP COLUMN x
ALTER TABLE t DROP COLUMN c
ALTER TABLE t ALTER COLUMN b TO b TEXT NOT NULL DEFAULT ''
ALTER TABLE t ALTER COLUMN c TO c F32_BLOB(4)
DROP TABLE child
DROP TABLE f
DROP INDEX i
DROP VIEW v
DROP TRIGGER tr
REINDEX
REINDEX vec
REINDEX t
ANALYZE
ANALYZE t
VACUUM
VACUUM INTO 'vacuumed.db'
ATTACH 'attached.db' AS att
ATTACH ':memory:' AS mem
DETACH att
BEGIN
BEGIN IMMEDIATE
COMMIT
END
ROLLBACK
SAVEPOINT s
RELEASE s
ROLLBACK TO s
PRAGMA foreign_keys
PRAGMA foreign_keys = OFF
PRAGMA user_version = 77
PRAGMA application_id = 55
PRAGMA journal_mode = DELETE
PRAGMA table_info(t)
PRAGMA integrity_check
PRAGMA wal_checkpoint(TRUNCATE)
PRAGMA schema_version = 999
PRAGMA writable_schema = ON
PRAGMA optimize
PRAGMA incremental_vacuum
PRAGMA auto_vacuum = FULL
PRAGMA query_only = ON
PRAGMA locking_mode = EXCLUSIVE
INSERT INTO t (b) VALUES ('n')
INSERT INTO t (b) VALUES ('n') RETURNING a
INSERT INTO t (a, b) VALUES (1, 'n') ON CONFLICT (a) DO UPDATE SET b = excluded.b
INSERT OR REPLACE INTO t (a, b) VALUES (1, 'n')
INSERT INTO log SELECT a, b FROM t
INSERT INTO log DEFAULT VALUES
INSERT INTO t (b, c) VALUES ('n', vector32('[1,2,3]'))
INSERT INTO f VALUES ('n')
INSERT INTO f (f) VALUES ('rebuild')
INSERT INTO f (f) VALUES ('optimize')
REPLACE INTO t (a, b) VALUES (1, 'n')
UPDATE t SET b = 'n'
UPDATE t SET b = 'n' FROM child WHERE child.t = t.a
UPDATE t SET b = 'n' RETURNING a
DELETE FROM t
DELETE FROM t RETURNING a
WITH q AS (SELECT 1, 2) INSERT INTO log SELECT * FROM q
WITH RECURSIVE q (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM q WHERE n < 9) DELETE FROM t WHERE a IN (SELECT n FROM q)
WITH q AS (SELECT 1) SELECT * FROM q
EXPLAIN CREATE VIRTUAL TABLE n60 USING fts5(x)
EXPLAIN DELETE FROM t
EXPLAIN ALTER TABLE t RENAME TO n61
EXPLAIN QUERY PLAN SELECT * FROM t
SELECT * FROM t
SELECT * FROM vector_top_k('vec', vector32('[1,2,3]'), 1)
SELECT load_extension('x')
SELECT * FROM pragma_user_version
VALUES (1)
UPDATE sqlite_sequence SET seq = 100
DELETE FROM sqlite_sequence
DELETE FROM vec_shadow
INSERT INTO sqlite_schema VALUES ('table', 'zz', 'zz', 0, 'x')""".splitlines()

EVERY_KIND = [*WRITE_WHEN_DESCRIBED, *OTHERS]
FIGURES = ("schema_version", "user_version", "application_id", "page_count", "freelist_count", "foreign_keys")


def _named(texts: Sequence[str]) -> list[Statement]:
    return [Statement(text, name=text) for text in texts]


@pytest.fixture
async def database(server: str) -> AsyncIterator[Hrana]:
    """Return a real server with every kind of object, including a vector index."""
    async with aclosing(Hrana(server, None)) as made:
        for sql in SETUP:
            await made.query(Statement(sql))
        yield made


async def _everything(database: Hrana) -> dict[str, Any]:
    """Return all of the schema, the figures that schema changes move, and every row."""

    async def rows(sql: str) -> object:
        return (await database.query(Statement(sql))).values

    tables = await database.query(Statement("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"))
    contents = {str(name): await rows(f"SELECT * FROM {quoted(str(name))}") for (name,) in tables.values}
    figures = {name: await rows(f"PRAGMA {name}") for name in FIGURES}
    return {"schema": await rows("SELECT * FROM sqlite_schema ORDER BY type, name"), **figures, **contents}


async def test_parsing_any_kind_of_statement_changes_nothing(database: Hrana) -> None:
    """After parsing a statement of every kind the database is unchanged, including the vector index."""
    before, left = await _everything(database), list[str]()
    for statement in _named(EVERY_KIND):
        await database.parse([statement])
        if (now := await _everything(database)) != before:
            left.append(statement.sql)
            before = now
    assert left == []


async def test_parsing_all_kinds_at_once_changes_nothing(database: Hrana) -> None:
    """Parsed together, with enough others for several requests, they change nothing either."""
    before = await _everything(database)
    many = _named([*EVERY_KIND, *["SELECT 1"] * CHUNK, *EVERY_KIND, *["SELECT 1"] * CHUNK, *EVERY_KIND])
    assert len(await database.parse(many)) == len(many)
    assert await _everything(database) == before


async def test_unknown_writers_are_rolled_back(database: Hrana, monkeypatch: pytest.MonkeyPatch) -> None:
    """Statements that write while they are described leave nothing even if they are described."""
    monkeypatch.setattr(hrana_parse, "is_described", lambda _: True)
    before = await _everything(database)
    await database.parse(_named(EVERY_KIND))
    assert await _everything(database) == before


def test_known_writers_are_not_described() -> None:
    """In every spelling; all others but DROP are described, so their functions and parameters are known."""
    assert [text for text in WRITE_WHEN_DESCRIBED if hrana_parse.is_described(text)] == []
    assert [text for text in OTHERS if not hrana_parse.is_described(text)] == [
        text for text in OTHERS if text.startswith("DROP")
    ]


async def test_parsing_disturbs_no_writer(server: str, database: Hrana) -> None:
    """An open transaction of the app continues and commits, and parsing does not wait for it."""
    async with httpx.AsyncClient(base_url=server) as client:

        async def sent(baton: str | None, *statements: str) -> dict[str, Any]:
            requests = [{"type": "execute", "stmt": {"sql": sql}} for sql in statements]
            answer = await client.post("/v3/pipeline", json={"baton": baton, "requests": requests}, timeout=30)
            return dict(answer.json())

        begun = await sent(None, "BEGIN IMMEDIATE", "INSERT INTO log VALUES (1, 2)")
        async with asyncio.timeout(4):  # a writer that waits for 5 s takes the lock
            await database.parse(_named(EVERY_KIND))
        committed = await sent(begun["baton"], "INSERT INTO log VALUES (3, 4)", "COMMIT")
    assert [result["type"] for result in committed["results"]] == ["ok", "ok"], committed
    assert (await database.query(Statement("SELECT count(*) FROM log"))).scalar == 2


@asynccontextmanager
async def _answering(results: Any) -> AsyncIterator[tuple[Hrana, list[list[dict[str, Any]]]]]:
    """Return a server whose answers come from `results`, a function of the requests, and all its requests."""
    asked: list[list[dict[str, Any]]] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append((await request.json())["requests"])
        return web.json_response({"baton": None, "base_url": None, "results": results(asked[-1])})

    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v3/pipeline", answer)
    async with serve(app) as url, aclosing(Hrana(url, None)) as database:
        yield database, asked


def _all_well(requests: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"type": "ok", "response": {"type": each["type"], "result": {"params": []}}} for each in requests]


async def test_every_request_is_rolled_back() -> None:
    """Each of several requests begins with BEGIN and ends with ROLLBACK; between them nothing runs."""
    async with _answering(_all_well) as (database, asked):
        await database.parse(_named(["SELECT 1"] * (2 * CHUNK + 1)))
    assert [len(requests) for requests in asked] == [2 * CHUNK + 3, 2 * CHUNK + 3, 5]
    for requests in asked:
        begin, *between, rollback, close = requests
        assert (begin["stmt"]["sql"], rollback["stmt"]["sql"], close["type"]) == ("BEGIN", "ROLLBACK", "close")
        assert {each["type"] for each in between} == {"batch", "describe"}
        steps = [step for each in between if each["type"] == "batch" for step in each["batch"]["steps"]]
        assert {str(step["condition"]) for step in steps} == {str({"type": "or", "conds": []})}  # never


DENIED = {"message": "no transactions here", "code": "SQLITE_AUTH"}
GONE = {"message": "cannot rollback - no transaction is active", "code": "SQLITE_UNKNOWN"}


@pytest.mark.parametrize(
    ("place", "error", "kind", "words"),
    [
        (0, DENIED, Rejected, "no transactions here"),
        (-2, GONE, Unknown, "ended before its ROLLBACK.+no transaction is active"),
    ],
    ids=["BEGIN", "ROLLBACK"],
)
async def test_missing_transaction_is_reported(
    place: int, error: dict[str, str], kind: type[Exception], words: str
) -> None:
    """If the statements were not parsed inside a transaction, they get no verdict, and the reason is given."""

    def results(requests: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        answer = _all_well(requests)
        answer[place] = {"type": "error", "error": error}
        return answer

    async with _answering(results) as (database, _):
        with pytest.raises(kind, match=words):
            await database.parse(_named(["SELECT 1"]))


async def test_parsing_on_a_file_changes_no_byte(tmp_path: Path) -> None:
    """The same statements parsed on a SQLite file change no byte of it, and create no other file."""
    path = tmp_path / "folder" / "some.db"
    path.parent.mkdir()
    with sqlite3.connect(path) as file:
        for sql in SETUP:
            if "vector" not in sql:
                file.execute(sql)
    file.close()
    before = path.read_bytes()
    async with aclosing(connect(f"file:{path}", None)) as database:
        await database.parse(_named(EVERY_KIND))
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]
