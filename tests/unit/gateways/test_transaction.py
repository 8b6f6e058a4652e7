"""What the transactions of a change refuse to commit: each line that protects production has a test that needs it."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from steps.support.change.folder import read_change
from steps.support.core.errors import Rejected
from steps.support.gateways.database.connect import connect
from steps.support.gateways.database.protocol import Database
from steps.support.gateways.guards import Guards, rows_of
from steps.support.gateways.marker import Attempt, Claim, Lease
from steps.support.gateways.turso import Turso
from steps.support.proof.rehearsal import sqld
from steps.support.sql.change import DatabaseChange
from steps.support.sql.statement import Statement

pytestmark = pytest.mark.anyio

HOUR = 3600.0  # seconds
STEAL = "UPDATE _orchestrate_lock SET run = 'another', token = token + 1;"
END = "UPDATE _orchestrate_lock SET expires_at = 0;"
FILES = {
    "migrate.sql": "ALTER TABLE t ADD COLUMN b;",
    "rollback.sql": "ALTER TABLE t DROP COLUMN b;",
    "verify.sql": "-- check: no x\nSELECT 1 FROM t WHERE a = 'x';\n-- check: some row\n-- expect: rows\nSELECT 1 FROM t;",
    "verify_rollback.sql": "-- check: no y\nSELECT 1 FROM t WHERE a = 'y';",
    "writes.sql": "INSERT INTO t (a) VALUES ('w');",
    "contract/old.sql": "SELECT a FROM t;",
    "contract/new.sql": "SELECT a FROM t;",
}


@dataclass
class Rig:
    """A database with one table of one row, the lock on it, and a folder for changes."""

    turso: Turso
    folder: Path
    lease: Lease = field(default_factory=lambda: Lease("run", 0))

    async def change(self, **files: str) -> DatabaseChange:
        """Return the change of these files, the others being harmless; the caller holds the lock."""
        for name, text in {**FILES, **{f"{name}.sql": text for name, text in files.items()}}.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        _, holder = await self.turso.lock(Claim("run", "me", "here", HOUR))
        assert holder
        self.lease = Lease(holder.run, holder.token)
        return read_change(self.folder)

    async def migrate(
        self, change: DatabaseChange, what: Guards | None = None, name: str = "one", **as_of: Any
    ) -> None:
        """Commit the change as an attempt of this name."""
        attempt = Attempt(name, "", "", "", "", "", as_of.get("schema") or await self.turso.schema())
        await self.turso.migrate(change, attempt, what or Guards((), ()), self.lease)

    async def roll_back(self, change: DatabaseChange, name: str = "one") -> None:
        """Roll the attempt back."""
        marker = await self.turso.marker(name)
        assert marker
        await self.turso.roll_back(marker, change.rollback, change.verify_rollback, self.lease)

    async def run(self, sql: str) -> None:
        """Change the database from outside the tool."""
        await self.database.query(Statement(sql))

    @property
    def database(self) -> Database:
        """The transport itself."""
        return self.turso.database

    async def state(self) -> tuple[Any, ...]:
        """Return the schema, the rows and the attempts."""
        rows = (await self.database.query(Statement("SELECT * FROM t"))).values
        attempts = (await self.database.query(Statement("SELECT attempt, state FROM _orchestrate_migrations"))).values
        return await self.turso.schema(), rows, attempts


@pytest.fixture(params=["file", "hrana"])
async def rig(request: pytest.FixtureRequest, sqld_binary: Path, tmp_path: Path) -> AsyncIterator[Rig]:
    """Return the rig on each transport in turn."""
    if request.param == "file":
        sqlite3.connect(path := tmp_path / "some.db").close()
        async with aclosing(connect(f"file:{path}", None)) as database:
            yield await _filled(database, tmp_path)
    else:
        async with sqld.serve(sqld_binary, tmp_path / "sqld") as url, aclosing(connect(url, None)) as database:
            yield await _filled(database, tmp_path)


async def _filled(database: Database, folder: Path) -> Rig:
    made = [Statement("CREATE TABLE t (id INTEGER PRIMARY KEY, a)"), Statement("INSERT INTO t (a) VALUES ('a')")]
    await database.transaction(made)
    return Rig(Turso(database), folder / "sql")


@pytest.mark.parametrize("loses", [STEAL, END], ids=["taken over", "ended"])
@pytest.mark.parametrize("when", ["before", "inside"])
async def test_nothing_is_migrated_without_the_lock(rig: Rig, loses: str, when: str) -> None:
    """A lock lost before or during the transaction commits nothing; it is checked before anything else."""
    inside = {"migrate": f"{FILES['migrate.sql']}{loses}"} if when == "inside" else {}
    change = await rig.change(**inside)
    if when == "before":
        await rig.run(loses)
        await rig.run("UPDATE t SET a = 'x'")  # a check of verify.sql would find it
    before = await rig.state()
    with pytest.raises(Rejected, match="another run took it over, or its lease ended"):
        await rig.migrate(change)
    assert await rig.state() == before


@pytest.mark.parametrize("loses", [STEAL, END], ids=["taken over", "ended"])
@pytest.mark.parametrize("when", ["before", "inside"])
async def test_nothing_is_rolled_back_without_the_lock(rig: Rig, loses: str, when: str) -> None:
    """A lock lost before or during the rollback's transaction commits nothing either."""
    inside = {"rollback": f"{FILES['rollback.sql']}{loses}"} if when == "inside" else {}
    change = await rig.change(**inside)
    await rig.migrate(change)
    if when == "before":
        await rig.run(loses)
        await rig.run("UPDATE t SET a = 'y'")  # a check of verify_rollback.sql would find it
    before = await rig.state()
    with pytest.raises(Rejected, match="another run took it over, or its lease ended"):
        await rig.roll_back(change)
    assert await rig.state() == before


async def test_nothing_is_accepted_without_the_lock(rig: Rig) -> None:
    """A run that lost the lock to another does not drop the data of the rollback."""
    change = await rig.change(
        migrate="CREATE TABLE _orchestrate_kept_t AS SELECT * FROM t;", rollback="DROP TABLE _orchestrate_kept_t;"
    )
    await rig.migrate(change)
    marker = await rig.turso.marker("one")
    assert marker
    await rig.run(STEAL)
    await rig.run("UPDATE _orchestrate_migrations SET state = 'rolled_back'")  # it would refuse the acceptance, too
    with pytest.raises(Rejected, match="another run took it over"):
        await rig.turso.accept(marker, rig.lease)
    assert (await rig.database.query(Statement("SELECT count(*) FROM _orchestrate_kept_t"))).scalar == 1


async def test_only_an_applied_change_is_accepted(rig: Rig) -> None:
    """A change that was rolled back has nothing to keep."""
    change = await rig.change()
    await rig.migrate(change)
    marker = await rig.turso.marker("one")
    assert marker
    await rig.roll_back(change)
    with pytest.raises(Rejected, match="the attempt is applied: it is not"):
        await rig.turso.accept(marker, rig.lease)


async def test_schema_must_match_the_plan(rig: Rig) -> None:
    """A change of the schema by others, between plan and transaction, commits nothing."""
    change, schema = await rig.change(), await rig.turso.schema()
    await rig.run("CREATE TABLE other (x)")
    with pytest.raises(Rejected, match="schema as planned: it changed since"):
        await rig.migrate(change, schema=schema)
    assert (await rig.state())[2] == ()


@pytest.mark.parametrize(
    ("migrate", "said"),
    [
        ("ALTER TABLE t ADD COLUMN b; UPDATE t SET a = 'x' WHERE true;", "1 row found, and there must be none"),
        ("ALTER TABLE t ADD COLUMN b; DELETE FROM t WHERE true;", "no row found, and there must be some"),
    ],
)
async def test_every_check_is_asserted_before_the_commit(rig: Rig, migrate: str, said: str) -> None:
    """A failing check of verify.sql, of either kind, commits nothing."""
    change, before = await rig.change(migrate=migrate), await rig.state()
    with pytest.raises(Rejected, match=said):
        await rig.migrate(change)
    assert await rig.state() == before


async def test_worse_measure_commits_nothing(rig: Rig) -> None:
    """A figure that got worse commits nothing, in the migration and in the rollback."""
    change = await rig.change(migrate="DELETE FROM t WHERE id = 7;", rollback="DELETE FROM t WHERE true;")
    await rig.migrate(change, Guards((), (rows_of("t"),)))
    with pytest.raises(Rejected, match="rows of t: 1 before, 0 after"):
        await rig.roll_back(change)
    lossy = await rig.change(migrate="-- name: lossy\nDELETE FROM t WHERE true;", verify="")
    with pytest.raises(Rejected, match="rows of t: 1 before, 0 after"):
        await rig.migrate(lossy, Guards((rows_of("t"),), ()), "two")
    with pytest.raises(Rejected, match="as rehearsed"):
        await rig.migrate(lossy, Guards((), (), "table nothing"), "two")


async def test_change_is_applied_once(rig: Rig) -> None:
    """Neither the same attempt nor another attempt of an applied change commits."""
    change = await rig.change()
    await rig.migrate(change)
    before = await rig.state()
    for name in ("one", "two"):
        with pytest.raises(Rejected, match="applied already"):
            await rig.migrate(change, name=name)
    assert await rig.state() == before


async def test_fence_stops_a_late_attempt(rig: Rig) -> None:
    """After the fence the attempt can never commit; a fence that comes after the commit changes nothing."""
    change = await rig.change()
    assert (await rig.turso.fence("one", change.name))["state"] == "fenced"
    before = await rig.state()
    with pytest.raises(Rejected, match="applied already"):
        await rig.migrate(change)
    assert await rig.state() == before
    await rig.migrate(change, name="two")
    assert (await rig.turso.fence("two", change.name))["state"] == "applied"


@pytest.mark.parametrize("state", ["fenced", "rolled_back"])
async def test_only_an_applied_attempt_is_rolled_back(rig: Rig, state: str) -> None:
    """Neither a fenced attempt nor one that was already rolled back runs rollback.sql."""
    change = await rig.change()
    await rig.migrate(change)
    await rig.run(f"UPDATE _orchestrate_migrations SET state = '{state}'")
    before = await rig.state()
    with pytest.raises(Rejected, match="the attempt is applied: it is not"):
        await rig.roll_back(change)
    assert await rig.state() == before


async def test_rollback_must_restore_the_schema(rig: Rig) -> None:
    """A rollback that leaves a different schema commits nothing, and names the differences."""
    change = await rig.change(rollback="UPDATE t SET a = a WHERE true;")
    await rig.migrate(change)
    before = await rig.state()
    with pytest.raises(Rejected, match="table t"):
        await rig.roll_back(change)
    assert await rig.state() == before


async def test_every_check_of_the_rollback_is_asserted(rig: Rig) -> None:
    """A failing check of verify_rollback.sql commits nothing."""
    change = await rig.change(rollback="ALTER TABLE t DROP COLUMN b; UPDATE t SET a = 'y' WHERE true;")
    await rig.migrate(change)
    before = await rig.state()
    with pytest.raises(Rejected, match="1 row found, and there must be none"):
        await rig.roll_back(change)
    assert await rig.state() == before
