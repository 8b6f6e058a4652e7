"""Reading a schema: what the pragmas tell, and what only the definition tells."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from steps.support.schema.model import Column, ForeignKey, Index, Part, Table
from steps.support.schema.reading import Schema, read_schema
from steps.support.schema.text import Name, meaningful, normalized


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    """Yield an empty database."""
    with closing(sqlite3.connect(":memory:")) as connection:
        yield connection


def names(*spelled: str) -> tuple[Name, ...]:
    """Return names."""
    return tuple(map(Name, spelled))


def test_empty_database_has_an_empty_schema(database: sqlite3.Connection) -> None:
    """A schema without objects is read as empty."""
    assert read_schema(database) == Schema((), (), (), ())


def test_table_is_read_with_all_its_properties(database: sqlite3.Connection) -> None:
    """Every property of a table is found, in every place where it can be written."""
    database.executescript(
        """
        CREATE TABLE p (x INT, y INT, PRIMARY KEY (x, y));
        CREATE TABLE "T a" (
          id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, -- the key, and (no) CHECK
          "B" varchar ( 10 ) COLLATE nocase NOT NULL DEFAULT 'x''y' CHECK (b <> ';, ('),
          c INT REFERENCES p (x) ON UPDATE SET NULL,
          s AS (c + 1) STORED,
          CONSTRAINT both UNIQUE (b, c) ON CONFLICT IGNORE
          FOREIGN KEY (id, c) REFERENCES p ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
        ) STRICT""".replace("varchar ( 10 )", "text").replace("s AS", "s INT AS")
    )
    assert read_schema(database).tables[1] == Table(
        name=Name("t A"),
        columns=(
            Column(Name("id"), "INTEGER", False, given="INTEGER PRIMARY KEY"),
            Column(Name("b"), "TEXT", True, default="'x''y'", collation="NOCASE"),
            Column(Name("c"), "INT", False),
            Column(Name("s"), "INT", False, given="AS (c + 1) STORED"),
        ),
        primary_key=(Part(Name("id")),),
        foreign_keys=(
            ForeignKey(names("c", "id"), Name("p"), names("y", "x"), "NO ACTION", "CASCADE", deferred=True),
            ForeignKey(names("c"), Name("p"), names("x"), "SET NULL", "NO ACTION", deferred=False),
        ),
        uniques=((Part(Name("b"), "NOCASE"), Part(Name("c"))),),
        checks=("b <> ';, ('",),
        conflicts=("UNIQUE (b, c) ON CONFLICT IGNORE",),
        without_rowid=False,
        strict=True,
        autoincrement=True,
        virtual="",
    )  # fmt: skip


def test_index_is_read_with_its_expressions_and_condition(database: sqlite3.Connection) -> None:
    """Columns, expressions, collation, direction and WHERE are told apart."""
    database.executescript("""
        CREATE TABLE t (a TEXT COLLATE NOCASE, "b c" INT);
        CREATE UNIQUE INDEX i ON t (a DESC, substr(a, 1, 2) COLLATE rtrim DESC, "b c", a COLLATE BINARY) WHERE ("b c" IN (1, 2));
    """)
    parts = (
        Part(Name("a"), "NOCASE", descending=True),
        Part("substr(a, 1, 2)", "RTRIM", descending=True),
        Part(Name("b c")),
        Part(Name("a")),
    )
    (index,) = read_schema(database).indexes
    assert index == Index(Name("i"), Name("t"), True, parts, '"b c" in(1, 2)')
    assert index.key == '(a COLLATE NOCASE DESC, substr(a, 1, 2) COLLATE RTRIM DESC, b c, a) WHERE "b c" in(1, 2)'


def test_shadow_tables_are_left_out(database: sqlite3.Connection) -> None:
    """A virtual table is one table, no matter how many tables the engine keeps for it."""
    database.execute("CREATE VIRTUAL TABLE notes USING fts5(title, body)")
    (table,) = read_schema(database).tables
    assert (table.name, table.virtual) == ("notes", "using fts5(title, body)")


def test_rows_as_mappings_give_the_same_schema(database: sqlite3.Connection) -> None:
    """A connection that returns its rows as mappings gives the same schema."""
    database.executescript(
        "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE t (a UNIQUE REFERENCES p); CREATE INDEX i ON t (a);"
    )
    expected = read_schema(database)
    database.row_factory = sqlite3.Row
    assert read_schema(database) == expected


def test_file_that_is_no_database_is_an_error() -> None:
    """An unreadable file is not taken for an empty schema."""
    with closing(sqlite3.connect(":memory:")) as database:
        database.deserialize(b"no database" * 100)
        with pytest.raises(sqlite3.Error):
            read_schema(database)


def test_names_ignore_case() -> None:
    """Names are equal regardless of the case of ASCII letters, also as keys, and keep their spelling."""
    assert Name("userId") == Name("USERID") == "userid"
    assert Name("a") != Name("b")
    assert not Name("a") != Name("A")  # noqa: SIM202 - the operator is what is tested
    assert {Name("A"): 1}[Name("a")] == 1
    assert Name("Ä") != Name("ä")
    assert str(Name("userId")) == "userId"


NORMAL = {
    'SELECT  a."B",[c d] FROM t': 'select a.b, "c d" from t',
    "a<=10 AND b || 'X'<>\"y\"": "a <= 10 and b || 'X' <> 'y'",
    "((a + b))": "a + b",
    "(a) + (b)": "(a) + (b)",
    "F ( X , Y )": "f(x, y)",
    "`e``f` /* no */ = [g]": '"e`f" = g',
    "'--' -- all": "'--'",
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), NORMAL.items(), ids=NORMAL)
def test_text_is_normalised(text: str, expected: str) -> None:
    """Case, spaces, quotes and comments go; literals stay; normalising again changes nothing."""
    known = names("b", "c d", "g", "e`f")
    assert normalized(meaningful(text), known) == expected
    assert normalized(meaningful(expected), known) == expected
