"""The rows that the row diff keeps: all that differ, in full, and only if they are few enough."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.support.proof.rows.diff import row_diff
from steps.support.proof.rows.result import Kind, Row, TableDiff
from tests.support.database.random_tables import PARENTS, ROWS, SHAPES, STEPS, change, create, opened
from tests.support.database.whole_tables import Held, key_of, read, same

Compare = Callable[..., TableDiff]
ADDED, REMOVED, CHANGED = Kind.ADDED, Kind.REMOVED, Kind.CHANGED
ALL = 10_000


@pytest.fixture
def compared(tmp_path: Path) -> Compare:
    """Compare the one table that two scripts create, the second run on a copy of the first one's result."""

    def compare(script: str, change: str, keep: int = ALL) -> TableDiff:
        before, after = tmp_path / "before.db", tmp_path / "after.db"
        run(before, script)
        after.write_bytes(before.read_bytes())
        run(after, change)
        (found,) = row_diff(before, after, keep).values()
        return found

    return compare


def run(file: Path, script: str) -> None:
    """Run a script on a file."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.executescript(f"PRAGMA synchronous = OFF; {script}")


KEYED = "CREATE TABLE t (id INTEGER PRIMARY KEY, v, w); INSERT INTO t VALUES (1, 1, 'a'), (2, NULL, 'b'), (3, 'x', x'00ff');"
TWO_KEYS = "CREATE TABLE t (a INTEGER, b TEXT, v, PRIMARY KEY (b, a)); INSERT INTO t VALUES (1, 'x', 1), (1, 'y', 2), (2, 'x', 3);"
NO_ROWID = TWO_KEYS.replace("))", ")) WITHOUT ROWID", 1)
NO_CASE = "CREATE TABLE t (name TEXT PRIMARY KEY COLLATE NOCASE, v); INSERT INTO t VALUES ('a', 1);"
UNTYPED = "CREATE TABLE t (k, v, PRIMARY KEY (k)); INSERT INTO t VALUES (1, 'integer'), ('1', 'text'), (x'31', 'blob');"
WITHOUT_KEY = "CREATE TABLE t (v, w); INSERT INTO t VALUES (1, 'a'), (1, 'a'), (1, 'a'), (NULL, x'00');"
COMPUTED = "CREATE TABLE t (id INTEGER PRIMARY KEY, v, g AS (v * 2), s AS (v + 1) VIRTUAL); INSERT INTO t (id, v) VALUES (1, 1), (2, 2);"
CASES: list[tuple[str, str, str, list[Row]]] = [
    ("nothing", KEYED, "", []),
    ("nothing, the file made anew", KEYED, "PRAGMA page_size = 8192; VACUUM", []),
    ("a changed row tells what differs alone", KEYED, "UPDATE t SET v = 2 WHERE id = 1", [Row(CHANGED, (("id", 1),), {"v": 1}, {"v": 2})]),
    ("a removed row tells all", KEYED, "DELETE FROM t WHERE id = 3", [Row(REMOVED, (("id", 3),), {"id": 3, "v": "x", "w": b"\0\xff"})]),
    ("an added row tells all", KEYED, "INSERT INTO t VALUES (7, NULL, x'')", [Row(ADDED, (("id", 7),), {}, {"id": 7, "v": None, "w": b""})]),
    ("1 made 1.0", KEYED, "UPDATE t SET v = 1.0 WHERE id = 1", [Row(CHANGED, (("id", 1),), {"v": 1}, {"v": 1.0})]),
    ("NULL made an empty text", KEYED, "UPDATE t SET v = '' WHERE id = 2", [Row(CHANGED, (("id", 2),), {"v": None}, {"v": ""})]),
    ("a value made NULL", KEYED, "UPDATE t SET v = NULL WHERE id = 3", [Row(CHANGED, (("id", 3),), {"v": "x"}, {"v": None})]),
    ("a text made a blob", KEYED, "UPDATE t SET w = x'61' WHERE id = 1", [Row(CHANGED, (("id", 1),), {"w": "a"}, {"w": b"a"})]),
    ("another key is another row", KEYED, "UPDATE t SET id = 4 WHERE id = 2", [Row(REMOVED, (("id", 2),), {"id": 2, "v": None, "w": "b"}), Row(ADDED, (("id", 4),), {}, {"id": 4, "v": None, "w": "b"})]),
    ("the parts of a key by their names", TWO_KEYS, "UPDATE t SET v = 9 WHERE b = 'y'", [Row(CHANGED, (("a", 1), ("b", "y")), {"v": 2}, {"v": 9})]),
    ("no rowid", NO_ROWID, "DELETE FROM t WHERE b = 'y'; INSERT INTO t VALUES (3, 'z', NULL)", [Row(REMOVED, (("a", 1), ("b", "y")), {"a": 1, "b": "y", "v": 2}), Row(ADDED, (("a", 3), ("b", "z")), {}, {"a": 3, "b": "z", "v": None})]),
    ("a key in another case", NO_CASE, "UPDATE t SET name = 'A'", [Row(CHANGED, (("name", "a"),), {"name": "a"}, {"name": "A"})]),
    ("keys of any type", UNTYPED, "UPDATE t SET v = '' WHERE k = '1'; DELETE FROM t WHERE k = x'31'", [Row(CHANGED, (("k", "1"),), {"v": "text"}, {"v": ""}), Row(REMOVED, (("k", b"1"),), {"k": b"1", "v": "blob"})]),
    ("a column of one side is no difference", KEYED, "ALTER TABLE t ADD COLUMN n DEFAULT 5; UPDATE t SET v = 0 WHERE id = 1", [Row(CHANGED, (("id", 1),), {"v": 1}, {"v": 0})]),
    ("an added row has the columns of after", KEYED, "ALTER TABLE t DROP COLUMN w; ALTER TABLE t ADD COLUMN n DEFAULT 5; INSERT INTO t (id) VALUES (4)", [Row(ADDED, (("id", 4),), {}, {"id": 4, "v": None, "n": 5})]),
    ("a removed one those of before", KEYED, "ALTER TABLE t DROP COLUMN w; DELETE FROM t WHERE id = 1", [Row(REMOVED, (("id", 1),), {"id": 1, "v": 1, "w": "a"})]),
    ("names in lower case", 'CREATE TABLE T (Id INTEGER PRIMARY KEY, "X y", "Ä"); INSERT INTO t VALUES (1, 1, 1)', 'UPDATE T SET "x Y" = 2, "Ä" = 2', [Row(CHANGED, (("id", 1),), {"x y": 1, "Ä": 1}, {"x y": 2, "Ä": 2})]),
    ("one of three alike", WITHOUT_KEY, "DELETE FROM t WHERE rowid = 2", [Row(REMOVED, (), {"v": 1, "w": "a"})]),
    ("each of three alike", WITHOUT_KEY, "DELETE FROM t WHERE v = 1", [Row(REMOVED, (), {"v": 1, "w": "a"})] * 3),
    ("two more alike", WITHOUT_KEY, "INSERT INTO t VALUES (NULL, x'00'), (NULL, x'00')", [Row(ADDED, (), {}, {"v": None, "w": b"\0"})] * 2),
    ("a change without a key", WITHOUT_KEY, "UPDATE t SET v = 1.0 WHERE rowid = 1", [Row(REMOVED, (), {"v": 1, "w": "a"}), Row(ADDED, (), {}, {"v": 1.0, "w": "a"})]),
    ("all turned round", WITHOUT_KEY, "CREATE TABLE u AS SELECT * FROM t; DELETE FROM t; INSERT INTO t SELECT * FROM u ORDER BY rowid DESC; DROP TABLE u", []),
    ("a key that is NULL is none", UNTYPED + "INSERT INTO t VALUES (NULL, 7)", "UPDATE t SET v = 8 WHERE k IS NULL", [Row(REMOVED, (), {"k": None, "v": 7}), Row(ADDED, (), {}, {"k": None, "v": 8})]),
    ("what the engine computes is left out", COMPUTED, "DELETE FROM t WHERE id = 1; INSERT INTO t (id, v) VALUES (3, 3); UPDATE t SET v = 9 WHERE id = 2", [Row(REMOVED, (("id", 1),), {"id": 1, "v": 1}), Row(ADDED, (("id", 3),), {}, {"id": 3, "v": 3}), Row(CHANGED, (("id", 2),), {"v": 2}, {"v": 9})]),
    ("what it computes otherwise", COMPUTED, "ALTER TABLE t DROP COLUMN g; ALTER TABLE t ADD COLUMN g AS (v * 3); DELETE FROM t WHERE id = 1; INSERT INTO t (id, v) VALUES (3, 3)", [Row(REMOVED, (("id", 1),), {"id": 1, "v": 1}), Row(ADDED, (("id", 3),), {}, {"id": 3, "v": 3})]),
    ("what it computes on one side alone", COMPUTED, "ALTER TABLE t DROP COLUMN g; ALTER TABLE t DROP COLUMN s; DELETE FROM t WHERE id = 1", [Row(REMOVED, (("id", 1),), {"id": 1, "v": 1})]),
    ("another key than before", NO_CASE, "CREATE TABLE u (name TEXT, v PRIMARY KEY); INSERT INTO u SELECT name, 2 FROM t; DROP TABLE t; ALTER TABLE u RENAME TO t", [Row(REMOVED, (), {"name": "a", "v": 1}), Row(ADDED, (), {}, {"name": "a", "v": 2})]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("script", "change", "rows"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)  # fmt: skip
def test_differing_rows_are_kept_in_full(compared: Compare, script: str, change: str, rows: list[Row]) -> None:
    """Each differing row is kept as often as it occurs, with the types of its values."""
    found = compared(script, change)
    assert Counter(map(typed, found.rows)) == Counter(map(typed, rows))
    assert found.total == len(rows)


@pytest.mark.parametrize(("keep", "given"), [(0, 0), (1, 0), (6, 0), (7, 7), (8, 7), (ALL, 7)])
@pytest.mark.parametrize("script", [KEYED, KEYED.replace(" INTEGER PRIMARY KEY", "")], ids=["key", "bag"])
def test_all_differing_rows_are_kept_or_none(compared: Compare, script: str, keep: int, given: int) -> None:
    """If more rows differ than were requested, none is kept, and they are still counted."""
    change = (
        "DELETE FROM t WHERE id < 3; INSERT INTO t VALUES (4, 4, 4), (5, 5, 5), (6, NULL, NULL), (7, 7, 7), (8, 8, 8)"
    )
    found = compared(script, change, keep)
    assert (found.total, len(found.rows)) == (7, given)


def test_no_row_is_kept_unless_requested(tmp_path: Path) -> None:
    """Without a number a diff has counts and samples only; a number holds for each table."""
    run(tmp_path / "one.db", KEYED + WITHOUT_KEY.replace(" t ", " u "))
    run(tmp_path / "other.db", KEYED.replace("'a'", "'z'") + WITHOUT_KEY.replace(" t ", " u ").replace("'a'", "'z'"))
    files = tmp_path / "one.db", tmp_path / "other.db"
    assert [table.rows for table in row_diff(*files).values()] == [(), ()]
    assert [(table.total, len(table.rows)) for table in row_diff(*files, keep=5).values()] == [(1, 1), (6, 0)]


def test_keeping_rows_changes_nothing_else(compared: Compare) -> None:
    """Counts, columns and samples equal those of a diff that keeps no rows."""
    change = "UPDATE t SET v = 5 WHERE id < 3; DELETE FROM t WHERE id = 3; INSERT INTO t VALUES (4, 4, 4)"
    found = compared(KEYED, change)
    assert (found.added, found.removed, found.changed, found.columns) == (1, 1, 2, {"v": 2})
    assert [*map(str, found.samples)] == [
        "changed id 1, v 1 -> 5", "changed id 2, v NULL -> 5", "removed id 3, v 'x', w <2 bytes>", "added id 4, v 4, w 4",
    ]  # fmt: skip


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.tuples(PARENTS, SHAPES), st.tuples(ROWS, ROWS), st.lists(STEPS, max_size=4), st.integers(0, 9))
def test_kept_rows_equal_those_of_a_full_comparison(
    shapes: tuple[Any, ...], rows: tuple[list[Any], ...], steps: list[Any], keep: int
) -> None:
    """For random tables and changes, the rows are those that Python finds by reading everything."""
    with TemporaryDirectory() as folder:
        before, after = Path(folder) / "before.db", Path(folder) / "after.db"
        create(before, shapes, rows)
        after.write_bytes(before.read_bytes())
        change(after, steps)
        found = row_diff(before, after, keep)
        with closing(opened(before)) as old, closing(opened(after)) as new:
            expected = rows_by_hand(read(old), read(new))
    assert {name: Counter(map(typed, found[name].rows)) for name in expected} == {
        name: own if own.total() <= keep else Counter() for name, own in expected.items()
    }
    assert {name: found[name].total for name in expected} == {name: own.total() for name, own in expected.items()}


def rows_by_hand(old: Mapping[str, Held], new: Mapping[str, Held]) -> dict[str, Counter[Any]]:
    """Compare every table that both sides have."""
    both = old.keys() & new.keys()
    return {name: Counter(map(typed, table_by_hand(old[name], new[name]))) for name in both}


def table_by_hand(old: Held, new: Held) -> Iterator[Row]:
    """Compare by the key that both sides have, else by counting equal rows in the common columns."""
    common = [column for column in old.columns if column in new.columns]
    if not old.key or old.key != new.key:
        b, a = (Counter(tuple((type(row[c]), row[c]) for c in common) for row in held.rows) for held in (old, new))
        for row in (b - a).elements():
            yield Row(REMOVED, (), old=dict(zip(common, (value for _, value in row), strict=True)))
        for row in (a - b).elements():
            yield Row(ADDED, (), new=dict(zip(common, (value for _, value in row), strict=True)))
        return
    was, now = ({key_of(row, old.key): row for row in held.rows} for held in (old, new))
    names = sorted(name for name, *_ in old.key)
    for key in was.keys() | now.keys():
        shown = tuple((name, (was.get(key) or now[key])[name]) for name in names)
        if key not in now:
            yield Row(REMOVED, shown, old=was[key])
        elif key not in was:
            yield Row(ADDED, shown, new=now[key])
        elif differs := [name for name in common if not same(was[key][name], now[key][name])]:
            before, after = ({name: side[key][name] for name in differs} for side in (was, now))
            yield Row(CHANGED, shown, before, after)


def typed(row: Row) -> Any:
    """Return a row as a countable value, in which 1 and 1.0 differ."""
    sides = (frozenset((name, type(value), value) for name, value in side.items()) for side in (row.old, row.new))
    return row.kind, tuple((name, type(value), value) for name, value in row.key), *sides
