"""A server's file and its rows, page by page, as they come over the wire at one moment."""

import math
import sqlite3
from contextlib import aclosing, closing
from pathlib import Path

import httpx
import pytest
from aiohttp import web

from steps.support.core.errors import Unknown
from steps.support.gateways.database import hrana_stream as streams
from steps.support.gateways.database import pages as paging
from steps.support.gateways.database.hrana_stream import Stream, TooLarge, moment
from steps.support.gateways.database.pages import file_pages, gives_pages, text_pages
from steps.support.gateways.database.protocol import StatementFailed
from steps.support.sql.statement import Statement
from steps.support.standin.servers import serve

pytestmark = pytest.mark.anyio


async def fill(url: str, *statements: str) -> None:
    """Run statements on a server, each alone."""
    async with httpx.AsyncClient() as client:
        for sql in statements:
            await Stream(client, url, None).rows(Statement(sql))


async def test_file_pages_are_the_file(server: str, tmp_path: Path) -> None:
    """Every page of the file arrives, of one moment, as a database that needs no log beside it."""
    many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9000) INSERT INTO t SELECT hex(zeroblob(200)) FROM n"
    await fill(server, "CREATE TABLE t (v)", many)
    async with moment(server, None) as stream:
        pieces = []
        async for piece in file_pages(stream):
            await fill(server, "INSERT INTO t VALUES ('later')")
            pieces.append(piece)
    file = tmp_path / "file.db"
    file.write_bytes(b"".join(pieces))
    assert len(pieces) > 3
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro&immutable=1", uri=True)) as database:
        assert database.execute("SELECT count(*) FROM t").fetchall() == [(9000,)]
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def test_server_that_gives_no_pages_is_known(server: str) -> None:
    """A server may refuse the pages of its file; asking does not end the moment."""

    async def refuse(request: web.Request) -> web.Response:
        asked = (await request.json())["requests"][0].get("stmt", {}).get("sql", "")
        error = {"type": "error", "error": {"message": "no such table: sqlite_dbpage", "code": "SQLITE_ERROR"}}
        result = {
            "type": "ok",
            "response": {"type": "execute", "result": {"cols": [], "rows": [], "affected_row_count": 0}},
        }
        return web.json_response({"baton": "b", "results": [error if "dbpage" in asked else result]})

    app = web.Application()
    app.router.add_route("POST", "/{path:.*}", refuse)
    async with serve(app) as url, moment(url, None) as stream:
        assert not await gives_pages(stream)
        await stream.rows(Statement("SELECT 1"))
    async with moment(server, None) as stream:
        assert await gives_pages(stream)


async def test_replica_that_gives_no_pages_is_read_row_by_row() -> None:
    """What only a primary does is a refusal and not an unknown answer, so the rows are read in place of the pages."""

    async def replica(request: web.Request) -> web.Response:
        asked = (await request.json())["requests"][0].get("stmt", {}).get("sql", "")
        if "dbpage" in asked:
            return web.Response(status=400, text="not a primary")
        result = {"cols": [], "rows": [], "affected_row_count": 0}
        answer = {"type": "ok", "response": {"type": "execute", "result": result}}
        return web.json_response({"baton": "b", "results": [answer]})

    app = web.Application()
    app.router.add_route("POST", "/{path:.*}", replica)
    async with serve(app) as url, moment(url, None) as stream:
        assert not await gives_pages(stream)
        await stream.rows(Statement("SELECT 1"))


@pytest.mark.parametrize(("near", "encoding"), [(True, "identity"), (False, "gzip")])
async def test_only_a_remote_answer_is_compressed(
    monkeypatch: pytest.MonkeyPatch, encoding: str, *, near: bool
) -> None:
    """Compressing costs a server ten times what sending costs over loopback: it is requested from remote servers."""
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers["Accept-Encoding"])
        return web.Response(status=500)

    app = web.Application()
    app.router.add_route("POST", "/{path:.*}", answer)
    monkeypatch.setattr(streams, "_LOOPBACK", ("127.0.0.1",) if near else ())
    async with serve(app) as url:
        with pytest.raises(Unknown):
            async with moment(url, None):
                pass
    assert seen == [encoding]


async def test_stream_reads_one_snapshot(server: str) -> None:
    """Within its transaction a stream sees the state of its first read; afterwards it sees later changes."""
    await fill(server, "CREATE TABLE t (v)", "INSERT INTO t VALUES (1)")
    count = Statement("SELECT count(*) FROM t")
    async with httpx.AsyncClient() as client:
        stream = Stream(client, server, None)
        seen = [(await stream.rows(Statement("BEGIN"))).scalar, (await stream.rows(count)).scalar]
        await fill(server, "INSERT INTO t VALUES (2)")
        seen += [(await stream.rows(count)).scalar, (await stream.rows(Statement("COMMIT"))).scalar]
        seen.append((await stream.rows(count)).scalar)
        await stream.close()
    assert seen == [None, 1, 1, None, 2]


async def test_stream_names_the_failed_statement(server: str) -> None:
    """A failing statement is named with the engine's words; a too large answer is a different error."""
    async with httpx.AsyncClient() as client:
        stream = Stream(client, server, None)
        with pytest.raises(StatementFailed, match=r"the question: .*no such table: t"):
            await stream.rows(Statement("SELECT * FROM t", name="the question"))
        with pytest.raises(TooLarge):
            await stream.rows(Statement("WITH n(i) AS (VALUES (1), (2), (3)) SELECT hex(randomblob(2000000)) FROM n"))
        assert (await stream.rows(Statement("SELECT 7"))).scalar == 7
        await stream.close()


async def test_page_size_adapts_to_the_answer(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of a page follow from the bytes of the previous one; every row is in one page, in key order."""
    monkeypatch.setattr(paging, "AIM", 100_000)
    monkeypatch.setattr(paging, "MOST_ROWS", 1000)
    many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO t SELECT i % 7, hex(i), hex(zeroblob(100)) FROM n"
    await fill(server, "CREATE TABLE t (a, b, v, PRIMARY KEY (a, b)) WITHOUT ROWID", many)
    first, *rest, last = [piece for piece in await _pages(server) if piece.startswith(b"INSERT")]
    keys = [line[22:].split(b",")[:2] for piece in (first, *rest, last) for line in piece.splitlines()]
    assert first.count(b"\n") == 1000
    assert all(80_000 < len(piece) < 101_000 for piece in rest)
    assert keys == sorted(keys)
    assert len(keys) == 3000


async def test_pages_keep_values_that_a_dump_loses(server: str) -> None:
    """A NUL in a text, infinities, whole reals, and a quote in a table's name are preserved."""
    values = "('a' || char(0) || 'b''c'), ('ü'), (9e999), (-9e999), (3.0), (0.1 + 0.2), (-9223372036854775808), ('')"
    await fill(server, 'CREATE TABLE "a ""b; c" (v)', f'INSERT INTO "a ""b; c" VALUES {values}')
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(b"".join(await _pages(server)).decode())
        found = [value for (value,) in database.execute('SELECT v FROM "a ""b; c"')]
    assert found == ["a\0b'c", "ü", math.inf, -math.inf, 3.0, 0.1 + 0.2, -(2**63), ""]
    assert type(found[4]) is float


async def test_wide_table_is_read(server: str) -> None:
    """A table of very many columns does not make an expression too deep for the engine."""
    columns = ", ".join(f"c{number}" for number in range(1500))
    await fill(server, f"CREATE TABLE t ({columns})", "INSERT INTO t (c0, c1499) VALUES (1, 'last')")
    (row,) = [piece for piece in await _pages(server) if piece.startswith(b"INSERT")]
    assert row[row.index(b"VALUES") :].count(b",") == 1500
    assert row.endswith(b"NULL,'last');\n")


async def test_table_with_columns_named_rowid_is_read(server: str) -> None:
    """Columns called rowid and oid hide no row, however equal the rows are."""
    await fill(server, "CREATE TABLE t (rowid, OID)", "INSERT INTO t VALUES (1, 1), (1, 1), (0, 1)")
    assert b"".join(await _pages(server)).count(b"INSERT INTO") == 3


async def test_pages_keep_rowids_and_bytes(server: str) -> None:
    """A rowid that is no column, and a text that is not UTF-8, come back as they were."""
    values = "(7, CAST(x'61ff62' AS TEXT)), (3, 'b'), (-2, CAST(x'80' AS TEXT))"
    await fill(server, "CREATE TABLE t (v)", f"INSERT INTO t (rowid, v) VALUES {values}")
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(b"".join(await _pages(server)).decode())
        found = database.execute("SELECT rowid, typeof(v), hex(v) FROM t ORDER BY 1").fetchall()
    assert found == [(-2, "text", "80"), (3, "text", "62"), (7, "text", "61FF62")]


async def test_too_large_row_is_named(server: str) -> None:
    """A single value that is too long for an answer ends the reading with its table's name."""
    await fill(server, "CREATE TABLE t (v)", "INSERT INTO t VALUES (zeroblob(4000000))")
    with pytest.raises(TooLarge, match="reading table t: more than an answer may hold"):
        await _pages(server)


async def _pages(url: str) -> list[bytes]:
    async with moment(url, None) as stream, aclosing(text_pages(stream)) as found:
        return [piece async for piece in found]
