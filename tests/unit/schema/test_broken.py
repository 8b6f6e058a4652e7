"""Views and triggers that CREATE accepted although they cannot run, and ids that would be reused."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from steps.support.schema.broken import broken_objects, lowered_sequences, sequences
from steps.support.schema.reading import read_schema
from steps.support.sql.findings import Severity

T = 'CREATE TABLE t (a INTEGER, "b b" TEXT, g INT AS (a * 2)); CREATE TABLE log (v);'
SEEN = "BEGIN INSERT INTO log VALUES (new.a); END;"


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    """Yield an empty database."""
    with closing(sqlite3.connect(":memory:")) as connection:
        yield connection


SOUND = {
    "a view": "CREATE VIEW v AS SELECT a, g FROM t;",
    "a view on a view": "CREATE VIEW v AS SELECT a AS Total FROM t; CREATE VIEW w AS SELECT total FROM v;",
    "a trigger of each event": f"CREATE TRIGGER i AFTER INSERT ON t {SEEN} CREATE TRIGGER u BEFORE UPDATE ON t {SEEN} CREATE TRIGGER d AFTER DELETE ON t BEGIN SELECT old.a; END;",
    "a trigger on some columns": f'CREATE TRIGGER u AFTER UPDATE OF A, "b b", g ON t FOR EACH ROW WHEN new.a > 0 {SEEN}',
    "triggers on a view": f"CREATE VIEW v AS SELECT a FROM t; CREATE TRIGGER i INSTEAD OF INSERT ON v {SEEN} CREATE TRIGGER u INSTEAD OF UPDATE OF a ON v {SEEN}",
    "the tool's own": "CREATE VIEW _orchestrate_v AS SELECT gone FROM t;",
}  # fmt: skip


@pytest.mark.parametrize("script", SOUND.values(), ids=SOUND)
def test_working_view_or_trigger_is_not_broken(database: sqlite3.Connection, script: str) -> None:
    """Views and triggers that compile give no finding, and compiling them writes nothing."""
    database.executescript(T + script)
    before = database.total_changes
    assert broken_objects(database, read_schema(database)) == []
    assert database.total_changes == before
    assert not database.in_transaction


BROKEN = {
    "a view of a table that is gone": ("CREATE VIEW v AS SELECT a FROM gone;", ["broken-view view v: no such table: main.gone"]),
    "a view of a column that is gone": ("CREATE VIEW v AS SELECT gone FROM t;", ["broken-view view v: no such column: gone"]),
    "a view on a broken view": (
        "CREATE VIEW v AS SELECT gone FROM t; CREATE VIEW w AS SELECT 1 FROM v;",
        ["broken-view view v: no such column: gone", "broken-view view w: no such column: gone"],
    ),
    "a broken view, and a trigger on it": (
        f"CREATE VIEW v AS SELECT gone FROM t; CREATE TRIGGER i INSTEAD OF INSERT ON v {SEEN}",
        ["broken-view view v: no such column: gone"],
    ),
    "a trigger into a table that is gone": (
        "CREATE TRIGGER i AFTER INSERT ON t BEGIN INSERT INTO gone VALUES (1); END;",
        ["broken-trigger trigger i: INSERT on t fails: no such table: main.gone"],
    ),
    "a trigger with a column that is gone": (
        "CREATE TRIGGER u AFTER UPDATE ON t BEGIN INSERT INTO log VALUES (new.gone); END;",
        ["broken-trigger trigger u: UPDATE on t fails: no such column: new.gone"],
    ),
    "a trigger that deletes by a column that is gone": (
        "CREATE TRIGGER d BEFORE DELETE ON t BEGIN DELETE FROM log WHERE gone = old.a; END;",
        ["broken-trigger trigger d: DELETE on t fails: no such column: gone"],
    ),
    "a trigger with too few values": (
        "CREATE TRIGGER i AFTER INSERT ON t BEGIN INSERT INTO log VALUES (1, 2); END;",
        ["broken-trigger trigger i: INSERT on t fails: table log has 1 columns but 2 values were supplied"],
    ),
    "a trigger that waits for a column that is gone": (
        f'CREATE TRIGGER u AFTER UPDATE OF a, gone, "b b" ON t {SEEN}',
        ["broken-trigger trigger u: the trigger fires on updates of gone, which t does not have"],
    ),
    "one of two triggers": (
        (f"CREATE TRIGGER i AFTER INSERT ON t {SEEN} CREATE TRIGGER j BEFORE INSERT ON t BEGIN SELECT new.gone; END;"
        f"CREATE TRIGGER u AFTER UPDATE ON t {SEEN}"),
        ["broken-trigger trigger i or j: INSERT on t fails: no such column: new.gone"],
    ),
    "a trigger set off by another": (
        "CREATE TRIGGER i AFTER INSERT ON t BEGIN DELETE FROM log; END; CREATE TRIGGER d AFTER DELETE ON log BEGIN SELECT gone FROM t; END;",
        ["broken-trigger trigger d: DELETE on log fails: no such column: gone", "broken-trigger trigger i: INSERT on t fails: no such column: gone"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("script", "expected"), BROKEN.values(), ids=BROKEN)
def test_broken_view_or_trigger_is_named(database: sqlite3.Connection, script: str, expected: list[str]) -> None:
    """A view or trigger that names a missing object is an error, with the engine's own words."""
    database.executescript(T + script)
    found = broken_objects(database, read_schema(database))
    assert [f"{each.rule} {each.place}: {each.cause}" for each in found] == expected
    assert {each.severity for each in found} == {Severity.ERROR}


def test_function_that_only_the_server_has_is_a_warning(database: sqlite3.Connection) -> None:
    """If this engine lacks a function, a failure to compile tells nothing about the schema."""
    database.executescript(T + "CREATE VIEW v AS SELECT vector_distance_cos(a, a) FROM t;")
    assert [(each.place, each.severity) for each in broken_objects(database, read_schema(database))] == [
        ("view v", Severity.WARNING)
    ]


def test_read_only_file_is_enough(tmp_path: Path) -> None:
    """Views and triggers are compiled without permission to write."""
    with closing(sqlite3.connect(tmp_path / "db")) as database:
        database.executescript(T + "CREATE TRIGGER i AFTER INSERT ON t BEGIN INSERT INTO gone VALUES (1); END;")
    with closing(sqlite3.connect(f"file:{tmp_path / 'db'}?mode=ro", uri=True)) as database:
        assert [each.rule for each in broken_objects(database, read_schema(database))] == ["broken-trigger"]


IDS = "CREATE TABLE {} (id INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO {} VALUES (9); DELETE FROM {};"


def test_highest_id_of_each_table_is_known(database: sqlite3.Connection) -> None:
    """An AUTOINCREMENT table has one, 0 before its first row; other tables and the tool's own have none."""
    assert sequences(database, read_schema(database)) == {}
    database.executescript(IDS.replace("{}", '"Systems"') + "CREATE TABLE t (id INTEGER PRIMARY KEY);")
    database.executescript(
        "CREATE TABLE fresh (id INTEGER PRIMARY KEY AUTOINCREMENT);" + IDS.replace("{}", "_orchestrate_x")
    )
    assert sequences(database, read_schema(database)) == {"fresh": 0, "Systems": 9}


LOWERED = {
    "counted from the rows that are left": ("DROP TABLE s; CREATE TABLE s (id INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO s VALUES (6);", ["9 to 6"]),
    "forgotten": ("DELETE FROM sqlite_sequence;", ["9 to 0"]),
    "the same, in another case": ("ALTER TABLE s RENAME TO x; ALTER TABLE x RENAME TO S;", []),
    "higher": ("INSERT INTO s VALUES (12);", []),
    "of a table that is gone": ("DROP TABLE s;", []),
    "of a table that counts no more": ("DROP TABLE s; CREATE TABLE s (id INTEGER PRIMARY KEY);", []),
}  # fmt: skip


@pytest.mark.parametrize(("script", "expected"), LOWERED.values(), ids=LOWERED)
def test_ids_that_would_be_reused_are_found(database: sqlite3.Connection, script: str, expected: list[str]) -> None:
    """A table's highest id may rise, but must not fall while the table exists."""
    database.executescript(IDS.replace("{}", "s"))
    before = sequences(database, read_schema(database))
    database.executescript(script)
    found = lowered_sequences(before, sequences(database, read_schema(database)))
    assert [(each.rule, each.place, each.cause) for each in found] == [
        ("sequence-lowered", "s", f"the highest id ever assigned went from {change}") for change in expected
    ]
