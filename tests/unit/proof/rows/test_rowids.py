"""Rows that get another rowid give a finding if, and only if, something finds these rows by rowid."""

from contextlib import closing
from pathlib import Path

import apsw
import pytest

from steps.support.proof.rows.rowids import renumbered
from steps.support.sql.script import read_script_text
from steps.support.sql.statement import Statement

NOTES = "CREATE TABLE notes (id TEXT PRIMARY KEY, body TEXT);"
LOG = "CREATE TABLE log (note INTEGER);"
ROWS = "INSERT INTO notes (id, body) VALUES ('n-1', 'apples'), ('n-2', 'plums'), ('n-3', 'pears');"
GAP = "DELETE FROM notes WHERE id = 'n-1';"
INDEX = "CREATE VIRTUAL TABLE f USING fts5(body, content='notes');"
SYNC = "CREATE TRIGGER ai AFTER INSERT ON notes BEGIN INSERT INTO f(rowid, body) VALUES (new.rowid, new.body); END;"
LOGGED = "CREATE TRIGGER ai AFTER INSERT ON notes BEGIN INSERT INTO log VALUES (new.rowid); END;"
ANEW = "CREATE TABLE n2 (id TEXT PRIMARY KEY, body TEXT, lang TEXT);"
COPIED = "INSERT INTO n2 (id, body) SELECT id, body FROM notes;"
CARRIED = "INSERT INTO n2 (rowid, id, body) SELECT rowid, id, body FROM notes;"
PLACED = "DROP TABLE notes; ALTER TABLE n2 RENAME TO notes;"
REBUILT = "INSERT INTO f(f) VALUES ('rebuild');"
VIEW = "CREATE VIEW w AS SELECT rowid AS r FROM notes;"
OUT = "CREATE TABLE k AS SELECT * FROM notes; DELETE FROM notes;"
BACK = "INSERT INTO notes SELECT * FROM k ORDER BY id DESC; DROP TABLE k;"
BAG = NOTES.replace(" PRIMARY KEY", "")

CASES: dict[str, tuple[str, str, str]] = {
    "a search index, a gap": (NOTES + ROWS + GAP + INDEX, ANEW + COPIED + PLACED, "2 of 2 rows have another rowid"),
    "FTS4": (NOTES + ROWS + GAP + 'CREATE VIRTUAL TABLE f USING fts4(body, content="notes");', ANEW + COPIED + PLACED,
        "fts4 table f finds rows by rowid"),
    "no gap yet": (NOTES + ROWS + INDEX, ANEW + COPIED + PLACED, "may get other rowids"),
    "rebuilt too early": (NOTES + ROWS + GAP + INDEX, REBUILT + ANEW + COPIED + PLACED, "have another rowid"),
    "without a key": (BAG + ROWS + GAP + INDEX, BAG.replace("notes", "n2") + COPIED + PLACED, "1 of 2 rows has another rowid"),
    "a trigger": (NOTES + LOG + ROWS + GAP, ANEW + COPIED + PLACED + LOGGED, "trigger ai finds rows by rowid"),
    "a view": (NOTES + ROWS + GAP, ANEW + COPIED + PLACED + VIEW, "view w finds"),
    "taken out and put back": (NOTES + LOG + ROWS + LOGGED, OUT + BACK, "trigger ai finds"),
    "carried along": (NOTES + ROWS + GAP + INDEX + SYNC, ANEW + CARRIED + PLACED + SYNC, ""),
    "rebuilt": (NOTES + ROWS + GAP + INDEX + SYNC, ANEW + COPIED + PLACED + SYNC + REBUILT, ""),
    "made anew with its table": (NOTES + ROWS + GAP + INDEX, "DROP TABLE f;" + ANEW + COPIED + PLACED + INDEX + REBUILT, ""),
    "nothing uses it": (NOTES + ROWS + GAP, ANEW + COPIED + PLACED, ""),
    "an INTEGER PRIMARY KEY": ("CREATE TABLE notes (id INTEGER PRIMARY KEY, body);INSERT INTO notes VALUES (3, 'a');" + INDEX,
        "CREATE TABLE n2 (id INTEGER PRIMARY KEY, body); INSERT INTO n2 SELECT * FROM notes;" + PLACED, ""),
    "a column more": (NOTES + ROWS + GAP + INDEX, "ALTER TABLE notes ADD COLUMN lang;", ""),
    "an index of its own": (NOTES + ROWS + GAP + "CREATE VIRTUAL TABLE f USING fts5(body);", ANEW + COPIED + PLACED, ""),
}  # fmt: skip


@pytest.mark.parametrize(("before", "script", "words"), CASES.values(), ids=CASES)
def test_rowids_that_are_used_are_held(tmp_path: Path, before: str, script: str, words: str) -> None:
    """A change of rowids is a finding that names what uses them; carried, rebuilt or unused rowids are none."""
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    run(old, before)
    new.write_bytes(old.read_bytes())
    run(new, script)
    found = renumbered(old, new, read_script_text(script, "migrate.sql"))
    assert [each.rule for each in found] == ["rowid-renumbered"] * bool(words)
    assert words in str(found)


@pytest.mark.parametrize(("sql", "words"), [
    ("SELECT n.body FROM notes AS n JOIN log ON log.note = n.rowid", "2 became 1, and contract/new.sql line 4 finds rows by rowid"),
    ("SELECT body FROM notes ORDER BY rowid", ""),
])  # fmt: skip
def test_rowids_that_the_app_knows_are_held(tmp_path: Path, sql: str, words: str) -> None:
    """The app's own statements use rowids as a trigger or a view does."""
    old, new, script = tmp_path / "old.db", tmp_path / "new.db", ANEW + COPIED + PLACED
    run(old, NOTES + LOG + ROWS + GAP)
    new.write_bytes(old.read_bytes())
    run(new, script)
    app = [Statement(sql, name="contract/new.sql line 4")] * 2
    found = renumbered(old, new, read_script_text(script, "migrate.sql"), app)
    assert [words in each.cause for each in found] == [True] * bool(words), found


def run(file: Path, script: str) -> None:
    """Run a script on a file."""
    with closing(apsw.Connection(str(file))) as connection:
        connection.execute(script)
