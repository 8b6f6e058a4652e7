"""Virtual tables: what they read, which tables are theirs, and whether they can still be read."""

from collections.abc import Iterator
from contextlib import closing

import apsw
import pytest

from steps.support.schema.virtual import VirtualTable, shadow_tables, unreadable, virtual_tables

NOTES = "CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT, tag TEXT);"
COLUMNS = ("body", "tag")
DEFINED: dict[str, tuple[str, VirtualTable]] = {
    "own rows": ("CREATE VIRTUAL TABLE f USING fts5(body, tag UNINDEXED, tokenize = 'porter')", VirtualTable("f", "fts5", COLUMNS)),
    "single quotes": ("CREATE VIRTUAL TABLE f USING fts5(body, tag, content='notes', content_rowid='id')",
        VirtualTable("f", "fts5", COLUMNS, "notes", "id")),
    "double quotes, spaces": ('create virtual table if not exists "f" using FTS5 (body, tag, content = "notes")',
        VirtualTable("f", "fts5", COLUMNS, "notes")),
    "no quotes": ("CREATE VIRTUAL TABLE f USING fts4(body, tag, content=notes)", VirtualTable("f", "fts4", COLUMNS, "notes")),
    "no rows": ("CREATE VIRTUAL TABLE f USING fts5(body, tag, content='')", VirtualTable("f", "fts5", COLUMNS, "")),
    "R*Tree": ("CREATE VIRTUAL TABLE f USING rtree(id, low, high)", VirtualTable("f", "rtree", ("id", "low", "high"))),
}  # fmt: skip


@pytest.fixture
def connection() -> Iterator[apsw.Connection]:
    """Yield a database with one ordinary table."""
    with closing(apsw.Connection(":memory:")) as connection:
        connection.execute(NOTES)
        yield connection


@pytest.mark.parametrize(("sql", "meant"), DEFINED.values(), ids=DEFINED)
def test_definition_is_read(connection: apsw.Connection, sql: str, meant: VirtualTable) -> None:
    """Module, columns, content and content_rowid are read from any spelling, and the tables behind it are known."""
    connection.execute(sql)
    assert virtual_tables(connection) == [meant]
    assert meant.has_rows is (meant.content is None)
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    assert shadow_tables(connection) == tables - {"notes", "f"}


BROKEN: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "nothing": ("ALTER TABLE notes ADD COLUMN lang", []),
    "a column is gone": ("ALTER TABLE notes DROP COLUMN tag", [("f", "it reads tag, which notes does not have")]),
    "a column is renamed": ("ALTER TABLE notes RENAME COLUMN body TO text", [("f", "it reads body, which notes does not have")]),
    "the table is gone": ("DROP TABLE notes", [("f", "it reads notes, which does not exist")]),
    "the table is renamed": ("ALTER TABLE notes RENAME TO pages", [("f", "it reads notes, which does not exist")]),
    "its id is renamed": ("ALTER TABLE notes RENAME COLUMN id TO key", [("f", "it reads id, which notes does not have")]),
}  # fmt: skip


@pytest.mark.parametrize(("change", "meant"), BROKEN.values(), ids=BROKEN)
def test_missing_content_is_named(connection: apsw.Connection, change: str, meant: list[tuple[str, str]]) -> None:
    """A virtual table whose content table, column or id is gone is named, with what it misses."""
    connection.execute("CREATE VIRTUAL TABLE f USING fts5(body, tag, content='notes', content_rowid='id')")
    connection.execute(change)
    assert [*unreadable(connection)] == meant
