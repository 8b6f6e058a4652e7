"""The guards: no measured figure may get worse in a transaction, on the real server and on a SQLite file."""

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from steps.support.core.errors import Rejected
from steps.support.gateways import guards
from steps.support.gateways.database.connect import connect
from steps.support.gateways.guards import NOT_FEWER, NOT_MORE, SAME, Guards, Measure, orphans, row_changes, rows_of
from steps.support.gateways.marker import APPLIED, ROLLED_BACK
from steps.support.gateways.transaction import OBJECTS
from steps.support.gateways.turso import Migrated
from steps.support.proof.rehearsal import sqld
from steps.support.sql.statement import Statement
from steps.support.sql.tokens import quoted
from tests.support.database.changes import changed
from tests.support.database.rig import ODD, Rig

pytestmark = pytest.mark.anyio

LOWEST = Measure("lowest id of t", 'coalesce((SELECT min(rowid) FROM "t"), 0)')
HIGHEST = Measure("highest id of t", 'coalesce((SELECT max(rowid) FROM "t"), 0)', NOT_FEWER)
ANY = Measure("any row of t", 'EXISTS (SELECT 1 FROM "t")')
PARENTS = Measure("rows of p that have rows in c", "(SELECT count(*) FROM p WHERE EXISTS (SELECT 1 FROM c WHERE c.p = p.id))", NOT_FEWER)  # fmt: skip
TABLES = f"""CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (2, 'a'), (3, 'b'), (5, 'c');
CREATE TABLE p (id INTEGER PRIMARY KEY, v); INSERT INTO p VALUES (1, 'a'), (2, 'b'), (3, 'c');
CREATE TABLE c (id INTEGER PRIMARY KEY, p REFERENCES p ON DELETE CASCADE); INSERT INTO c VALUES (1, 1), (2, 1), (3, 2);
CREATE TABLE other (p REFERENCES p);
CREATE TABLE noted (v); CREATE TRIGGER noting AFTER UPDATE ON t BEGIN INSERT INTO noted VALUES (old.v); END;
CREATE TABLE {quoted(ODD)} (id INTEGER PRIMARY KEY, p REFERENCES p); INSERT INTO {quoted(ODD)} VALUES (1, 1), (2, 2);"""
ORPHAN = "INSERT INTO c VALUES (9, 99);"
MANY = 650  # tables; a compound SELECT has 500 terms at most


@pytest.fixture(scope="module")
async def one_server(sqld_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Return the URL of a server that this module's tests share; each test begins by emptying it."""
    async with sqld.serve(sqld_binary, tmp_path_factory.mktemp("one") / "sqld") as url:
        yield url


@pytest.fixture(params=["hrana", "file"])
async def rig(request: pytest.FixtureRequest, one_server: str, tmp_path: Path) -> AsyncIterator[Rig]:
    """Return each transport in turn, with nothing in it."""
    path = tmp_path / "some.db"
    sqlite3.connect(path).close()
    url = {"hrana": one_server, "file": f"file:{path}"}[request.param]
    async with aclosing(connect(url, None)) as database:
        tables = await database.query(Statement("SELECT name FROM sqlite_schema WHERE type = 'table'"))
        await database.transaction([Statement(f"DROP TABLE {quoted(str(name))}") for (name,) in tables.values])
        yield Rig(database, tmp_path / "sql")


CASES = [  # the measure, the change, and the objection
    ("no row is lost", rows_of("t"), "UPDATE t SET v = 'z';", ""),
    ("a row for another", rows_of("t"), "DELETE FROM t WHERE id = 2; INSERT INTO t VALUES (9, 'z');", ""),
    ("a row is lost", rows_of("t"), "DELETE FROM t WHERE id = 3;", "rows of t: 3 before, 2 after"),
    ("all are lost", rows_of("t"), "DELETE FROM t;", "rows of t: 3 before, 0 after"),
    ("one more where as many are to stay", rows_of("t"), "INSERT INTO t VALUES (9, 'z');", "rows of t: 3 before, 4 after"),
    ("one more where none may be lost", rows_of("t", NOT_FEWER), "INSERT INTO t VALUES (9, 'z');", ""),
    ("one less where none may be lost", rows_of("t", NOT_FEWER), "DELETE FROM t WHERE id = 3;", "rows of t: 3 before, 2 after"),
    ("made anew", rows_of("t"), "CREATE TABLE u (id INTEGER PRIMARY KEY, v, n); INSERT INTO u (id, v) SELECT id, v FROM t; DROP TABLE t; ALTER TABLE u RENAME TO t;", ""),
    ("made anew without a row", rows_of("t"), "CREATE TABLE u AS SELECT * FROM t WHERE id > 2; DROP TABLE t; ALTER TABLE u RENAME TO t;", "rows of t: 3 before, 2 after"),
    ("gone altogether", rows_of("t"), "DROP TABLE t;", "rows of t: no such table: t"),
    ("the first row is lost", LOWEST, "DELETE FROM t WHERE id = 2;", "lowest id of t: 2 before, 3 after"),
    ("one comes before it", LOWEST, "INSERT INTO t VALUES (-7, 'z');", "lowest id of t: 2 before, -7 after"),
    ("one in the middle is lost", LOWEST, "DELETE FROM t WHERE id = 3;", ""),
    ("the last row is lost", HIGHEST, "DELETE FROM t WHERE id = 5;", "highest id of t: 5 before, 3 after"),
    ("one comes behind it", HIGHEST, "INSERT INTO t VALUES (9, 'z');", ""),
    ("no row is left", HIGHEST, "DELETE FROM t;", "highest id of t: 5 before, 0 after"),
    ("some are left", ANY, "DELETE FROM t WHERE id > 2;", ""),
    ("none is left", ANY, "DELETE FROM t;", "any row of t: 1 before, 0 after"),
    ("a child less", PARENTS, "DELETE FROM c WHERE id = 1;", ""),
    ("a parent without children", PARENTS, "DELETE FROM c WHERE p = 2;", "rows of p that have rows in c: 2 before, 1 after"),
    ("one more with children", PARENTS, "UPDATE c SET p = 3 WHERE id = 1;", ""),
    ("a parent made anew", PARENTS, "CREATE TABLE u (id INTEGER PRIMARY KEY, v); INSERT INTO u SELECT * FROM p; DROP TABLE p; ALTER TABLE u RENAME TO p;", ""),
    ("a reference that leads nowhere", orphans(), "DELETE FROM p WHERE id = 2;", "references that lead nowhere: 1 before, 3 after"),
    ("one that is mended", orphans(), "DELETE FROM c WHERE p = 99;", ""),
    ("one for another", orphans(), "DELETE FROM c WHERE p = 99; INSERT INTO c VALUES (10, 98);", ""),
    ("one of this table", orphans("c"), "UPDATE c SET p = 98 WHERE id = 1;", "references of c that lead nowhere: 1 before, 2 after"),
    ("one of another table", orphans("c"), "INSERT INTO other VALUES (99);", ""),
    ("children of none", orphans(), "DROP TABLE p;", "references that lead nowhere: 1 before, 6 after"),
    ("rows of a strange name", rows_of(ODD), f"UPDATE {quoted(ODD)} SET p = 2;", ""),
    ("one of them lost", rows_of(ODD), f"DELETE FROM {quoted(ODD)} WHERE id = 1;", f"rows of {ODD}: 2 before, 1 after"),
    ("its references", orphans(ODD), f"UPDATE {quoted(ODD)} SET p = 7 WHERE id = 1;", f"references of {ODD} that lead nowhere: 0 before, 1 after"),
    ("figures of any size", Measure("m", "(SELECT max(id) FROM t)", NOT_FEWER), f"INSERT INTO t VALUES ({2**63 - 1}, 0);", ""),
    ("a figure that is none", Measure("m", "(SELECT max(id) FROM t)"), "DELETE FROM t;", "m: it cannot be told"),
    ("a figure that was none", Measure("m", "(SELECT max(v) FROM noted)"), "INSERT INTO noted VALUES (1);", "m: it cannot be told"),
    ("what cannot be measured", Measure("m", "(SELECT absent FROM t)"), "DELETE FROM t;", "measuring what may not be lost: no such column: absent"),
    ("what cannot be measured any more", Measure("m", "(SELECT count(v) FROM t)"), "ALTER TABLE t RENAME COLUMN v TO w;", "m: no such column: v"),
]  # fmt: skip


@pytest.mark.parametrize(("measure", "migrate", "said"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
async def test_worse_figure_is_not_committed(rig: Rig, measure: Measure, migrate: str, said: str) -> None:
    """An equal or better figure passes; else both are reported, and the database is unchanged."""
    await rig.made(TABLES + ORPHAN)
    found = await rig.refused(changed(rig.folder, migrate), Guards((measure,), ()))
    assert tells(found, said), found


def tells(found: str, said: str) -> bool:
    """Return True if a refusal names the figure and contains this, whatever words the engine puts around it."""
    figure, _, words = said.partition(": ")
    return found.startswith(f"{figure}: ") and words in found if said else not found


ROW_CHANGES = [  # the change, and how many rows it changes, including by triggers
    ("SELECT 1;", 0),
    ("UPDATE p SET v = 'z';", 3),
    ("UPDATE t SET v = 'z';", 6),
    ("DELETE FROM p; INSERT INTO p VALUES (1, 'a');", 4),
    ("ALTER TABLE p ADD COLUMN n;", 0),
    ("CREATE TABLE u (id, v); INSERT INTO u SELECT * FROM p; DROP TABLE p; ALTER TABLE u RENAME TO p;", 3),
]


@pytest.mark.parametrize(("migrate", "rows"), ROW_CHANGES, ids=[migrate for migrate, _ in ROW_CHANGES])
async def test_changed_rows_are_bounded_by_the_measured_count(rig: Rig, migrate: str, rows: int) -> None:
    """The count measured in one run suffices for the next, and one less does not; the marker row is included."""
    await rig.made(TABLES)
    change = changed(rig.folder, migrate)
    said = await rig.refused(change, Guards((row_changes(rows),), ()))
    assert tells(said, "rows changed: before")
    assert said.endswith(f" after, and {rows:,} more are allowed" if rows else " after"), said
    grown = (await rig.migrated(change, Guards((row_changes(rows + 1),), ()))).growth
    assert grown == {"rows changed": rows + 1}


@pytest.mark.parametrize(
    ("relation", "slack", "rows", "passes"),
    [
        (SAME, 2, 2, True), (SAME, 2, 1, False), (NOT_FEWER, -1, -1, True), (NOT_FEWER, 1, 0, False),
        (NOT_MORE, 0, 1, False), (NOT_MORE, 1, 1, True), (NOT_MORE, 1, 2, False), (NOT_MORE, 0, -3, True),
    ],
)  # fmt: skip
async def test_slack_is_added_to_the_earlier_figure(
    rig: Rig, relation: str, slack: int, rows: int, *, passes: bool
) -> None:
    """Each relation holds between the later figure, and the earlier one with the slack."""
    await rig.made(TABLES)
    act = (
        f"INSERT INTO p SELECT 10 + id, v FROM p WHERE id <= {rows}"
        if rows > 0
        else f"DELETE FROM p WHERE id <= {-rows}"
    )
    measure = Measure("rows of p", "(SELECT count(*) FROM p)", relation, slack)
    said = await rig.refused(changed(rig.folder, f"{act};"), Guards((measure,), ()))
    allowed = f", and {slack:,} more are allowed" if slack else ""
    assert passes == (said == "")
    assert passes or (tells(said, f"rows of p: 3 before, {3 + rows} after") and said.endswith(f" after{allowed}")), said


@pytest.mark.parametrize(
    ("migrate", "passes"),
    [
        ("UPDATE t SET v = 'z';", True),
        ("CREATE INDEX i ON t (v);", False),
        ("CREATE VIEW w AS SELECT * FROM t;", False),
        ("DROP TRIGGER noting;", False),
        ("ALTER TABLE other RENAME TO another;", False),
        ("CREATE TABLE _orchestrate_kept_t AS SELECT * FROM t;", True),
        ("DROP INDEX _orchestrate_migrations_applied;", True),
    ],
)
async def test_objects_are_compared_by_name(rig: Rig, migrate: str, *, passes: bool) -> None:
    """One more, one less and a renamed one are refused and listed; the tool's own are not counted."""
    await rig.made(TABLES)
    objects = str(await rig.scalar(OBJECTS))
    said = await rig.refused(changed(rig.folder, migrate), Guards((), (), objects))
    assert tells(said, "" if passes else "tables, indexes, triggers and views as rehearsed: table p"), said


async def test_empty_list_of_objects_is_no_agreement(rig: Rig) -> None:
    """An empty list of objects does not agree with a database that has some."""
    await rig.made("CREATE TABLE t (id INTEGER PRIMARY KEY);")
    said = await rig.refused(changed(rig.folder, "DROP TABLE t;"), Guards((), (), "table t"))
    assert said.startswith("tables, indexes, triggers and views as rehearsed: ")


async def test_change_without_figures_is_not_refused(rig: Rig) -> None:
    """Without a figure a change is committed and rolled back whatever it does to rows."""
    await rig.made(TABLES)
    change = changed(rig.folder, "DELETE FROM t;", "DELETE FROM p;")
    assert await rig.migrated(change, Guards((), ())) == Migrated(3, {})
    await rig.rolled_back(change)
    assert await rig.scalar("SELECT (SELECT count(*) FROM t) + (SELECT count(*) FROM p)") == 0
    assert await rig.scalar("SELECT base || rollback_base FROM _orchestrate_migrations") == "{}{}"


async def test_growth_is_reported_by_name(rig: Rig) -> None:
    """A change returns how much each figure grew, negative if it shrank."""
    await rig.made(TABLES + ORPHAN)
    change = changed(rig.folder, "INSERT INTO t VALUES (9, 'z'), (10, 'z'); DELETE FROM c WHERE p = 99;")
    what = Guards((rows_of("t", NOT_FEWER), HIGHEST, LOWEST, orphans(), PARENTS), ())
    growth = {"rows of t": 2, "highest id of t": 5, "lowest id of t": 0, "references that lead nowhere": -1}
    assert await rig.migrated(change, what) == Migrated(3, {**growth, "rows of p that have rows in c": 0})
    assert json.loads(str(await rig.scalar("SELECT base FROM _orchestrate_migrations"))) == {
        "0": 3, "1": 5, "2": 2, "3": 1, "4": 2,
    }  # fmt: skip


async def test_first_worse_figure_is_named(rig: Rig) -> None:
    """Figures are checked in the order in which they were given."""
    await rig.made(TABLES)
    change = changed(rig.folder, "DELETE FROM t; DELETE FROM p;")
    for measures, said in (((rows_of("t"), rows_of("p")), "rows of t"), ((rows_of("p"), rows_of("t")), "rows of p")):
        assert tells(await rig.refused(change, Guards(measures, ())), f"{said}: 3 before, 0 after")


BACK = [  # the measure of the rollback, the rollback, and the objection
    ("nothing is lost", rows_of("t"), "UPDATE t SET v = 'a';", ""),
    ("a row is lost", rows_of("t"), "DELETE FROM t WHERE id = 3;", "rows of t: 3 before, 2 after"),
    ("a row comes", rows_of("t"), "INSERT INTO t VALUES (9, 'z');", "rows of t: 3 before, 4 after"),
    ("the last row is lost", HIGHEST, "DELETE FROM t WHERE id = 5;", "highest id of t: 5 before, 3 after"),
    ("no row is left", ANY, "DELETE FROM t;", "any row of t: 1 before, 0 after"),
    ("children are lost", PARENTS, "DELETE FROM c;", "rows of p that have rows in c: 2 before, 0 after"),
    ("a reference leads nowhere", orphans(), "DELETE FROM p WHERE id = 2;", "references that lead nowhere: 0 before, 2 after"),
    ("as many as may", Measure("orphans", guards.ORPHANS, NOT_MORE, 2), "DELETE FROM p WHERE id = 2;", ""),
    ("a row of a strange name", rows_of(ODD), f"DELETE FROM {quoted(ODD)} WHERE id = 2;", f"rows of {ODD}: 2 before, 1 after"),
]  # fmt: skip


@pytest.mark.parametrize(("measure", "rollback", "said"), [case[1:] for case in BACK], ids=[case[0] for case in BACK])
async def test_worse_figure_in_the_rollback_is_not_committed(
    rig: Rig, measure: Measure, rollback: str, said: str
) -> None:
    """The change's measures hold for its rollback; if one fails, the change stays applied, whole."""
    await rig.made(TABLES)
    change = changed(rig.folder, "CREATE TABLE more (v);", f"DROP TABLE more; {rollback}")
    await rig.migrated(change, Guards((), (measure,)))
    before = await rig.everything()
    if said:
        with pytest.raises(Rejected) as refused:
            await rig.rolled_back(change)
        assert tells(f"{refused.value.subject}: {refused.value.cause}", said), refused.value
        assert await rig.everything() == before
    else:
        await rig.rolled_back(change)
    state = await rig.scalar("SELECT state FROM _orchestrate_migrations")
    assert state == (APPLIED if said else ROLLED_BACK)


async def test_rollback_figures_are_taken_when_it_begins(rig: Rig) -> None:
    """Rows that the app wrote since the change must stay, too."""
    await rig.made(TABLES)
    change = changed(rig.folder, "CREATE TABLE more (v);", "DROP TABLE more; DELETE FROM t WHERE v = 'since';")
    await rig.migrated(change, Guards((), (rows_of("t"),)))
    await rig.made("INSERT INTO t VALUES (9, 'since');")
    with pytest.raises(Rejected, match="4 before, 3 after"):
        await rig.rolled_back(change)


async def test_more_tables_than_one_query_can_hold(rig: Rig) -> None:
    """Every one of them is measured, and the one that lost a row is named."""
    await rig.made("".join(f"CREATE TABLE t{number} (id INTEGER PRIMARY KEY);" for number in range(MANY)))
    await rig.made(f"INSERT INTO t{MANY - 1} VALUES (1), (2);")
    what = Guards(tuple(rows_of(f"t{number}") for number in range(MANY)), ())
    said = await rig.refused(changed(rig.folder, f"DELETE FROM t{MANY - 1} WHERE id = 1;"), what)
    assert tells(said, f"rows of t{MANY - 1}: 2 before, 1 after")
    done = await rig.migrated(changed(rig.folder, f"UPDATE t{MANY - 1} SET id = id + 10;"), what)
    assert done == Migrated(2, {f"rows of t{number}": 0 for number in range(MANY)})


MEASURES = (rows_of(ODD), rows_of("t", NOT_FEWER), LOWEST, orphans(ODD), orphans(), row_changes(2**53), Measure("", "1", NOT_MORE, -5))  # fmt: skip


@pytest.mark.parametrize("measures", [MEASURES, MEASURES[:1], ()], ids=["all", "one", "none"])
async def test_measures_are_read_as_they_were_written(rig: Rig, measures: tuple[Measure, ...]) -> None:
    """Names, expressions, relations and slack come back the same, also from the marker row."""
    assert guards.guards_of_json(guards.guards_json(measures)) == measures
    await rig.made(TABLES)
    await rig.migrated(changed(rig.folder, "SELECT 1;"), Guards((), measures))
    kept = await rig.scalar("SELECT rollback_guards FROM _orchestrate_migrations")
    assert guards.guards_of_json(str(kept)) == measures
