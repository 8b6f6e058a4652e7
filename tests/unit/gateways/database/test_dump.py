"""A server's dump and its pages as they come over the wire, and the meaning of each way of failing to get them."""

import asyncio
import math
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import aclosing, closing
from pathlib import Path

import httpx
import pytest
from aiohttp import web

from steps.support.core.errors import NotSent, Problem, Rejected, Unknown
from steps.support.gateways.database import dump as module
from steps.support.gateways.database import pages as paging
from steps.support.gateways.database.dump import dump
from steps.support.gateways.database.hrana_stream import Stream, TooLarge
from steps.support.gateways.database.hrana_wire import NoSuchPath
from steps.support.gateways.database.pages import pages
from steps.support.gateways.database.protocol import StatementFailed
from steps.support.proof import sqld
from steps.support.sql.statement import Statement
from steps.support.standin.servers import serve

pytestmark = pytest.mark.anyio

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def fill(url: str, *statements: str) -> None:
    """Run statements on a server, each alone."""
    async with httpx.AsyncClient() as client:
        for sql in statements:
            await Stream(client, url, None).rows(Statement(sql))


async def read(url: str, token: str | None = None) -> bytes:
    """Read a dump to its end."""
    async with dump(url, token) as pieces:
        return b"".join([piece async for piece in pieces])


async def answered(handler: Handler, token: str | None = None) -> bytes:
    """Read the dump of a server whose every answer comes from `handler`."""
    app = web.Application()
    app.router.add_route("GET", "/some/base/dump", handler)
    async with serve(app) as url:
        return await read(f"{url}/some/base", token)


async def test_dump_is_the_database_as_text(server: str) -> None:
    """The text of a real server begins and ends correctly, compressed or not."""
    await fill(server, "CREATE TABLE t (v)", "INSERT INTO t VALUES ('it''s ü')")
    text = await read(server)
    assert text.startswith(b"PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n")
    assert text.endswith("INSERT INTO t VALUES('it''s ü');\nCOMMIT;\n".encode())


@pytest.mark.parametrize(("token", "key"), [(None, None), ("t0ken", "Bearer t0ken")])
async def test_netrc_password_is_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str | None, key: str | None
) -> None:
    """An operator's netrc credentials do not reach the database, and do not stop the copy."""
    (netrc := tmp_path / "netrc").write_text("machine 127.0.0.1 login me password s3cret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    sent: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        sent.append(request.headers.get("Authorization"))
        return web.Response(body=b"PRAGMA foreign_keys=OFF;")

    assert await answered(answer, token) == b"PRAGMA foreign_keys=OFF;"
    assert sent == [key]


@pytest.mark.parametrize(("near", "encoding"), [(True, "identity"), (False, "gzip")])
async def test_remote_dump_is_compressed(
    server: str, monkeypatch: pytest.MonkeyPatch, encoding: str, *, near: bool
) -> None:
    """Compressing costs a server as much as dumping: it is requested only from remote servers, and undone here."""
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers["Accept-Encoding"])
        response = web.Response(body=b"PRAGMA foreign_keys=OFF;" + b" " * 9000)
        response.enable_compression()
        return response

    monkeypatch.setattr(module, "_LOOPBACK", ("127.0.0.1",) if near else ())
    assert len(await answered(answer)) == 9024
    assert seen == [encoding]
    assert (await read(server)).endswith(b"COMMIT;\n")


async def test_chunks_are_about_a_megabyte(server: str) -> None:
    """Rows that a server sends one by one are passed on in sensible chunks, and none is lost."""
    many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000) INSERT INTO t SELECT hex(zeroblob(30)) FROM n"
    await fill(server, "CREATE TABLE t (v)", many)
    async with dump(server, None) as pieces:
        sizes = [len(piece) async for piece in pieces]
    assert sum(sizes) > 60_000 * 86
    assert len(sizes) <= 5
    assert all(module.PIECE <= size < 2 * module.PIECE for size in sizes[:-1])


async def test_token_is_only_in_the_header() -> None:
    """The token goes into its header, and into no error."""
    seen: list[str] = []

    async def refuse(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"])
        return web.json_response({"error": "Unauthorized: expired"}, status=401)

    with pytest.raises(Rejected, match="Unauthorized: expired") as caught:
        await answered(refuse, "hush.hush")
    assert seen == ["Bearer hush.hush"]
    assert "hush" not in str(caught.value)


async def elsewhere(_: web.Request) -> web.StreamResponse:
    """Redirect the client."""
    return web.Response(status=307, headers={"Location": "http://127.0.0.1:1/"})


async def absent(_: web.Request) -> web.StreamResponse:
    """Answer 404."""
    return web.json_response({"error": 'route not found: ["dump"]'}, status=404)


async def page(_: web.Request) -> web.StreamResponse:
    """Answer with a sign-in page."""
    return web.Response(text="<html>Sign in</html>", content_type="text/html")


async def broken(_: web.Request) -> web.StreamResponse:
    """Answer 500."""
    return web.Response(status=502, text="<html>Bad gateway</html>")


async def cut(request: web.Request) -> web.StreamResponse:
    """Begin a dump and drop the connection."""
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"PRAGMA foreign_keys=OFF;\nBEGIN")
    await asyncio.sleep(0.1)
    if request.transport:
        request.transport.abort()
    return response


async def damaged(_: web.Request) -> web.StreamResponse:
    """Announce a compressed body, and send one that is not."""
    return web.Response(body=b"PRAGMA foreign_keys=OFF;" * 100, headers={"Content-Encoding": "gzip"})


ANSWERS: dict[str, tuple[Handler, type[Problem], str]] = {
    "404": (absent, NoSuchPath, "route not found"),
    "redirect": (elsewhere, Rejected, "redirects to another address"),
    "a web page": (page, Unknown, "the answer is not a dump"),
    "502": (broken, Unknown, "HTTP 502: a web page"),
    "cut": (cut, Unknown, r"the dump is cut off after \d+ bytes"),
    "damaged": (damaged, Unknown, "the dump is cut off after 0 bytes"),
}


@pytest.mark.parametrize(("handler", "meaning", "words"), ANSWERS.values(), ids=ANSWERS)
async def test_each_faulty_dump_has_its_meaning(handler: Handler, meaning: type[Problem], words: str) -> None:
    """Every answer other than a whole dump is told apart, and keeps the server's words."""
    with pytest.raises(meaning, match=words):
        await answered(handler)


async def test_refused_connection_sent_nothing() -> None:
    """An address without a listener is safe to try again."""
    with pytest.raises(NotSent, match="reaching"):
        await read(f"http://127.0.0.1:{sqld.free_port()}")


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


async def test_pages_are_the_text_of_a_dump(server: str) -> None:
    """The pages are, statement for statement, what the server itself would dump."""
    await fill(
        server,
        "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, v)",
        "CREATE INDEX i ON t (v)",
        "INSERT INTO t VALUES (1, 'it''s'), (2, x'0aff'), (3, NULL), (4, 9.5), (9, 7)",
    )
    theirs = (await read(server)).decode().replace("CREATE TABLE IF NOT EXISTS", "CREATE TABLE")
    ours = b"".join(await _pages(server)).decode().replace('INSERT INTO "t"', "INSERT INTO t")
    ours = ours.replace('"sqlite_sequence"', "sqlite_sequence").replace("PRAGMA writable_schema=OFF;\n", "")
    assert sorted(ours.lower().splitlines()) == sorted(theirs.lower().splitlines())


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
    values = "('a' || char(0) || 'b''c'), (9e999), (-9e999), (3.0), (0.1 + 0.2), (-9223372036854775808), ('')"
    await fill(server, 'CREATE TABLE "a ""b; c" (v)', f'INSERT INTO "a ""b; c" VALUES {values}')
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(b"".join(await _pages(server)).decode())
        found = [value for (value,) in database.execute('SELECT v FROM "a ""b; c"')]
    assert found == ["a\0b'c", math.inf, -math.inf, 3.0, 0.1 + 0.2, -(2**63), ""]
    assert type(found[3]) is float


async def test_wide_table_is_read(server: str) -> None:
    """A table of very many columns does not make an expression too deep for the engine."""
    columns = ", ".join(f"c{number}" for number in range(1500))
    await fill(server, f"CREATE TABLE t ({columns})", "INSERT INTO t (c0, c1499) VALUES (1, 'last')")
    (row,) = [piece for piece in await _pages(server) if piece.startswith(b"INSERT")]
    assert row.count(b",") == 1499
    assert row.endswith(b"NULL,'last');\n")


async def test_table_with_columns_named_rowid_is_read(server: str) -> None:
    """Columns called rowid and oid hide no row, however equal the rows are."""
    await fill(server, "CREATE TABLE t (rowid, OID)", "INSERT INTO t VALUES (1, 1), (1, 1), (0, 1)")
    assert b"".join(await _pages(server)).count(b"INSERT INTO") == 3


async def test_too_large_row_is_named(server: str) -> None:
    """A single value that is too long for an answer ends the reading with its table's name."""
    await fill(server, "CREATE TABLE t (v)", "INSERT INTO t VALUES (zeroblob(4000000))")
    with pytest.raises(TooLarge, match="reading table t: more than an answer may hold"):
        await _pages(server)


async def _pages(url: str) -> list[bytes]:
    async with httpx.AsyncClient() as client, aclosing(pages(Stream(client, url, None))) as found:
        return [piece async for piece in found]
