"""The row counts of `-- changes:` hold in production's transaction: the rehearsal saw a copy some moments old."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.support.gateways.guards import keep_declared
from steps.support.proof.guards import declared as module
from steps.support.proof.rows.diff import row_diff
from steps.support.sql.change import named_change
from steps.support.sql.statement import Statement
from tests.support.database.random_tables import PARENTS, ROWS, SHAPES, STEPS, Shape, change, create, opened, take
from tests.support.proof.proved_production import Production

pytestmark = pytest.mark.anyio

TABLE = (
    "CREATE TABLE t (id INTEGER PRIMARY KEY, kind TEXT, v INTEGER); INSERT INTO t VALUES (1, 'new', 1), (2, 'old', 2);"
)
FIFTY = "INSERT INTO t SELECT value + 100, 'new', value + 1 FROM json_each('[{}]');".format(
    ",".join(map(str, range(50)))
)
KEEP = "CREATE TABLE _orchestrate_kept_t AS SELECT * FROM t;"
GIVE = "DELETE FROM t WHERE true; INSERT INTO t SELECT * FROM _orchestrate_kept_t; DROP TABLE _orchestrate_kept_t;"
ANEW = """CREATE TABLE u (id INTEGER PRIMARY KEY, kind TEXT, v INTEGER, w); INSERT INTO u (id, kind, v) SELECT id, kind, {} FROM t;
DROP TABLE t; ALTER TABLE u RENAME TO t;"""
BACK = """DROP TABLE t; CREATE TABLE t (id INTEGER PRIMARY KEY, kind TEXT, v INTEGER); INSERT INTO t SELECT * FROM _orchestrate_kept_t;
DROP TABLE _orchestrate_kept_t;"""


ONE = {  # changes that reach one row of the copy, and their rollbacks
    "deleted": ("DELETE FROM t WHERE kind = 'new';", GIVE),
    "changed": ("UPDATE t SET v = -v WHERE kind = 'new';", GIVE),
    "added": ("INSERT INTO t SELECT id + 1000, 'more', v FROM t WHERE kind = 'new';", GIVE),
    "replaced": ("INSERT INTO t SELECT id, 'more', -v FROM t WHERE kind = 'new' ON CONFLICT DO UPDATE SET v = -t.v;", GIVE),
    "by two statements": ("UPDATE t SET v = -v WHERE kind = 'new'; DELETE FROM t WHERE v < 0;", GIVE),
}  # fmt: skip
REMADE = {
    "changed": (ANEW.format("iif(kind = 'new', -v, v)"), BACK),
    "taken over": (ANEW.format("v") + "DELETE FROM t WHERE kind = 'new';", BACK),
    "touched for nothing": ("UPDATE t SET v = abs(v) * iif(kind = 'new', -1, 1) WHERE true;", GIVE),
}  # changes that reach every row, and change one of the copy
COMPARED, LARGE = 50_000, 1  # rows
EACH_WAY = [
    *(pytest.param(*each, COMPARED, id=f"{name}, compared") for name, each in (ONE | REMADE).items()),
    *(pytest.param(*each, LARGE, id=f"{name}, by statement") for name, each in ONE.items()),
]


@pytest.mark.parametrize(("migrate", "rollback", "compared"), EACH_WAY)
async def test_more_rows_than_declared_are_refused(
    production: Production, monkeypatch: pytest.MonkeyPatch, migrate: str, rollback: str, compared: int
) -> None:
    """If a change reaches one row of the copy, but 51 after the app has written, the transaction refuses it."""
    monkeypatch.setattr(module, "COMPARED", compared)
    await production.proved(TABLE, f"-- changes: t 1\n{KEEP}\n{migrate}", rollback)
    await production.written(FIFTY)
    said = await production.migrated()
    assert said.startswith("changes of t")
    assert said.endswith(
        ("51 rows changed, and `-- changes:` allows 1", "51 rows changed, and `-- changes:` allows at most 1")
    )


VALUES = {  # changes of values in one row of the copy, with the lines that declare them
    "in place": ("-- changes: t(v) 1", "UPDATE t SET v = -v WHERE kind = 'new';", GIVE),
    "two columns": ("-- changes: t(v, kind) 1", "UPDATE t SET v = -v, kind = 'x' WHERE kind = 'new';", GIVE),
    "by two lines": ("-- changes: t(v) 1\n-- changes: t(kind) 1", "UPDATE t SET v = -v, kind = 'x' WHERE kind = 'new';", GIVE),
    "by a rebuild": ("-- changes: t(v) 1", ANEW.format("iif(kind = 'new', -v, v)"), BACK),
    "touched for nothing": ("-- changes: t(v) 1", REMADE["touched for nothing"][0], GIVE),
}  # fmt: skip
KEYLESS = TABLE.replace("id INTEGER PRIMARY KEY", "id INTEGER")
EACH_VALUE = [
    *(pytest.param(TABLE, *each, COMPARED, id=f"{name}, compared") for name, each in VALUES.items()),
    *(pytest.param(KEYLESS, *each, COMPARED, id=f"{name}, without a key") for name, each in VALUES.items() if "ANEW" not in name and name != "by a rebuild"),
    pytest.param(TABLE, *VALUES["in place"], LARGE, id="in place, by statement"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("written", "refused"), [(FIFTY, True), (FIFTY.replace("'new'", "'old'"), False)], ids=["51 values", "one value"]
)
@pytest.mark.parametrize(("before", "lines", "migrate", "rollback", "compared"), EACH_VALUE)
async def test_no_more_values_than_declared_are_committed(
    production: Production,
    monkeypatch: pytest.MonkeyPatch,
    before: str,
    lines: str,
    migrate: str,
    rollback: str,
    compared: int,
    written: str,
    refused: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """A change that sets one value of the copy, but 51 after the app has written, is refused; if it sets one, it is not."""
    monkeypatch.setattr(module, "COMPARED", compared)
    await production.proved(before, f"{lines}\n{KEEP}\n{migrate}", rollback)
    await production.written(written)
    said = await production.migrated()
    if not refused:
        assert said == ""
        return
    assert said.startswith("changes of t(v")
    assert "51 rows changed, and `-- changes:` allows" in said


@pytest.mark.parametrize(("migrate", "rollback", "compared"), EACH_WAY)
async def test_declared_number_of_rows_is_committed(
    production: Production, monkeypatch: pytest.MonkeyPatch, migrate: str, rollback: str, compared: int
) -> None:
    """Rows that the app writes meanwhile do not stop a change that does not reach them."""
    monkeypatch.setattr(module, "COMPARED", compared)
    await production.proved(TABLE, f"-- changes: t 1\n{KEEP}\n{migrate}", rollback)
    await production.written(FIFTY.replace("'new'", "'old'"))
    assert await production.migrated() == ""


TWO_KINDS = "UPDATE t SET v = -v WHERE kind = 'new'; {} UPDATE t SET v = v + 100 WHERE kind = 'since';"
ASKED = "INSERT INTO t VALUES (500, 'old', 9), (501, 'old', 9); SELECT CASE WHEN changes() = 2 AND last_insert_rowid() = 501 THEN 1 ELSE abs(-9223372036854775808) END;"
TOGETHER = [  # declared number, rows the app adds of each kind, SQL between the statements, refusal
    ("1..40", 39, 39, "", "79 rows changed, and `-- changes:` allows at most 40"),
    ("1..40", 39, 1, "", "41 rows changed, and `-- changes:` allows at most 40"),
    ("1..40", 1, 39, "INSERT INTO t VALUES (9, 'old', 9);", "42 rows changed, and `-- changes:` allows at most 40"),
    ("1..40", 40, 0, "", "41 rows changed, and `-- changes:` allows at most 40"),
    ("1..40", 39, 0, "", ""),
    ("1..40", 0, 39, "", ""),
    ("1..40", 20, 18, "INSERT INTO t VALUES (9, 'old', 9);", ""),
    ("1..40", 20, 17, f"{ASKED} {ASKED.replace('50', '60')}", "42 rows changed, and `-- changes:` allows at most 40"),
    ("1..40", 20, 15, f"{ASKED} {ASKED.replace('50', '60')}", ""),
]  # fmt: skip


@pytest.mark.parametrize(("amount", "new", "since", "between", "said"), TOGETHER, ids=[f"{each[1]} and {each[2]}" for each in TOGETHER])  # fmt: skip
async def test_statements_on_a_large_table_share_the_declared_number(
    production: Production, monkeypatch: pytest.MonkeyPatch, amount: str, new: int, since: int, between: str, said: str,
) -> None:  # fmt: skip
    """All statements draw on one declared number, in any order, and the script notices nothing of the counting."""
    monkeypatch.setattr(module, "COMPARED", LARGE)
    await production.proved(TABLE, f"-- changes: t {amount}\n{KEEP}\n{TWO_KINDS.format(between)}", GIVE)
    kinds = [*["new"] * new, *["since"] * since]
    rows = ", ".join(f"({number + 100}, '{kind}', {number + 1})" for number, kind in enumerate(kinds))
    await production.written(f"INSERT INTO t VALUES {rows};")
    found = await production.migrated()
    assert found.startswith("changes of t by migrate.sql line ") == bool(said)
    assert found.endswith(said) if said else found == ""


async def test_counters_of_changed_rows_leave_nothing(production: Production, monkeypatch: pytest.MonkeyPatch) -> None:
    """The counters kept during the transaction are removed, and do not count as changed rows."""
    monkeypatch.setattr(module, "COMPARED", LARGE)
    five = " ".join(f"UPDATE t SET v = v + 1 WHERE id = {number};" for number in (1, 2, 1, 2, 1))
    proof = await production.proved(TABLE, f"-- changes: t 1..9\n{KEEP}\n{five}", GIVE)
    assert "and by what its statements reach together; " in proof.guards.measured
    assert proof.guards.there[-1].slack == 6 + 100  # the rows, the marker row, and what the app may have written
    assert await production.migrated() == ""
    left = Statement("SELECT group_concat(name) FROM sqlite_schema WHERE name GLOB '_orchestrate_changed*'")
    assert (await production.turso.read(left)).scalar is None


RANGES = [  # declared range, rows the app adds, refusal
    ("0..60", 50, ""),
    ("1..50", 49, ""),
    ("1..50", 50, "51 rows changed, and `-- changes:` allows 1 to 50"),
    ("1..2", 0, ""),
    ("1..2", -1, "0 rows changed, and `-- changes:` allows 1 to 2"),
    ("0..2", -1, ""),
]


@pytest.mark.parametrize(("amount", "rows", "said"), RANGES)
async def test_declared_range_holds_at_both_ends(production: Production, amount: str, rows: int, said: str) -> None:
    """As many rows as the range allows are committed; one more or one fewer is refused."""
    await production.proved(TABLE, f"-- changes: t {amount}\n{KEEP}\nDELETE FROM t WHERE kind = 'new';", GIVE)
    more = "INSERT INTO t SELECT value + 100, 'new', 1 FROM json_each('[{}]');".format(",".join(map(str, range(rows))))
    await production.written(more if rows > 0 else "DELETE FROM t WHERE kind = 'new';" if rows else "SELECT 1;")
    assert (await production.migrated()).removeprefix("changes of t: ") == said


async def test_declared_deletions_cover_rows_written_since(production: Production) -> None:
    """The declared number also bounds deletions if only rows that the app wrote after the copy are deleted."""
    await production.proved(TABLE, f"-- changes: t 0..2\n{KEEP}\nDELETE FROM t WHERE kind = 'since';", GIVE)
    await production.written("INSERT INTO t VALUES (7, 'since', 7), (8, 'since', 8);")
    assert await production.migrated() == ""


async def test_rows_kept_for_comparison_are_no_row_changes(production: Production) -> None:
    """A thousand rows that are set aside for the comparison do not count as changed rows."""
    many = "INSERT INTO t SELECT value + 100, 'old', 1 FROM json_each('[{}]');".format(",".join(map(str, range(1000))))
    proof = await production.proved(
        f"{TABLE} {many}", "-- changes: t 1\nUPDATE t SET v = 9 WHERE id = 1;", "UPDATE t SET v = 1 WHERE id = 1;"
    )
    assert proof.guards.there[-1].slack == 102  # the row, the marker row, and what the app may have written
    assert await production.migrated() == ""


async def test_created_or_dropped_tables_are_counted_whole(production: Production) -> None:
    """All rows of a created, dropped or renamed table count as changed, and no more than those are committed."""
    migrate = "-- changes: t 2\n-- changes: s 2\n-- allow: table-lost it is called s now\nALTER TABLE t RENAME TO s;"
    await production.proved(TABLE.replace(" t (", ' "t" ('), migrate, "ALTER TABLE s RENAME TO t;")
    assert await production.migrated() == ""
    assert await production.rolled_back() == ""
    await production.written(FIFTY)
    assert await production.migrated() == "changes of t: 52 rows changed, and `-- changes:` allows 2"


async def test_plan_tells_how_each_table_is_counted(production: Production, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan tells how each declared table is counted, or that only the number of all row changes bounds it."""
    migrate = "-- changes: t 1\n-- changes: s 2\n-- changes: r 0..9\nCREATE TABLE s (v); INSERT INTO s VALUES (1), (2); DELETE FROM t WHERE kind = 'new';"
    rollback = "DROP TABLE s; INSERT INTO t VALUES (1, 'new', 1);"
    before = f"{TABLE} CREATE TABLE r (v); INSERT INTO r VALUES (1), (2), (3);"
    monkeypatch.setattr(module, "COMPARED", 2)
    monkeypatch.setattr(module, "COUNTED", 2)
    proof = await production.proved(before, migrate, rollback)
    assert proof.guards.measured.startswith(
        "changes of t: 1, counted row by row; changes of s: 2, counted row by row; "
        "changes of r: at most 9, bounded only by the total number of row changes; "
    )


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.tuples(PARENTS, SHAPES), st.tuples(ROWS, ROWS), st.lists(STEPS, max_size=4))
def test_transaction_counts_what_the_comparison_counts(
    shapes: tuple[Shape, ...], rows: tuple[list[Any], ...], steps: list[Any]
) -> None:
    """For random tables and changes, the SQL in the transaction counts the same rows as the row diff of the copy."""
    numbers = dict.fromkeys(("p", "q", "r"), (0, 99))
    with TemporaryDirectory() as folder:
        before, after, live = (Path(folder) / f"{name}.db" for name in ("before", "after", "live"))
        create(before, shapes, rows)
        for file in (after, live):
            file.write_bytes(before.read_bytes())
        change(after, steps)
        moved = row_diff(before, after)
        counted = module.plan_counts(before, after, replace(named_change("some", ""), changes=numbers), moved)
        with closing(opened(live)) as connection:
            for statement in keep_declared(counted):
                connection.execute(statement.sql)
            for step in steps:
                take(connection, step)
            found = {each.table.lower(): connection.execute(f"SELECT {each.changed}").fetchone()[0] for each in counted}
    assert all(each.is_exact for each in counted)
    assert found == {name: table.total for name, table in moved.items() if name in numbers}
