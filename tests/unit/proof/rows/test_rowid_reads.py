"""Statements of the app that know a row by its rowid, and those that only order or select by it."""

import pytest

from steps.support.proof.rows.rowids import readers
from steps.support.sql.statement import Statement

KNOW = [
    "SELECT rowid, body FROM notes", "SELECT n.oid FROM notes AS n", 'SELECT "n"."rowid", n.* FROM "Notes" n LIMIT 5',
    "SELECT body FROM notes WHERE rowid = 7", "SELECT body FROM notes WHERE 7 < notes._rowid_", "DELETE FROM notes WHERE rowid = ?",
    "UPDATE notes SET body = 'x' WHERE rowid = 3 AND body = 'y'", "INSERT INTO notes (id) VALUES ('a') RETURNING rowid",
    "SELECT n.id FROM notes n JOIN links l ON l.note = n.rowid", "SELECT * FROM links, notes WHERE notes.rowid = links.note",
    "SELECT id FROM notes AS n WHERE n.rowid IN (SELECT note FROM links)",
]  # fmt: skip
ONLY_SELECT = [
    "SELECT id FROM notes ORDER BY rowid", "SELECT id FROM notes AS n ORDER BY n.rowid DESC LIMIT 5", "SELECT id FROM notes",
    "DELETE FROM notes WHERE rowid IN (SELECT rowid FROM notes WHERE body = '' ORDER BY rowid LIMIT 10)",
    "UPDATE notes SET body = 'x' WHERE rowid = (SELECT min(rowid) FROM notes)", "SELECT 'rowid' FROM notes",
    "SELECT l.rowid FROM links l JOIN notes n ON n.id = l.note", "SELECT rowid FROM links", "SELECT max(rowid) FROM notes",
    "SELECT id FROM notes WHERE id IN (SELECT rowid FROM links)", "SELECT count(*) FROM (SELECT id FROM notes ORDER BY rowid)",
    "SELECT row_number() OVER (ORDER BY rowid) FROM notes", "",
]  # fmt: skip


def found(sql: str) -> list[str]:
    """Return the names of the statements that know a row of notes by its rowid."""
    statement = Statement(sql, name="contract/new.sql line 1")
    return readers([statement], "notes", {"rowid", "oid", "_rowid_"}, {"links"})


@pytest.mark.parametrize("sql", KNOW)
def test_statement_that_knows_a_row_by_its_rowid_is_found(sql: str) -> None:
    """It joins by the rowid, asks for it, or returns it."""
    assert found(sql) == ["contract/new.sql line 1"]


@pytest.mark.parametrize("sql", ONLY_SELECT)
def test_statement_that_works_with_any_rowid_is_not_found(sql: str) -> None:
    """It only orders rows by it, or selects them within the statement."""
    assert found(sql) == []
