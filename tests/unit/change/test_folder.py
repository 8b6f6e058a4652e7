"""The folder of a change: its directives are read, and all its mistakes are refused at once."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from steps.support.change.folder import read_change, read_script
from steps.support.sql.checks import read_checks
from steps.support.sql.directives import Waiver
from steps.support.sql.findings import BadSql
from steps.support.sql.script import split

SOUND = {
    "migrate.sql": "-- name: colours\nALTER TABLE t ADD COLUMN colour TEXT;\nUPDATE t SET colour = 'red';\n",
    "rollback.sql": "ALTER TABLE t DROP COLUMN colour;\n",
    "verify.sql": "-- check: all red\nSELECT id FROM t WHERE colour <> 'red';\n",
    "verify_rollback.sql": "-- check: the table is there\n-- expect: rows\nSELECT 1 FROM sqlite_schema WHERE name = 't';\n",
    "contract/old.sql": "SELECT v FROM t;\n",
    "contract/new.sql": "-- either\nSELECT v, colour FROM t;\n-- or\nSELECT v FROM t;\n-- end\n",
    "writes.sql": "INSERT INTO t (v) VALUES (1);\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder without mistakes."""
    (tmp_path / "contract").mkdir()
    for name, text in SOUND.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def findings(folder: Path, *, sample: bool = False) -> list[str]:
    """Return the findings in the folder, place by place."""
    with pytest.raises(BadSql) as bad:
        read_change(folder, sample=sample)
    return [str(finding) for finding in bad.value.findings]


def test_sound_folder_is_read(folder: Path) -> None:
    """Everything in the folder is read: names, hash, statements, checks, and the texts word for word."""
    change = read_change(folder)
    assert change.name == "colours"
    assert change.sha256 == hashlib.sha256(SOUND["migrate.sql"].encode()).hexdigest()
    assert [each.sql for each in change.migrate] == [
        "ALTER TABLE t ADD COLUMN colour TEXT",
        "UPDATE t SET colour = 'red'",
    ]
    assert [each.name for each in change.rollback] == ["rollback.sql line 1"]
    assert [(each.name, each.expects_rows) for each in change.verify] == [("all red", False)]
    assert [(each.name, each.expects_rows) for each in change.verify_rollback] == [("the table is there", True)]
    assert change.rollback_text == SOUND["rollback.sql"]
    assert change.verify_rollback_text == SOUND["verify_rollback.sql"]
    assert (change.changes, change.allowed) == ({}, ())


def test_texts_of_the_marker_row_are_read_again(folder: Path) -> None:
    """The stored texts of rollback.sql and verify_rollback.sql give the same statements and checks as the files."""
    (folder / "rollback.sql").write_text("BEGIN IMMEDIATE;\nDELETE FROM t;\nEND TRANSACTION;")
    change = read_change(folder)
    assert read_script(change.rollback_text, "rollback.sql") == change.rollback
    assert read_checks(change.verify_rollback_text, "verify_rollback.sql") == change.verify_rollback


def test_unnamed_change_is_named_by_its_hash(folder: Path) -> None:
    """Without `-- name:` the hash of migrate.sql is the name, and another text has another name."""
    names = []
    for text in ("DELETE FROM t;", "DELETE FROM t ;"):
        (folder / "migrate.sql").write_text(text)
        names.append(read_change(folder).name)
    assert names == [hashlib.sha256(text).hexdigest() for text in (b"DELETE FROM t;", b"DELETE FROM t ;")]


def test_change_of_code_alone_is_accepted(folder: Path) -> None:
    """With only comments in the four files there is nothing to migrate, and nothing to refuse."""
    for name in SOUND:
        (folder / name).write_text("-- this release changes code only\n")
    change = read_change(folder)
    assert (change.migrate, change.rollback, change.verify, change.verify_rollback) == ((), (), (), ())


ALONE: dict[str, dict[str, str]] = {
    "no folder": {},
    "a sample only": {"sample.sql": "CREATE TABLE t (v);"},
    "a contract only": {"contract/old.sql": "SELECT v FROM t;\n", "contract/new.sql": "SELECT v FROM t;\n"},
    "the new code's contract only": {"contract/new.sql": "SELECT v FROM t;\n"},
    "an empty migrate.sql": {"migrate.sql": ""},
    "a migrate.sql of comments": {"migrate.sql": "-- name: colours\n/* only the code changes */\n"},
    "other files": {"notes.md": "DROP TABLE t;", "contract/README": "x"},
}


@pytest.mark.parametrize("files", ALONE.values(), ids=ALONE)
def test_release_of_code_alone_needs_no_file(tmp_path: Path, files: dict[str, str]) -> None:
    """Missing files count as empty, even sample.sql; an existing contract is read."""
    for name, text in files.items():
        (path := tmp_path / "sql" / name).parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    change = read_change(tmp_path / "sql", sample=True)
    assert (change.migrate, change.rollback, change.verify, change.verify_rollback, change.writes) == (
        (),
        (),
        (),
        (),
        (),
    )
    assert [bool(change.old_code), bool(change.new_code)] == [
        f"contract/{code}.sql" in files for code in ("old", "new")
    ]
    assert change.name == ("colours" if "name:" in files.get("migrate.sql", "") else change.name)


def test_release_without_any_text_is_called_code_only(tmp_path: Path) -> None:
    """A change without any text is named `code only`, and not by a hash."""
    assert read_change(tmp_path / "nowhere").name == "code only"


@pytest.mark.parametrize("name", ["migration.sql", "rollback.sql", "0001_init.sql", "writes.sql"])
def test_scripts_without_migrate_are_a_mistake(tmp_path: Path, name: str) -> None:
    """A folder of scripts in which migrate.sql is missing is no release of code alone: it would be forgotten in silence."""
    (tmp_path / name).write_text("CREATE TABLE t (v);")
    assert findings(tmp_path)[0].startswith("migrate.sql: the file is missing")


@pytest.mark.parametrize("opening", ["BEGIN", "begin transaction", "BEGIN IMMEDIATE", "BEGIN EXCLUSIVE TRANSACTION"])
@pytest.mark.parametrize("closing", ["COMMIT", "end", "COMMIT TRANSACTION", "END TRANSACTION"])
def test_outer_transaction_is_ignored(folder: Path, opening: str, closing: str) -> None:
    """A first BEGIN and a last COMMIT are left out, and the lines are those of the file."""
    (folder / "migrate.sql").write_text(f"-- a\n{opening};\nDELETE FROM t;\n{closing};\n-- z\n")
    assert [(each.sql, each.name) for each in read_change(folder).migrate] == [("DELETE FROM t", "migrate.sql line 3")]


def test_byte_order_mark_is_ignored(folder: Path) -> None:
    """A file that begins with a byte order mark is read like any other."""
    (folder / "migrate.sql").write_bytes(b"\xef\xbb\xbf-- name: marked\nDELETE FROM t;")
    assert (read_change(folder).name, len(read_change(folder).migrate)) == ("marked", 1)


REFUSED = {
    ".read other.sql\n;": "line 1: .read other.sql is a shell command",
    "UPDATE t SET v = 1;\n\nCOMMIT;\nDELETE FROM t;": "line 3: COMMIT inside the script",
    "BEGIN;\nDELETE FROM t;": "line 1: BEGIN inside the script",
    "DELETE FROM t;\nCOMMIT;": "line 2: COMMIT inside the script",
    "BEGIN;\nDELETE FROM t;\nROLLBACK;": "line 3: ROLLBACK inside the script",
    "-- a\nSAVEPOINT s;": "line 2: SAVEPOINT inside the script",
    "release s;": "line 1: RELEASE inside the script",
    "/* x */ END;": "line 1: END inside the script",
    "ATTACH 'other.db' AS other;": "line 1: ATTACH cannot run",
    "DETACH other;": "line 1: DETACH cannot run",
    "\nVACUUM;": "line 2: VACUUM cannot run",
    "create temporary trigger g AFTER INSERT ON t BEGIN SELECT 1; END;": "line 1: CREATE TEMPORARY is not supported",
    "VACUUM INTO 'copy.db';": "line 1: VACUUM cannot run",
    "DELETE FROM t;\nBEGIN CONCURRENT;": "line 2: BEGIN inside the script",
    "CREATE TRIGGER `temp`.x AFTER INSERT ON t BEGIN SELECT 1; END;": "line 1: the schema temp is not supported",
    "DROP TABLE Temp.y;": "line 1: the schema temp is not supported",
    "drop table if exists temp.y;": "line 1: the schema temp is not supported",
    "ALTER TABLE temp.y RENAME TO z;": "line 1: the schema temp is not supported",
    "INSERT INTO temp.z SELECT v FROM t;": "line 1: the schema temp is not supported",
    "UPDATE OR IGNORE temp.z SET v = 1;": "line 1: the schema temp is not supported",
    "DELETE FROM temp.z;": "line 1: the schema temp is not supported",
    "UPDATE t SET v = z.v FROM t AS u, temp.z;": "line 1: the schema temp is not supported",
    "UPDATE t SET v = (SELECT temp.v FROM temp.z AS temp);": "line 1: the schema temp is not supported",
    "PRAGMA main.application_id(7);": "line 1: PRAGMA application_id changes something",
    "UPDATE t SET v = ?;": r"line 1: the placeholder \? has no value",
    "UPDATE t SET v = ?12;": r"line 1: the placeholder \?12 has no value",
    "UPDATE t SET v = :owner;": "line 1: the placeholder :owner has no value",
    "UPDATE t SET v = @owner;": "line 1: the placeholder @owner has no value",
    "UPDATE t SET v = $owner;": r"line 1: the placeholder \$owner has no value",
    "UPDATE t SET v = {{ owner }};": r"line 1: \{\{ owner \}\} was not filled in",
    "UPDATE t SET v = '{{owner}}';": r"line 1: \{\{owner\}\} was not filled in",
    "UPDATE t SET v = '${OWNER}';": r"line 1: \$\{OWNER\} was not filled in",
    "UPDATE t SET v = '<your user id>';": "line 1: <your user id> was not filled in",
    "UPDATE t SET v = <OWNER_ID>;": "line 1: <OWNER_ID> was not filled in",
    "UPDATE t SET v = '<PLACEHOLDER>';": "line 1: <PLACEHOLDER> was not filled in",
    'UPDATE "<TABLE>" SET v = 1;': "line 1: <TABLE> was not filled in",
    "UPDATE t SET v = 'REPLACE_ME';": "line 1: 'REPLACE_ME' was not filled in",
    "UPDATE t SET v = 'please change_me now';": "line 1: 'please change_me now' was not filled in",
    "UPDATE t SET v = 'user_REPLACE_ME';": "line 1: 'user_REPLACE_ME' was not filled in",
    "UPDATE t SET v = 'user_YOUR_ID';": "line 1: 'user_YOUR_ID' was not filled in",
    "UPDATE t SET v = 'CHANGEME';": "line 1: 'CHANGEME' was not filled in",
    "UPDATE t SET v = 'YOUR_CLERK_ID';": "line 1: 'YOUR_CLERK_ID' was not filled in",
    "UPDATE t SET v = 'TODO: owner';": "line 1: 'TODO: owner' was not filled in",
    "UPDATE t SET v = 'FIXME';": "line 1: 'FIXME' was not filled in",
    "UPDATE t SET v = 'xxx';": "line 1: 'xxx' was not filled in",
    "UPDATE t SET v = 'user_xxxx';": "line 1: 'user_xxxx' was not filled in",
    "UPDATE t SET v = 'user-xxx';": "line 1: 'user-xxx' was not filled in",
    "UPDATE t SET v = 'user_2xxxxXXXX';": "line 1: 'user_2xxxxXXXX' was not filled in",
    "UPDATE t SET v = 'xxxxxxxx-xxxx-xxxx';": "line 1: 'xxxxxxxx-xxxx-xxxx' was not filled in",
    "UPDATE t SET v = 'user_...';": r"line 1: 'user_\.\.\.' was not filled in",
    "UPDATE t SET v = 'user_…';": "line 1: 'user_…' was not filled in",
    "UPDATE t SET v = 'PLACEHOLDER';": "line 1: 'PLACEHOLDER' was not filled in",
    "UPDATE t SET v = 'placeholder';": "line 1: 'placeholder' was not filled in",
    "UPDATE t SET v = 'user_placeholder';": "line 1: 'user_placeholder' was not filled in",
    "UPDATE t SET v = 'https://a/PLACEHOLDER_ID';": "line 1: 'https://a/PLACEHOLDER_ID' was not filled in",
    "UPDATE t SET v = '<owner id>';": "line 1: '<owner id>' was not filled in",
    "UPDATE t SET v = '<clerk_user_id>';": "line 1: '<clerk_user_id>' was not filled in",
    "UPDATE t SET v = '<Owner-Id of the site>';": "line 1: '<Owner-Id of the site>' was not filled in",
    "UPDATE t SET v = '<owner>';": "line 1: '<owner>' was not filled in",
    "UPDATE t SET v = '{owner}';": r"line 1: '\{owner\}' was not filled in",
    "UPDATE t SET v = '{ owner.id }';": r"line 1: '\{ owner\.id \}' was not filled in",
    "UPDATE t SET v = '%s';": "line 1: '%s' was not filled in",
    "UPDATE t SET v = '%(owner)s';": r"line 1: '%\(owner\)s' was not filled in",
    "UPDATE t SET v = strftime('%Y', '%s');": "line 1: '%s' was not filled in",
    "-- changes:\nDELETE FROM t;": "line 1: `changes: ` cannot be read",
    "-- changes: t 5 rows\nDELETE FROM t;": "line 1: `changes: t 5 rows` cannot be read",
    "-- changes: t 9..5\nDELETE FROM t;": r"line 1: `changes: t 9..5` cannot be read",
    "-- changes: t\n-- changes: T 5\nDELETE FROM t;": "line 2: `changes: t` appears a second time",
    "-- name:\nDELETE FROM t;": "line 1: `name: ` cannot be read",
    "-- name: a\n-- name: b\nDELETE FROM t;": "line 2: `name` appears a second time",
    "-- allow: drop-table\nDELETE FROM t;": "line 1: `allow: drop-table` cannot be read",
    "DELETE FROM t; -- changes: t": "line 1: `changes:` follows SQL on the same line",
    "DELETE FROM t;\nSELECT 'half": "line 2: a string begins here and does not end",
}
OF_MIGRATE = ("-- changes", "-- name")  # directives without a meaning in rollback.sql


def refused_scripts() -> Iterator[tuple[str, str, str]]:
    """Return each refused script for each file in which it can stand."""
    for text, cause in REFUSED.items():
        yield "migrate.sql", text, cause
        if not any(directive in text for directive in OF_MIGRATE):
            yield "rollback.sql", text, cause


@pytest.mark.parametrize(("name", "text", "cause"), [*refused_scripts()])
def test_invalid_statement_is_refused_with_its_line(folder: Path, name: str, text: str, cause: str) -> None:
    """Everything that a script must not contain is named with file, line and remedy."""
    (folder / name).write_text(text)
    said = [each for each in findings(folder) if re.match(f"{name} {cause}", each)]
    assert said, findings(folder)
    assert re.search(r"\. [A-Z`].+\.$", said[0])


FINE = [
    "PRAGMA foreign_key_check;",
    "PRAGMA table_info(t);",
    "PRAGMA main.index_list('t');",
    "PRAGMA foreign_keys;",
    "UPDATE t SET v = '10:30::text', w = 'a?b', x = '@home', y = '$5.00', z = ':name';",
    "UPDATE t SET v = 'it''xxx';",
    "UPDATE t SET v = '{\"a\": {\"b\": {}}}';",
    "UPDATE t SET v = json_extract(w, '$.a') WHERE a <b AND c> d AND A <B AND C> D;",
    "UPDATE t SET v = '<b>bold</b>', w = 'your account', x = 'todo', y = 'xx', z = 'exchange me';",
    'SELECT "?", [:a], `@b` FROM t; -- ? :a @b {{c}} REPLACE_ME TODO',
    "/* COMMIT; {{x}} */ SELECT 1;",
    "CREATE TABLE temp_readings (x); CREATE TABLE commits (x);",
    "REINDEX t; REINDEX; CREATE TABLE analyze_runs (x);",
    "CREATE TABLE readings (temp REAL); UPDATE readings SET temp = 1, temporary = 2;",
    "UPDATE t SET v = (SELECT temp.v FROM readings AS temp WHERE temp.id = 1);",
    "UPDATE t SET v = main.temp.v FROM main.temp WHERE temp.id = t.id AND t.temp > 1;",
    "UPDATE t SET v = 'temp.x', w = \"temp.x\"; /* temp.x */ -- ANALYZE; temp.y",
    "UPDATE t SET v = 'a < b and c > d', w = '<b>', x = '<br />', y = '<p class=\"a b\">', z = '<none>';",
    "UPDATE t SET v = '<b>bold text</b>', w = 'a <b and c> d', x = '<5 kW>', y = '<a@b.org>', z = '<>';",
    "UPDATE t SET v = '{\"a\":1}', w = '{}', x = '{ }', y = '{1}', z = json_extract('{}', '$.a');",
    "UPDATE t SET v = '{F2504E05-4F89-11D3-9A0C-0305E82C3301}', w = 'Hello {name}', x = '{\"name\"}';",
    "DELETE FROM t WHERE v LIKE '%systems%' OR v LIKE '%s' OR v LIKE '%placeholder%';",
    "UPDATE t SET v = strftime('%s', 'now'), w = STRFTIME ( '%s', x), y = printf('%s', z), u = format('%s', z);",
    "UPDATE t SET v = 'exchange_me', w = 'replace_method', x = 'STATUS_TODO', y = 'PLACEHOLDERS', z = 'TOYOUR_X';",
    "UPDATE t SET v = '%system', w = '100%s', x = '%', y = '%Y-%m-%d', z = 'loading ...';",
    "UPDATE t SET v = 'a placeholder text', w = 'placeholders', x = 'user_xx', y = 'box', z = '...';",
    'UPDATE t SET "placeholder" = v, [<owner id>] = `{owner}`; -- <owner id> {owner} %s PLACEHOLDER',
    """CREATE TRIGGER g AFTER UPDATE ON t WHEN new.v <> 'a;b' BEGIN
  UPDATE t SET v = CASE WHEN new.v THEN 1 ELSE 2 END; -- not the end; yet
  INSERT INTO log VALUES ('END;');
END;""",
    "SELECT 1; -- beside: this is prose",
]  # fmt: skip


@pytest.mark.parametrize("text", FINE)
def test_harmless_lookalikes_are_accepted(folder: Path, text: str) -> None:
    """Marks and words inside strings, names and comments, and reading pragmas, are not refused."""
    (folder / "migrate.sql").write_text(text)
    assert read_change(folder).scripts[0].statements == split(text, "migrate.sql")


def test_unfinished_statement_is_reported_once(folder: Path) -> None:
    """A statement that is unfinished in more than one way is one finding."""
    (folder / "migrate.sql").write_text("UPDATE t SET v = '<YOUR_PLACEHOLDER>', w = 'TODO', x = '%s';\n")
    assert [each.split(". ")[0] for each in findings(folder)] == [
        "migrate.sql line 1: <YOUR_PLACEHOLDER> was not filled in"
    ]


@pytest.mark.parametrize("name", SOUND)
def test_missing_file_is_refused(folder: Path, name: str) -> None:
    """Each of the four files is required."""
    (folder / name).unlink()
    assert findings(folder) == [
        f"{name}: the file is missing. Create the file; if it has nothing to do, write a comment into it."
    ]


def test_sample_is_required_for_a_rehearsal_only(folder: Path) -> None:
    """A missing or unfinished sample.sql is reported with all other findings, if a rehearsal needs it."""
    (folder / "writes.sql").unlink()
    assert [finding.partition(":")[0] for finding in findings(folder)] == ["writes.sql"]
    assert [finding.partition(":")[0] for finding in findings(folder, sample=True)] == ["writes.sql", "sample.sql"]
    (folder / "sample.sql").write_text("CREATE TABLE t (v);\nINSERT INTO t VALUES ('open);\n")
    assert findings(folder, sample=True)[1].startswith("sample.sql line 2: a string begins here and does not end")
    (folder / "sample.sql").unlink()
    (folder / "sample.sql").mkdir()
    assert findings(folder, sample=True)[1].startswith("sample.sql: the file cannot be read")


def test_missing_folder_beside_a_change_is_its_missing_files(folder: Path) -> None:
    """A folder that does not exist, next to one with a migrate.sql, is a mistyped name: its files are missing."""
    assert [each.partition(":")[0] for each in findings(folder.parent / "mistyped")] == list(SOUND)


def test_directory_in_place_of_a_file_is_refused(folder: Path) -> None:
    """A directory in the place of a file is reported as unreadable."""
    (folder / "verify.sql").unlink()
    (folder / "verify.sql").mkdir()
    assert re.match(r"verify.sql: the file cannot be read \(Is a directory\)", findings(folder)[0])


def test_other_encodings_are_refused_with_their_line(folder: Path) -> None:
    """Text that is not UTF-8 is reported with the line of its first wrong byte."""
    (folder / "migrate.sql").write_bytes(b"-- a\nUPDATE t SET v = 'gr\xfcn';\n")
    assert findings(folder) == ["migrate.sql line 2: the text is not UTF-8. Save the file as UTF-8."]


@pytest.mark.parametrize("text", ["", "-- later\n", "BEGIN; COMMIT;"])
def test_migration_without_a_rollback_is_refused(folder: Path, text: str) -> None:
    """A migration that changes something needs a rollback that does."""
    (folder / "rollback.sql").write_text(text)
    assert re.match("rollback.sql: it has no statement", findings(folder)[0])


def test_all_findings_are_reported_at_once(folder: Path) -> None:
    """Findings of all files come together, one per line, under a heading that counts them."""
    (folder / "migrate.sql").write_text("BEGIN;\nUPDATE t SET v = :a;\nVACUUM;\n")
    (folder / "verify.sql").write_text("DELETE FROM t;\n")
    (folder / "verify_rollback.sql").unlink()
    with pytest.raises(BadSql) as bad:
        read_change(folder)
    heading, *lines = str(bad.value).splitlines()
    assert heading == f"reading {folder}: 5 problems found"
    assert [line.partition(":")[0] for line in lines] == [
        "verify_rollback.sql",
        "migrate.sql line 1",
        "migrate.sql line 2",
        "migrate.sql line 3",
        "verify.sql line 1",
    ]
    assert all(str(finding) in bad.value.cause for finding in bad.value.findings[:-1])


def test_directives_of_a_change_are_read(folder: Path) -> None:
    """Names, tables with and without ranges, and waived rules are read; other comments are ignored."""
    text = """-- name: vendor sites
-- Name: what it is called elsewhere
-- changes: systems 6
-- changes: "user systems" 0..12
--changes: readings
-- changes: [old ones] 1
-- allow: table-lost the copy is in _orchestrate_kept_systems
-- allow: column-lost systems.user_id: it has an owner
-- note: nothing
DELETE FROM systems;
-- allow: no-where "user systems" : all of them: every one
"""
    (folder / "migrate.sql").write_text(text)
    (folder / "rollback.sql").write_text('-- allow: index-lost `by`."user": made again by hand\nDELETE FROM systems;')
    change = read_change(folder)
    assert change.name == "vendor sites"
    assert change.changes == {"systems": (6, 6), "user systems": (0, 12), "readings": None, "old ones": (1, 1)}
    assert change.allowed == (
        Waiver("table-lost", "", "the copy is in _orchestrate_kept_systems", "migrate.sql", 7),
        Waiver("column-lost", "systems.user_id", "it has an owner", "migrate.sql", 8),
        Waiver("no-where", "user systems", "all of them: every one", "migrate.sql", 11),
        Waiver("index-lost", "by.user", "made again by hand", "rollback.sql", 1),
    )


NO_QUESTIONS = {
    "DELETE FROM t;": "DELETE is not a query",
    "PRAGMA foreign_key_check;": "PRAGMA is not a query. Use SELECT.+pragma_foreign_key_check",
    "\nWITH n AS (SELECT 1) INSERT INTO t SELECT * FROM n;": "this INSERT changes rows",
    "WITH n AS (SELECT 1)\nREPLACE INTO t SELECT * FROM n;": "this REPLACE changes rows",
    "SELECT v FROM t WHERE id = ?;": r"the placeholder \? has no value",
    "SELECT v FROM t WHERE v = 'CHANGE_ME';": "'CHANGE_ME' was not filled in",
    "SELECT v FROM temp.z;": "the schema temp is not supported",
    "SELECT v FROM t WHERE v = '<owner id>';": "'<owner id>' was not filled in",
    "SELECT v FROM t WHERE v = '%s';": "'%s' was not filled in",
    ".tables": ".tables is a shell command",
    "BEGIN; SELECT 1; COMMIT;": "BEGIN is not a query",
}


@pytest.mark.parametrize(("text", "cause"), NO_QUESTIONS.items())
@pytest.mark.parametrize("name", ["verify.sql", "verify_rollback.sql"])
def test_checks_only_read(folder: Path, name: str, text: str, cause: str) -> None:
    """A check that would change something, or is unfinished, is refused with its line."""
    (folder / name).write_text(text)
    line = 2 if text.startswith("\n") else 1
    assert re.match(f"{name} line {line}: {cause}", findings(folder)[0])


@pytest.mark.parametrize(
    "text",
    [
        "WITH n AS (SELECT replace('a', 'b', 'c') AS r) SELECT replace(r, 'c', 'd') FROM n",
        'WITH n AS (SELECT 1) SELECT "update" FROM n',
        "WITH replace AS (SELECT 1) SELECT * FROM replace",
        "WITH temp AS (SELECT 1 AS v) SELECT temp.v FROM temp WHERE v = strftime('%s', 'now')",
        "select * from pragma_foreign_key_check",
    ],
)
def test_reading_checks_are_accepted(folder: Path, text: str) -> None:
    """Functions and columns named like a writing verb do not make a check a write."""
    (folder / "verify.sql").write_text(text)
    assert [check.statement.sql for check in read_change(folder).verify] == [text]


def test_queries_of_the_scripts_are_run_for_their_number_of_rows(folder: Path) -> None:
    """Nothing reads what they print, and no answer could hold text that is not UTF-8, or too much of it."""
    for name in ("migrate.sql", "rollback.sql"):
        (folder / name).write_text("SELECT * FROM users;\nDELETE FROM users WHERE id = 9 RETURNING id;\n")
    change = read_change(folder)
    for statements in (change.migrate, change.rollback, read_script(change.rollback_text, "rollback.sql")):
        assert [each.sql.endswith("SELECT count(*) FROM _orchestrate_rows") for each in statements] == [True, False]
    assert next(each.sql for each in change.scripts[0].statements) == "SELECT * FROM users"
