"""Rows skipped because their pages are equal: the result is the same as with all rows read."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.support.proof.rows import diff
from steps.support.proof.rows.pages import Pages, changed_virtual_tables, differing
from steps.support.proof.rows.result import TableDiff
from steps.support.proof.rows.tables import tables

ROWS = 600
SHAPES = {
    "by rowid": "CREATE TABLE t (id INTEGER PRIMARY KEY, v, w)",
    "by a text": "CREATE TABLE t (id INTEGER, v, w TEXT PRIMARY KEY)",
    "by two": "CREATE TABLE t (id INTEGER, v, w, PRIMARY KEY (w, id))",
    "by nothing": "CREATE TABLE t (id INTEGER, v, w)",
    "without rowid": "CREATE TABLE t (id INTEGER PRIMARY KEY, v, w) WITHOUT ROWID",
}
NUMBER = st.one_of(st.integers(-3, ROWS + 3), st.sampled_from([-(2**62), 2**62, 2**31]))
EDIT = st.one_of(
    st.tuples(st.just("UPDATE t SET v = ? WHERE id = ?"), st.sampled_from([None, 1, 1.0, "x", "y" * 3000]), NUMBER),
    st.tuples(st.just("DELETE FROM t WHERE id BETWEEN ?1 - 2 AND ?1 AND ?2 NOT NULL"), NUMBER, st.just(1)),
    st.tuples(st.just("INSERT OR IGNORE INTO t (id, w, v) VALUES (?1, 'new ' || ?1, ?2)"), NUMBER, st.just("z" * 200)),
    st.tuples(st.just("UPDATE t SET w = w || ? WHERE id = ?"), st.just("!"), NUMBER),
)


@contextmanager
def edited(shape: str, edits: list[tuple[str, object, object]]) -> Iterator[tuple[Path, Path]]:
    """Create a table of many small pages, and another file in which it was edited."""
    with TemporaryDirectory() as temporary:
        before, after = Path(temporary) / "before.db", Path(temporary) / "after.db"
        with closing(sqlite3.connect(before, isolation_level=None)) as database:
            database.execute("PRAGMA page_size = 512")
            database.execute(shape)
            long = "iif(i % 97, 'short ' || i, printf('%.2000c', 'x'))"
            database.execute(
                f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS}) INSERT INTO t SELECT i, {long}, 'row ' || i FROM n"
            )
        after.write_bytes(before.read_bytes())
        with closing(sqlite3.connect(after, isolation_level=None)) as database:
            for sql, *values in edits:
                database.execute(sql, values)
        yield before, after


def compared(before: Path, after: Path) -> TableDiff:
    """Compare the one table, and keep all of its differing rows."""
    found = diff.row_diff(before, after, 10_000)["t"]
    ordered = tuple(sorted(found.rows, key=repr))
    return replace(found, rows=ordered, samples=(), by_pages=False)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@settings(max_examples=25, deadline=None)
@given(edits=st.lists(EDIT, max_size=6))
def test_skipping_equal_pages_overlooks_no_row(shape: str, edits: list[tuple[str, object, object]]) -> None:
    """For any edit in a table of hundreds of pages, skipping the equal ones misses no row."""
    with edited(shape, edits) as (before, after):
        found = compared(before, after)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(diff, "differing", lambda *_: None)
            assert found == compared(before, after)


def test_rows_far_from_an_edit_are_skipped() -> None:
    """After an update at one end and an insert at the other, two short ranges are read and nothing between."""
    edits: list[tuple[str, object, object]] = [
        ("UPDATE t SET v = ? WHERE id = ?", "other", 3),
        ("INSERT INTO t (id, v) VALUES (?, ?)", ROWS + 1, "new"),
    ]
    with edited(SHAPES["by rowid"], edits) as (before, after), closing(sqlite3.connect(before)) as database:
        database.execute("ATTACH ? AS after", (str(after),))
        old, new = (tables(database, name)["t"] for name in ("main", "after"))
        ranges = differing(database, old, new, Pages.of(before, after))
    assert ranges
    assert len(ranges) == 2
    assert ranges[0][0] == 1
    assert ranges[-1][1] == ROWS + 1
    assert sum(high - low for low, high in ranges) < ROWS / 4


VIRTUAL = """CREATE TABLE docs (id INTEGER PRIMARY KEY, body); INSERT INTO docs VALUES (1, 'one');
CREATE VIRTUAL TABLE own USING fts5(body); INSERT INTO own VALUES ('one');
CREATE VIRTUAL TABLE found USING fts5(body, content='docs', content_rowid='id');
INSERT INTO found (found) VALUES ('rebuild');
CREATE VIRTUAL TABLE boxes USING rtree(id, low, high); INSERT INTO boxes VALUES (1, 2, 3);"""
CHANGES: dict[str, tuple[str, set[str]]] = {
    "nothing": ("", set()),
    "another table": ("UPDATE docs SET body = 'two'", set()),
    "own rows": ("INSERT INTO own VALUES ('two')", {"own"}),
    "only what is found": ("INSERT INTO found (rowid, body) VALUES (2, 'two')", {"found"}),
    "a box": ("DELETE FROM boxes", {"boxes"}),
}


@pytest.mark.parametrize(("change", "changed"), CHANGES.values(), ids=CHANGES)
def test_virtual_tables_are_compared_by_what_they_store(change: str, changed: set[str], tmp_path: Path) -> None:
    """A virtual table whose own tables have equal pages is equal, and its rows are not read."""
    before, after = tmp_path / "before.db", tmp_path / "after.db"
    with closing(apsw.Connection(str(before))) as database:
        database.execute(VIRTUAL)
    after.write_bytes(before.read_bytes())
    with closing(apsw.Connection(str(after))) as database:
        database.execute(change)
    assert changed_virtual_tables(before, after) == changed
    found = diff.row_diff(before, after)
    assert found.keys() == {"docs", "own", "boxes"}
    assert {name for name, each in found.items() if not each.by_pages} - {"docs"} == changed - {"found"}
