"""A copy has all rows of its source, even rows that break a constraint, and the same text of the schema."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from steps.support.proof.copy.constraints import lift
from steps.support.proof.copy.load import Loader

CREATED = {
    "NOT NULL": ("t (a TEXT, b TEXT NOT NULL)", "t VALUES('x',NULL)"),
    "in a table WITHOUT ROWID": ("t (a TEXT PRIMARY KEY, b INT NOT NULL DEFAULT 7) WITHOUT ROWID", "t VALUES('x',NULL)"),
    "with a conflict clause": ("t (a INT NOT NULL ON CONFLICT IGNORE UNIQUE, b)", "t VALUES(NULL,1)"),
    "with a name": ("t (a INT CONSTRAINT filled NOT NULL CHECK (a > 0), b)", "t VALUES(NULL,1)"),
    "in quotes, on lines, with comments": (
        't ("not null" TEXT NOT NULL, -- never NULL; not null\n  `b` int /* (not null) */ not\n null )', "t VALUES(NULL,NULL)"
    ),
    "a CHECK": ("t (a INT CHECK (a > 0), b CHECK (b NOT NULL))", "t VALUES(-1,NULL)"),
    "STRICT": ("t (a INT, b TEXT) STRICT", "t VALUES('x',X'00')"),
    "STRICT and WITHOUT ROWID": ("t (a TEXT PRIMARY KEY, b INT NOT NULL) WITHOUT ROWID, STRICT", "t VALUES('x','y')"),
    "STRICT first": ("t (a TEXT PRIMARY KEY, b INT) STRICT, WITHOUT ROWID", "t VALUES('x','y')"),
    "STRICT with ANY, which converts nothing": ("t (a ANY, b REAL) STRICT", "t VALUES('7',3)"),
    "nothing broken": ("t (a INT NOT NULL, b TEXT DEFAULT ('(;)'))", "t VALUES(1,'it''s')"),
}  # fmt: skip


@pytest.mark.parametrize("inside", [True, False], ids=["in a transaction", "outside"])
@pytest.mark.parametrize(("table", "row"), CREATED.values(), ids=CREATED)
def test_rows_that_break_a_constraint_are_loaded(table: str, row: str, inside: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a parameter
    """The copy has such rows with their types, its indexes work, and its schema has the source's exact text."""
    path = tmp_path / "copy.db"
    statements = [
        f"CREATE TABLE {table};",
        f"INSERT INTO {row};",
        f"INSERT INTO {row.replace(chr(39) + 'x', chr(39) + 'z')};",
    ]
    statements += ["CREATE TABLE u (x NOT NULL);", "INSERT INTO u VALUES(1);", "CREATE INDEX i ON t (b);"]
    dump = "\n".join(["BEGIN;", *statements, "COMMIT;"] if inside else statements)
    with closing(Loader(path, "a dump")) as loader:
        loader.feed(dump.encode())
        assert loader.whole
    with closing(sqlite3.connect(path)) as connection:
        texts = connection.execute("SELECT sql FROM sqlite_schema WHERE name IN ('t', 'u') ORDER BY name").fetchall()
        assert [text for (text,) in texts] == [f"CREATE TABLE {table}", "CREATE TABLE u (x NOT NULL)"]
        expected = connection.execute(f"SELECT * FROM (VALUES{row.partition('VALUES')[2]})").fetchone()
        assert expected in [*map(tuple, connection.execute("SELECT * FROM t"))]
        assert connection.execute("SELECT count(*) FROM t INDEXED BY i WHERE b IS b").fetchone() == (2,)


def test_later_statements_meet_the_table_as_it_is(tmp_path: Path) -> None:
    """After the rows, a table has its own definition again: ALTER and INSERT OR IGNORE see NOT NULL."""
    path = tmp_path / "copy.db"
    with closing(Loader(path, "a dump")) as loader:
        loader.feed(b"CREATE TABLE t (a NOT NULL);\nINSERT INTO t VALUES(1);\nALTER TABLE t ADD COLUMN b;\n")
        loader.feed(b"INSERT OR IGNORE INTO t VALUES (NULL, 1);\n")
        assert loader.whole
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT * FROM t").fetchall() == [(1, None)]
        assert connection.execute("SELECT sql FROM sqlite_schema").fetchone() == ("CREATE TABLE t (a NOT NULL, b)",)


def test_random_rowid_is_kept_with_lifted_constraints(tmp_path: Path) -> None:
    """When all rows are loaded, the schema has definitions that SQLite cannot parse, letter by letter."""
    path, table = tmp_path / "copy.db", "CREATE TABLE t (a ANY NOT NULL) STRICT, RANDOM ROWID"
    with closing(Loader(path, "a dump")) as loader:
        loader.feed(f"{table};\nINSERT INTO t VALUES(NULL);\nCREATE INDEX i ON t (a);\n".encode())
        assert loader.whole
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        assert connection.execute("SELECT sql FROM sqlite_schema WHERE name = 't'").fetchone() == (table,)


def test_virtual_tables_of_a_dump_are_loaded_with_lifted_constraints(tmp_path: Path) -> None:
    """Virtual tables, which the shell's dump writes into the schema directly, are loaded even after other tables."""
    path = tmp_path / "copy.db"
    define = "INSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql)VALUES('table','{0}','{0}',0,'{1}');\n"
    dump = "PRAGMA writable_schema=ON;\n" + define.format("f", "CREATE VIRTUAL TABLE f USING fts5(a, content=t)")
    dump += "CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, a NOT NULL);\nINSERT INTO t VALUES(1,NULL);\n"
    dump += "DELETE FROM sqlite_sequence;\nINSERT INTO sqlite_sequence VALUES('t',7);\n"
    dump += define.format("g", "CREATE VIRTUAL TABLE g USING fts5(a, content=t)") + "PRAGMA writable_schema=OFF;\n"
    with closing(Loader(path, "a dump")) as loader:
        loader.feed(dump.encode())
        assert loader.whole
    with closing(sqlite3.connect(path)) as connection:
        names = connection.execute("SELECT name FROM sqlite_schema ORDER BY name").fetchall()
        assert names == [("f",), ("g",), ("sqlite_sequence",), ("t",)]
        assert connection.execute("SELECT * FROM sqlite_sequence").fetchall() == [("t", 7)]


UNTOUCHED = [
    "CREATE TABLE t AS SELECT (1 NOT NULL) AS a",
    "CREATE TABLE t (a INT, CHECK (a NOT NULL))",
    "CREATE TABLE t (a)",
]


@pytest.mark.parametrize("sql", UNTOUCHED)
def test_nothing_else_is_lifted(sql: str) -> None:
    """A condition that says NOT NULL, and a table made by a query, stay as they are."""
    assert lift(sql) == sql
