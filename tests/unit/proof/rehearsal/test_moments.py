"""Times of writing differ from phase to phase, yet the same change always gets the same verdict."""

import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import aclosing, closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from steps.support.core.errors import Problem
from steps.support.gateways.database.connect import connect
from steps.support.gateways.turso import Turso
from steps.support.proof.rehearsal.moments import NEVER, Moments
from steps.support.proof.rows.diff import row_diff
from steps.support.proof.rows.result import Kind, Row, TableDiff
from steps.support.proof.verdict.elsewhere import Elsewhere
from steps.support.proof.verdict.round_trip import changed_by_migrating_again, lost_by_migrating_again
from steps.support.proof.verdict.timeless import without_times
from steps.support.sql.statement import Value
from tests.support.database.engine_clock import EngineClock
from tests.support.proof.proved_production import Production

pytestmark = pytest.mark.anyio

MIDNIGHT = 1796083200.0  # 2026-12-01 00:00:00 UTC
AWKWARD = [pytest.param(MIDNIGHT - 1 - n / 8, id=f"{n} eighths") for n in range(8)]  # seconds end in other phases
STEP = 0.03  # seconds from one transaction to the next
NOW = ["unixepoch()", "CURRENT_TIMESTAMP", "strftime('%s', 'now')", "julianday('now')", "strftime('%Y-%m-%dT%H:%M:%SZ', 'now')",
       "CURRENT_DATE", "CURRENT_TIME", "unixepoch() * 1000", "strftime('%Y%m%d%H%M%S', 'now')"]  # fmt: skip

POSTS = "CREATE TABLE posts (id INTEGER PRIMARY KEY, title TEXT NOT NULL, seen_at); INSERT INTO posts VALUES (1, 'one ', {0}), (2, 'two', {0});"
MADE_AT = """CREATE TABLE new_posts (id INTEGER PRIMARY KEY, title TEXT NOT NULL, seen_at, made_at DEFAULT ({0}));
INSERT INTO new_posts (id, title, seen_at) SELECT id, title, seen_at FROM posts; DROP TABLE posts; ALTER TABLE new_posts RENAME TO posts;"""
NO_LONGER = """CREATE TABLE _orchestrate_kept_live AS SELECT * FROM posts; DROP TABLE posts;
CREATE TABLE posts (id INTEGER PRIMARY KEY, title TEXT NOT NULL, seen_at);
INSERT INTO posts (id, title, seen_at) SELECT id, title, seen_at FROM _orchestrate_kept_live; DROP TABLE _orchestrate_kept_live;"""
WRITES = "INSERT INTO posts (title, seen_at) VALUES ('three', {0}); UPDATE posts SET title = 'two b', seen_at = {0} WHERE id = 2;"
STAMPED = (
    "CREATE TRIGGER stamp AFTER UPDATE OF title ON posts BEGIN UPDATE posts SET seen_at = {0} WHERE id = new.id; END;"
)
TRIM = "CREATE TABLE _orchestrate_kept_t AS SELECT * FROM posts WHERE title <> trim(title); UPDATE posts SET title = trim(title) WHERE title <> trim(title);"
UNTRIM = """UPDATE posts SET title = (SELECT k.title FROM _orchestrate_kept_t AS k WHERE k.id = posts.id)
WHERE id IN (SELECT id FROM _orchestrate_kept_t); DROP TABLE _orchestrate_kept_t;"""


async def verdict(folder: Path, began: float, now: str, files: Mapping[str, str]) -> str:
    """Prove a change on SQLite with a clock that begins at this time; return the refusal, or "" if it passes."""
    path, clock = folder / "some.db", EngineClock(began, STEP)
    path.unlink(missing_ok=True)
    with clock.told():
        sqlite3.connect(path).close()
        async with aclosing(connect(f"file:{path}", None)) as database:
            production = Production(Turso(database), None, folder)
            try:
                await production.proved(
                    *(files[name].format(now) for name in ("before", "migrate", "rollback", "writes"))
                )
            except Problem as problem:
                return str(problem)
    return ""


@pytest.mark.parametrize("began", AWKWARD)
@pytest.mark.parametrize("now", NOW)
async def test_column_filled_with_the_time_of_writing_passes_at_any_moment(
    tmp_path: Path, now: str, began: float
) -> None:
    """Each migration fills the new column anew, also in rows that the app wrote: nothing is lost."""
    files = {"before": POSTS, "migrate": MADE_AT, "rollback": NO_LONGER, "writes": WRITES}
    assert await verdict(tmp_path, began, now, files) == ""


@pytest.mark.parametrize("began", AWKWARD)
@pytest.mark.parametrize("now", ["unixepoch()", "CURRENT_TIMESTAMP"])
async def test_stamp_of_a_trigger_is_named_at_any_moment(tmp_path: Path, now: str, began: float) -> None:
    """A backfill that sets off a trigger changes its column, even if the copy was filled in the same second."""
    files = {"before": POSTS + STAMPED, "migrate": TRIM, "rollback": UNTRIM, "writes": "SELECT 1;"}
    said = await verdict(tmp_path, began, now, files)
    assert "posts.seen_at: 1 of 2 values changed, for example id 1: " in said
    assert "posts: after the rollback seen_at differs in 1 row" in said


@pytest.mark.parametrize("began", AWKWARD)
async def test_time_lost_by_the_rollback_is_refused_at_any_moment(tmp_path: Path, began: float) -> None:
    """A rollback that overwrites an old column with the time of writing loses its values, and the column is named."""
    rollback = NO_LONGER.replace("title, seen_at FROM", "title, {0} FROM")
    said = await verdict(
        tmp_path, began, "unixepoch()", {"before": POSTS, "migrate": MADE_AT, "rollback": rollback, "writes": WRITES}
    )
    assert "posts: after the rollback seen_at differs in 2 rows" in said


SPAN = Moments(MIDNIGHT - 2.5, MIDNIGHT + 3.5)
TIMES: list[tuple[Value, Value]] = [  # two times of the span, in one unit
    (int(MIDNIGHT) - 3, int(MIDNIGHT) + 3), (MIDNIGHT - 1.5, MIDNIGHT + 0.25), (int(MIDNIGHT) * 1000, int(MIDNIGHT) * 1000 + 2999),
    (2440587.5 + MIDNIGHT / 86400, 2440587.5 + (MIDNIGHT + 1) / 86400), (str(int(MIDNIGHT)), str(int(MIDNIGHT) + 1)),
    ("2026-11-30 23:59:59", "2026-12-01 00:00:02"), ("2026-11-30T23:59:59.125Z", "2026-12-01T00:00:02.000Z"),
    ("2026-11-30", "2026-12-01"), ("23:59:58", "00:00:01"), ("20261130235959", "20261201000001"), (20261130235959, 20261201000001),
    (datetime.fromtimestamp(MIDNIGHT, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S"), "2026-12-01 00:00:02"),
]  # fmt: skip
OTHERS: list[tuple[Value, Value]] = [  # two values of which one is no such time, or is one in another unit
    (int(MIDNIGHT) - 4, int(MIDNIGHT)), (int(MIDNIGHT), int(MIDNIGHT) + 60), (1, 2), (0, int(MIDNIGHT)), (None, int(MIDNIGHT)),
    (b"1", b"2"), (int(MIDNIGHT), MIDNIGHT + 1.0), (int(MIDNIGHT), str(int(MIDNIGHT) + 1)), ("2026-11-30", "2026-12-01 00:00:01"),
    ("2026-11-29", "2026-12-01"), ("2026-11-30 23:59:00", "2026-12-01 00:00:00"), ("2026-11-30 23:59:59", "2026-12-01T00:00:02"),
    ("open", "closed"), ("12", "13"), ("", "1"), (float("inf"), MIDNIGHT), ("nan", "inf"), (10**30, 10**31),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), TIMES)
def test_times_of_the_span_are_the_same(one: Value, other: Value) -> None:
    """Two times within the span, in one unit, are the same; without a span only equal values are."""
    assert SPAN.same(one, other)
    assert not NEVER.same(one, other)


@pytest.mark.parametrize(("one", "other"), OTHERS)
def test_other_values_are_never_the_same(one: Value, other: Value) -> None:
    """A value from before the rehearsal, a number, a text and a time in another unit are a difference."""
    assert not SPAN.same(one, other)
    assert not SPAN.same(other, one)


def test_lost_value_beside_a_time_of_writing_is_found() -> None:
    """A written row whose time differs is still followed, and only its lost values are named."""
    key = (("id", 2),)
    wrote = Row(Kind.CHANGED, key, {"title": "two", "at": 5}, {"title": "two b", "at": int(MIDNIGHT)})
    kept = Row(Kind.CHANGED, key, {"title": "two", "at": 5}, {"title": "two b", "at": int(MIDNIGHT) + 2})
    lost = Row(Kind.CHANGED, key, {"title": "two", "at": 5}, {"title": "two c", "at": int(MIDNIGHT) + 2})
    written, kept_rows, lost_rows = [{"t": TableDiff("t", 2, 2, changed=1, rows=(row,))} for row in (wrote, kept, lost)]
    wrote_timeless, kept_timeless, lost_timeless = timeless(written, kept_rows, lost_rows)
    assert [*lost_by_migrating_again(wrote_timeless, kept_timeless, {}, {})] == []
    (finding,) = lost_by_migrating_again(wrote_timeless, lost_timeless, {}, {})
    assert finding.cause.endswith("title 'two b', at the time of writing, which now has title 'two c'")
    (finding,) = lost_by_migrating_again(written, kept_rows, {}, {})
    assert finding.cause.endswith(f", which now has at {int(MIDNIGHT) + 2}")


def timeless(*diffs: Mapping[str, TableDiff]) -> list[Mapping[str, TableDiff]]:
    """Return the diffs as they are compared, without the times of the span."""
    return [diff for diff in without_times(diffs, SPAN) if diff is not None]


BEFORE, EARLY, LATE = 5, int(MIDNIGHT), int(MIDNIGHT) + 2  # a time of before the rehearsal, and two of the span
ID = (("id", 1),)
SETTLED = [  # rows that differ, and what is left of them
    pytest.param((Row(Kind.CHANGED, ID, {"at": EARLY}, {"at": LATE}),), (0, 0, 0, {}), id="only a time of writing changed"),
    pytest.param((Row(Kind.CHANGED, ID, {"at": BEFORE}, {"at": LATE}),), (0, 0, 1, {"at": 1}), id="a time of before is lost"),
    pytest.param((Row(Kind.CHANGED, ID, {"at": EARLY}, {"at": BEFORE}),), (0, 0, 1, {"at": 1}), id="a time of before is back"),
    pytest.param((Row(Kind.CHANGED, ID, {"at": EARLY}, {"at": None}),), (0, 0, 1, {"at": 1}), id="a time is lost"),
    pytest.param((Row(Kind.CHANGED, ID, {"at": EARLY}, {"at": str(LATE)}),), (0, 0, 1, {"at": 1}), id="a time has another type"),
    pytest.param((Row(Kind.CHANGED, ID, {"at": EARLY, "title": "a"}, {"at": LATE, "title": "b"}),), (0, 0, 1, {"Title": 1}), id="a title changed beside it"),
    pytest.param((Row(Kind.REMOVED, (), old={"at": EARLY}), Row(Kind.ADDED, (), new={"at": LATE})), (0, 0, 0, {}), id="a row without a key is stamped anew"),
    pytest.param((*[Row(Kind.REMOVED, (), old={"at": EARLY})] * 2, Row(Kind.ADDED, (), new={"at": LATE})), (0, 1, 0, {}), id="one of two such rows is lost"),
    pytest.param((Row(Kind.REMOVED, (("at", EARLY),), old={"at": EARLY}), Row(Kind.ADDED, (("at", LATE),), new={"at": LATE})), (1, 1, 0, {}), id="a key that is a time stays a key"),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "left"), SETTLED)
def test_only_a_time_that_became_another_drops_out(
    rows: tuple[Row, ...], left: tuple[int, int, int, dict[str, int]]
) -> None:
    """Rows with another difference stay and are counted; without a span all rows stay."""
    kinds, names = Counter(row.kind for row in rows), {"at": "at", "title": "Title"}
    columns = Counter(names[name] for row in rows if row.kind is Kind.CHANGED for name in row.new)
    diff = {"t": TableDiff("t", 9, 9, kinds[Kind.ADDED], kinds[Kind.REMOVED], kinds[Kind.CHANGED], columns, rows=rows)}
    found = timeless(diff)[0]["t"]
    assert (found.added, found.removed, found.changed, found.columns) == left
    assert len(found.rows) == found.total
    assert without_times([diff, None], NEVER) == [diff, None]


WAITING = {  # a task may have no owner: one that has none waits, and each migration stamps all rows anew
    "before": "CREATE TABLE tasks (id INTEGER PRIMARY KEY, owner TEXT NOT NULL, seen_at); INSERT INTO tasks VALUES (1, 'Ann', {0}), (2, 'Bob', {0});",
    "migrate": """-- allow: not-null-lost a task may have no owner
CREATE TABLE new_tasks (id INTEGER PRIMARY KEY, owner TEXT, seen_at, made_at DEFAULT ({0}));
INSERT INTO new_tasks (id, owner, seen_at) SELECT id, owner, seen_at FROM tasks;
CREATE TABLE IF NOT EXISTS _orchestrate_kept_n (id INTEGER, seen_at);
INSERT INTO new_tasks (id, seen_at) SELECT id, seen_at FROM _orchestrate_kept_n;
DROP TABLE tasks; ALTER TABLE new_tasks RENAME TO tasks; DROP TABLE _orchestrate_kept_n;""",
    "rollback": """CREATE TABLE _orchestrate_kept_n AS SELECT id, seen_at FROM tasks WHERE owner IS NULL;
CREATE TABLE _orchestrate_kept_live AS SELECT * FROM tasks WHERE owner IS NOT NULL; DROP TABLE tasks;
CREATE TABLE tasks (id INTEGER PRIMARY KEY, owner TEXT NOT NULL, seen_at);
INSERT INTO tasks (id, owner, seen_at) SELECT id, owner, seen_at FROM _orchestrate_kept_live; DROP TABLE _orchestrate_kept_live;""",
    "writes": "INSERT INTO tasks (owner, seen_at) VALUES (NULL, {0}), ('Cid', {0}); UPDATE tasks SET owner = 'Ann b' WHERE id = 1;",
}
FORGOTTEN = WAITING["rollback"].replace("WHERE owner IS NULL", "WHERE owner IS NULL AND id < 0")


@pytest.mark.parametrize("began", AWKWARD)
@pytest.mark.parametrize("now", ["unixepoch()", "CURRENT_TIMESTAMP"])
async def test_row_that_waits_beside_times_of_writing_is_found_at_any_moment(
    tmp_path: Path, now: str, began: float
) -> None:
    """A waiting row that comes back with another time of the migration counts as kept; a forgotten row does not."""
    assert await verdict(tmp_path, began, now, WAITING) == ""
    said = await verdict(tmp_path, began, now, {**WAITING, "rollback": FORGOTTEN})
    assert "1 of 3 rows written by the app is lost or changed after migrating again, for example added id 3" in said


def logged(kind: Kind, number: int, at: int, what: str = "moved") -> Row:
    """Return a row of a log that was added or removed."""
    values: dict[str, Value] = {"id": number, "what": what, "at": at}
    side = {"new": values} if kind is Kind.ADDED else {"old": values}
    return Row(kind, (("id", number),), **side)


def log(*rows: Row) -> dict[str, TableDiff]:
    """Return what became of the rows of a log."""
    kinds = Counter(row.kind for row in rows)
    return {"log": TableDiff("log", 9, 9, kinds[Kind.ADDED], kinds[Kind.REMOVED], by_key=True, rows=rows)}


def test_row_that_the_migration_writes_each_time_did_not_come_twice() -> None:
    """A migration may log itself again under another key; a row of the app that comes back twice is named."""
    again = [logged(Kind.ADDED, 2, EARLY), logged(Kind.ADDED, 3, LATE)]
    for rows, twice in (([*again, logged(Kind.REMOVED, 1, EARLY)], 0), (again, 1)):
        moved, wrote, found = timeless(log(logged(Kind.ADDED, 1, EARLY)), log(logged(Kind.ADDED, 2, EARLY)), log(*rows))
        assert len([*changed_by_migrating_again(moved, wrote, found, {}, ())]) == twice


def test_time_of_writing_alone_explains_no_row() -> None:
    """Two rows that share only the time of writing do not explain each other, in any table."""
    wrote, returned = log(logged(Kind.ADDED, 2, EARLY)), log(logged(Kind.ADDED, 7, LATE, "another"))
    one, other = timeless(wrote, returned)
    elsewhere = Elsewhere.of(one, one, {})
    assert elsewhere.unexplained("others", other["log"].rows) == [*other["log"].rows]
    bare = replace(other["log"].rows[0], new={"id": 7, "at": other["log"].rows[0].new["at"]})
    assert elsewhere.unexplained("others", [bare]) == [bare]


@pytest.mark.parametrize("later", [0, 1])
def test_rows_that_only_a_migration_stamped_anew_are_not_counted(tmp_path: Path, later: int) -> None:
    """However many rows a migration stamps with the time, rows with another difference are still listed."""
    one, two = tmp_path / "one.db", tmp_path / "two.db"
    for file, at, title in ((one, 0, "two"), (two, later, "three")):
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            connection.executescript("CREATE TABLE t (id INTEGER PRIMARY KEY, title, at)")
            rows = [(n, "one", int(MIDNIGHT) + at) for n in range(50)]
            connection.executemany("INSERT INTO t VALUES (?, ?, ?)", [*rows, (99, title, int(MIDNIGHT) + at)])
    found = row_diff(one, two, 10, moments=SPAN)["t"]
    assert (found.changed, dict(found.columns)) == (1, {"title": 1})
    assert [(row.old, row.new) for row in found.rows] == [({"title": "two"}, {"title": "three"})]
    assert row_diff(one, two, 10)["t"].changed == (51 if later else 1)


def test_text_that_is_not_utf_8_is_no_time(tmp_path: Path) -> None:
    """Such a text is compared beside times of writing, and differs from another one."""
    one, two = tmp_path / "one.db", tmp_path / "two.db"
    for file, text in ((one, "61ff"), (two, "61fe")):
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            connection.executescript("CREATE TABLE t (id INTEGER PRIMARY KEY, v)")
            connection.execute(f"INSERT INTO t VALUES (1, CAST(x'{text}' AS TEXT))")
    assert row_diff(one, two, 10, moments=SPAN)["t"].changed == 1
