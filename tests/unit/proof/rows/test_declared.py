"""Row changes compared with the declared ones, and the foreign keys that deleted rows."""

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from steps.support.change.folder import read_change
from steps.support.proof.rows.cascades import cascades
from steps.support.proof.rows.declared import COLUMN_LOST, check_declared
from steps.support.proof.rows.diff import row_diff
from steps.support.proof.rows.result import Dropped, TableDiff
from steps.support.sql.directives import Range, changes_of
from steps.support.sql.findings import Finding
from steps.support.sql.script import read_script_text
from tests.support.paths import SQL
from tests.support.proof.findings import refusing

ADDED = TableDiff("readings", 10, 13, added=3)
CHANGED = TableDiff("readings", 10, 10, changed=3, columns={"watts": 3})
LOST = TableDiff("readings", 10, 8, removed=2)
GONE = TableDiff("readings", 10, None, removed=10)
EMPTY = TableDiff("readings", 0, None)
SAME = TableDiff("readings", 10, 10)
ALL = TableDiff("readings", 10, 10, added=1, removed=1, changed=2)


@pytest.mark.parametrize(
    ("found", "changes", "cause"),
    [
        (SAME, {}, None),
        (ADDED, {}, None),
        (CHANGED, {}, "3 of 10 values changed"),
        (EMPTY, {}, None),
        (LOST, {}, "2 rows removed (10 before), and no loss was declared"),
        (GONE, {}, "10 rows removed (10 before), and no loss was declared"),
        (ALL, {}, "1 row added, 1 removed, 2 changed (10 before), and no loss was declared"),
        (SAME, {"other": None}, None),
        (ADDED, {"other": None}, "3 rows added (10 before), and no `-- changes:` line names the table"),
        (CHANGED, {"other": None}, "3 of 10 values changed"),
        (CHANGED, {"readings": None}, None),
        (CHANGED, {"readings": (3, 3)}, None),
        (LOST, {"readings": None}, None),
        (LOST, {"READINGS": (2, 2)}, None),
        (ALL, {"readings": (1, 4)}, None),
        (ALL, {"readings": (1, 3)}, "1 row added, 1 removed, 2 changed (10 before), and 1 to 3 rows were declared to change"),
        (ADDED, {"readings": (4, 4)}, "3 rows added (10 before), and 4 rows were declared to change"),
        (SAME, {"readings": (1, 5)}, "0 rows changed (10 before), and 1 to 5 rows were declared to change"),
        (SAME, {"readings": (0, 5)}, None),
    ],
)  # fmt: skip
def test_row_changes_are_compared_with_the_declared_ones(
    found: TableDiff, changes: Mapping[str, Range | None], cause: str | None
) -> None:
    """With a declaration every changed row of any table counts; without one lost rows and changed values do."""
    findings = check_declared({"readings": found}, changes)
    assert [each.cause for each in findings] == ([cause] if cause else [])
    assert refusing(findings, ["rows-lost", "undeclared-change", COLUMN_LOST]) == findings


@pytest.mark.parametrize(
    ("name", "line"),
    [("readings", "-- changes: readings 2"), ('my "own" rows', '-- changes: "my ""own"" rows" 2'), ("größe", "-- changes: größe 2")],
)  # fmt: skip
def test_remedy_is_a_line_that_declares_the_change(name: str, line: str) -> None:
    """The suggested line declares exactly what was found."""
    found = {name: TableDiff(name, 10, 8, removed=2)}
    (finding,) = check_declared(found, {})
    assert finding.remedy == f"Keep these rows, or declare the change: `{line}`."
    assert check_declared(found, changes_of(read_script_text(line, "migrate.sql"))) == []


def test_declared_table_that_does_not_exist_is_refused() -> None:
    """A number of rows declared for a table that neither side has does not match."""
    (finding,) = check_declared({}, {"reading": (3, 3)})
    assert (finding.place, finding.cause[:14]) == ("reading", "0 rows changed")
    assert check_declared({}, {"reading": None}) == []


def test_lost_column_can_be_accepted_by_its_rule() -> None:
    """Values lost with their column are an error, unless another column holds them or there were none."""
    went = (Dropped("user_id", 7), Dropped("system_number", 7, "vendor_site_id"), Dropped("note", 0))
    (finding,) = check_declared({"systems": TableDiff("systems", 7, 7, only_before=went)}, {})
    assert (finding.rule, finding.place) == (COLUMN_LOST, "systems.user_id")
    assert finding.cause == "7 values are lost with the column"
    assert refusing([finding], [COLUMN_LOST]) == []


PARENTS = """CREATE TABLE systems (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
  INSERT INTO systems VALUES (1, 'a'), (2, 'b'), (3, 'c');"""
CHILDREN = """CREATE TABLE readings (id INTEGER PRIMARY KEY, system_id REFERENCES systems ON DELETE {}, watts);
  INSERT INTO readings (system_id, watts) VALUES (1, 10), (1, 11), (2, 20), (NULL, 0);"""
CASCADE, SET_NULL = (f"{PARENTS} {CHILDREN.format(action)}" for action in ("CASCADE", "SET NULL"))
NO_KEY = CASCADE.replace("readings (id INTEGER PRIMARY KEY, ", "readings (")
POINTS = f"""{PARENTS} CREATE TABLE points (system INTEGER REFERENCES systems(id) ON DELETE CASCADE, id INTEGER, PRIMARY KEY (system, id));
  CREATE TABLE "point readings" (id INTEGER PRIMARY KEY, system INTEGER, point INTEGER,
    FOREIGN KEY (system, point) REFERENCES points(system, id) ON DELETE CASCADE);
  INSERT INTO points VALUES (1, 1), (1, 2), (3, 1); INSERT INTO "point readings" (system, point) VALUES (1, 1), (1, 2), (3, 1);"""
REBUILD = """CREATE TABLE kept AS SELECT * FROM systems; DROP TABLE systems;
  CREATE TABLE systems (id INTEGER PRIMARY KEY, name TEXT NOT NULL); INSERT INTO systems SELECT * FROM kept; DROP TABLE kept"""
SWAP = """CREATE TABLE new (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO new SELECT * FROM systems; DROP TABLE systems;
  ALTER TABLE new RENAME TO systems"""
OFF = "Switch foreign keys off before BEGIN, as the orchestrator does, or edit systems in place with ALTER TABLE."
ON_DROP = "because systems was dropped with foreign keys on"


@pytest.fixture
def named(tmp_path: Path) -> Callable[[str, str], list[Finding]]:
    """Return the foreign keys that deleted rows when a change is run with foreign keys on."""

    def name(script: str, change: str) -> list[Finding]:
        before, after = made(tmp_path, script, change)
        return cascades(before, after, row_diff(before, after))

    return name


def made(folder: Path, script: str, change: str) -> tuple[Path, Path]:
    """Create a file, and one after it, with foreign keys enforced."""
    before, after = folder / "before.db", folder / "after.db"
    for file, sql in ((before, script), (after, change)):
        if file is after:
            after.write_bytes(before.read_bytes())
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            connection.executescript(f"PRAGMA foreign_keys = ON; {sql}")
    return before, after


@pytest.mark.parametrize("script", [CASCADE, NO_KEY, f"CREATE TABLE first (a); {CASCADE}"])
@pytest.mark.parametrize("change", [REBUILD, SWAP, "DROP TABLE systems"])
def test_dropped_parent_is_named_for_its_deleted_children(
    named: Callable[[str, str], list[Finding]], script: str, change: str
) -> None:
    """Rows deleted with a rebuilt parent are reported with foreign key, cause and remedy."""
    (finding,) = named(script, change)
    cause = f"3 rows are lost by cascade: readings.system_id -> systems(id) ON DELETE CASCADE, {ON_DROP}"
    assert finding == Finding("readings", cause, OFF)


def test_deleted_parents_are_named_for_their_deleted_children(named: Callable[[str, str], list[Finding]]) -> None:
    """Rows deleted with single parents are reported with the number of those parents."""
    (finding,) = named(CASCADE, "DELETE FROM systems WHERE id <> 2; UPDATE systems SET name = 'x'")
    assert finding.cause == (
        "2 rows are lost by cascade: readings.system_id -> systems(id) ON DELETE CASCADE,"
        " because 2 of 3 rows of systems are gone"
    )
    assert finding.remedy == "Give these rows another parent first, or declare the loss: `-- changes: readings 2`."


@pytest.mark.parametrize(
    ("change", "why"),
    [(REBUILD, ON_DROP), ("DELETE FROM systems", "because 3 of 3 rows of systems are gone")],
)
def test_references_made_null_are_named(named: Callable[[str, str], list[Finding]], change: str, why: str) -> None:
    """ON DELETE SET NULL keeps the rows and loses their references."""
    (finding,) = named(SET_NULL, change)
    assert finding.cause == f"3 references are NULL now: readings.system_id -> systems(id) ON DELETE SET NULL, {why}"


def test_chain_of_cascades_is_named_link_by_link(named: Callable[[str, str], list[Finding]]) -> None:
    """Each table is reported with the foreign key that deleted its rows."""
    causes = {each.place: each.cause for each in named(POINTS, REBUILD)}
    assert causes == {
        "points": f"3 rows are lost by cascade: points.system -> systems(id) ON DELETE CASCADE, {ON_DROP}",
        "point readings": "3 rows are lost by cascade: point readings(system, point) -> points(system, id)"
        " ON DELETE CASCADE, because 3 of 3 rows of points are gone",
    }


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM readings",
        "DELETE FROM readings WHERE system_id = 1",
        "ALTER TABLE systems ADD COLUMN x; DELETE FROM readings WHERE system_id IS NOT NULL",
        f"{REBUILD}; INSERT INTO readings (system_id, watts) VALUES (2, 99)",
        "DELETE FROM readings WHERE id = 3; DELETE FROM systems WHERE id = 1",
        "DROP TABLE readings; DROP TABLE systems",
        f"PRAGMA foreign_keys = OFF; {REBUILD}",
        f"PRAGMA foreign_keys = OFF; {REBUILD}; DELETE FROM readings WHERE id < 3",
        "DROP TABLE readings; CREATE TABLE readings (watts); DELETE FROM systems",
    ],
)
def test_nothing_else_is_called_a_cascade(named: Callable[[str, str], list[Finding]], change: str) -> None:
    """Rows deleted by name, or more or fewer than a foreign key deletes, are not blamed on one."""
    assert named(CASCADE, change) == []


@pytest.mark.parametrize("reference", ["systems(nowhere)", "nobody", "nameless"])
def test_broken_foreign_key_explains_nothing(named: Callable[[str, str], list[Finding]], reference: str) -> None:
    """A foreign key on a missing column or table, or on a column that is no key, deleted nothing."""
    script = f"""{PARENTS} CREATE TABLE nameless (id);
      CREATE TABLE readings (id INTEGER PRIMARY KEY, system_id REFERENCES {reference} ON DELETE CASCADE);
      PRAGMA foreign_keys = OFF; INSERT INTO readings (system_id) VALUES (1)"""
    assert named(script, f"PRAGMA foreign_keys = OFF; DELETE FROM readings; DROP TABLE nameless; {REBUILD}") == []


def test_cascade_replaces_the_plain_loss(tmp_path: Path) -> None:
    """Rows that a cascade deleted are reported once, by foreign key; if declared, they are no error."""
    before, after = made(tmp_path, CASCADE, REBUILD)
    diff = row_diff(before, after)
    went = cascades(before, after, diff)
    assert check_declared(diff, {}, went) == went
    assert check_declared(diff, {"other": None}, went) == went
    assert check_declared(diff, {"readings": (3, 3)}, went) == []


def test_references_made_null_refuse_unless_declared(tmp_path: Path) -> None:
    """Rows that only lost their reference need a declaration, too."""
    before, after = made(tmp_path, SET_NULL, REBUILD)
    diff = row_diff(before, after)
    went = cascades(before, after, diff)
    assert [each.place for each in check_declared(diff, {})] == ["readings.system_id"]
    assert check_declared(diff, {}, went) == went
    assert check_declared(diff, {"readings": None}, went) == []


def test_shipped_change_matches_its_declaration(tmp_path: Path) -> None:
    """The migrated sample keeps every row, and names the columns it removes."""
    change = read_change(SQL)
    migrate = ";".join(statement.sql for statement in change.migrate)
    sample = (SQL / "sample.sql").read_text(encoding="utf-8")
    before, after = made(tmp_path, sample, f"PRAGMA foreign_keys = OFF; BEGIN; {migrate}; COMMIT")
    diff = row_diff(before, after)
    assert {name: (table.removed, table.by_pages) for name, table in diff.items()} == {
        "polling_status": (0, True), "readings": (0, True), "readings_agg_1d": (0, True), "readings_agg_5m": (0, True),
        "systems": (0, False), "user_systems": (0, False),
    }  # fmt: skip
    findings = check_declared(diff, change.changes, cascades(before, after, diff))
    assert [each.place for each in findings] == ["systems.user_id", "systems.timezone_offset"]
    assert Dropped("system_number", 6, "vendor_site_id") in diff["systems"].only_before


RETYPED = {  # the new values of a column v, and what the finding says after the number
    "one type for another": ("CAST(v AS TEXT)", ": 2 INTEGER became TEXT, for example id 1, v 5 -> '5'"),
    "two types": ("CASE id WHEN 1 THEN 0.5 ELSE x'00' END", ": 1 INTEGER became REAL, 1 INTEGER became BLOB, for example id 1, v 5 -> 0.5"),
    "one of them": ("CASE id WHEN 1 THEN 7 ELSE 'x' END", ": 1 INTEGER became TEXT, for example id 2, v 6 -> 'x'"),
}  # fmt: skip


@pytest.mark.parametrize(("value", "words"), RETYPED.values(), ids=RETYPED)
def test_values_of_another_type_are_named_with_both_types(tmp_path: Path, value: str, words: str) -> None:
    """The finding says how many values of which type became which other type, and shows a row."""
    made = "CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 5), (2, 6), (3, NULL);"
    for name, then in (("before", ""), ("after", f"UPDATE t SET v = {value} WHERE v NOT NULL;")):
        with closing(sqlite3.connect(tmp_path / name)) as connection:
            connection.executescript(made + then)
    (found,) = check_declared(row_diff(tmp_path / "before", tmp_path / "after", 100), {"t": None})
    assert found.rule == "retyped"
    assert found.cause.partition(" than before")[2] == words
