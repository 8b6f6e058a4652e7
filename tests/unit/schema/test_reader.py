"""A file is read as its server reads it, by an engine that lacks some of what the server knows."""

from contextlib import closing
from pathlib import Path

import apsw
import pytest

from steps.support.schema.reader import as_written, is_random, open_file, original, readable

DEFINITIONS: dict[str, tuple[str, str]] = {
    "random": ("CREATE TABLE t (a TEXT) RANDOM ROWID", "CREATE TABLE t (a TEXT /* RANDOM ROWID */)"),
    "random, then strict": ("CREATE TABLE t (a) random  rowid, STRICT", "CREATE TABLE t (a /* RANDOM ROWID */) STRICT"),
    "strict, then random": ("CREATE TABLE t (a) STRICT, RANDOM ROWID", "CREATE TABLE t (a /* RANDOM ROWID */) STRICT"),
    "a vector index": (
        "CREATE INDEX i ON t (libsql_vector_idx(a))",
        "CREATE INDEX i ON t (libsql_vector_idx(a)) WHERE 0",
    ),
    "in a default": ("CREATE TABLE t (a DEFAULT ') RANDOM ROWID')", "CREATE TABLE t (a DEFAULT ') RANDOM ROWID')"),
    "without rowid": ("CREATE TABLE t (a PRIMARY KEY) WITHOUT ROWID", "CREATE TABLE t (a PRIMARY KEY) WITHOUT ROWID"),
}


@pytest.mark.parametrize(("sql", "read"), DEFINITIONS.values(), ids=DEFINITIONS)
def test_definition_of_libsql_is_made_readable(sql: str, read: str) -> None:
    """Only the option itself becomes a comment; from the readable form the definition can be written again."""
    assert readable(sql).split() == read.split()
    assert is_random(sql) is is_random(readable(sql)) is (sql != read and "TABLE" in sql)
    assert readable(original(readable(sql))).split() == read.split()


def test_table_with_a_random_rowid_is_read(tmp_path: Path) -> None:
    """A table with a random rowid is read; the file does not change, and no other file is left."""
    file = tmp_path / "t.db"
    with closing(apsw.Connection(str(file))) as connection:
        connection.execute("CREATE TABLE t (a); INSERT INTO t (rowid, a) VALUES (9, 'x'); PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_schema SET sql = 'CREATE TABLE t (a) RANDOM ROWID'")
    was = file.read_bytes()
    with open_file(file) as connection:
        assert connection.execute("SELECT rowid, a FROM t").fetchall() == [(9, "x")]
    assert as_written(file, "SELECT sql FROM sqlite_schema") == "CREATE TABLE t (a) RANDOM ROWID"
    assert (file.read_bytes(), [*tmp_path.iterdir()]) == (was, [file])


def test_rows_are_not_counted_in_a_vector_index(tmp_path: Path) -> None:
    """The empty tree of a vector index is not used to count the rows of its table."""
    file = tmp_path / "t.db"
    with closing(apsw.Connection(str(file))) as connection:
        connection.create_scalar_function("libsql_vector_idx", lambda *_: None, 1, deterministic=True)
        connection.execute("CREATE TABLE t (a, b, c, d, e, f); CREATE INDEX i ON t (libsql_vector_idx(a)) WHERE 0")
        connection.execute("INSERT INTO t (a) VALUES (1), (2); PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_schema SET sql = replace(sql, ' WHERE 0', '') WHERE name = 'i'")
    with open_file(file) as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchall() == [(2,)]


def test_unknown_functions_do_not_hide_rows(tmp_path: Path) -> None:
    """A table with a computed column and an index by the server's own functions is read; the columns are NULL."""
    file = tmp_path / "t.db"
    with closing(apsw.Connection(str(file))) as connection:
        connection.create_scalar_function("servers_own", lambda *values: values[0], 1, deterministic=True)
        connection.execute("CREATE TABLE t (a, b AS (servers_own(a))); CREATE INDEX i ON t (servers_own(a))")
        connection.execute("INSERT INTO t VALUES ('x')")
    with open_file(file) as connection:
        assert connection.execute("SELECT a, b, count(*) FROM t").fetchall() == [("x", None, 1)]


@pytest.mark.parametrize("condition", ["", " WHERE b > 1 OR c", "where b -- c", " WHERE (b) /* WHERE */ "])
def test_vector_index_keeps_its_condition(condition: str) -> None:
    """SQLite reads a vector index without rows, also one that has a condition; the server's own words come back."""
    sql = f"CREATE INDEX v ON t (libsql_vector_idx(e)){condition}"
    with closing(apsw.Connection(":memory:")) as connection:
        connection.create_scalar_function("libsql_vector_idx", lambda *_: None, deterministic=True)
        connection.execute("CREATE TABLE t (b, c, e)")
        connection.execute("INSERT INTO t VALUES (2, 1, x'00')")
        connection.execute(readable(sql))
    assert original(readable(sql)) == sql
    assert readable(readable(sql)) == readable(sql)
