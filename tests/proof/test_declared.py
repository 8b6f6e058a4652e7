"""The numbers of `-- changes:` hold in production's transaction: what is rehearsed is a copy of some moments ago."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import aclosing, closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.support.gateways.database.connect import connect
from steps.support.gateways.guards import keep_declared
from steps.support.gateways.turso import Turso
from steps.support.proof.guards import declared as module
from steps.support.proof.rows.diff import row_diff
from steps.support.sql.change import named_change
from steps.support.sql.statement import Statement
from tests.proof.production_rig import Production
from tests.proof.test_rows_random import PARENTS, ROWS, SHAPES, STEPS, TABLES, Shape, insert, opened, take

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


@pytest.fixture(params=["server", "file"])
async def production(
    request: pytest.FixtureRequest, server: str, sqld_binary: Path, tmp_path: Path
) -> AsyncIterator[Production]:
    """Give each kind of database in turn, with nothing in it; what is proved for a file is rehearsed on SQLite."""
    path = tmp_path / "some.db"
    sqlite3.connect(path).close()
    url, binary = {"server": (server, sqld_binary), "file": (f"file:{path}", None)}[request.param]
    async with aclosing(connect(url, None)) as database:
        yield Production(Turso(database), binary, tmp_path)


ONE = {  # what reaches one row of the copy, and what gives it back
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
}  # what reaches every row, and changes one of the copy
COMPARED, LARGE = 50_000, 1  # rows
EACH_WAY = [
    *(pytest.param(*each, COMPARED, id=f"{name}, compared") for name, each in (ONE | REMADE).items()),
    *(pytest.param(*each, LARGE, id=f"{name}, by statement") for name, each in ONE.items()),
]


@pytest.mark.parametrize(("migrate", "rollback", "compared"), EACH_WAY)
async def test_more_rows_than_declared_are_not_committed(
    production: Production, monkeypatch: pytest.MonkeyPatch, migrate: str, rollback: str, compared: int
) -> None:
    """A change that reaches one row of the copy, and 51 once the app has written, is refused by the transaction."""
    monkeypatch.setattr(module, "COMPARED", compared)
    await production.proved(TABLE, f"-- changes: t 1\n{KEEP}\n{migrate}", rollback)
    await production.written(FIFTY)
    said = await production.migrated()
    assert said.startswith("changes of t")
    assert said.endswith(
        ("51 rows changed, and `-- changes:` allows 1", "51 rows changed, and `-- changes:` allows at most 1")
    )


@pytest.mark.parametrize(("migrate", "rollback", "compared"), EACH_WAY)
async def test_as_many_rows_as_declared_are_committed(
    production: Production, monkeypatch: pytest.MonkeyPatch, migrate: str, rollback: str, compared: int
) -> None:
    """What the app writes meanwhile, and the change does not reach, is no obstacle."""
    monkeypatch.setattr(module, "COMPARED", compared)
    await production.proved(TABLE, f"-- changes: t 1\n{KEEP}\n{migrate}", rollback)
    await production.written(FIFTY.replace("'new'", "'old'"))
    assert await production.migrated() == ""


TWO_KINDS = "UPDATE t SET v = -v WHERE kind = 'new'; {} UPDATE t SET v = v + 100 WHERE kind = 'since';"
ASKED = "INSERT INTO t VALUES (500, 'old', 9), (501, 'old', 9); SELECT CASE WHEN changes() = 2 AND last_insert_rowid() = 501 THEN 1 ELSE abs(-9223372036854775808) END;"
TOGETHER = [  # what is declared, what the app adds of each kind, what stands between the statements, and what is said
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
async def test_the_statements_of_a_large_table_are_held_together(
    production: Production, monkeypatch: pytest.MonkeyPatch, amount: str, new: int, since: int, between: str, said: str,
) -> None:  # fmt: skip
    """What was declared is there once for all statements, whichever of them needs it; the script sees nothing of it."""
    monkeypatch.setattr(module, "COMPARED", LARGE)
    await production.proved(TABLE, f"-- changes: t {amount}\n{KEEP}\n{TWO_KINDS.format(between)}", GIVE)
    kinds = [*["new"] * new, *["since"] * since]
    rows = ", ".join(f"({number + 100}, '{kind}', {number + 1})" for number, kind in enumerate(kinds))
    await production.written(f"INSERT INTO t VALUES {rows};")
    found = await production.migrated()
    assert found.startswith("changes of t by migrate.sql line ") == bool(said)
    assert found.endswith(said) if said else found == ""


async def test_what_statements_changed_so_far_is_gone_in_the_end(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the numbers that are kept meanwhile nothing stays, and they are no row changes."""
    monkeypatch.setattr(module, "COMPARED", LARGE)
    five = " ".join(f"UPDATE t SET v = v + 1 WHERE id = {number};" for number in (1, 2, 1, 2, 1))
    proof = await production.proved(TABLE, f"-- changes: t 1..9\n{KEEP}\n{five}", GIVE)
    assert "and by what its statements reach together; " in proof.guards.measured
    assert proof.guards.there[-1].slack == 6 + 100  # the rows, the marker row, and what the app may have written
    assert await production.migrated() == ""
    left = Statement("SELECT group_concat(name) FROM sqlite_schema WHERE name GLOB '_orchestrate_changed*'")
    assert (await production.turso.read(left)).scalar is None


RANGES = [  # what is declared, the rows that the app adds, and what is said
    ("0..60", 50, ""),
    ("1..50", 49, ""),
    ("1..50", 50, "51 rows changed, and `-- changes:` allows 1 to 50"),
    ("1..2", 0, ""),
    ("1..2", -1, "0 rows changed, and `-- changes:` allows 1 to 2"),
    ("0..2", -1, ""),
]


@pytest.mark.parametrize(("amount", "rows", "said"), RANGES)
async def test_a_range_holds_at_both_ends(production: Production, amount: str, rows: int, said: str) -> None:
    """As many rows as the range has are committed, one more or one less is not."""
    await production.proved(TABLE, f"-- changes: t {amount}\n{KEEP}\nDELETE FROM t WHERE kind = 'new';", GIVE)
    more = "INSERT INTO t SELECT value + 100, 'new', 1 FROM json_each('[{}]');".format(",".join(map(str, range(rows))))
    await production.written(more if rows > 0 else "DELETE FROM t WHERE kind = 'new';" if rows else "SELECT 1;")
    assert (await production.migrated()).removeprefix("changes of t: ") == said


async def test_as_many_rows_may_go_as_are_declared(production: Production) -> None:
    """Where none of the copy went, and some of what the app wrote since does, the number that is declared holds."""
    await production.proved(TABLE, f"-- changes: t 0..2\n{KEEP}\nDELETE FROM t WHERE kind = 'since';", GIVE)
    await production.written("INSERT INTO t VALUES (7, 'since', 7), (8, 'since', 8);")
    assert await production.migrated() == ""


async def test_what_is_kept_of_a_table_is_no_row_change(production: Production) -> None:
    """A thousand rows that are put aside for the comparison do not count as changed by the change."""
    many = "INSERT INTO t SELECT value + 100, 'old', 1 FROM json_each('[{}]');".format(",".join(map(str, range(1000))))
    proof = await production.proved(
        f"{TABLE} {many}", "-- changes: t 1\nUPDATE t SET v = 9 WHERE id = 1;", "UPDATE t SET v = 1 WHERE id = 1;"
    )
    assert proof.guards.there[-1].slack == 102  # the row, the marker row, and what the app may have written
    assert await production.migrated() == ""


async def test_tables_that_come_or_go_are_counted_whole(production: Production) -> None:
    """All rows of a table that is made, dropped or renamed count as its rows, and no more of them are committed."""
    migrate = "-- changes: t 2\n-- changes: s 2\n-- allow: table-lost it is called s now\nALTER TABLE t RENAME TO s;"
    await production.proved(TABLE.replace(" t (", ' "t" ('), migrate, "ALTER TABLE s RENAME TO t;")
    assert await production.migrated() == ""
    assert await production.rolled_back() == ""
    await production.written(FIFTY)
    assert await production.migrated() == "changes of t: 52 rows changed, and `-- changes:` allows 2"


async def test_what_a_large_table_is_held_by_is_told(production: Production, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan says of each table with a number how it is counted, and nothing more than a number of rows where it is not."""
    migrate = "-- changes: t 1\n-- changes: s 2\n-- changes: r 0..9\nCREATE TABLE s (v); INSERT INTO s VALUES (1), (2); DELETE FROM t WHERE kind = 'new';"
    rollback = "DROP TABLE s; INSERT INTO t VALUES (1, 'new', 1);"
    before = f"{TABLE} CREATE TABLE r (v); INSERT INTO r VALUES (1), (2), (3);"
    monkeypatch.setattr(module, "COMPARED", 2)
    monkeypatch.setattr(module, "COUNTED", 2)
    proof = await production.proved(before, migrate, rollback)
    assert proof.guards.measured.startswith(
        "changes of t: 1, counted row by row; changes of s: 2, counted row by row; "
        "changes of r: at most 9, held only by the number of all row changes; "
    )


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.tuples(PARENTS, SHAPES), st.tuples(ROWS, ROWS), st.lists(STEPS, max_size=4))
def test_the_transaction_counts_what_the_comparison_counts(
    shapes: tuple[Shape, ...], rows: tuple[list[Any], ...], steps: list[Any]
) -> None:
    """Of random tables and changes, the expression inside the transaction gives the number that the copy was judged by."""
    numbers = dict.fromkeys(("p", "q", "r"), (0, 99))
    with TemporaryDirectory() as folder:
        before, after, live = (Path(folder) / f"{name}.db" for name in ("before", "after", "live"))
        with closing(opened(before)) as connection:
            for name, shape, own in zip(TABLES, shapes, rows, strict=True):
                connection.execute(shape.create(name))
                insert(connection, name, own)
        for file in (after, live):
            file.write_bytes(before.read_bytes())
        with closing(opened(after)) as connection:
            for step in steps:
                take(connection, step)
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
