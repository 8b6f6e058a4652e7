"""Why a database on Turso's new engine is refused: what pyturso, which is that engine in process, does today.

A row that fails after an upgrade of pyturso is a reason to look again at `steps/support/proof/rehearsal/target.py`.
"""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

turso = pytest.importorskip("turso", reason="pyturso is not installed")

SITE = (
    "CREATE TABLE p (id INTEGER PRIMARY KEY, a TEXT)",
    "CREATE TABLE k (id INTEGER PRIMARY KEY, p INTEGER REFERENCES p (id) ON DELETE CASCADE)",
    "INSERT INTO p VALUES (1, 'x'), (2, 'y')",
    "INSERT INTO k VALUES (1, 1), (2, 2)",
)
REBUILT = (
    "PRAGMA foreign_keys = OFF", "BEGIN IMMEDIATE", "CREATE TABLE kept AS SELECT * FROM p", "DROP TABLE p",
    "CREATE TABLE p (id INTEGER PRIMARY KEY, a TEXT, b TEXT)", "INSERT INTO p (id, a) SELECT id, a FROM kept",
    "DROP TABLE kept", "COMMIT",
)  # fmt: skip


@pytest.fixture
def engine() -> Iterator[Any]:
    """Return a connection to a small database on the new engine."""
    with closing(turso.connect(":memory:", isolation_level=None)) as connection:
        _run(connection, *SITE)
        yield connection


def test_it_says_what_it_is(engine: Any) -> None:
    """turso_version() answers, and sqlite_version() names the dialect."""
    ((version, dialect),) = _run(engine, "SELECT turso_version(), sqlite_version()")
    assert version
    assert dialect >= "3.50"


def test_a_parent_is_rebuilt_in_a_transaction_with_foreign_keys_off(engine: Any) -> None:
    """What the tool's own transactions rest on holds there too: the children stay."""
    _run(engine, *REBUILT)
    assert _run(engine, "SELECT id, a, b FROM p") == [(1, "x", None), (2, "y", None)]
    assert _run(engine, "SELECT id, p FROM k") == [(1, 1), (2, 2)]


def test_foreign_keys_are_off_by_default_and_a_drop_with_them_on_takes_the_children(engine: Any) -> None:
    """Neither default is libSQL's: it enforces foreign keys."""
    assert _run(engine, "PRAGMA foreign_keys") == [(0,)]
    _run(engine, "PRAGMA foreign_keys = ON", "DROP TABLE p")
    assert _run(engine, "SELECT * FROM k") == []


def test_no_orphan_is_found(engine: Any) -> None:
    """PRAGMA foreign_key_check reports nothing, and its table, which the guards ask, is missing."""
    _run(engine, "INSERT INTO k VALUES (3, 77)")
    assert _run(engine, "PRAGMA foreign_key_check") == []
    with pytest.raises(turso.DatabaseError, match="no such table"):
        _run(engine, "SELECT * FROM pragma_foreign_key_check('k')")


def test_foreign_keys_can_be_switched_inside_a_transaction(engine: Any) -> None:
    """Elsewhere the pragma does nothing there; here a script could undo what the tool set before it."""
    _run(
        engine, "PRAGMA foreign_keys = OFF", "BEGIN IMMEDIATE", "PRAGMA foreign_keys = ON", "DELETE FROM p WHERE id = 1"
    )
    assert _run(engine, "SELECT id FROM k") == [(2,)]


def test_definitions_are_stored_in_other_words(engine: Any) -> None:
    """sqlite_schema holds the engine's own words, not those of the script."""
    _run(engine, "create table w (a text primary key)")
    assert _run(engine, "SELECT sql FROM sqlite_schema WHERE name = 'w'") != [("create table w (a text primary key)",)]


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("CREATE VIRTUAL TABLE f USING fts5(a)", "no such module: fts5"),
        ("CREATE TABLE w (a TEXT PRIMARY KEY) WITHOUT ROWID", "experimental"),
        ("CREATE TABLE g (a, b GENERATED ALWAYS AS (a + 1))", "experimental"),
        ("ALTER TABLE p ALTER COLUMN a TO a TEXT NOT NULL", "duplicate column name"),
        ("SELECT * FROM dbstat", "no such table"),
        ("SELECT sha3_query('SELECT 1')", "no such function"),
    ],
)
def test_it_lacks_what_libsql_has(engine: Any, sql: str, words: str) -> None:
    """Statements that run on libSQL are refused there."""
    with pytest.raises(turso.DatabaseError, match=words):
        _run(engine, sql)


def _run(connection: Any, *script: str) -> Any:
    found: Any = []
    for sql in script:
        cursor = connection.execute(sql)
        found = cursor.fetchall() if cursor.description else []
    return found
