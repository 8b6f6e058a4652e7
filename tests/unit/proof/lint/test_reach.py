"""What a script can reach, as the engine says: nothing that it changes is missing, and the reader agrees."""

import sqlite3
from contextlib import closing, suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.support.change.folder import read_change
from steps.support.change.one_transaction import in_one_transaction
from steps.support.proof.lint.reach import Access, Action, reach, reach_findings
from steps.support.sql.findings import Severity
from steps.support.sql.script import Script, read_script_text
from steps.support.sql.verbs import read_statement
from tests.support.paths import ROOT
from tests.support.proof.failure_modes import MODES, Mode

DEFINITIONS = [
    "CREATE TABLE p (id INTEGER PRIMARY KEY AUTOINCREMENT, n)",
    "CREATE TABLE c (id INTEGER PRIMARY KEY, p REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE)",
    "CREATE TABLE d (c REFERENCES c(id) ON DELETE SET NULL)",
    "CREATE TABLE log (x)",
    "CREATE VIEW v AS SELECT id, concat_ws('-', n) AS n FROM p",
    "CREATE TRIGGER g AFTER DELETE ON c BEGIN INSERT INTO log SELECT n FROM v; END",
    "CREATE TRIGGER i INSTEAD OF INSERT ON v BEGIN UPDATE p SET n = new.n WHERE id = new.id; END",
    "CREATE INDEX vectors ON log (libsql_vector_idx(x))",
]
WRITES = (Action.INSERT, Action.UPDATE, Action.DELETE)
REACHED = {  # a statement: what it writes with foreign keys off, and what else with them on
    "DELETE FROM p WHERE id = 1": ({("DELETE", "p", "")}, {("DELETE", "c", ""), ("UPDATE", "d", ""), ("INSERT", "log", "g")}),
    "UPDATE p SET id = 2": ({("UPDATE", "p", "")}, {("UPDATE", "c", "")}),
    "DELETE FROM c": ({("DELETE", "c", ""), ("INSERT", "log", "g")}, {("UPDATE", "d", "")}),
    "INSERT INTO v (id, n) VALUES (1, 2)": ({("INSERT", "v", ""), ("UPDATE", "p", "i")}, set()),
    "WITH a AS (SELECT 1) REPLACE INTO log SELECT * FROM a": ({("INSERT", "log", "")}, set()),
    "INSERT INTO p (id) VALUES (1) ON CONFLICT DO UPDATE SET n = 1": ({("INSERT", "p", ""), ("UPDATE", "p", "")}, set()),
    "SELECT * FROM v, p": (set(), set()),
    "EXPLAIN DELETE FROM log": ({("DELETE", "log", "")}, set()),
}  # fmt: skip


def script(text: str) -> Script:
    """Return a migrate.sql."""
    return read_script_text(text, "migrate.sql")


@pytest.mark.parametrize("sql", REACHED)
def test_writes_are_known_also_through_triggers_and_cascades(sql: str) -> None:
    """Each table that a statement writes is named, with the trigger it goes through; cascades only if they happen."""
    off, more = REACHED[sql]
    for foreign_keys, expected in ((False, off), (True, off | more)):
        (found,) = reach(DEFINITIONS, script(sql).pieces, foreign_keys=foreign_keys)
        assert found.error == ""
        assert {(e.action.name, e.object, e.through) for e in found.accesses if e.action in WRITES} == expected


def test_later_statements_see_what_earlier_ones_made() -> None:
    """Tables, columns and triggers that the script makes exist for the statements after them, and no row is needed."""
    text = """CREATE TABLE q AS SELECT * FROM p; ALTER TABLE q RENAME COLUMN n TO m; ALTER TABLE q RENAME TO r;
    CREATE UNIQUE INDEX rm ON r (m); UPDATE r SET m = concat_ws('-', id, m) WHERE lower(m) = 'x' COLLATE unknown;
    DROP TABLE log; INSERT INTO log VALUES (1); DROP TRIGGER g; DELETE FROM c;"""
    found = reach(DEFINITIONS, script(text).pieces)
    assert [each.error for each in found] == ["", "", "", "", "", "", "no such table: log", "", ""]
    assert found[4].objects(Action.UPDATE) == {"r"}
    assert Access(Action.CALL, "concat_ws") in found[4].accesses
    assert found[5].objects(Action.DROP, Action.DELETE) == {"log"}
    assert found[8].objects(*WRITES) == {"c"}


_SCHEMA = """SELECT sql FROM sqlite_schema WHERE sql NOT NULL AND name NOT GLOB 'sqlite_*'
ORDER BY type <> 'table', rowid"""


def test_table_made_of_a_query_stays_empty_on_the_clone() -> None:
    """CREATE TABLE ... AS makes the table with its columns and not one row, so that no query takes long."""
    endless = "CREATE TABLE big AS WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x AS y, p.* FROM n, p -- all"
    text = f"{endless}\n;UPDATE big SET y = n, id = 2; CREATE TABLE t (a AS (1) , b); UPDATE t SET b = a;"
    assert [each.error for each in reach(DEFINITIONS, script(text).pieces)] == [""] * 4


def _definitions(sql: str, done: Script | None = None) -> list[str]:
    """Return the definitions of a database after a script."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(sql)
        for piece in done.pieces if done else ():
            connection.execute(piece.statement.sql).fetchall()
        return [definition for (definition,) in connection.execute(_SCHEMA)]


def test_reader_agrees_with_the_engine_on_the_shipped_change() -> None:
    """For each statement of both scripts the engine names the same action on the same table as the reader."""
    sample = (ROOT / "sql/sample.sql").read_text()
    migrate, rollback = read_change(ROOT / "sql").scripts
    definitions = _definitions(sample)
    assert [each.error for each in reach(definitions, migrate.pieces)] == [""] * len(migrate.pieces)
    assert [*reach_findings(definitions, migrate)] == []
    migrated = _definitions(sample, migrate)
    assert [each.error for each in reach(migrated, rollback.pieces)] == [""] * len(rollback.pieces)
    assert [*reach_findings(migrated, rollback)] == []


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_reader_agrees_with_the_engine_on_real_mistakes(mode: Mode) -> None:
    """For every change of the failure modes, faulty or correct, the reader names the same actions as the engine."""
    for files in (mode.faulty, mode.correct):
        taken = in_one_transaction(script(files.get("migrate.sql", ""))).script
        assert [*reach_findings(_definitions(mode.before), taken)] == []


def test_call_through_a_trigger_of_the_database_is_found() -> None:
    """A script is refused if it fires a trigger that runs SQL from a text, even if its own text does not show it."""
    bad = [*DEFINITIONS, "CREATE TRIGGER h AFTER INSERT ON log BEGIN SELECT sha3_query('COMMIT') FROM v; END"]
    (found,) = reach_findings(bad, script("SELECT 1;\nDELETE FROM c;"))
    assert (found.place, found.severity, found.rule) == ("migrate.sql line 2", Severity.ERROR, "")
    assert (
        found.cause
        == "through h, this statement calls sha3_query, which runs any SQL that a text contains, even COMMIT"
    )


def test_statement_is_read_once() -> None:
    """Reading a statement again returns the same reading; an equal one of another file keeps its own name."""
    one, other = (read_script_text("DELETE FROM t;", name).pieces[0] for name in ("migrate.sql", "rollback.sql"))
    assert read_statement(one) is read_statement(one)
    assert read_statement(other).piece.statement.name == "rollback.sql line 1"


TABLES = ("a", "b", "c", "d")
NAMES = st.sampled_from(TABLES)
ON = st.sampled_from(["", " ON DELETE CASCADE", " ON DELETE SET NULL", " ON UPDATE CASCADE ON DELETE CASCADE"])
STATEMENTS = st.builds(
    str.format,
    st.sampled_from([
        "DELETE FROM {0} WHERE id < 3", "UPDATE {0} SET id = id + 100 WHERE id > 1", "UPDATE {0} SET v = v + 1", "DELETE FROM {0}",
        "INSERT INTO {0} (v) SELECT v FROM {1}", "INSERT OR REPLACE INTO {0} (id, v) SELECT id, 9 FROM {1}",
        "INSERT INTO {0} (id, v) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET v = 7", "DELETE FROM {0} WHERE id IN (SELECT up FROM {1})",
    ]), NAMES, NAMES,
)  # fmt: skip


@settings(max_examples=300)
@given(
    st.tuples(*[st.tuples(NAMES, ON)] * 4),
    st.lists(st.tuples(NAMES, st.sampled_from(["INSERT", "UPDATE", "DELETE"]), STATEMENTS), max_size=3),
    STATEMENTS,
    st.sampled_from([0, 1]),
)
def test_nothing_changes_that_is_not_reached(
    keys: tuple[tuple[str, str], ...], triggers: list[tuple[str, str, str]], statement: str, enforced: int
) -> None:
    """In random schemas with references and triggers, every table whose rows change is one that reach() names."""
    tables = [
        f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, v INTEGER, up INTEGER REFERENCES {parent}(id){on})"
        for name, (parent, on) in zip(TABLES, keys, strict=True)
    ]
    made = [
        f"CREATE TRIGGER g{n} AFTER {event} ON {table} BEGIN {sql}; END"
        for n, (table, event, sql) in enumerate(triggers)
    ]
    (found,) = reach([*tables, *made], script(statement).pieces, foreign_keys=bool(enforced))
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for sql in [*tables, *(f"INSERT INTO {name} VALUES (1, 1, 1), (2, 2, 1), (3, 3, 2)" for name in TABLES), *made]:
            connection.execute(sql)
        before = {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in TABLES}
        connection.execute(f"PRAGMA foreign_keys = {enforced}")
        with suppress(sqlite3.IntegrityError, sqlite3.OperationalError):  # a constraint, or triggers without an end
            connection.execute(statement)
        changed = {name for name in TABLES if connection.execute(f"SELECT * FROM {name}").fetchall() != before[name]}
    assert found.error == ""
    assert changed <= found.objects(*WRITES)
