"""The lint: each statement that once lost data is named with file and line, and its safe form passes."""

import inspect
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from steps.support.proof.lint import lint as lint_rules
from steps.support.proof.lint import parent_rules, row_rules
from steps.support.proof.lint.lint import Child, Facts, decided_by_rows, lint, proved_harmless
from steps.support.sql.findings import Severity
from steps.support.sql.refusals import refusals
from steps.support.sql.script import read_script_text
from tests.support.paths import ROOT
from tests.support.proof.linting import SITE, judged, known

REBUILT = """CREATE TABLE systems_new (id INTEGER PRIMARY KEY);
INSERT INTO systems_new SELECT id FROM systems;
DROP TABLE systems;
ALTER TABLE systems_new RENAME TO systems;
"""


FLAGGED = {
    # DROP TABLE of a parent
    "DROP TABLE systems": [("drop-parent", 1)],
    'drop table if exists main."SYSTEMS"': [("drop-parent", 1)],
    "DROP TABLE [Systems]": [("drop-parent", 1)],
    "DROP TABLE `systems`": [("drop-parent", 1)],
    "DROP TABLE 'systems'": [("drop-parent", 1)],
    'DROP TABLE "odd ""name"': [("drop-parent", 1)],
    "DROP TABLE point_info": [("drop-parent", 1)],
    "-- made anew\n" + REBUILT: [("drop-parent", 4)],
    "DROP TABLE systems;\nDROP TABLE readings;": [("drop-parent", 1)],
    "DROP TABLE readings;\nDROP TABLE systems": [("drop-parent", 2)],
    # RENAME of a parent
    "ALTER TABLE systems RENAME TO systems_backup": [("rename-parent", 1)],
    "ALTER TABLE [systems] RENAME TO `systems old`": [("rename-parent", 1)],
    "ALTER TABLE systems RENAME TO systems_old;\nCREATE TABLE systems (id);\nDROP TABLE systems_old;": [("rename-parent", 1), ("drop-parent", 3)],
    REBUILT + "ALTER TABLE systems RENAME TO systems_2;": [("drop-parent", 3), ("rename-parent", 5)],
    # part of a key
    "UPDATE point_info SET name = 'x' WHERE id = 3": [("partial-key", 1)],
    "ALTER TABLE point_info RENAME COLUMN id TO point;\nDELETE FROM point_info WHERE point = 3": [("partial-key", 2)],
    "DELETE FROM point_info WHERE id IN (SELECT id FROM point_info WHERE name = 'x')": [("partial-key", 1)],
    "DELETE FROM point_info WHERE id IN (SELECT point_info.id FROM point_info WHERE point_info.system_id = 1)": [("partial-key", 1)],
    "DELETE FROM point_info WHERE id NOT IN (SELECT id FROM log)": [("partial-key", 1)],
    "DELETE FROM [Point_Info] WHERE `ID` = 3": [("partial-key", 1)],
    "DELETE FROM point_info AS p WHERE EXISTS (SELECT 1 FROM log WHERE log.time = p.id)": [("partial-key", 1)],
    "UPDATE point_info SET name = l.text FROM log AS l WHERE l.time = point_info.id": [("partial-key", 1)],
    "WITH dead AS (SELECT 1 AS id) DELETE FROM point_info WHERE id IN (SELECT id FROM dead)": [("partial-key", 1)],
    "DELETE FROM point_info WHERE (system_id = 1 AND id = 2) OR id = 3": [("partial-key", 1)],
    "UPDATE OR REPLACE point_info SET id = 4 WHERE id = 3": [("partial-key", 1), ("or-replace", 1)],
    "DELETE FROM point_info WHERE id IS 3 AND name LIKE '%'": [("partial-key", 1)],
    # every row
    "UPDATE systems SET system_number = 'x'": [("no-where", 1)],
    "SELECT 1;\n\nDELETE FROM readings": [("printed-only", 1), ("no-where", 3)],
    "UPDATE readings SET solar_w = (SELECT 1 WHERE 1)": [("no-where", 1)],
    "UPDATE readings SET solar_w = 0 FROM log": [("no-where", 1)],
    "DELETE FROM sqlite_sequence": [("no-where", 1)],
    "WITH n AS (SELECT 1 WHERE 1) DELETE FROM log": [("no-where", 1)],
    "WITH replace AS (SELECT 1) DELETE FROM log": [("no-where", 1)],
    "CREATE TABLE IF NOT EXISTS log (time);\nDELETE FROM log;": [("no-where", 2)],
    "CREATE TABLE x (y);\nDROP TABLE x;\nDELETE FROM x;": [("no-where", 3)],
    "ALTER TABLE log RENAME TO logs;\nDELETE FROM logs;": [("no-where", 2)],
    # rows lost silently
    "INSERT OR REPLACE INTO log VALUES (1, 'x')": [("or-replace", 1)],
    "replace into log select * from log": [("or-replace", 1)],
    "WITH n AS (SELECT 1, 2) INSERT OR REPLACE INTO log SELECT * FROM n": [("or-replace", 1)],
    "INSERT OR IGNORE INTO log SELECT * FROM log": [("or-ignore", 1)],
    "UPDATE OR IGNORE log SET time = 1 WHERE time = 2": [("or-ignore", 1)],
    # RAISE outside a trigger
    "SELECT RAISE(ABORT, 'rows lost')": [("raise-outside-trigger", 1)],
    "SELECT CASE WHEN (SELECT count(*) FROM log) THEN raise ( FAIL, 'no; never' ) END": [("raise-outside-trigger", 1)],
    # a zone divided as whole numbers
    "INSERT INTO log SELECT timezone_offset_min / 60, '' FROM systems": [("integer-division", 1)],
    "UPDATE systems SET timezone_offset = x.tz / 60 FROM log AS x WHERE id = 1": [("integer-division", 1)],
    "SELECT (minutes + 30) / (60)": [("integer-division", 1), ("printed-only", 1)],
    "SELECT CAST(utc_offset AS INTEGER) / 60, round(user_tz / 60, 1)": [("integer-division", 1), ("integer-division", 1), ("printed-only", 1)],
    "SELECT coalesce((SELECT timezone FROM systems), 600) / 60": [("integer-division", 1), ("printed-only", 1)],
    "SELECT duration_min / 60 FROM log": [("integer-division", 1), ("printed-only", 1)],
    "CREATE TABLE z (tz INTEGER, h INTEGER GENERATED ALWAYS AS (tz / 60) STORED)": [("integer-division", 1)],
    'CREATE TRIGGER g AFTER UPDATE ON log BEGIN\n  UPDATE log SET time = new."offset_min" / 60 WHERE false;\nEND': [("integer-division", 1)],
    # results that are only printed
    'SELECT count(*) AS "should be 0" FROM log': [("printed-only", 1)],
    "DROP TABLE points;\n\nselect 'FAIL' WHERE EXISTS (SELECT 1 FROM log);": [("printed-only", 3)],
    "VALUES ('STOP here'), (2)": [("printed-only", 1)],
    "WITH n AS (SELECT 1 AS x) SELECT x FROM n": [("printed-only", 1)],
    "WITH n AS (SELECT 1) VALUES (1)": [("printed-only", 1)],
    "WITH replace (x) AS (SELECT 1) SELECT x FROM replace": [("printed-only", 1)],
    "/* a */ SELECT -- b\n CASE WHEN (SELECT count(*) FROM log) = 0 THEN 'PASS' ELSE 'FAIL' END": [("printed-only", 1)],
    "SELECT 'json_extract(', \"abs\", json_valid('{}') /* json( */ FROM log -- abs(": [("printed-only", 1)],
    "SELECT json, abs FROM log WHERE json IN (1)": [("printed-only", 1)],
    # statements that cannot be read
    "FROBNICATE systems": [("not-parsed", 1)],
    f"DELETE FROM point_info WHERE {'(' * 300}id = 1{')' * 300}": [("not-parsed", 1)],
}  # fmt: skip


@pytest.mark.parametrize(("sql", "expected"), FLAGGED.items(), ids=[sql[:60] for sql in FLAGGED])
def test_harmful_statement_is_flagged_with_its_line(sql: str, expected: list[tuple[str, int]]) -> None:
    """Each form in which a statement does the harm is flagged by its rule, on the line where it begins."""
    assert [(each.rule, each.place) for each in judged(sql)] == [
        (rule, f"migrate.sql line {n}") for rule, n in expected
    ]


LET_THROUGH = [
    # tables that have no references, or none any more
    "DROP TABLE readings",
    "DROP TABLE IF EXISTS no_such_table",
    "DROP TABLE points; DROP TABLE point_info;",
    "DROP INDEX systems; DROP VIEW systems;",
    "CREATE TABLE systems_copy AS SELECT * FROM systems; DROP TABLE systems_copy;",
    "ALTER TABLE readings RENAME TO readings_2",
    "ALTER TABLE systems RENAME COLUMN system_number TO vendor_site_id",
    "ALTER TABLE systems RENAME system_number TO vendor_site_id",
    "ALTER TABLE systems DROP COLUMN system_number",
    "ALTER TABLE systems ADD COLUMN vendor_type TEXT NOT NULL DEFAULT 'select.live'",
    "ALTER TABLE systems ALTER COLUMN system_number TO system_number TEXT NOT NULL",
    # leading columns of a key, and the whole key of another table
    "DELETE FROM point_info WHERE system_id = 3",
    "DELETE FROM points WHERE (system_id, point_id) IN (SELECT 1, 2)",
    "DELETE FROM points WHERE system_id = 1 AND value > 5",
    "UPDATE points SET value = 0 WHERE point_id = 2 AND system_id = 1",
    "DELETE FROM point_info WHERE system_id = 1 OR (system_id = 2 AND id = 3)",
    # the whole key
    "UPDATE point_info SET name = 'x' WHERE system_id = 1 AND id = 3",
    "DELETE FROM point_info WHERE (system_id, id) IN (SELECT system_id, id FROM point_info WHERE name = 'x')",
    "DELETE FROM point_info WHERE (id, system_id) = (3, 1)",
    "DELETE FROM point_info AS p WHERE EXISTS (SELECT 1 FROM log WHERE log.time = p.id AND log.text = p.system_id)",
    "DELETE FROM point_info WHERE id IN (SELECT time FROM log WHERE log.text = point_info.system_id)",
    "UPDATE point_info SET name = l.text FROM log AS l WHERE l.time = point_info.id AND system_id = 1",
    "DELETE FROM point_info WHERE (system_id = 1 AND id = 2) OR (system_id = 2 AND id IN (3, 4))",
    "DELETE FROM point_info WHERE system_id = 1 AND (id = 2 OR id = 3)",
    "DELETE FROM points WHERE system_id = 1 AND point_id = 2 AND time < 1000",
    "DELETE FROM point_info WHERE name = 'x'",
    "DELETE FROM point_info WHERE rowid IN (SELECT rowid FROM point_info WHERE id = 3)",
    "DELETE FROM readings WHERE id = 3",
    # rows selected explicitly, or the script's own
    "UPDATE systems SET system_number = 'x' WHERE true",
    "DELETE FROM readings WHERE 1",
    "CREATE TABLE fresh (x); UPDATE fresh SET x = 1; DELETE FROM 'Fresh';",
    "CREATE TABLE systems_new (id); ALTER TABLE systems_new RENAME TO [Systems2]; UPDATE systems2 SET id = 1;",
    "DELETE FROM _orchestrate_kept_systems",
    "CREATE TRIGGER g AFTER INSERT ON log BEGIN DELETE FROM log; INSERT OR REPLACE INTO log VALUES (1, 2); END",
    # explicit conflict clauses, and words that only look like one
    "INSERT INTO log VALUES (1, 'x') ON CONFLICT (time) DO UPDATE SET text = excluded.text",
    "INSERT INTO log SELECT * FROM log WHERE true ON CONFLICT (time) DO NOTHING",
    "INSERT OR ABORT INTO log VALUES (1, 'or replace into')",
    # RAISE where it belongs, and as a name
    "CREATE TRIGGER g BEFORE DELETE ON systems WHEN old.id <> 0 BEGIN SELECT RAISE(ABORT, 'no; never'); END",
    "CREATE TABLE raise (x); INSERT INTO raise (x) VALUES ('RAISE(ABORT)');",
    "SELECT CASE WHEN (SELECT count(*) FROM log) = 0 THEN 1 ELSE json_extract('{}', 'rows lost') END",
    # divisions that lose nothing, and those of other values
    "UPDATE systems SET timezone_offset = tz / 60 WHERE tz % 60 = 0",
    # statements unknown to the parser are read by their tokens
    "UPDATE t SET a = 1 WHERE b IN ('x') COLLATE NOCASE",
    "EXPLAIN QUERY PLAN DELETE FROM systems",
    "CREATE TABLE c (a UNIQUE ON CONFLICT REPLACE, b GENERATED ALWAYS AS (a * 60) STORED)",
    "REINDEX systems; PRAGMA foreign_key_check; ANALYZE;",
]  # fmt: skip


@pytest.mark.parametrize("sql", LET_THROUGH, ids=[sql[:60] for sql in LET_THROUGH])
def test_safe_form_passes(sql: str) -> None:
    """Neither the correct form of a flagged statement nor one that only looks like it is flagged."""
    assert judged(sql) == []


LET_THROUGH_IN_A_QUESTION = [
    "SELECT replace(text, 'a', 'b') FROM log WHERE text = 'x' OR replace(text, 'a', 'b') = 'y'",
    "SELECT timezone_offset_min / 60.0, 1.0 * tz / 60, tz / 6e1, tz / CAST(60 AS REAL) FROM systems",
    "SELECT CAST(timezone_offset_min AS REAL) / 60, (tz + 0.5) / 60, round(tz) / 60 FROM systems",
    "SELECT printf('%d:%02d', timezone_offset_min / 60, timezone_offset_min % 60) FROM systems",
    "SELECT solar_w_min / 2, hertz / 50, time / 60, length(timezone) / 2, 60 / tz FROM readings",
    "SELECT 'timezone_offset_min / 60' /* tz / 60 */ -- tz / 60",
    "SELECT id FROM log ORDER BY 1 LIMIT 10 OFFSET 600 / 60",
]  # fmt: skip


@pytest.mark.parametrize("sql", LET_THROUGH_IN_A_QUESTION, ids=[sql[:60] for sql in LET_THROUGH_IN_A_QUESTION])
@pytest.mark.parametrize("name", ["verify.sql", "verify_rollback.sql", "contract/new.sql", "writes.sql"])
def test_sound_check_passes(sql: str, name: str) -> None:
    """Outside a change, a query that only looks like a harmful statement is not flagged."""
    assert judged(sql, name=name) == []


@pytest.mark.parametrize("sql", LET_THROUGH_IN_A_QUESTION, ids=[sql[:60] for sql in LET_THROUGH_IN_A_QUESTION])
@pytest.mark.parametrize("name", ["migrate.sql", "rollback.sql"])
def test_select_in_a_change_checks_nothing(sql: str, name: str) -> None:
    """In migrate.sql and rollback.sql, a SELECT that cannot fail is a warning that says where checks belong."""
    (found,) = judged(sql, name=name)
    assert (found.rule, found.place, found.severity) == ("printed-only", f"{name} line 1", Severity.WARNING)
    assert "verify_rollback.sql, as a `-- check:` that must return no rows" in found.remedy
    assert found.object
    assert str(found).endswith(f"To accept it: -- allow: printed-only {found.object}: <reason>")


ASSERTIONS = [
    "SELECT CASE WHEN (SELECT count(*) FROM log) = 0 THEN 1 ELSE json_extract('{}', 'rows lost') END",
    "SELECT iif(EXISTS (SELECT 1 FROM log), JSON_EXTRACT ('{}', 'rows'), 1)",
    "WITH n AS (SELECT count(*) AS x FROM log) SELECT CASE x WHEN 0 THEN 1 ELSE json('rows lost') END FROM n",
    "SELECT abs(-9223372036854775808) FROM log WHERE time IS NULL",
    "VALUES (iif((SELECT count(*) FROM log), json('rows lost'), 1))",
]


@pytest.mark.parametrize("sql", ASSERTIONS, ids=[sql[:60] for sql in ASSERTIONS])
def test_assertion_is_no_printed_check(sql: str) -> None:
    """A SELECT that fails on some result is not flagged, and the engine runs it while that result does not occur."""
    assert judged(sql) == []
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(SITE)
        database.execute(sql).fetchall()
        database.execute("INSERT INTO log VALUES (NULL, 'x')")
        with pytest.raises(sqlite3.Error, match=r"JSON|integer overflow"):
            database.execute(sql).fetchall()


UNKNOWN_TO_IT = [
    ("DROP TABLE systems", "CREATE TABLE systems (id INTEGER PRIMARY KEY)"),
    ("DROP TABLE systems", "CREATE TABLE systems (id PRIMARY KEY, parent REFERENCES systems ON DELETE CASCADE)"),
    ("DELETE FROM point_info WHERE id = 3", "CREATE TABLE point_info (id INTEGER PRIMARY KEY, system_id)"),
    ("DELETE FROM point_info WHERE id = 3", "CREATE TABLE point_info (id, system_id)"),
    ("ALTER TABLE systems RENAME TO s", "CREATE TABLE systems (id)"),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "schema"), UNKNOWN_TO_IT)
def test_same_statement_is_safe_on_another_schema(sql: str, schema: str) -> None:
    """Whether a table has children or a composite key is read from the database, not guessed from names."""
    assert judged(sql, schema) == []


def test_facts_are_read_from_the_database() -> None:
    """Keys keep their own order; foreign keys are listed under the referenced table, with columns and action."""
    read = known(SITE)
    assert read.keys["points"] == ("system_id", "point_id", "time")
    assert read.keys["log"] == ()
    assert set(read.children["systems"]) == {
        Child("systems", ("parent",), "NO ACTION"),
        Child("readings", ("system_id",), "CASCADE"),
        Child("users", ("default_system_id",), "SET NULL"),
        Child("invoices", ("system_id",), "NO ACTION"),
        Child("point_info", ("system_id",), "CASCADE"),
    }
    assert read.children["point_info"] == (Child("points", ("system_id", "point_id"), "CASCADE"),)


def test_facts_by_hand_may_be_in_capitals() -> None:
    """Facts written by hand match names in upper and lower case."""
    by_hand = Facts({"Systems": ("Id", "Vendor")}, {"SYSTEMS": (Child("Readings", ("system_id",), "CASCADE"),)})
    script = read_script_text(
        "DELETE FROM systems WHERE vendor = 1; DROP TABLE readings; DROP TABLE systems;", "migrate.sql"
    )
    assert [each.rule for each in lint(script, by_hand)] == ["partial-key"]


def test_dropped_parent_names_the_fate_of_each_child() -> None:
    """Every table that the deletion reaches, also through a cascade, is named with what its foreign key does."""
    (found,) = judged("DROP TABLE systems")
    for effect in (
        "readings (system_id) loses rows",
        "users (default_system_id) is set to NULL",
        "invoices (system_id) makes the DROP fail",
        "points (system_id, point_id) loses rows",
    ):
        assert effect in found.cause
    assert "systems (parent)" not in found.cause


def test_partial_key_names_the_missing_columns() -> None:
    """The finding names the key's columns, the compared one, and how to compare the whole key."""
    (found,) = judged("DELETE FROM points WHERE system_id = 1 AND time IN (SELECT 5)")
    assert "(system_id, point_id, time), and WHERE compares system_id and time without point_id" in found.cause
    assert "WHERE (system_id, point_id, time) IN (SELECT" in found.remedy


def test_every_finding_names_its_rule_and_its_remedy() -> None:
    """Only findings that cannot lose data are warnings; each text is one clause and one sentence to act on."""
    warnings, either = {"or-ignore", "not-parsed"}, {"printed-only"}
    for each in (finding for sql in FLAGGED for finding in judged(sql)):
        expected = Severity.WARNING if each.rule in warnings else Severity.ERROR
        assert each.rule in either or each.severity is expected
        assert not each.cause.endswith(".")
        assert each.remedy.endswith(".")


ON_ONE_LINE = [
    "DELETE FROM log; ", "UPDATE point_info SET name = 'x' WHERE id = 3; ", "INSERT OR REPLACE INTO log VALUES (1, 'x'); ",
    "INSERT OR IGNORE INTO log VALUES (1, 'x'); ", "SELECT 1; ", "SELECT RAISE(ABORT, 'x') FROM log; ",
    "UPDATE systems SET parent = timezone_offset / 60 WHERE id = 1; ", "REVOKE 1; ",
]  # fmt: skip


@pytest.mark.parametrize("sql", ON_ONE_LINE)
def test_statements_on_one_line_are_told_apart(sql: str) -> None:
    """Two equal statements on a line are two places, in order; the first on a line is named as usual."""
    found = {each.place: each for each in judged(sql * 2 + "\n" + sql)}
    assert [*found] == ["migrate.sql line 1, statement 1", "migrate.sql line 1, statement 2", "migrate.sql line 2"]
    assert {each.object for each in found.values()} == {judged(sql)[0].object}


@pytest.mark.parametrize("divisor", ["9" * 5000, "9" * 19, "\u0663"])
def test_divisor_that_is_no_integer_passes(divisor: str) -> None:
    """Digits too many for an integer, or of another script, are never read as an integer."""
    assert judged(f"UPDATE systems SET parent = timezone_offset / {divisor} WHERE id = 1") == []
    assert judged(f"UPDATE log SET time = nothing known (timezone_offset / {divisor}) WHERE time = 1") == []


def test_parent_proved_harmless_is_a_note() -> None:
    """A dropped or renamed parent becomes a note only if every child is proved unharmed; other findings do not."""
    findings = judged("DROP TABLE point_info;\nALTER TABLE systems RENAME TO s;\nDELETE FROM log;")
    unharmed = {"Points", "readings", "users", "invoices"}
    weights = [Severity.NOTE, Severity.ERROR, Severity.ERROR]
    assert [each.rule for each in findings] == ["drop-parent", "rename-parent", "no-where"]
    assert [each.severity for each in proved_harmless(findings, unharmed)] == [
        Severity.NOTE,
        Severity.NOTE,
        Severity.ERROR,
    ]
    assert [each.severity for each in proved_harmless(findings, unharmed - {"users"})] == weights
    assert proved_harmless(findings, set()) == findings


REFUSED_ALREADY = [
    ".bail on", "ATTACH 'other.db' AS other", "VACUUM", "VACUUM INTO 'x'", "CREATE TEMP TABLE x (y)",
    "CREATE TEMPORARY TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END", "PRAGMA foreign_keys = OFF",
    'PRAGMA "foreign_keys" = 0', "PRAGMA main.legacy_alter_table(1)", "COMMIT", "END", "ROLLBACK", "SAVEPOINT s",
    "BEGIN", "ANALYZE", "BEGIN CONCURRENT", "CREATE TABLE temp.x (y)", "INSERT INTO temp.x VALUES (1)",
    "UPDATE t SET owner = '{owner}' WHERE true", "UPDATE t SET owner = '<YOUR_CLERK_ID>' WHERE true", "UPDATE t SET owner = :owner WHERE true",
    "UPDATE t SET owner = 'user_xxxx' WHERE true",
]  # fmt: skip


@pytest.mark.parametrize("name", ["migrate.sql", "rollback.sql"])
@pytest.mark.parametrize("sql", REFUSED_ALREADY)
def test_statement_refused_while_reading_needs_no_lint(name: str, sql: str) -> None:
    """Shell commands, other databases, settings, transactions and gaps are refused with their line before any lint."""
    script = read_script_text(f"DROP INDEX i;\n\n{sql};\n", name)
    assert {finding.place for finding in refusals(script.pieces, name)} == {f"{name} line 3"}
    assert [each for each in lint(script, known("CREATE TABLE t (owner)")) if each.rule != "not-parsed"] == []


def test_lint_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """Statements that the parser takes as bare commands, or cannot parse, print nothing."""
    judged("ALTER TABLE t ALTER COLUMN tz TO tz TEXT DEFAULT (tz / 60); REPLACE INTO t SELECT 4 / 2; SELEC 4 / 2;")
    assert capfd.readouterr() == ("", "")


def test_help_does_not_import_the_parser() -> None:
    """`--help` imports neither the parser nor the proof."""
    command = [sys.executable, "-X", "importtime", "orchestrate.py", "--help"]
    imported = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stderr
    assert "import time" in imported
    assert not {name for name in ("sqlglot", "steps.support.proof") if name in imported}


GROUPS = """
CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT UNIQUE);
CREATE TABLE teams (id INTEGER PRIMARY KEY);
CREATE TABLE members (user_id REFERENCES users, team_id REFERENCES teams(id), since, PRIMARY KEY (user_id, team_id, since));
CREATE TABLE mails (folder, email REFERENCES users(email), n, PRIMARY KEY (folder, n, email)) WITHOUT ROWID;
"""
PARTS = {  # a WHERE of members, or mails: whether it is a part of the key that may be meant as the whole
    "members": {
        "user_id = 1": False,
        "user_id = 1 AND team_id = 2": False,
        "user_id = 1 AND since = 3": False,
        "team_id = 2": False,
        "team_id = 2 AND since = 3": False,
        "since = 3": True,
        "since = 3 OR user_id = 1": True,
        "TEAM_ID IN (SELECT id FROM teams)": False,
        "since > 3": False,
        "team_id > 3 AND since = 3": True,
    },
    "mails": {"folder = 1": False, "n = 2": True, "email = 'a'": False, "folder = 1 AND email = 'a'": False, "n IN (1, 2) AND email <> 'a'": True},
}  # fmt: skip


@pytest.mark.parametrize(("table", "where"), [(table, where) for table, those in PARTS.items() for where in those])
def test_part_of_a_key_that_names_a_group_passes(table: str, where: str) -> None:
    """Leading columns, or the columns that reference another table, name a group; a later column alone does not."""
    for sql in (f"DELETE FROM {table} WHERE {where}", f"UPDATE {table} SET since = since WHERE {where}"):
        rules = [each.rule for each in judged(sql, GROUPS)]
        assert rules == ["partial-key"] * PARTS[table][where], sql


def test_renamed_column_is_followed_in_references() -> None:
    """After RENAME COLUMN the new name is the one that references another table."""
    script = "ALTER TABLE members RENAME COLUMN team_id TO team;\nDELETE FROM members WHERE team = 1;"
    assert judged(script, GROUPS) == []


def test_row_diff_decides_about_statements_without_where() -> None:
    """no-where is a note for a table whose rows were compared, and stays an error for any other table."""
    findings = judged(
        "UPDATE systems SET parent = NULL;\nDELETE FROM sqlite_sequence;\nDELETE FROM point_info WHERE id = 3;"
    )
    weights = [each.severity for each in decided_by_rows(findings, {"systems", "point_info"})]
    assert weights == [Severity.NOTE, Severity.ERROR, Severity.ERROR]


def test_every_rule_is_registered() -> None:
    """A function that is written as a rule, but that no list names, would never run."""
    written = {
        each
        for module in (parent_rules, row_rules)
        for _, each in inspect.getmembers(module, inspect.isfunction)
        if each.__module__ == module.__name__ and [*inspect.signature(each).parameters][:1] == ["reading"]
        if not each.__name__.startswith("_")
    }
    assert written == {*lint_rules._OF_A_CHANGE}  # noqa: SLF001 - the list itself is what is tested
