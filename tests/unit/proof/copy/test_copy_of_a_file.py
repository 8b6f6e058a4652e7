"""A copy of a file: a SQLite database, in use or not, or a dump."""

import asyncio
import gzip
import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from steps.support.core.errors import Problem, Unknown
from steps.support.proof.copy.copy import Copy, Limits, from_file
from tests.support.proof.copies import ENOUGH, contents, made, modes, names

pytestmark = pytest.mark.anyio

SCRIPT = """CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, v);
CREATE TABLE u (v);
INSERT INTO t (v) VALUES ('a;
b'), (3.0), (x'00');
INSERT INTO u (rowid, v) VALUES (7, 'seven');
CREATE INDEX i ON t (v);
"""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Return an open database in a file, with write-ahead logging."""
    with closing(sqlite3.connect(tmp_path / "some.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(SCRIPT)
        yield connection


@pytest.mark.usefixtures("database")
async def test_database_is_copied_with_its_log(tmp_path: Path) -> None:
    """A file in use is copied with everything committed; the copy is one file that only its owner may read."""
    copy = await from_file(tmp_path / "some.db", made(tmp_path / "run"), ENOUGH)
    assert contents(copy.path) == contents(tmp_path / "some.db")
    assert copy.tables == {"t": 3, "u": 1}
    assert modes(tmp_path / "run") == {"copy.db": 0o600, "backup.db.gz": 0o600}
    assert copy.path.read_bytes()[18:20] == b"\1\1"  # the file format without a log
    assert gzip.decompress(copy.backup.read_bytes()) == copy.path.read_bytes()
    assert copy.sha256 == hashlib.sha256(copy.backup.read_bytes()).hexdigest()


async def test_database_is_copied_beside_a_writer(database: sqlite3.Connection, tmp_path: Path) -> None:
    """Uncommitted writes are not in the copy, and neither the copy nor the writer waits for the other."""
    database.execute("BEGIN IMMEDIATE")
    database.execute("INSERT INTO u VALUES (8)")
    copy = await from_file(tmp_path / "some.db", made(tmp_path / "run"), ENOUGH)
    database.execute("COMMIT")
    assert copy.tables == {"t": 3, "u": 1}


def _dump(database: sqlite3.Connection) -> bytes:
    return "\n".join(database.iterdump()).encode()


@pytest.mark.parametrize(("name", "written"), [("a.sql", bytes), ("a.sql.gz", gzip.compress)])
async def test_dump_is_loaded(
    database: sqlite3.Connection, tmp_path: Path, name: str, written: Callable[[bytes], bytes]
) -> None:
    """A dump, compressed or not, becomes the database that it was made from, and is kept."""
    (tmp_path / name).write_bytes(written(_dump(database)))
    copy = await from_file(tmp_path / name, made(tmp_path / "run"), ENOUGH)
    assert contents(copy.path) == contents(tmp_path / "some.db")
    assert gzip.decompress(copy.backup.read_bytes()) == _dump(database)


async def test_plain_statements_are_loaded(tmp_path: Path) -> None:
    """SQL written by hand needs no transaction, and may end with a comment."""
    (tmp_path / "a.sql").write_text(f"-- by hand; it's short\n{SCRIPT}-- the end")
    copy = await from_file(tmp_path / "a.sql", made(tmp_path / "run"), ENOUGH)
    assert copy.tables == {"t": 3, "u": 1}


BAD: dict[str, tuple[str, bytes, type[Problem], str]] = {
    "cut off": ("a.sql", b"BEGIN;\nCREATE TABLE t (a);\n", Unknown, "cut off after 27 bytes .the text ends in the middle"),
    "in a text": ("a.sql", b"CREATE TABLE t (a DEFAULT 'x", Unknown, "cut off after 28 bytes"),
    "errors": ("a.sql", b"BEGIN;\nCREATE TABLE t (a);\nROLLBACK; -- due to errors\n", Unknown, "cut off"),
    "packed, cut off": ("a.sql.gz", gzip.compress(SCRIPT.encode())[:-9], Unknown, "cut off"),
    "not packed": ("a.sql.gz", SCRIPT.encode(), Problem, "Not a gzipped file"),
    "no SQL": ("a.sql", b"once upon; a time", Problem, "a copy is impossible: once upon.+syntax error"),
    "not UTF-8": ("a.sql", b"CREATE TABLE t (a DEFAULT '\xff');", Problem, "a copy is impossible: CREATE TABLE t.+codec"),
    "another file": ("a.sql", b"ATTACH 'other.db' AS o;", Problem, "too many attached"),
    "a duplicate": ("a.sql", b"CREATE TABLE t (a UNIQUE);\nINSERT INTO t VALUES(1);\nINSERT INTO t VALUES(1);\n", Problem, "table t: UNIQUE constraint failed"),
    "a secret": ("a.sql", b"CREATE TABLE t (a);\nINSERT INTO t VALUES(1 'hush');\n", Problem, r"table t: near \.\.\.: syntax error"),
    "neither": ("a.csv", b"a,b\n1,2\n", Problem, "neither a SQLite file nor a dump. Pass a SQLite file, or a dump whose name"),
    "damaged": ("a.db", b"SQLite format 3\0" + b"x" * 5000, Problem, "file is not a database"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "content", "error", "words"), BAD.values(), ids=BAD)
async def test_file_that_cannot_be_copied_is_refused(
    tmp_path: Path, name: str, content: bytes, error: type[Problem], words: str
) -> None:
    """A file that is neither a database nor a complete dump is refused with the reason, and nothing of it stays."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=words):
        await from_file(tmp_path / name, made(tmp_path / "run"), ENOUGH)
    assert names(tmp_path / "run") == set()
    assert names(tmp_path) == {"run", name}


async def test_missing_file_is_refused(tmp_path: Path) -> None:
    """A path that does not exist is named."""
    with pytest.raises(Problem, match=r"copying .+none\.db: .+No such file"):
        await from_file(tmp_path / "none.db", made(tmp_path / "run"), ENOUGH)


@pytest.mark.usefixtures("database")
async def test_too_large_file_is_refused(tmp_path: Path) -> None:
    """A file is refused before anything is written if four copies of it exceed the limit."""
    with pytest.raises(Problem, match=r"rehearsal\.most_bytes"):
        await from_file(tmp_path / "some.db", made(tmp_path / "run"), Limits(60, 1000))


async def test_damaged_file_is_refused(database: sqlite3.Connection, tmp_path: Path) -> None:
    """A damaged file, which opens although some of its pages belong to no table, is not accepted as a copy."""
    database.executescript("PRAGMA journal_mode = DELETE; PRAGMA writable_schema = ON")
    database.execute("DELETE FROM sqlite_schema WHERE name = 'u'")
    with pytest.raises(Problem, match=r"the copy is damaged; quick_check says: (.|\n)+Run PRAGMA quick_check on the"):
        await from_file(tmp_path / "some.db", made(tmp_path / "run"), ENOUGH)
    assert names(tmp_path / "run") == set()


async def test_what_rows_and_indexes_break_is_copied(database: sqlite3.Connection, tmp_path: Path) -> None:
    """If an index lacks rows, or a NOT NULL column has NULL, the copy has the same defect; the rehearsal reports it."""
    database.executescript("PRAGMA journal_mode = DELETE; INSERT INTO u VALUES (NULL); PRAGMA writable_schema = ON")
    database.execute("UPDATE sqlite_schema SET sql = 'CREATE INDEX i ON t (typeof(v))' WHERE name = 'i'")
    database.execute("UPDATE sqlite_schema SET sql = 'CREATE TABLE u (v NOT NULL)' WHERE name = 'u'")
    copy = await from_file(tmp_path / "some.db", made(tmp_path / "run"), ENOUGH)
    assert copy.tables == {"t": 3, "u": 2}


async def test_copying_a_file_can_be_cancelled(database: sqlite3.Connection, tmp_path: Path) -> None:
    """A copy of a large file leaves nothing behind, no matter when it is cancelled."""
    database.execute(
        "INSERT INTO u WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60) SELECT zeroblob(1000000) FROM n"
    )
    run = made(tmp_path / "run")
    for turns in (1, 3, 10, 30, 60):
        task: asyncio.Task[Copy] = asyncio.create_task(from_file(tmp_path / "some.db", run, ENOUGH))
        for _ in range(turns):
            await asyncio.sleep(0.002)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert names(run) == set()
