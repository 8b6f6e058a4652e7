"""Rows during a rollback: production's own transaction loses none that was written since the change."""

from pathlib import Path

import pytest

from steps.support.gateways import guards
from steps.support.gateways.guards import NOT_FEWER, Guards, Measure
from steps.support.proof.guards.moved_rows import hold_rewritten_tables
from steps.support.proof.rehearsal.rehearsal import RollbackEffect
from tests.support.database.changes import changed
from tests.support.proof.proved_production import Production

pytestmark = pytest.mark.anyio

TABLE = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)"
BEFORE = f"{TABLE}; INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c');"
KEEP = "CREATE TABLE _orchestrate_kept_before AS SELECT * FROM t;"
ADD = f"{KEEP} ALTER TABLE t ADD COLUMN w TEXT;"
NEW = "INSERT INTO t (id, v) VALUES (7, 'since'), (8, 'since');"
LIVE = "CREATE TABLE _orchestrate_kept_live AS SELECT * FROM t; DROP TABLE t; {table}; INSERT INTO t SELECT id, v FROM _orchestrate_kept_live{rows}; DROP TABLE _orchestrate_kept_live; DROP TABLE _orchestrate_kept_before;"
STALE = (
    f"DROP TABLE t; {TABLE}; INSERT INTO t SELECT * FROM _orchestrate_kept_before; DROP TABLE _orchestrate_kept_before;"
)


def live(rows: str = "") -> str:
    """Return a rollback that rebuilds the table from its current rows, all or some."""
    return LIVE.format(table=TABLE, rows=rows)


NOTES = "CREATE TABLE _orchestrate_kept_notes AS SELECT id, w FROM t WHERE w IS NOT NULL; "
TAKEN = "CREATE TABLE IF NOT EXISTS _orchestrate_kept_notes (id, w); UPDATE t SET w = (SELECT w FROM _orchestrate_kept_notes AS k WHERE k.id = t.id) WHERE id IN (SELECT id FROM _orchestrate_kept_notes); DROP TABLE _orchestrate_kept_notes;"
LOSING = {  # migrate, rollback, what the app writes in the rehearsal and in production, refusal
    "made anew as it was before": (ADD, STALE, "", NEW, "rows of t: 5 before, 3 after"),
    "made anew without some": (ADD, live(" WHERE v <> 'since'"), "", NEW, "rows of t: 5 before, 3 after"),
    "filled again as it was before": (ADD, "ALTER TABLE t DROP COLUMN w; DELETE FROM t WHERE true; INSERT INTO t SELECT * FROM _orchestrate_kept_before; DROP TABLE _orchestrate_kept_before;", "", NEW, "rows of t: 5 before, 3 after"),
    "the same, of a declared table": (f"-- changes: t\n{ADD}", STALE, "", NEW, "rows of t: 5 before, 3 after"),
    "what is kept beside it is no row of it": (f"{ADD} {TAKEN}", NOTES + live(" WHERE v <> 'since'"), "UPDATE t SET w = 'x' WHERE id = 1;", f"{NEW} UPDATE t SET w = 'y' WHERE true;", "rows of t: 5 before, 3 after"),
}  # fmt: skip


@pytest.mark.parametrize(("migrate", "rollback", "rehearsed", "since", "said"), LOSING.values(), ids=LOSING)
async def test_rollback_that_loses_rows_written_since_is_refused(
    production: Production, migrate: str, rollback: str, rehearsed: str, since: str, said: str
) -> None:
    """If rollback.sql leaves out rows that the rehearsal did not have, its transaction is refused, and all stays."""
    await production.proved(BEFORE, migrate, rollback, rehearsed or "-- nothing\n")
    assert await production.migrated() == ""
    await production.written(since)
    assert await production.rolled_back() == said


CLASH = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT UNIQUE)"
LOOSER = "CREATE TABLE u (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO u SELECT * FROM t; DROP TABLE t; ALTER TABLE u RENAME TO t; CREATE TABLE IF NOT EXISTS _orchestrate_kept_clash (id, v); INSERT INTO t SELECT id, v FROM _orchestrate_kept_clash; DROP TABLE _orchestrate_kept_clash;"
STRICTER = f"CREATE TABLE _orchestrate_kept_clash AS SELECT * FROM t AS m WHERE EXISTS (SELECT 1 FROM t AS o WHERE o.v = m.v AND o.id < m.id); DELETE FROM t WHERE id IN (SELECT id FROM _orchestrate_kept_clash); CREATE TABLE _orchestrate_kept_live AS SELECT * FROM t; DROP TABLE t; {CLASH}; INSERT INTO t SELECT * FROM _orchestrate_kept_live; DROP TABLE _orchestrate_kept_live;"
UNIQUE = "-- allow: unique-lost it is meant\n"
SEEDS = "INSERT INTO t SELECT id + 100, 'seed' FROM t WHERE v <> 'since';"
HONEST = {  # table, migrate, rollback, what the app writes in the rehearsal and in production
    "made anew of what is live": (TABLE, ADD, live(), "", NEW),
    "rows deleted since": (TABLE, ADD, live(), "", "DELETE FROM t WHERE id < 3;"),
    "no row left": (TABLE, ADD, live(), "", "DELETE FROM t WHERE true;"),
    "rows that wait elsewhere": (CLASH, UNIQUE + LOOSER, STRICTER, "", "INSERT INTO t VALUES (7, 'a'), (8, 'b'), (9, 'z');"),
    "values that wait elsewhere": (TABLE, f"{ADD} {TAKEN}", NOTES + live(), "UPDATE t SET w = 'x' WHERE id = 1;", f"{NEW} UPDATE t SET w = 'y' WHERE true;"),
    "rows of the change that go": (TABLE, SEEDS, "DELETE FROM t WHERE v = 'seed';", "", NEW),
    "rows that come back": (TABLE, f"-- changes: t\n{KEEP} DELETE FROM t WHERE id = 1;", "INSERT INTO t SELECT * FROM _orchestrate_kept_before AS b WHERE id = 1 AND NOT EXISTS (SELECT 1 FROM t WHERE t.id = b.id); DROP TABLE _orchestrate_kept_before;", "", f"{NEW} INSERT INTO t VALUES (1, 'again');"),
}  # fmt: skip


@pytest.mark.parametrize(("table", "migrate", "rollback", "rehearsed", "since"), HONEST.values(), ids=HONEST)
async def test_rollback_that_loses_nothing_passes(
    production: Production, table: str, migrate: str, rollback: str, rehearsed: str, since: str
) -> None:
    """Rows that remain, wait in a kept table, were made by the change, or were deleted by the app are no losses."""
    await production.proved(BEFORE.replace(TABLE, table), migrate, rollback, rehearsed or "-- nothing\n")
    await production.written("INSERT INTO t VALUES (4, 'd');")
    assert await production.migrated() == ""
    await production.written(since)
    assert await production.rolled_back() == ""


K = "_orchestrate_kept_k"
WAITING = f"CREATE TABLE {K} AS SELECT * FROM t; DROP TABLE t; CREATE TABLE t (v);"
SEEN = [  # rollback.sql, rows gained and kept by each rehearsed rollback, whether kept rows count, slack
    ("nothing went", WAITING, [(0, 0), (0, 0)], True, 0),
    ("what went is kept", WAITING, [(0, 0), (-1, 1)], True, 0),
    ("all that goes is kept", WAITING, [(-3, 3), (-4, 4)], True, 0),
    ("what is kept went nowhere", WAITING, [(0, 0), (0, 1)], False, 0),
    ("all of it is kept as well", WAITING, [(0, 3), (0, 4)], False, 0),
    ("rows of the change go", WAITING, [(-3, 0), (-3, 0)], True, -103),
    ("many rows of the change go", WAITING, [(-20_000, 0), (-20_000, 0)], True, -20_200),
    ("rows come back", WAITING, [(3, 0), (3, 0)], True, 0),
    ("what is kept is of another table", f"CREATE TABLE {K} AS SELECT * FROM s; DROP TABLE t;", [(0, 0), (0, 0)], False, 0),
    ("it is kept by way of another", f'CREATE TABLE "Live" AS SELECT * FROM T; CREATE TABLE {K} (v); INSERT INTO {K} SELECT v FROM live;', [(0, 0), (0, 0)], True, 0),
    ("it is kept no longer", f"{WAITING} DROP TABLE {K};", [(0, None), (0, None)], False, 0),
]  # fmt: skip


@pytest.mark.parametrize(("rollback", "seen", "counts_kept", "slack"), [each[1:] for each in SEEN], ids=[each[0] for each in SEEN])  # fmt: skip
def test_rehearsal_tells_rows_kept_aside_from_copies(
    tmp_path: Path, rollback: str, seen: list[tuple[int, int | None]], slack: int, *, counts_kept: bool
) -> None:
    """A kept table counts only if, in the rehearsal, it gained the rows that the table lost; else it holds copies."""
    change = changed(tmp_path, "CREATE TABLE some (v);", rollback)
    undone = [RollbackEffect({"rows of t": grew}, {} if kept is None else {K: kept}) for grew, kept in seen]
    (held,) = hold_rewritten_tables(Guards((), (guards.rows_lost("t"),)), change, undone).back
    assert (held.relation, held.slack, K in held.expression) == (NOT_FEWER, slack, counts_kept)
    assert held.before == '(SELECT count(*) FROM "t")'


def test_figures_of_an_older_marker_row_are_read() -> None:
    """Figures stored by an earlier version, with one expression for both sides, keep their meaning."""
    old = '[{"name": "rows of t", "expression": "(SELECT count(*) FROM \\"t\\")", "relation": "=", "slack": 0}]'
    assert guards.guards_of_json(old) == (Measure("rows of t", '(SELECT count(*) FROM "t")'),)
