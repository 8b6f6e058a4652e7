"""What the tests of copies share: a server with awkward contents, and servers in front of it that misbehave."""

import asyncio
import sqlite3
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from steps.support.gateways.database.connect import connect
from steps.support.proof.copy.copy import Copy, Limits, from_server
from steps.support.sql.statement import Statement
from steps.support.standin.servers import serve

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ENOUGH = Limits(most_seconds=60, most_bytes=10**9)
TABLES = 9  # statements of the schema before the rows; the rest follow them
SCHEMA = (
    "CREATE TABLE systems (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, zone REAL NOT NULL DEFAULT 9.5)",
    "CREATE TABLE readings (id INTEGER PRIMARY KEY, system_id INTEGER REFERENCES systems (id) ON DELETE CASCADE, v)",
    "CREATE TABLE keyed (k TEXT, n INTEGER, v REAL, PRIMARY KEY (k, n)) WITHOUT ROWID",
    "CREATE TABLE strict_one (id INTEGER PRIMARY KEY, r REAL, a ANY) STRICT",
    "CREATE TABLE computed (a INTEGER, twice INTEGER GENERATED ALWAYS AS (a * 2) STORED, thrice AS (a * 3), b TEXT)",
    'CREATE TABLE "odd name; \n really" ("a b" TEXT, "select" BLOB /* one; */, -- two;\n c)',
    "CREATE TABLE taken (rowid TEXT, oid TEXT)",
    "CREATE TABLE _orchestrate_migrations (attempt TEXT PRIMARY KEY)",
    "CREATE VIRTUAL TABLE words USING fts5(body)",
    "CREATE UNIQUE INDEX by_name ON systems (name) WHERE name IS NOT NULL",
    "CREATE INDEX by_lower ON systems (lower(name) DESC)",
    "CREATE VIEW latest AS SELECT system_id, max(id) AS id FROM readings GROUP BY system_id",
    "CREATE TRIGGER log AFTER INSERT ON readings WHEN new.v = 'no; never' BEGIN\n UPDATE systems SET name = 'x;';\nEND",
)
TEXTS = (
    "it's", "a;\nb", "');\nINSERT INTO readings VALUES(9,9,'", "\r\n\\n\\012", "ünïcode 🌞", "", "--", "/* */ -- '",
)  # fmt: skip
NUMBERS = (9.5, 0.1 + 0.2, 1e-300, 1.5e300, -(2**63), 2**53 + 1, None, b"", b"\0\xff;\n'")
ROWS = (
    *(Statement("INSERT INTO systems (name, zone) VALUES (?, ?)", (f"{text}{place}", place / 2)) for place, text in enumerate(TEXTS)),
    *(Statement("INSERT INTO readings (system_id, v) VALUES (1, ?)", (value,)) for value in (*TEXTS, *NUMBERS)),
    Statement("DELETE FROM systems WHERE id = 8"),
    Statement("INSERT INTO keyed VALUES ('b', 1, 2.0), ('a', 2, NULL), ('a', 1, 9.5)"),
    Statement("INSERT INTO strict_one VALUES (1, 3, 'x'), (-2, 2.5, x'00')"),
    Statement("INSERT INTO computed (a, b) VALUES (1, 'x'), (2, 'y')"),
    Statement('INSERT INTO "odd name; \n really" VALUES (?, ?, 1)', ("x\n;\n", b"\1")),
    Statement("INSERT INTO taken VALUES ('a', 'b'), ('a', 'b')"),
    Statement("INSERT INTO words VALUES ('hello world')"),
    Statement("INSERT INTO _orchestrate_migrations VALUES ('run-1')"),
)  # fmt: skip


async def fill(url: str, *statements: str | Statement) -> None:
    """Run statements on a server as one transaction."""
    async with aclosing(connect(url, None)) as database:
        await database.transaction([Statement(each) if isinstance(each, str) else each for each in statements])


async def copied(url: str, folder: Path, limits: Limits = ENOUGH) -> Copy:
    """Copy the database of a server."""
    made(folder)
    async with aclosing(connect(url, None)) as database:
        return await from_server(database, folder, limits)


def names(folder: Path) -> set[str]:
    """Return the names of the files in a folder, or none if it does not exist."""
    return {path.name for path in folder.glob("*")}


def modes(folder: Path) -> dict[str, int]:
    """Return the permissions of the files in a folder."""
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def made(folder: Path) -> Path:
    """Return a folder, created if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def contents(path: Path) -> dict[str, list[Any]]:
    """Return the schema of a SQLite file, and every value of every table with its type."""
    with closing(sqlite3.connect(path)) as database:
        schema = database.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name").fetchall()
        tables = [name for kind, name, _, sql in schema if kind == "table" and name != "sqlite_stat1"]
        return {"": schema, **{name: _rows(database, name) for name in tables}}


def _rows(database: sqlite3.Connection, table: str) -> list[Any]:
    columns = [column for (column,) in database.execute("SELECT name FROM pragma_table_xinfo(?)", (table,))]
    values = ", ".join(f'typeof("{column}"), quote("{column}")' for column in columns)
    return sorted(database.execute(f'SELECT {values} FROM "{table}"').fetchall())


@asynccontextmanager
async def in_front_of(url: str, paths: dict[str, Handler]) -> AsyncIterator[str]:
    """Serve these paths differently, and pass every other request on."""
    async with aiohttp.ClientSession() as session:

        async def passed_on(request: web.Request) -> web.Response:
            async with session.post(f"{url}{request.path}", data=await request.read()) as answer:
                return web.Response(status=answer.status, body=await answer.read(), content_type=answer.content_type)

        async def answer(request: web.Request) -> web.StreamResponse:
            return await paths.get(request.path, passed_on)(request)

        app = web.Application(client_max_size=2**26)
        app.router.add_route("*", "/{path:.*}", answer)
        async with serve(app) as front:
            yield front


async def missing(_: web.Request) -> web.Response:
    """Answer that the path does not exist."""
    return web.Response(status=404, text='{"error":"route not found"}', content_type="application/json")


def streaming(pieces: Iterable[bytes], *, pause: float = 0.0, whole: bool = True) -> Handler:
    """Answer with these pieces, one after the other; unless complete, the connection is lost after them."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
            await asyncio.sleep(pause)
        if not whole and request.transport:
            request.transport.abort()
        return response

    return answer


async def dumped(url: str) -> bytes:
    """Return the whole dump of a server."""
    async with aiohttp.ClientSession() as session, session.get(f"{url}/dump") as answer:
        return await answer.read()
