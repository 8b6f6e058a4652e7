"""A copy of a real server: equal in everything that matters, proved, kept, and never left half done."""

import asyncio
import hashlib
import re
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from steps.support.core.deadline import listening
from steps.support.core.errors import NotSent, Problem, Rejected, Unknown
from steps.support.gateways.database.connect import connect
from steps.support.proof.copy.copy import Copy, Limits, from_file
from steps.support.proof.rehearsal import sqld
from steps.support.sql.statement import Statement
from steps.support.sql.tokens import literal, quoted
from tests.support.database.awkward import ROWS, SCHEMA, TABLES, fill
from tests.support.proof.copies import ENOUGH, contents, copied, made, modes, names
from tests.support.servers.front import changing, in_front_of, missing, without_file_pages

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that the module's server runs in."""
    return tmp_path_factory.mktemp("awkward") / "sqld"


@pytest.fixture(scope="module")
async def awkward(sqld_binary: Path, place: Path) -> AsyncIterator[str]:
    """Return a server with all kinds of data that a dump may get wrong; the tests only read it."""
    async with sqld.serve(sqld_binary, place) as url:
        await fill(url, *SCHEMA[:TABLES], *ROWS)
        await fill(url, *SCHEMA[TABLES:])
        yield url


@pytest.fixture
def original(tmp_path: Path, place: Path) -> Path:
    """Return the database file of that server."""
    for part in (place / "dbs" / "default").glob("data*"):
        shutil.copy(part, tmp_path)
    return tmp_path / "data"


async def test_copy_equals_the_original(awkward: str, original: Path, tmp_path: Path) -> None:
    """Schema, indexes, triggers, views, sequence, computed columns and every value with its type are the same."""
    copy = await copied(awkward, tmp_path / "run")
    assert contents(copy.path) == contents(original)


async def test_copy_reports_rows_size_and_time(awkward: str, tmp_path: Path) -> None:
    """The rows of each user table, the size and the time are reported; the tool's own tables are not counted."""
    copy = await copied(awkward, tmp_path / "run")
    assert copy.tables["readings"] == 17
    assert copy.tables["odd name; \n really"] == 1
    assert not [name for name in copy.tables if name.startswith(("_", "sqlite"))]
    assert copy.bytes == copy.path.stat().st_size
    assert 0 < copy.seconds < 30


async def test_copy_by_rows_equals_the_original(awkward: str, original: Path, tmp_path: Path) -> None:
    """A server that does not give the pages of its file is read row by row, and that copy equals the original, too."""
    async with without_file_pages(awkward) as url:
        copy = await copied(url, tmp_path / "run")
    assert contents(copy.path) == contents(original)
    assert copy.sha256 == hashlib.sha256(copy.backup.read_bytes()).hexdigest()


async def test_backup_loads_as_the_original(awkward: str, original: Path, tmp_path: Path) -> None:
    """Loading the backup gives the original, whether the copy came by pages or by rows."""
    async with without_file_pages(awkward) as by_rows:
        for name, url in (("pages", awkward), ("rows", by_rows)):
            kept = await copied(url, tmp_path / name)
            again = await from_file(kept.backup, made(tmp_path / f"{name} again"), ENOUGH)
            assert contents(again.path) == contents(original)


async def test_only_the_owner_may_read_copy_and_backup(awkward: str, tmp_path: Path) -> None:
    """Copy and backup hold production's data: both are 0600 either way, and the folder holds nothing else."""
    async with without_file_pages(awkward) as by_rows:
        for url, name in ((awkward, "pages"), (by_rows, "rows")):
            copy = await copied(url, tmp_path / name)
            assert modes(tmp_path / name) == {copy.path.name: 0o600, copy.backup.name: 0o600}


async def test_server_opens_the_copy(awkward: str, sqld_binary: Path, tmp_path: Path) -> None:
    """A server started on the copy serves that database, and can be copied again with the same result."""
    first = await copied(awkward, tmp_path / "first")
    place = tmp_path / "again" / "dbs" / "default" / "data"
    place.parent.mkdir(parents=True)
    shutil.copy(first.path, place)
    async with sqld.serve(sqld_binary, tmp_path / "again") as url:
        again = await copied(url, tmp_path / "second")
    assert contents(again.path) == contents(first.path)


async def test_copy_beside_a_writer_is_of_one_moment(server: str, tmp_path: Path) -> None:
    """A copy taken beside a writer has both tables of each of its transactions, or neither."""
    row = "INSERT INTO {0} (v) VALUES (hex(randomblob(400)))"
    many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) INSERT INTO a (v) SELECT hex(zeroblob(200)) FROM n"
    await fill(server, "CREATE TABLE a (id INTEGER PRIMARY KEY, v)", "CREATE TABLE b (id INTEGER PRIMARY KEY, v)", many)
    await fill(server, "INSERT INTO b (v) SELECT v FROM a")

    async def write() -> None:
        while True:
            await fill(server, row.format("a"), row.format("b"))

    writer = asyncio.create_task(write())
    async with without_file_pages(server) as by_rows:
        copies = [await copied(url, tmp_path / str(place)) for place, url in enumerate((server, by_rows, server))]
    writer.cancel()
    await asyncio.gather(writer, return_exceptions=True)
    rows = [copy.tables["a"] for copy in copies]
    assert [copy.tables["b"] for copy in copies] == rows
    assert 5000 <= rows[0] < rows[1] < rows[2]


async def nothing_left(folder: Path, error: type[Problem], match: str, url: str, limits: Limits = ENOUGH) -> Problem:
    """Check that a copy fails with these words and leaves nothing behind."""
    with pytest.raises(error, match=match) as caught:
        await copied(url, folder, limits)
    assert names(folder) == set()
    return caught.value


async def test_refusal_of_the_server_is_quoted(awkward: str, tmp_path: Path) -> None:
    """A token that may not read is refused in the server's words; without a server nothing was sent."""

    async def refuse(_: web.Request) -> web.Response:
        return web.json_response({"error": "Unauthorized: expired"}, status=401)

    async with in_front_of(awkward, {"/v3/pipeline": refuse}) as url:
        await nothing_left(tmp_path / "run", Rejected, "expired or for another database.+Unauthorized: expired", url)
    await nothing_left(tmp_path / "run", NotSent, "reaching", f"http://127.0.0.1:{sqld.free_port()}")


AWKWARD: dict[str, tuple[str, ...]] = {
    "FTS5 options in single quotes": (
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v)",
        "CREATE VIRTUAL TABLE f USING fts5(v, content='t', content_rowid='id', tokenize='porter unicode61')",
        "INSERT INTO t VALUES (7, 'apples')",
        "INSERT INTO f(f) VALUES ('rebuild')",
    ),
    "FTS4, R*Tree": (
        "CREATE VIRTUAL TABLE f USING fts4(a, b)",
        "INSERT INTO f (docid, a, b) VALUES (5, 'x', 'y')",
        "CREATE VIRTUAL TABLE r USING rtree(id, low, high)",
        "INSERT INTO r VALUES (3, 0.5, 1.5)",
    ),
    "names with quotes": (
        """CREATE TABLE "a ""b; c" ("d ""e" TEXT, "it's" REAL)""",
        """INSERT INTO "a ""b; c" VALUES ('x', 1)""",
        """CREATE INDEX "i ""j" ON "a ""b; c" ("d ""e")""",
    ),
    "NUL, infinity, whole reals": (
        "CREATE TABLE t (v)",
        "INSERT INTO t VALUES ('a' || char(0) || 'b'), (9e999), (-9e999), (3.0), (4611686018427387904.0), (0.1 + 0.2)",
    ),
    "text that is not UTF-8": (
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)",
        "INSERT INTO t VALUES (1, CAST(x'61ff62' AS TEXT)), (2, CAST(x'80' AS TEXT)), (3, 'ü')",
    ),
    "implicit rowids": ("CREATE TABLE t (k TEXT PRIMARY KEY)", "INSERT INTO t (rowid, k) VALUES (9, 'a'), (-3, 'b')"),
    "a vector index": (
        "CREATE TABLE v (id INTEGER PRIMARY KEY, e F32_BLOB(3))",
        "CREATE INDEX v_e ON v (libsql_vector_idx(e, 'metric=cosine'))",
        "INSERT INTO v VALUES (1, vector('[1,2,3]')), (2, vector('[3,2,1]'))",
    ),
    "a random rowid": ("CREATE TABLE t (a TEXT) RANDOM ROWID", "INSERT INTO t VALUES ('1'), ('2')"),
    "a random rowid, strict": ("CREATE TABLE t (a TEXT) STRICT, RANDOM ROWID", "INSERT INTO t VALUES ('1'), ('2')"),
    "functions of a newer SQLite": (
        "CREATE TABLE t (a, b, c AS (concat_ws(' ', a, b)))",
        "CREATE INDEX i ON t (concat_ws('-', a, b))",
        "INSERT INTO t VALUES ('x', 'y')",
    ),
}


@pytest.mark.parametrize("by_rows", [False, True], ids=["by pages", "by rows"])
@pytest.mark.parametrize("statements", AWKWARD.values(), ids=AWKWARD)
async def test_copy_is_the_database(server: str, tmp_path: Path, statements: Sequence[str], *, by_rows: bool) -> None:
    """A server on the copy gives the same answers as the copied server: definitions, rowids, types and bytes."""
    for statement in statements:
        await fill(server, statement)
    async with without_file_pages(server) if by_rows else in_front_of(server, {}) as url:
        copy = await copied(url, tmp_path / "run")
    place = tmp_path / "again" / sqld.PLACE
    place.parent.mkdir(parents=True)
    shutil.copy(copy.path, place)
    async with sqld.serve(sqld.fetch(), tmp_path / "again") as again:
        assert await told(again) == await told(server)


async def told(url: str) -> list[Any]:
    """Return what a server says about its schema, every table's rows, and their integrity."""
    async with aclosing(connect(url, None)) as database:

        async def ask(sql: str) -> Any:
            return (await database.query(Statement(sql))).values

        schema = await ask("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name")
        found = [schema, await ask("PRAGMA integrity_check")]
        for kind, name, _, sql in schema:
            if kind == "table":
                columns = await ask(f"SELECT name FROM pragma_table_xinfo({literal(name)}) WHERE hidden <> 1")
                values = [f"typeof({quoted(each)}), hex(CAST({quoted(each)} AS BLOB))" for (each,) in columns]
                rowid = "" if "WITHOUT ROWID" in sql else "rowid, "
                found.append((name, await ask(f"SELECT {rowid}{', '.join(values)} FROM {quoted(name)} ORDER BY 1")))
        return found


async def test_function_that_only_the_server_has_is_named(server: str, tmp_path: Path) -> None:
    """By pages, a table with a function of the server is copied; by rows, the error names the function."""
    await fill(server, "CREATE TABLE t (v TEXT)", "INSERT INTO t VALUES ('a')", "CREATE INDEX i ON t (soundex(v))")
    assert (await copied(server, tmp_path / "pages")).tables == {"t": 1}
    async with without_file_pages(server) as url:
        words = r"CREATE INDEX i.+soundex.+does not have this function of the server"
        failed = await nothing_left(tmp_path / "rows", Problem, words, url)
    assert "disk" not in str(failed)


async def test_table_in_which_rows_come_and_go_is_copied(server: str, tmp_path: Path) -> None:
    """A queue that is filled and emptied during the copy is copied as it was at one moment, by pages and by rows."""
    many = "INSERT INTO queue (v) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300) SELECT i FROM n"
    await fill(server, "CREATE TABLE queue (id INTEGER PRIMARY KEY, v)", many)

    async def work() -> None:
        while True:
            await fill(server, "DELETE FROM queue")
            await fill(server, many)

    worker = asyncio.create_task(work())
    async with without_file_pages(server) as by_rows:
        copies = [await copied(url, tmp_path / str(n)) for n, url in enumerate([server, by_rows] * 4)]
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    assert {copy.tables["queue"] for copy in copies} <= {0, 300}


async def test_view_may_end_with_a_comment(server: str, tmp_path: Path) -> None:
    """A definition that ends with a comment keeps its semicolon in a backup that the tool writes."""
    await fill(server, "CREATE TABLE t (v)", "CREATE VIEW w AS SELECT v FROM t -- all of it")
    async with without_file_pages(server) as url:
        copy = await copied(url, tmp_path / "run")
    assert "w" in str(contents(copy.path)[""])


async def test_pages_shrink_until_they_fit(server: str, tmp_path: Path) -> None:
    """If a page is more than the server sends at once, fewer rows are requested, and none is lost."""
    long = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 16) INSERT INTO t SELECT i, hex(randomblob(400000)) FROM n"
    await fill(server, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", long)
    whole = await copied(server, tmp_path / "dump")
    async with without_file_pages(server) as url:
        paged = await copied(url, tmp_path / "pages")
    assert contents(paged.path) == contents(whole.path)


async def test_older_protocol_is_copied(awkward: str, tmp_path: Path) -> None:
    """A server without version 3 of the protocol is copied as well."""
    async with in_front_of(awkward, {"/v3/pipeline": missing}) as url:
        copy = await copied(url, tmp_path / "run")
    assert copy.tables["readings"] == 17


LOST: dict[str, tuple[bytes, bytes, str]] = {
    "a row": (b');\\nINSERT INTO \\"t\\" VALUES(2,2.0', b"", "table t has 2 rows, and 3 on the server"),
    "the newest row": (b"VALUES(3,", b"VALUES(9,", "the newest row of table t has the id 9, and 3 on the server"),
    "a type": (b"VALUES(2,2.0", b"VALUES(2,2", "values of t.v have other storage types than on the server"),
    "an index": (b'"value":"CREATE INDEX by_v', b'"value":"SELECT 1 --', "its schema differs from the server's"),
}


@pytest.mark.parametrize(("sent", "arrives", "words"), LOST.values(), ids=LOST)
async def test_copy_that_is_not_what_the_server_has_is_refused(
    server: str, tmp_path: Path, sent: bytes, arrives: bytes, words: str
) -> None:
    """Rows, ids, types and definitions are compared with the server's at the same moment."""
    await fill(server, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", "CREATE INDEX by_v ON t (v)")
    await fill(server, "INSERT INTO t VALUES (1, 'a'), (2, 2.0), (3, 'c')")
    async with without_file_pages(server, lambda text: text.replace(sent, arrives)) as url:
        await nothing_left(tmp_path / "run", Problem, re.escape(words), url)


async def test_page_that_is_not_whole_is_refused(server: str, tmp_path: Path) -> None:
    """A page of the file that does not arrive whole ends the copy, and nothing of it is left."""
    await fill(server, "CREATE TABLE t (v)", "INSERT INTO t VALUES ('0123456789')")
    part = b"0123456789".hex().encode()
    async with changing(server, lambda text: text.replace(part, part[:-2])) as url:
        await nothing_left(tmp_path / "run", Unknown, "are not whole", url)


async def test_too_large_database_is_refused_before_reading(
    awkward: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If four copies do not fit on the disk, or exceed the limit, the refusal gives the figures and the setting."""
    limits = Limits(60, 100_000)
    async with in_front_of(awkward, {}) as url:
        await nothing_left(
            tmp_path / "run", Problem, r"needs 4 times as much.+rehearsal.most_bytes allows 100,000", url, limits
        )
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100_000))
        await nothing_left(tmp_path / "run", Problem, r"needs 4 times as much.+0\.1 MB free.+Free disk space", url)


async def test_slow_copy_ends_when_its_time_is_up(awkward: str, tmp_path: Path) -> None:
    """A copy that exceeds its time reports its progress, its rate and the setting that allows more."""
    async with changing(awkward, pause=0.4) as url:
        words = r"did not finish within 1 s: [\d.]+ MB, [\d.]+ MB/s. Allow more with rehearsal.most_seconds"
        await nothing_left(tmp_path / "run", Problem, words, url, Limits(1, 10**9))


async def test_cancelled_copy_leaves_nothing(awkward: str, tmp_path: Path) -> None:
    """A cancelled copy ends within a moment and leaves an empty folder."""
    async with changing(awkward, pause=0.4) as url:
        task = asyncio.create_task(copied(url, tmp_path / "run"))
        while "copy.db.part" not in names(tmp_path / "run"):
            await asyncio.sleep(0.01)
        await _cancelled(task, tmp_path / "run")


async def _cancelled(task: asyncio.Task[Copy], folder: Path) -> None:
    began = asyncio.get_running_loop().time()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.get_running_loop().time() - began < 1
    assert names(folder) == set()


async def test_progress_is_reported(server: str, tmp_path: Path) -> None:
    """Bytes and rate are reported at most twice a second, and the copy does not wait for the last report."""
    many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 8) INSERT INTO t SELECT zeroblob(1000000) FROM n"
    await fill(server, "CREATE TABLE t (v)", many)
    said: list[tuple[float, str]] = []
    async with changing(server, pause=0.3) as url:
        with listening(lambda what: said.append((asyncio.get_running_loop().time(), what))):
            await copied(url, tmp_path / "run")
    *steps, (_, last) = said
    assert steps
    shown = r"a copy of production: [\d.]+ MB, [\d.]+ MB/s(, backup being written)?"
    assert all(re.fullmatch(shown, what) for _, what in steps)
    assert all(later - earlier >= 0.5 for (earlier, _), (later, _) in pairwise(steps))
    assert last.endswith(", being checked")
