"""Accepting a change drops what its own rollback needs, and nothing that another change still needs."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from steps.support.gateways.database.connect import connect
from steps.support.gateways.guards import Guards
from steps.support.schema.own_tables import named_in, needed_by
from steps.support.sql.change import DatabaseChange
from steps.support.sql.statement import Statement
from tests.support.database.changes import changed
from tests.support.database.rig import Rig

pytestmark = pytest.mark.anyio

NOTHING = Guards((), ())
TABLE = "CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1), (2);"
A = (  # the old schema has no place for notes: they are kept aside
    """ALTER TABLE t ADD COLUMN note; CREATE TABLE IF NOT EXISTS _orchestrate_kept_notes (id, note);
    UPDATE t SET note = (SELECT note FROM _orchestrate_kept_notes AS k WHERE k.id = t.id); DROP TABLE _orchestrate_kept_notes;""",
    "CREATE TABLE _orchestrate_kept_notes AS SELECT id, note FROM t WHERE note IS NOT NULL; ALTER TABLE t DROP COLUMN note;",
)
B = 'CREATE TABLE _orchestrate_kept_b AS SELECT * FROM t; CREATE TABLE "_Orchestrate_Kept_of b" (v);'
BACK = 'DROP TABLE _ORCHESTRATE_KEPT_B; DROP TABLE "_orchestrate_kept_of b";'
ALSO = {
    "nothing of it": BACK,
    "a comment": f"-- as _orchestrate_kept_notes has it\n{BACK}",
    "a text": f"{BACK} SELECT json('\"_orchestrate_kept_notes\"');",
    "a table that is read": f"{BACK} INSERT INTO t SELECT id + 10 FROM _orchestrate_kept_notes;",
    "a table of the same name": f"{BACK} CREATE TABLE _orchestrate_kept_notes AS SELECT id FROM t;",
    "a table that may be there": f"{BACK} CREATE TABLE IF NOT EXISTS [_orchestrate_kept_NOTES] (id);",
    "a table that goes": f'{BACK} DROP TABLE IF EXISTS "_orchestrate_kept_notes";',
}


@pytest.fixture(params=["hrana", "file"])
async def rig(request: pytest.FixtureRequest, server: str, tmp_path: Path) -> AsyncIterator[Rig]:
    """Return each transport in turn, with nothing in it."""
    path = tmp_path / "some.db"
    sqlite3.connect(path).close()
    async with aclosing(connect({"hrana": server, "file": f"file:{path}"}[request.param], None)) as database:
        yield Rig(database, tmp_path / "sql")


async def accepted(rig: Rig) -> tuple[str, ...]:
    """Accept the last change; return the tables that were dropped."""
    marker = await rig.turso.marker(rig.attempts[-1])
    assert marker
    return await rig.turso.accept(marker, await rig.lease())


def named(rig: Rig, name: str, migrate: str, rollback: str) -> DatabaseChange:
    """Make a change with this name."""
    return replace(changed(rig.folder / name, migrate, rollback), name=name)


async def kept(rig: Rig) -> set[str]:
    """Return the names of our tables that exist."""
    found = await rig.database.query(Statement("SELECT name FROM sqlite_schema WHERE name LIKE '_orchestrate_kept_%'"))
    return {str(name) for (name,) in found.values}


@pytest.mark.parametrize("rollback", ALSO.values(), ids=ALSO)
async def test_rows_kept_for_another_change_survive_acceptance(rig: Rig, rollback: str) -> None:
    """Rows kept by one change's rollback survive the acceptance of another that may name them, and come back."""
    await rig.made(TABLE)
    first, second = named(rig, "a", *A), named(rig, "b", B, rollback)
    await rig.migrated(first, NOTHING)
    await rig.made("UPDATE t SET note = 'kept' WHERE id = 2;")
    await rig.rolled_back(first)
    await rig.migrated(second, NOTHING)
    assert set(await accepted(rig)) == {"_orchestrate_kept_b", "_Orchestrate_Kept_of b"}
    assert await kept(rig) == {"_orchestrate_kept_notes"}
    await rig.migrated(first, NOTHING)
    assert await rig.scalar("SELECT group_concat(note) FROM t") == "kept"


async def test_table_needed_by_another_rollback_is_not_dropped(rig: Rig) -> None:
    """A table that two rollbacks read is dropped with the acceptance of the second."""
    await rig.made(TABLE)
    both = "CREATE TABLE _orchestrate_kept_both AS SELECT * FROM t;"
    await rig.migrated(named(rig, "a", both, "DROP TABLE _orchestrate_kept_both;"), NOTHING)
    await rig.migrated(
        named(rig, "b", "CREATE TABLE s (v);", "INSERT INTO t SELECT * FROM _orchestrate_kept_both;"), NOTHING
    )
    assert await accepted(rig) == ()
    rig.attempts.pop()
    assert await accepted(rig) == ("_orchestrate_kept_both",)


async def test_kept_rows_belong_to_the_change_applied_again(rig: Rig) -> None:
    """Once the change is applied again, accepting it drops the rows that its rollback kept."""
    await rig.made(TABLE)
    change = named(rig, "a", "CREATE TABLE IF NOT EXISTS _orchestrate_kept_t AS SELECT * FROM t;", "DELETE FROM _orchestrate_kept_t WHERE id = 1;")  # fmt: skip
    await rig.migrated(change, NOTHING)
    await rig.rolled_back(change)
    await rig.migrated(change, NOTHING)
    assert await accepted(rig) == ("_orchestrate_kept_t",)
    assert await accepted(rig) == ()


TEXTS = [  # a rollback, all that it names, and what it needs
    ("DROP TABLE _orchestrate_kept_a;", {"a"}, {"a"}),
    ("CREATE TABLE _orchestrate_kept_a AS SELECT * FROM t; DROP TABLE _orchestrate_kept_a;", {"a"}, set()),
    ("CREATE TABLE IF NOT EXISTS _orchestrate_kept_a (v); DROP TABLE _orchestrate_kept_a;", {"a"}, {"a"}),
    ("CREATE TABLE _orchestrate_kept_a AS SELECT * FROM _orchestrate_kept_b;", {"a", "b"}, {"b"}),
    ("DROP TABLE _orchestrate_kept_a; CREATE TABLE _orchestrate_kept_a (v);", {"a"}, {"a"}),
    ("INSERT INTO t SELECT * FROM [_orchestrate_kept_A], `_ORCHESTRATE_kept_b`;", {"a", "b"}, {"a", "b"}),
    ("SELECT '_orchestrate_kept_a'; -- _orchestrate_kept_b\n/* _orchestrate_kept_c */", set(), set()),
    ("SELECT _orchestrate_kept, kept_a, x_orchestrate_kept_a, _orchestrate_kept_ FROM t;", {""}, {""}),
    ("", set(), set()),
]  # fmt: skip


@pytest.mark.parametrize(("rollback", "names", "needs"), TEXTS)
def test_tables_needed_by_a_rollback(rollback: str, names: set[str], needs: set[str]) -> None:
    """These are the tables it names outside comments and strings, except those it creates before reading them."""
    found = named_in(rollback), needed_by(rollback)
    assert found == tuple({f"_orchestrate_kept_{end}" for end in ends} for ends in (names, needs))
