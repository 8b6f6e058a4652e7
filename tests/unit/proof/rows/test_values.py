"""A value that changes is a finding, unless a `-- changes:` line declares it, or an UPDATE explains it."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.support.proof.guards.declared import column_groups
from steps.support.proof.rows.declared import VALUES_CHANGED, VALUES_SWAPPED, check_declared
from steps.support.proof.rows.diff import row_diff
from steps.support.proof.rows.intended import explained
from steps.support.sql.change import DatabaseChange
from steps.support.sql.directives import changed_columns_of, changes_of
from steps.support.sql.findings import Finding
from steps.support.sql.script import Script, read_script_text

SHAPES = {  # the columns of users, with each kind of key
    "a number as key": "users (id INTEGER PRIMARY KEY, email TEXT, name TEXT, role TEXT DEFAULT 'member')",
    "a text as key": "users (id TEXT PRIMARY KEY, email TEXT, name TEXT, role TEXT DEFAULT 'member')",
    "no rowid": "users (id INTEGER PRIMARY KEY, email TEXT, name TEXT, role TEXT DEFAULT 'member') WITHOUT ROWID",
    "two columns as key": "users (id INTEGER, email TEXT, name TEXT, role TEXT DEFAULT 'member', PRIMARY KEY (id, email))",
    "strict": "users (id INTEGER PRIMARY KEY, email TEXT, name TEXT, role TEXT DEFAULT 'member') STRICT",
}  # fmt: skip
KEYLESS = "users (id INTEGER, email TEXT, name TEXT, role TEXT DEFAULT 'member')"
ROWS = """INSERT INTO users VALUES (1, 'a@x.io', 'Ann ', 'owner'), (2, 'b@x.io', NULL, 'member'), (3, 'c@x.io', 'Cid', 'admin');
CREATE TABLE log (id INTEGER PRIMARY KEY, was TEXT);"""
REBUILT = "CREATE TABLE new_{}; INSERT INTO new_users {}; DROP TABLE users; ALTER TABLE new_users RENAME TO users;"
STAMPED = "CREATE TRIGGER stamp AFTER UPDATE ON users BEGIN UPDATE users SET role = 'seen' WHERE id = new.id; END;"
LOGGED = "CREATE TRIGGER logs AFTER UPDATE ON users BEGIN INSERT INTO log (was) VALUES (old.name); END;"
NOT_NULL = "SELECT lower(name) FROM pragma_table_info('users') WHERE [notnull]"
TRIM = "UPDATE users SET name = trim(name) WHERE name <> trim(name);"


def change_of(script: Script) -> DatabaseChange:
    """Return a change that consists of a migration."""
    lines = changes_of(script), changed_columns_of(script)
    return DatabaseChange("", "", (), (), (), (), "", "", lines[0], (), (script,), (), (), (), lines[1])


def found(folder: Path, before: str, migrate: str) -> list[Finding]:
    """Run a migration on a database, and return what is said of its rows and values."""
    start, end = folder / "before.db", folder / "after.db"
    for file, sql in ((start, before), (end, migrate)):
        file.write_bytes(start.read_bytes() if file is end else b"")
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            connection.executescript(f"PRAGMA synchronous = OFF; {sql}")
            triggers = [sql for (sql,) in connection.execute("SELECT sql FROM sqlite_schema WHERE type = 'trigger'")]
            not_null = {name for (name,) in connection.execute(NOT_NULL)}
    script = read_script_text(migrate, "migrate.sql")
    change = change_of(script)
    diff = row_diff(start, end, 1_000, column_groups(change))
    said = explained(script, triggers, diff, {"users": not_null})
    return check_declared(diff, change.changes, columns=change.changed_columns, explained=said)


HARMS = {  # a migration, and the columns that are named
    "copied by position into another order": (REBUILT.format("users (id INTEGER PRIMARY KEY, name TEXT, email TEXT, role TEXT)", "SELECT * FROM users"), ["email", "name"]),
    "left out of the copy": (REBUILT.format("users (id INTEGER PRIMARY KEY, email TEXT, name TEXT, role TEXT DEFAULT 'member')", "(id, email, name) SELECT id, email, name FROM users"), ["role"]),
    "a gap filled by a default": (REBUILT.format("users (id INTEGER PRIMARY KEY, email TEXT, role TEXT, name TEXT NOT NULL DEFAULT 'Ann ')", "(id, email, role) SELECT id, email, role FROM users"), ["name"]),
    "more than gaps filled by a rebuild": (REBUILT.format("users (id INTEGER PRIMARY KEY, email TEXT, role TEXT, name TEXT)", "(id, email, role, name) SELECT id, email, role, coalesce(nullif(name, 'Cid'), 'Ann ') FROM users"), ["name"]),
    "a gap filled by a rebuild, though NULL is let in": (REBUILT.format("users (id INTEGER PRIMARY KEY, email TEXT, role TEXT, name TEXT)", "(id, email, role, name) SELECT id, email, role, coalesce(name, 'nobody') FROM users"), ["name"]),
    "a constant": ("UPDATE users SET email = 'email' WHERE true;", ["email"]),
    "a constant, where other columns choose": ("UPDATE users SET role = 'none' WHERE id > 1;", ["role"]),
    "set off by a trigger": (STAMPED + TRIM, ["role"]),
    "a trigger on the column itself": (STAMPED.replace("role =", "name =") + TRIM, ["name"]),
    "exchanged by an UPDATE": ("UPDATE users SET (email, name) = (name, email) WHERE id = 1;", ["email", "name"]),
    "exchanged by an UPDATE that reads both": ("UPDATE users SET email = coalesce(name, email), name = iif(name IS NULL, name, email) WHERE id <> 2;", ["email", "name"]),
    "computed from another table": ("UPDATE users SET name = (SELECT k.name FROM (SELECT 'x' AS name) AS k) WHERE id = 1;", ["name"]),
    "looked up, and not found": ("UPDATE users SET role = (SELECT k.code FROM (SELECT 'owner' AS was, 'o' AS code) AS k WHERE k.was = users.role) WHERE true;", ["role"]),
    "a CASE without ELSE": ("UPDATE users SET role = CASE role WHEN 'owner' THEN 'o' WHEN 'admin' THEN 'a' END WHERE true;", ["role"]),
    "joined with NULL": ("UPDATE users SET role = role || ' ' || name WHERE true;", ["role"]),
    "a CASE without ELSE that asks for NULL": ("UPDATE users SET role = CASE WHEN name IS NOT NULL THEN upper(role) END WHERE true;", ["role"]),
    "dropped and added again": ("ALTER TABLE users DROP COLUMN role; ALTER TABLE users ADD COLUMN role TEXT DEFAULT 'member';", ["role"]),
    "trimmed, and then lost by a rebuild": (TRIM + REBUILT.format("users (id INTEGER PRIMARY KEY, email TEXT, name TEXT DEFAULT 'Ann', role TEXT)", "(id, email, role) SELECT id, email, role FROM users"), ["name"]),
    "an upsert": ("INSERT INTO users SELECT * FROM users WHERE true ON CONFLICT DO UPDATE SET role = 'x';", ["role"]),
    "deleted and inserted again": ("CREATE TABLE k AS SELECT * FROM users; DELETE FROM users WHERE true; INSERT INTO users SELECT id, email, name, 'x' FROM k;", ["role"]),
    "every row, without WHERE": ("UPDATE users SET role = upper(role);", ["role"]),
    "renamed into each other": ("ALTER TABLE users RENAME COLUMN email TO x; ALTER TABLE users RENAME COLUMN name TO email; ALTER TABLE users RENAME COLUMN x TO name;", ["email", "name"]),
}  # fmt: skip
RIGHT = {
    "nothing": "",
    "a rebuild by name": REBUILT.format("users (id INTEGER PRIMARY KEY, role TEXT, name TEXT, email TEXT, phone)", "(id, email, name, role) SELECT id, email, name, role FROM users"),
    "computed from itself": TRIM,
    "computed from itself, beside a trigger that only reads": LOGGED + TRIM,
    "a gap filled": "UPDATE users SET name = 'nobody' WHERE name IS NULL;",
    "a gap filled, then a rebuild": "UPDATE users SET name = '' WHERE name IS NULL;" + REBUILT.format("users (id INTEGER PRIMARY KEY, email TEXT, name TEXT NOT NULL, role TEXT)", "(id, email, name, role) SELECT id, email, name, role FROM users"),
    "a gap filled by a rebuild": REBUILT.format("users (id INTEGER PRIMARY KEY, email TEXT, name TEXT NOT NULL, role TEXT)", "(id, email, name, role) SELECT u.id, u.email, coalesce(u.name, 'nobody'), u.role FROM users AS u"),
    "a gap filled before the new table is renamed": REBUILT.format("users (id INTEGER PRIMARY KEY, email TEXT, name TEXT, role TEXT)", "(id, email, name, role) SELECT id, email, name, role FROM users; UPDATE new_users SET name = '' WHERE name IS NULL"),
    "previous values that WHERE names": "UPDATE users SET role = 'member' WHERE role IN ('owner', 'admin') AND id < 9;",
    "in quotes, and with an alias": 'UPDATE "Users" AS u SET "ROLE" = upper(u."role") WHERE u.role = \'owner\';',
    "emptied, as the expression says": "UPDATE users SET role = nullif(role, 'admin') WHERE true;",
    "emptied by a CASE that says so": "UPDATE users SET role = CASE role WHEN 'admin' THEN NULL ELSE upper(role) END WHERE true;",
    "a column added": "ALTER TABLE users ADD COLUMN x INTEGER DEFAULT 1; UPDATE users SET x = 2 WHERE true;" + TRIM,
    "declared": "-- changes: users\nUPDATE users SET email = 'email' WHERE true;",
    "declared with its number": "-- changes: users 3\nUPDATE users SET email = 'email' WHERE true;",
    "a column declared": '-- changes: "users"(Email)\nUPDATE users SET email = \'email\' WHERE true;',
    "two columns declared": "-- changes: users(email, name) 2..3\nUPDATE users SET email = 'x', name = 'y' WHERE true;",
    "two lines": "-- changes: users(email) 1\n-- changes: users(role) 2\nUPDATE users SET email = 'x' WHERE id = 1; UPDATE users SET role = 'x' WHERE id > 1;",
    "one column declared, and the other said": f"-- changes: users(role) 2\n{STAMPED.replace('new.id', '2')}UPDATE users SET name = trim(name) WHERE name <> trim(name); UPDATE users SET role = 'x' WHERE id = 1;",
    "exchanged, as declared": "-- changes: users(email, name) 1\nUPDATE users SET (email, name) = (name, email) WHERE id = 1;",
}  # fmt: skip
WRONGLY_DECLARED = {  # a migration, the place of the finding, and words of its cause
    "another column": ("-- changes: users(email)\nUPDATE users SET role = 'x' WHERE id = 1;", "users.role", "1 of 3 values changed"),
    "too few": ("-- changes: users(email) 2\nUPDATE users SET email = 'x' WHERE true;", "users", "values of email changed in 3 of 3 rows, and 2 rows were declared"),
    "a row goes": ("-- changes: users(email)\nDELETE FROM users WHERE id = 1;", "users", "1 row removed (3 before), and only values were declared"),
    "a row comes": ("-- changes: users(email)\nINSERT INTO users VALUES (9, 'z', 'z', 'z');", "users", "1 row added (3 before), and only values were declared"),
    "exchanged in a declared table": ("-- changes: users 1\nUPDATE users SET (email, name) = (name, email) WHERE id = 1;", "users.email", "email and name exchanged their values"),
    "explained, but another table is declared": (f"-- changes: log\n{TRIM}", "users.name", "1 of 3 values changed"),
}  # fmt: skip


def fits(shape: str, sql: str) -> bool:
    """Return whether a migration can run on a table of this shape: it neither recreates it, nor touches its key."""
    is_plain = shape == "a number as key"
    return is_plain or not any(word in sql for word in ("new_users", "CONFLICT", "DELETE", "RENAME", "email"))


@pytest.mark.parametrize(
    ("shape", "migrate", "columns"),
    [pytest.param(shape, sql, columns, id=f"{name}, {key}") for key, shape in SHAPES.items()
     for name, (sql, columns) in HARMS.items() if fits(key, sql)],
)  # fmt: skip
def test_values_that_change_unsaid_are_named(tmp_path: Path, shape: str, migrate: str, columns: Sequence[str]) -> None:
    """Each column is reported with rows and a sample, and only the suggested line accepts it."""
    findings = found(tmp_path, f"CREATE TABLE {shape}; {ROWS}", migrate)
    assert [each.place for each in findings] == [f"users.{column}" for column in columns]
    assert {each.rule for each in findings} == {VALUES_CHANGED}
    assert all(" of 3 values changed, for example id" in each.cause and " -> " in each.cause for each in findings)
    lines = "\n".join(each.remedy.split("`")[1] for each in findings)
    assert found(tmp_path, f"CREATE TABLE {shape}; {ROWS}", f"{lines}\n{migrate}") == []


@pytest.mark.parametrize(
    ("shape", "migrate"),
    [pytest.param(shape, sql, id=f"{name}, {key}") for key, shape in SHAPES.items()
     for name, sql in RIGHT.items() if fits(key, sql)],
)  # fmt: skip
def test_values_that_change_as_said_pass(tmp_path: Path, shape: str, migrate: str) -> None:
    """Changes that a `-- changes:` line declares, or that an UPDATE explains by itself, are no findings."""
    assert found(tmp_path, f"CREATE TABLE {shape}; {ROWS}", migrate) == []


@pytest.mark.parametrize(("migrate", "place", "words"), WRONGLY_DECLARED.values(), ids=WRONGLY_DECLARED)
def test_values_that_differ_from_their_line_are_named(tmp_path: Path, migrate: str, place: str, words: str) -> None:
    """A line about columns declares these columns, this number of rows, and nothing else."""
    (finding,) = found(tmp_path, f"CREATE TABLE {SHAPES['a number as key']}; {ROWS}", migrate)
    assert (finding.place, words in finding.cause) == (place, True), finding.cause
    assert finding.rule != VALUES_SWAPPED or finding.is_open


@pytest.mark.parametrize(
    ("migrate", "causes"),
    [
        ("UPDATE users SET role = 'x' WHERE id = 1;", ["1 row added, 1 removed (3 before), and no loss was declared, for example removed id 1, email ***, name 'Ann ', role 'owner'"]),
        ("-- changes: users(role) 1\nUPDATE users SET role = 'x' WHERE id = 1;", []),
        ("-- changes: users(role) 2\nUPDATE users SET role = 'x' WHERE id = 1;",
         ["values of role changed in 1 of 3 rows, and 2 rows were declared"]),
        ("-- changes: users(name)\nUPDATE users SET role = 'x' WHERE id = 1;",
         ["1 row added, 1 removed (3 before), and only values were declared, for example removed id 1, email ***, name 'Ann ', role 'owner'"]),
        ("-- changes: users 2\nUPDATE users SET (email, name) = (name, email) WHERE id = 1;",
         ["email and name exchanged their values"]),
    ],
)  # fmt: skip
def test_values_of_rows_without_a_key_are_held(tmp_path: Path, migrate: str, causes: Sequence[str]) -> None:
    """Without a key, rows must be the same apart from the declared columns."""
    assert [each.cause for each in found(tmp_path, f"CREATE TABLE {KEYLESS}; {ROWS}", migrate)] == causes


TEXT_KEY = "CREATE TABLE n (id TEXT PRIMARY KEY, a TEXT, b TEXT); INSERT INTO n SELECT 'u-' || id, {} FROM users; DROP TABLE users; ALTER TABLE n RENAME TO users;"


@pytest.mark.parametrize(("copied", "causes"), [("a, b", []), ("b, a", ["a and b exchanged their values"])])
def test_columns_that_are_exchanged_while_the_key_changes_are_named(
    tmp_path: Path, copied: str, causes: Sequence[str]
) -> None:
    """A declared change of every key hides no exchange of values, and is none itself, even if some rows mirror others."""
    rows = "(1, 'x', 'y'), (2, 'y', 'x'), (3, 'z', NULL), (4, 'v', 'w'), (5, 'v', 'v')"
    before = f"CREATE TABLE users (id INTEGER PRIMARY KEY, a TEXT, b TEXT); INSERT INTO users VALUES {rows};"
    findings = found(tmp_path, before, f"-- changes: users\n{TEXT_KEY.format(copied)}")
    assert [each.cause for each in findings if each.rule == VALUES_SWAPPED] == causes


VERSIONS = "CREATE TABLE versions (v TEXT NOT NULL, PRIMARY KEY (v)); INSERT INTO versions VALUES ('a1'), ('z0');"
LOOSE = "CREATE TABLE loose (v TEXT, is_dirty INTEGER); INSERT INTO loose VALUES ('a1', 0), ('z0', NULL), ('z0', NULL);"
REPLACED = {  # a migration, and what is said
    "a key that WHERE names": ("UPDATE versions SET v = 'b2' WHERE versions.v = 'a1';", []),
    "a value that WHERE names, without a key": ("UPDATE loose SET v = 'b2', is_dirty = 1 WHERE v = 'a1' AND is_dirty = 0;", []),
    "gaps filled, without a key": ("UPDATE loose SET is_dirty = 0 WHERE is_dirty IS NULL;", []),
    "a key, whatever it was": ("UPDATE versions SET v = 'b2' WHERE v > 'a0' AND v < 'b0';", ["1 row added, 1 removed (2 before), and no loss was declared, for example removed v 'a1'"]),
    "a value beside it": ("UPDATE loose SET v = 'b2', is_dirty = 1 WHERE v = 'a1';", ["1 row added, 1 removed (3 before), and no loss was declared, for example removed v 'a1', is_dirty 0"]),
    "deleted and inserted": ("DELETE FROM versions WHERE v = 'a1'; INSERT INTO versions VALUES ('b2');", ["1 row added, 1 removed (2 before), and no loss was declared, for example removed v 'a1'"]),
    "more than gaps": ("UPDATE loose SET is_dirty = 1 WHERE is_dirty IS NULL OR v = 'a1';", ["3 rows added, 3 removed (3 before), and no loss was declared, for example removed v 'a1', is_dirty 0"]),
    "another table is declared": ("-- changes: loose\nUPDATE versions SET v = 'b2' WHERE v = 'a1';", ["1 row added, 1 removed (2 before), and no `-- changes:` line names the table, for example removed v 'a1'"]),
}  # fmt: skip


@pytest.mark.parametrize(("migrate", "causes"), REPLACED.values(), ids=REPLACED)
def test_rows_that_an_update_says_to_have_other_values_are_not_lost(
    tmp_path: Path, migrate: str, causes: Sequence[str]
) -> None:
    """A row under another key, or without any, is the same row if WHERE names the previous value of what differs."""
    assert [each.cause for each in found(tmp_path, VERSIONS + LOOSE, migrate)] == causes


TEXTS = st.lists(st.sampled_from(["", "a", "B ", "c c", None]), min_size=3, max_size=3)


@settings(max_examples=60, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=6), st.permutations(["a", "b", "c"]))
def test_rebuild_is_judged_by_what_it_does_to_values(rows: list[list[str | None]], order: list[str]) -> None:
    """A copy by name passes in any order of columns; one by position names exactly the columns that differ."""
    values = ", ".join(
        f"({n}, {', '.join('NULL' if v is None else repr(v) for v in row)})" for n, row in enumerate(rows)
    )
    before = f"CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT, c TEXT); INSERT INTO t VALUES {values};"
    rebuild = f"CREATE TABLE n (id INTEGER PRIMARY KEY, {', '.join(order)}); INSERT INTO n {{}} FROM t; DROP TABLE t; ALTER TABLE n RENAME TO t;"
    places = {name: place for place, name in enumerate("abc")}
    moved = {name for to, name in enumerate(order) if any(row[places[name]] != row[to] for row in rows)}
    with TemporaryDirectory() as folder:
        assert found(Path(folder), before, rebuild.format("(id, a, b, c) SELECT id, a, b, c")) == []
        named = found(Path(folder), before, rebuild.format("SELECT *"))
        assert {each.place for each in named} == {f"t.{name}" for name in moved}
