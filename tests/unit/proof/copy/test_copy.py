"""A copy of a real server: equal in everything that matters, proved, kept, and never left half done."""

import asyncio
import gzip
import hashlib
import math
import re
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiohttp import web

from steps.support.core.deadline import listening
from steps.support.core.errors import NotSent, Problem, Rejected, Unknown
from steps.support.gateways.database import dump
from steps.support.proof import sqld
from steps.support.proof.copy.copy import Copy, Limits, from_file
from tests.support.database.awkward import ROWS, SCHEMA, TABLES, fill
from tests.support.proof.copies import ENOUGH, contents, copied, made, modes, names
from tests.support.servers.front import dumped, in_front_of, missing, streaming

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that the module's server runs in."""
    return tmp_path_factory.mktemp("awkward") / "sqld"


@pytest.fixture(scope="module")
async def awkward(sqld_binary: Path, place: Path) -> AsyncIterator[str]:
    """Return a server with everything in it that a dump may trip over; the tests only read it."""
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


async def test_backup_is_the_servers_dump(awkward: str, tmp_path: Path) -> None:
    """The backup unpacks to the dump byte for byte, and its digest is the reported one."""
    copy = await copied(awkward, tmp_path / "run")
    packed = copy.backup.read_bytes()
    assert gzip.decompress(packed) == await dumped(awkward)
    assert copy.sha256 == hashlib.sha256(packed).hexdigest()


async def test_compressed_dump_makes_the_same_copy(
    awkward: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A remote server sends its dump compressed; copy and backup are the same as from a local one."""
    near = await copied(awkward, tmp_path / "near")
    monkeypatch.setattr(dump, "_LOOPBACK", ())
    far = await copied(awkward, tmp_path / "far")
    assert (contents(far.path), far.sha256) == (contents(near.path), near.sha256)


async def test_copy_by_pages_equals_the_original(awkward: str, original: Path, tmp_path: Path) -> None:
    """A server without dumps is read page by page, and that copy equals the original, too."""
    async with in_front_of(awkward, {"/dump": missing}) as url:
        copy = await copied(url, tmp_path / "run")
    assert contents(copy.path) == contents(original)
    assert copy.sha256 == hashlib.sha256(copy.backup.read_bytes()).hexdigest()


async def test_backup_loads_as_the_original(awkward: str, original: Path, tmp_path: Path) -> None:
    """Loading the backup gives the original, whether the server or the tool wrote it."""
    async with in_front_of(awkward, {"/dump": missing}) as paged:
        for name, url in (("dump", awkward), ("pages", paged)):
            kept = await copied(url, tmp_path / name)
            again = await from_file(kept.backup, made(tmp_path / f"{name} again"), ENOUGH)
            assert contents(again.path) == contents(original)


async def test_only_the_owner_may_read_copy_and_backup(awkward: str, tmp_path: Path) -> None:
    """Copy and backup hold production's data: both are 0600 either way, and the folder holds nothing else."""
    async with in_front_of(awkward, {"/dump": missing}) as paged:
        for url, name in ((awkward, "dump"), (paged, "pages")):
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
    async with in_front_of(server, {"/dump": missing}) as paged:
        copies = [await copied(url, tmp_path / str(place)) for place, url in enumerate((server, paged, server))]
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


CUTS: dict[str, tuple[Callable[[bytes], bytes], bool]] = {
    "no end": (lambda text: text.removesuffix(b"COMMIT;\n"), True),
    "rolled back": (lambda text: text.replace(b"COMMIT;\n", b"ROLLBACK; -- due to errors\n"), True),
    "in a statement": (lambda text: text[: len(text) // 2], True),
    "connection lost": (lambda text: text[: len(text) // 2], False),
    "opening alone": (lambda text: text[:60], True),
}


@pytest.mark.parametrize(("cut", "whole"), CUTS.values(), ids=CUTS)
async def test_truncated_dump_is_refused(
    awkward: str, tmp_path: Path, cut: Callable[[bytes], bytes], *, whole: bool
) -> None:
    """A dump that does not end with COMMIT is refused with the number of bytes received, and nothing of it is left."""
    text = cut(await dumped(awkward))
    async with in_front_of(awkward, {"/dump": streaming([text], whole=whole)}) as url:
        await nothing_left(tmp_path / "run", Unknown, rf"cut off after ({len(text):,}|0) bytes", url)


async def test_answer_that_is_no_dump_is_not_loaded(awkward: str, tmp_path: Path) -> None:
    """A web page instead of a dump, and an empty answer, are both named for what they are."""
    for text, words in ((b"<html>Sign in</html>", "the answer is not a dump"), (b"", "cut off after 0 bytes")):
        async with in_front_of(awkward, {"/dump": streaming([text] if text else [])}) as url:
            await nothing_left(tmp_path / "run", Unknown, words, url)


async def test_refusal_of_the_server_is_quoted(awkward: str, tmp_path: Path) -> None:
    """A token that may not read is refused in the server's words; without a server nothing was sent."""

    async def refuse(_: web.Request) -> web.Response:
        return web.json_response({"error": "Unauthorized: expired"}, status=401)

    async with in_front_of(awkward, {"/dump": refuse}) as url:
        await nothing_left(tmp_path / "run", Rejected, "expired or for another database.+Unauthorized: expired", url)
    await nothing_left(tmp_path / "run", NotSent, "reaching", f"http://127.0.0.1:{sqld.free_port()}")


NOT_LOADED = {
    "NUL": (
        "'a' || char(0)",
        "a copy is impossible: table odd one holds a text with a NUL character. Find it with instr",
    ),
    "infinity": ("-9e999", "a copy is impossible: table odd one holds an infinite number. Replace it"),
}


@pytest.mark.parametrize(("value", "words"), NOT_LOADED.values(), ids=NOT_LOADED)
async def test_value_that_no_dump_can_hold_is_refused(server: str, tmp_path: Path, value: str, words: str) -> None:
    """A value that cannot be written as SQL prevents the copy: the refusal names its table and the remedy."""
    rows = f"INSERT INTO \"odd one\" (v) VALUES ('fine'), ({value}), ('fine, too')"
    await fill(server, 'CREATE TABLE "odd one" (id INTEGER PRIMARY KEY, v)', rows)
    await nothing_left(tmp_path / "run", Problem, re.escape(words), server)


async def test_pages_hold_values_that_a_dump_cannot(server: str, tmp_path: Path) -> None:
    """Read page by page, a NUL in a text, an infinity and a whole number stored as REAL keep their types."""
    values = "('a' || char(0) || 'b'), (3.0), (-9e999), ('fine')"
    await fill(server, "CREATE TABLE t (v)", f"INSERT INTO t VALUES {values}")
    async with in_front_of(server, {"/dump": missing}) as url:
        copy = await copied(url, tmp_path / "run")
    with closing(sqlite3.connect(copy.path)) as database:
        found = database.execute("SELECT v, typeof(v) FROM t").fetchall()
    assert found == [("a\0b", "text"), (3.0, "real"), (-math.inf, "real"), ("fine", "text")]


async def test_view_may_end_with_a_comment(server: str, tmp_path: Path) -> None:
    """A definition that ends with a comment keeps its semicolon in a backup that the tool writes."""
    await fill(server, "CREATE TABLE t (v)", "CREATE VIEW w AS SELECT v FROM t -- all of it")
    async with in_front_of(server, {"/dump": missing}) as url:
        copy = await copied(url, tmp_path / "run")
    assert "w" in str(contents(copy.path)[""])


async def test_pages_shrink_until_they_fit(server: str, tmp_path: Path) -> None:
    """If a page is more than the server sends at once, fewer rows are requested, and none is lost."""
    long = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 16) INSERT INTO t SELECT i, hex(randomblob(400000)) FROM n"
    await fill(server, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", long)
    whole = await copied(server, tmp_path / "dump")
    async with in_front_of(server, {"/dump": missing}) as url:
        paged = await copied(url, tmp_path / "pages")
    assert contents(paged.path) == contents(whole.path)


async def test_older_protocol_is_copied_by_pages(awkward: str, tmp_path: Path) -> None:
    """A server without dumps and without version 3 of the protocol is copied as well."""
    async with in_front_of(awkward, {"/dump": missing, "/v3/pipeline": missing}) as url:
        copy = await copied(url, tmp_path / "run")
    assert copy.tables["readings"] == 17


async def test_schema_unknown_to_this_engine_is_refused(server: str, tmp_path: Path) -> None:
    """A statement of the dump that cannot run here is shown, with the engine's reason."""
    await fill(server, "CREATE TABLE t (v F32_BLOB(2))", "CREATE INDEX near ON t (libsql_vector_idx(v))")
    await nothing_left(tmp_path / "run", Problem, r"a copy is impossible: CREATE INDEX near.+libsql_vector_idx", server)


LOST = {
    "rows": (rb"INSERT INTO readings VALUES\(3,[^\n]*\n", "table readings has 16 rows, the server 17"),
    "the newest row": (rb"INSERT INTO readings VALUES\(17,", "newest row of table readings is 99, the server's 17"),
    "an index": (rb"CREATE INDEX by_lower[^\n]*\n", "its schema differs from the server's"),
}


@pytest.mark.parametrize(("lost", "words"), LOST.values(), ids=LOST)
async def test_incomplete_dump_is_refused(awkward: str, tmp_path: Path, lost: bytes, words: str) -> None:
    """A well-formed dump that is not what the server has is refused with both figures."""
    new = b"INSERT INTO readings VALUES(99," if b"17" in lost else b""
    text = re.sub(lost, new, await dumped(awkward))
    async with in_front_of(awkward, {"/dump": streaming([text])}) as url:
        await nothing_left(tmp_path / "run", Problem, words, url)


async def test_schema_change_during_the_copy_is_refused(server: str, tmp_path: Path) -> None:
    """A copy during which someone migrates has neither schema, so it is refused."""
    await fill(server, "CREATE TABLE t (v)")

    async def migrated(request: web.Request) -> web.StreamResponse:
        text = await dumped(server)
        await fill(server, "CREATE TABLE u (v)")
        return await streaming([text])(request)

    async with in_front_of(server, {"/dump": migrated}) as url:
        await nothing_left(tmp_path / "run", Problem, "the server's schema has changed meanwhile", url)


async def test_too_large_database_is_refused_before_reading(
    awkward: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If four copies do not fit on the disk, or exceed the limit, the refusal gives the figures and the setting."""
    limits = Limits(60, 100_000)
    async with in_front_of(awkward, {"/dump": streaming([], whole=False)}) as url:
        await nothing_left(
            tmp_path / "run", Problem, r"needs 4 times that.+rehearsal.most_bytes allows 100,000", url, limits
        )
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100_000))
        await nothing_left(tmp_path / "run", Problem, r"needs 4 times that.+0\.1 MB free.+Free disk space", url)


def _endless() -> list[bytes]:
    rows = b"".join(b"INSERT INTO systems VALUES(%d,'name',9.5);\n" % number for number in range(100, 40_000))
    opening = (
        b"PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE systems (id INTEGER PRIMARY KEY, name, zone);\n"
    )
    return [opening, rows, *[b"-- more\n" * 1000] * 100_000]


async def test_copy_stops_if_more_arrives_than_allowed(awkward: str, tmp_path: Path) -> None:
    """If more arrives than the server reported, the copy ends at the limit."""
    async with in_front_of(awkward, {"/dump": streaming(_endless())}) as url:
        await nothing_left(
            tmp_path / "run", Problem, r"received so far; rehearsal.most_bytes", url, Limits(60, 4_000_000)
        )


async def test_slow_copy_ends_when_its_time_is_up(awkward: str, tmp_path: Path) -> None:
    """A copy out of time reports its progress, its rate and the setting that allows more."""
    async with in_front_of(awkward, {"/dump": streaming(_endless(), pause=0.001)}) as url:
        words = (
            r"did not finish within 1.5 s: 39,900 rows, [\d.]+ MB, [\d.]+ MB/s. Allow more with rehearsal.most_seconds"
        )
        await nothing_left(tmp_path / "run", Problem, words, url, Limits(1.5, 10**9))


async def test_cancelled_copy_leaves_nothing(awkward: str, tmp_path: Path) -> None:
    """A cancelled copy ends within a moment and leaves an empty folder."""
    async with in_front_of(awkward, {"/dump": streaming(_endless(), pause=0.001)}) as url:
        task = asyncio.create_task(copied(url, tmp_path / "run"))
        while "copy.db.part" not in names(tmp_path / "run"):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        await _cancelled(task, tmp_path / "run")


async def test_copy_cancelled_in_a_long_statement_leaves_nothing(awkward: str, tmp_path: Path) -> None:
    """A statement that would run forever ends when its copy is cancelled."""
    forever = (
        b"CREATE TABLE t AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n;\n"
    )
    async with in_front_of(awkward, {"/dump": streaming([_endless()[0] + forever])}) as url:
        task = asyncio.create_task(copied(url, tmp_path / "run"))
        await asyncio.sleep(1)
        await _cancelled(task, tmp_path / "run")


async def _cancelled(task: asyncio.Task[Copy], folder: Path) -> None:
    began = asyncio.get_running_loop().time()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.get_running_loop().time() - began < 1
    assert names(folder) == set()


async def test_progress_is_reported(awkward: str, tmp_path: Path) -> None:
    """Rows, bytes and rate are reported at most twice a second, and the copy does not wait for the last report."""
    said: list[tuple[float, str]] = []
    text = await dumped(awkward)
    opening, rest = text[:43], text[43:]
    late = streaming([opening, *[b"-- more\n" * 40_000] * 15, rest], pause=0.1)
    async with in_front_of(awkward, {"/dump": late}) as url:
        with listening(lambda what: said.append((asyncio.get_running_loop().time(), what))):
            await copied(url, tmp_path / "run")
    *steps, (_, last) = said
    assert steps
    assert all(re.fullmatch(r"a copy of production: [\d,]+ rows, [\d.]+ MB, [\d.]+ MB/s", what) for _, what in steps)
    assert all(later - earlier >= 0.5 for (earlier, _), (later, _) in pairwise(steps))
    assert last.endswith(", being checked")
