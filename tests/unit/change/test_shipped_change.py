"""The change in sql/: migration and rollback lose nothing, on the real server and on SQLite."""

from collections.abc import AsyncIterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from steps.support.change.folder import read_change
from steps.support.sql.checks import read_checks
from steps.support.sql.contract import read_contract
from steps.support.sql.script import split
from tests.support.database.engines import Engine, Refusal, Sqlite, copied, libsql
from tests.support.paths import SQL

pytestmark = pytest.mark.anyio

READINGS_OF_SYSTEM_1 = 20_160
TWO_HOURS, FOURTEEN_DAYS = "n < 119", "n < 20159"  # conditions on sample.sql's counter of minutes
State = Mapping[str, Any]


@cache
def script(name: str) -> tuple[str, ...]:
    """Return the statements of a file of the folder."""
    return tuple(statement.sql for statement in split((SQL / name).read_text(encoding="utf-8"), name))


@pytest.fixture(scope="module")
async def samples(sqld_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Load sample.sql into each engine, statement by statement; once whole, and once cut down to two hours."""
    folder = tmp_path_factory.mktemp("samples")
    for size, days in (("whole", FOURTEEN_DAYS), ("small", TWO_HOURS)):
        async with libsql(sqld_binary, folder / f"sqld-{size}") as server:
            for engine in (server, Sqlite(folder / f"sqlite-{size}")):
                for statement in script("sample.sql"):
                    await engine.rows(statement.replace(FOURTEEN_DAYS, days))
    return folder


@pytest.fixture(params=["sqld", "sqlite"])
async def database(
    request: pytest.FixtureRequest, samples: Path, sqld_binary: Path, tmp_path: Path
) -> AsyncIterator[Engine]:
    """Open a database of this test's own that holds two hours of the sample."""
    async with copied(request.param, sqld_binary, samples / f"{request.param}-small", tmp_path) as engine:
        yield engine


@pytest.fixture(params=["sqld", "sqlite"])
async def whole(
    request: pytest.FixtureRequest, samples: Path, sqld_binary: Path, tmp_path: Path
) -> AsyncIterator[Engine]:
    """Open a database of this test's own that holds the whole sample."""
    async with copied(request.param, sqld_binary, samples / f"{request.param}-whole", tmp_path) as engine:
        yield engine


async def migrate(database: Engine) -> None:
    """Run migrate.sql as the orchestrator does."""
    await database.transaction(script("migrate.sql"))


async def roll_back(database: Engine) -> None:
    """Run rollback.sql as the orchestrator does."""
    await database.transaction(script("rollback.sql"))


async def app(database: Engine, *statements: str) -> None:
    """Write as the app does, with foreign keys on as on the server."""
    await database.transaction(statements, foreign_keys=True)


async def scalar(database: Engine, sql: str) -> Any:
    """Return the first value of the first row."""
    return (await database.rows(sql))[0][0]


async def systems(database: Engine, columns: str) -> list[Any]:
    """Return some columns of all systems in the order of their ids."""
    return await database.rows(f"SELECT {columns} FROM systems ORDER BY id")


async def state(database: Engine) -> State:
    """Return all that a database holds: definitions, each row with its storage types, and the highest ids ever used."""
    tables = await database.rows(
        "SELECT m.name, group_concat('quote(' || c.name || ')', '||'',''||') FROM sqlite_schema AS m,"
        " pragma_table_info(m.name) AS c WHERE m.type = 'table' AND m.name NOT GLOB 'sqlite_*' GROUP BY m.name"
    )
    in_order = "SELECT group_concat(line, char(10)) FROM (SELECT {} AS line FROM {} ORDER BY rowid)"
    found = {name: (await scalar(database, in_order.format(line, name)) or "").split("\n") for name, line in tables}
    schema = "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name NOT GLOB '_orchestrate_*'"
    found["definitions"] = sorted(await database.rows(schema), key=str)
    found["highest ids"] = sorted(await database.rows("SELECT name, seq FROM sqlite_sequence"))
    return found


def apps(whole: State) -> State:
    """Return the app's part of a state, without the tool's."""
    return {name: rows for name, rows in whole.items() if not name.startswith("_orchestrate_")}


async def answers(database: Engine, name: str) -> dict[str, bool]:
    """Run every check of a file; return which of them pass."""
    checks = read_checks((SQL / name).read_text(encoding="utf-8"), name)
    return {
        check.name: await _passes(database, check.statement.sql, rows=check.expects_rows)
        for check in checks
        if check.expects_rows is not None
    }


async def _passes(database: Engine, sql: str, *, rows: bool) -> bool:
    try:
        return bool(await database.rows(sql)) == rows
    except Refusal:
        return False


async def failing(database: Engine, name: str) -> list[str]:
    """Return the names of the checks that do not pass."""
    return [check for check, passes in (await answers(database, name)).items() if not passes]


async def serve(database: Engine, contract: str) -> list[str]:
    """Run a contract like code that tries its alternatives in turn; return the statements that ran."""
    blocks = read_contract((SQL / "contract" / contract).read_text(encoding="utf-8"), contract)
    ran: list[str] = []
    for block in blocks:
        ran += await _first_that_runs(database, [[each.sql for each in some] for some in block.alternatives])
    return ran


async def _first_that_runs(database: Engine, alternatives: Sequence[list[str]]) -> list[str]:
    *others, last = alternatives
    for statements in others:
        try:
            await app(database, *statements)
        except Refusal:
            continue
        return statements
    await app(database, *last)
    return last


# --- the folder, the sample, and what the rig can show


def test_folder_is_read_without_a_finding() -> None:
    """The change has a name, and declares which tables it may touch."""
    change = read_change(SQL)
    assert (change.name, set(change.changes)) == ("vendor-sites", {"systems", "user_systems"})


async def test_sample_has_the_shape_of_production(whole: Engine) -> None:
    """The sample has what makes this change hard: odd zones, missing names, a deleted highest id, many children."""
    assert await systems(whole, "id, timezone_offset, display_name IS NULL") == [
        (1, 10, 1), (2, 9.5, 0), (4, 5.5, 0), (5, 5.75, 1), (6, -3.5, 0), (7, 0, 0),
    ]  # fmt: skip
    assert await scalar(whole, "SELECT seq FROM sqlite_sequence WHERE name = 'systems'") == 9
    assert await scalar(whole, "SELECT count(*) FROM readings WHERE system_id = 1") == READINGS_OF_SYSTEM_1
    assert await whole.rows("SELECT * FROM pragma_foreign_key_check") == []
    freshest = "SELECT unixepoch() - max(inverter_time) FROM readings GROUP BY system_id"
    assert all(0 <= age < 600 for (age,) in await whole.rows(freshest))


async def test_naive_rebuild_empties_the_children_if_foreign_keys_are_on(whole: Engine) -> None:
    """Copy, drop, rename commits without an error and deletes every reading on the server, and none on SQLite."""
    naive = (
        "CREATE TABLE systems_new AS SELECT * FROM systems",
        "DROP TABLE systems",
        "ALTER TABLE systems_new RENAME TO systems",
    )
    before = await scalar(whole, "SELECT count(*) FROM readings")
    await whole.transaction(naive, foreign_keys=whole.foreign_keys)
    assert await scalar(whole, "SELECT count(*) FROM readings") == (0 if whole.foreign_keys else before)


# --- migration


async def test_migration_gives_every_system_its_new_values(database: Engine) -> None:
    """Vendor, site, name and zone of each system derive from the earlier row; half hours are whole minutes."""
    await migrate(database)
    assert await systems(database, "id, vendor_type, vendor_site_id, display_name, timezone_offset_min") == [
        (1, "select.live", "1001", "System 1001", 600),
        (2, "select.live", "1002", "Shed", 570),
        (4, "select.live", "0648", "Farm", 330),
        (5, "select.live", "1005", "System 1005", 345),
        (6, "select.live", "1006", "Lodge", -210),
        (7, "select.live", "1007", "Old mill", 0),
    ]
    assert await database.rows("SELECT clerk_user_id, system_id, role FROM user_systems ORDER BY id") == [
        ("user_one", 1, "owner"),
        ("user_two", 2, "owner"),
        ("user_four", 4, "owner"),
        ("user_one", 6, "owner"),
        ("user_seven", 7, "owner"),
    ]


async def test_migration_loses_no_row_of_any_other_table(whole: Engine) -> None:
    """All 20,160 readings of a system, its aggregates and its polling are unchanged bit for bit."""
    before = await state(whole)
    await migrate(whole)
    after = await state(whole)
    others = ("readings", "polling_status", "readings_agg_5m", "readings_agg_1d")
    assert {name: after[name] for name in others} == {name: before[name] for name in others}
    assert after["highest ids"] == sorted([*before["highest ids"], ("user_systems", 5)])


async def test_id_of_a_deleted_system_is_not_reused(database: Engine) -> None:
    """The first system added after the migration gets an id above the highest that was ever used."""
    await migrate(database)
    await app(database, NEW_SYSTEM)
    assert await scalar(database, "SELECT max(id) FROM systems") == 10


async def test_database_without_systems_is_migrated_and_verified(database: Engine) -> None:
    """Without any system before, none is required afterwards, and the rollback works as well."""
    await app(database, "DELETE FROM systems")
    before = await state(database)
    await migrate(database)
    assert await failing(database, "verify.sql") == []
    await roll_back(database)
    assert apps(await state(database)) == before


# --- rollback


async def test_round_trip_changes_nothing(whole: Engine) -> None:
    """Definitions, column order, rows, storage types, zones, missing names and highest ids equal the original."""
    before = await state(whole)
    await migrate(whole)
    await roll_back(whole)
    assert apps(await state(whole)) == before


async def test_rollback_keeps_readings_written_since(whole: Engine) -> None:
    """A poll between migration and rollback leaves its readings and its status behind, and nothing else changes."""
    await migrate(whole)
    await serve(whole, "new.sql")
    migrated = await state(whole)
    await roll_back(whole)
    after = await state(whole)
    polled = ("readings", "polling_status", "readings_agg_5m", "readings_agg_1d")
    assert {name: after[name] for name in polled} == {name: migrated[name] for name in polled}
    assert await scalar(whole, "SELECT count(*) FROM readings WHERE system_id = 1") == READINGS_OF_SYSTEM_1 + 1


@pytest.mark.parametrize(
    ("edit", "column", "expected"),
    [
        ("display_name = 'Home'", "display_name", "Home"),
        ("model = NULL", "model", None),
        ("timezone_offset_min = 345", "timezone_offset", 5.75),
        ("timezone_offset_min = 60", "timezone_offset", 1),
        ("vendor_site_id = '2001'", "system_number", "2001"),
        ("owner_clerk_user_id = 'user_new'", "owner_clerk_user_id", "user_new"),
        ("timezone_offset_min = 'broken'", "timezone_offset", "broken"),
    ],
)
async def test_rollback_keeps_an_edit_made_since(database: Engine, edit: str, column: str, expected: Any) -> None:
    """An edit of one column of one system is kept in the old schema's form, and every other row is unchanged."""
    untouched = await systems(database, "*")
    await migrate(database)
    await app(database, f"UPDATE systems SET {edit} WHERE id = 1")
    await roll_back(database)
    found = await systems(database, f"{column}, typeof({column})")
    storage = {int: "integer", float: "real", str: "text", type(None): "null"}[type(expected)]
    assert found[0] == (expected, storage)
    assert (await systems(database, "*"))[1:] == untouched[1:]


async def test_system_deleted_since_stays_deleted(database: Engine) -> None:
    """Neither the rollback nor the next migration restores a deleted system, and its id is not reused."""
    await migrate(database)
    await app(database, "DELETE FROM systems WHERE id = 4")
    await roll_back(database)
    assert [row[0] for row in await systems(database, "id")] == [1, 2, 5, 6, 7]
    await migrate(database)
    assert [row[0] for row in await systems(database, "id")] == [1, 2, 5, 6, 7]
    assert await scalar(database, "SELECT seq FROM sqlite_sequence WHERE name = 'systems'") == 9


NEW_SYSTEM = (
    "INSERT INTO systems (owner_clerk_user_id, vendor_type, vendor_site_id, display_name, timezone_offset_min)"
    " VALUES ('user_one', 'select.live', '2002', 'Boat', 570)"
)
NEW_VENDOR = (
    "INSERT INTO systems (owner_clerk_user_id, vendor_type, vendor_site_id, display_name, timezone_offset_min)"
    " VALUES ('user_new', 'enphase', '0648', 'Roof', 571)"
)
MEMBER = "INSERT INTO user_systems (clerk_user_id, system_id, role) SELECT '{}', id, '{}' FROM systems WHERE id = 10"
NEW_MEMBERS = (MEMBER.format("user_new", "owner"), MEMBER.format("user_two", "viewer"))


async def test_rollback_keeps_a_new_system_of_the_old_vendor(database: Engine) -> None:
    """Old code finds it under its number; its user_id is that of its owner's other systems."""
    await migrate(database)
    await app(database, NEW_SYSTEM)
    await roll_back(database)
    columns = "id, user_id, system_number, display_name, timezone_offset, owner_clerk_user_id"
    assert (await systems(database, columns))[-1] == (10, "first", "2002", "Boat", 9.5, "user_one")


async def test_rollback_finds_a_user_id_for_every_new_system(database: Engine) -> None:
    """Without another system of its owner it is the owner's id, and without an owner it is unknown."""
    await migrate(database)
    await app(database, NEW_VENDOR, NEW_SYSTEM.replace("'user_one'", "NULL"))
    await roll_back(database)
    assert (await systems(database, "user_id"))[-2:] == [("user_new",), ("unknown",)]


async def test_system_of_another_vendor_is_kept_and_restored(database: Engine) -> None:
    """Old code cannot mistake its site for one of its own; the next migration restores it with its members."""
    await migrate(database)
    await app(database, NEW_VENDOR, *NEW_MEMBERS)
    migrated = await state(database)
    await roll_back(database)
    assert await database.rows("SELECT id FROM systems WHERE system_number = '0648'") == [(4,)]
    assert (await systems(database, "id, system_number"))[-1] == (10, "enphase:0648")
    await migrate(database)
    assert apps(await state(database)) == apps(migrated)


async def test_edits_by_old_code_survive_the_next_migration(database: Engine) -> None:
    """A kept system takes name and zone from the old schema, and vendor and site from what was kept."""
    await migrate(database)
    await app(database, NEW_VENDOR)
    await roll_back(database)
    await app(database, "UPDATE systems SET display_name = NULL, timezone_offset = 2 WHERE id = 10")
    await migrate(database)
    columns = "vendor_type, vendor_site_id, display_name, timezone_offset_min"
    assert (await systems(database, columns))[-1] == ("enphase", "0648", "System 0648", 120)


async def test_memberships_of_a_system_that_old_code_deleted_are_dropped(database: Engine) -> None:
    """The next migration restores no member of a system that no longer exists."""
    await migrate(database)
    await roll_back(database)
    await app(database, "DELETE FROM systems WHERE id = 2")
    await migrate(database)
    assert await scalar(database, "SELECT count(*) FROM user_systems WHERE system_id = 2") == 0
    assert await database.rows("SELECT * FROM pragma_foreign_key_check") == []


async def test_migrating_again_restores_the_state_before_the_rollback(database: Engine) -> None:
    """Everything the app wrote in the new schema is there again, including memberships and their ids."""
    await migrate(database)
    await app(database, *script("writes.sql"))
    migrated = await state(database)
    await roll_back(database)
    await migrate(database)
    assert apps(await state(database)) == apps(migrated)


async def test_second_rollback_equals_the_first(database: Engine) -> None:
    """What the tool keeps for the next migration is the same, too."""
    await migrate(database)
    await app(database, *script("writes.sql"))
    await roll_back(database)
    first = await state(database)
    await migrate(database)
    await roll_back(database)
    assert await state(database) == first


async def test_typed_name_equal_to_the_derived_one_becomes_missing(database: Engine) -> None:
    """The one edit that cannot be told from no edit: a known limit, recorded here."""
    await migrate(database)
    await app(database, "UPDATE systems SET display_name = 'System 1001' WHERE id = 1")
    await roll_back(database)
    assert (await systems(database, "display_name"))[0] == (None,)


# --- owners


@pytest.mark.parametrize("removal", ["DELETE FROM user_systems", "UPDATE user_systems SET role = 'viewer'"])
async def test_removed_owner_stays_removed(database: Engine, removal: str) -> None:
    """Neither the next migration nor verification requires an owner who was removed or demoted."""
    await migrate(database)
    await app(database, f"{removal} WHERE system_id = 1")
    migrated = await state(database)
    await roll_back(database)
    await migrate(database)
    assert apps(await state(database)) == apps(migrated)
    assert await failing(database, "verify.sql") == []


async def test_owner_made_by_old_code_becomes_a_member(database: Engine) -> None:
    """A system that old code added or reassigned between two migrations has its owner after the second."""
    await migrate(database)
    await app(database, "INSERT INTO user_systems (clerk_user_id, system_id) VALUES ('user_two', 4)")
    await roll_back(database)
    await app(
        database,
        "INSERT INTO systems (user_id, system_number, owner_clerk_user_id) VALUES ('new', '3003', 'user_new')",
        "UPDATE systems SET owner_clerk_user_id = 'user_two' WHERE id = 4",
    )
    await migrate(database)
    found = await database.rows("SELECT system_id, clerk_user_id FROM user_systems WHERE role = 'owner' ORDER BY 1, 2")
    assert [row for row in found if row[0] in {4, 10}] == [(4, "user_four"), (4, "user_two"), (10, "user_new")]
    assert await failing(database, "verify.sql") == []


# --- guards

UNEXPECTED = {
    "a column more": ("ALTER TABLE systems ADD COLUMN status TEXT", "columns"),
    "a generated column more": ("ALTER TABLE systems ADD COLUMN twice INTEGER AS (id * 2)", "columns"),
    "an index more": ("CREATE INDEX of_ours ON systems (model)", "indexes"),
    "an index less": ("DROP INDEX user_system_idx", "indexes"),
    "a trigger": ("CREATE TRIGGER t AFTER UPDATE ON systems BEGIN SELECT 1; END", "trigger or a view"),
    "a view": ("CREATE VIEW v AS SELECT model FROM systems", "trigger or a view"),
}
ANOTHER_DEFAULT = """
    ALTER TABLE systems DROP COLUMN owner_clerk_user_id;
    ALTER TABLE systems DROP COLUMN timezone_offset;
    ALTER TABLE systems ADD COLUMN timezone_offset INTEGER NOT NULL DEFAULT 9;
    ALTER TABLE systems ADD COLUMN owner_clerk_user_id TEXT;
"""
REFUSED = {
    **UNEXPECTED,
    "a column less": ("ALTER TABLE systems DROP COLUMN serial", "columns"),
    "a zone of quarter minutes": ("UPDATE systems SET timezone_offset = 9 + 30.25 / 60 WHERE id = 1", "whole number"),
    "a zone in minutes already": ("UPDATE systems SET timezone_offset = 600 WHERE id = 1", "whole number"),
    "a zone in words": ("UPDATE systems SET timezone_offset = '9:30' WHERE id = 1", "whole number"),
    "a time in words": ("UPDATE systems SET created_at = '2025-08-17 10:00:00' WHERE id = 1", "not an integer"),
    "a number twice": ("UPDATE systems SET system_number = '1002' WHERE id = 1", "same number"),
    "a vendor that nobody knows": ("UPDATE systems SET system_number = 'enphase:1' WHERE id = 1", "vendor"),
    "user_systems": ("CREATE TABLE user_systems (id INTEGER)", "user_systems is there already"),
    "kept rows": ("CREATE TABLE _orchestrate_kept_systems_before (id)", "an earlier migration kept"),
    "another default": (ANOTHER_DEFAULT, "columns"),
}


async def _refuses(database: Engine, name: str, message: str, *, foreign_keys: bool = False) -> None:
    before = await state(database)
    with pytest.raises(Refusal, match=message):
        await database.transaction(script(name), foreign_keys=foreign_keys)
    assert await state(database) == before


@pytest.mark.parametrize("case", REFUSED)
async def test_migration_refuses_an_unexpected_database(database: Engine, case: str) -> None:
    """Anything unexpected is named in the refusal, and nothing is touched."""
    preparation, message = REFUSED[case]
    await app(database, *[statement.sql for statement in split(preparation, case)])
    await _refuses(database, "migrate.sql", message)


@pytest.mark.parametrize("constraint", ["CHECK (length(model) < 9)", "COLLATE NOCASE", "REFERENCES readings(id)"])
async def test_migration_refuses_an_unknown_constraint(database: Engine, constraint: str) -> None:
    """A constraint that rollback.sql would not restore is refused."""
    (create,) = await database.rows("SELECT sql FROM sqlite_schema WHERE name = 'systems'")
    await database.transaction(
        (
            "DROP TABLE systems",
            create[0].replace("model TEXT", f"model TEXT {constraint}"),
            "CREATE INDEX user_system_idx ON systems (user_id, system_number)",
        )
    )
    await _refuses(database, "migrate.sql", "says more than its columns")


@pytest.mark.parametrize("case", UNEXPECTED)
async def test_rollback_refuses_an_unexpected_database(database: Engine, case: str) -> None:
    """Anything added to the new tables is refused rather than lost."""
    preparation, message = UNEXPECTED[case]
    await migrate(database)
    await app(database, preparation.replace("user_system_idx", "vendor_site_unique"))
    await _refuses(database, "rollback.sql", message)


async def test_rollback_refuses_to_orphan_a_child_of_user_systems(database: Engine) -> None:
    """A table that references user_systems would be left without its parent."""
    await migrate(database)
    await app(database, "CREATE TABLE invitation (id INTEGER, member INTEGER REFERENCES user_systems(id))")
    await _refuses(database, "rollback.sql", "references user_systems")


@pytest.mark.parametrize("name", ["migrate.sql", "rollback.sql"])
async def test_both_scripts_refuse_foreign_keys_on(database: Engine, name: str) -> None:
    """Each script checks for itself that foreign keys are off."""
    if name == "rollback.sql":
        await migrate(database)
    await _refuses(database, name, "foreign keys are on", foreign_keys=True)


async def test_no_script_runs_twice(database: Engine) -> None:
    """A rollback without a migration, a second migration, and a rollback after acceptance are refused."""
    await _refuses(database, "rollback.sql", "not migrated, or accepted")
    await migrate(database)
    await _refuses(database, "migrate.sql", "is there already")
    await app(database, "DROP TABLE _orchestrate_kept_systems_before")
    await _refuses(database, "rollback.sql", "not migrated, or accepted")


async def test_new_number_for_a_kept_system_is_refused(database: Engine) -> None:
    """If old code renumbers a system of another vendor, its site can no longer be identified."""
    await migrate(database)
    await app(database, NEW_VENDOR)
    await roll_back(database)
    await app(database, "UPDATE systems SET system_number = '4004' WHERE id = 10")
    await _refuses(database, "migrate.sql", "number of a system of another vendor was changed")


# --- what the code queries on either schema


async def test_old_code_runs_on_the_old_schema_only(database: Engine) -> None:
    """Its contract holds before the migration and after a rollback, and fails on the migrated database."""
    await serve(database, "old.sql")
    await migrate(database)
    with pytest.raises(Refusal, match="no such column"):
        await serve(database, "old.sql")
    await roll_back(database)
    await _without_the_last_poll(database)
    await serve(database, "old.sql")


async def test_new_code_runs_on_both_schemas(database: Engine) -> None:
    """Its contract holds before, after and after a rollback; it reads the new schema if that is there."""
    before = await serve(database, "new.sql")
    await migrate(database)
    await _without_the_last_poll(database)
    after = await serve(database, "new.sql")
    await roll_back(database)
    await _without_the_last_poll(database)
    assert await serve(database, "new.sql") == before
    assert not any("vendor_type" in sql or "user_systems" in sql for sql in before)
    assert not any("timezone_offset," in sql or "system_number" in sql for sql in after)


async def _without_the_last_poll(database: Engine) -> None:
    """Delete the last poll, because a second one within the same second would collide with its readings."""
    await app(database, "DELETE FROM readings WHERE inverter_time > unixepoch() - 15")


@pytest.mark.parametrize("contract", ["old.sql", "new.sql"])
async def test_poll_writes_a_reading_for_every_active_system(database: Engine, contract: str) -> None:
    """Polled systems get a reading, an aggregate and a success; the one that is not polled gets none."""
    before = await scalar(database, "SELECT max(id) FROM readings")
    await serve(database, contract)
    fresh = f"SELECT system_id FROM readings WHERE id > {before} AND unixepoch() - inverter_time < 60 ORDER BY 1"
    assert await database.rows(fresh) == [(1,), (2,), (4,), (5,), (6,)]
    polls = (
        "SELECT system_id FROM polling_status WHERE last_success_time >= updated_at AND total_polls = 20161 ORDER BY 1"
    )
    assert await database.rows(polls) == [(1,), (2,), (4,), (5,), (6,)]


@pytest.mark.parametrize("contract", ["old.sql", "new.sql"])
async def test_contract_finds_what_the_page_shows(whole: Engine, contract: str) -> None:
    """System, newest reading, polling and yesterday are each one row of the same system, on either schema."""
    expected = [1, 1, 1, 1, 5]
    if contract == "new.sql":
        await migrate(whole)
        expected = [1, *expected]
    ran = await serve(whole, contract)
    rows = [await whole.rows(sql) for sql in ran if sql.startswith("SELECT")]
    assert [len(found) for found in rows] == expected


async def test_second_poll_in_the_same_second_violates_the_unique_index(database: Engine) -> None:
    """The reading is inserted plainly, as the app does it."""
    insert = next(sql for sql in script("contract/old.sql") if sql.startswith("INSERT INTO readings ("))
    soon = [insert.replace("id, unixepoch()", f"id, unixepoch() + {seconds}") for seconds in range(5)]
    await app(database, *soon)
    with pytest.raises(Refusal, match="UNIQUE constraint failed"):
        await app(database, insert)


# --- verification


async def test_verification_passes_only_on_the_migrated_database(database: Engine) -> None:
    """Each of the two files recognises its own schema."""
    assert await failing(database, "verify_rollback.sql") == []
    assert "columns" in await failing(database, "verify.sql")
    await migrate(database)
    assert await failing(database, "verify.sql") == []
    assert "columns" in await failing(database, "verify_rollback.sql")
    await app(database, *script("writes.sql"))
    assert await failing(database, "verify.sql") == []
    await roll_back(database)
    assert await failing(database, "verify_rollback.sql") == []


@pytest.mark.parametrize("direction", [("migrate.sql", "verify.sql"), ("rollback.sql", "verify_rollback.sql")])
async def test_every_check_can_run_inside_the_transaction(database: Engine, direction: tuple[str, str]) -> None:
    """As assertions in one batch with the scripts, all checks let it commit."""
    change, questions = direction
    if change == "rollback.sql":
        await migrate(database)
    checks = read_checks((SQL / questions).read_text(encoding="utf-8"), questions)
    asserted = [
        f"SELECT CASE WHEN {'' if check.expects_rows else 'NOT '}EXISTS (\n{check.statement.sql}\n) THEN 1"
        f" ELSE json_extract('{{}}', '{check.name}') END"
        for check in checks
        if check.expects_rows is not None
    ]
    await database.transaction([*script(change), *asserted])
    assert await failing(database, questions) == []


BREAKING = {
    "systems": "DELETE FROM systems",
    "no system lost": "DELETE FROM systems WHERE id = 4",
    "no value missing": "UPDATE systems SET vendor_site_id = '' WHERE id = 4",
    "one system per site": "DROP INDEX vendor_site_unique; UPDATE systems SET vendor_site_id = '1'",
    "zones in whole minutes": "UPDATE systems SET timezone_offset_min = 9.5 WHERE id = 2",
    "times are integers": "UPDATE user_systems SET created_at = datetime('now') WHERE system_id = 1",
    "columns": "ALTER TABLE user_systems DROP COLUMN role",
    "indexes": "DROP INDEX user_system_unique; CREATE INDEX user_system_unique ON user_systems (clerk_user_id)",
    "children reference systems": "ALTER TABLE systems RENAME TO systems_backup",
    "no orphan": "DELETE FROM systems WHERE id = 4; DELETE FROM user_systems WHERE system_id = 4",
    "every owned system has its owner": "DELETE FROM user_systems WHERE system_id = 1",
    "known roles": "UPDATE user_systems SET role = 'root' WHERE system_id = 1",
}
BREAKING_ROLLBACK = {
    "the new tables are gone": "CREATE TABLE user_systems (id INTEGER)",
    "systems": "DELETE FROM systems",
    "one system per number": "UPDATE systems SET system_number = '1'",
    "columns": "ALTER TABLE systems ADD COLUMN vendor_type TEXT",
    "indexes": "DROP INDEX user_system_idx; CREATE INDEX user_system_idx ON systems (system_number)",
    "children reference systems": "ALTER TABLE systems RENAME TO systems_backup",
}


async def _break(database: Engine, statements: str) -> None:
    """Break something with foreign keys off, so that no cascade repairs it."""
    await database.transaction([statement.sql for statement in split(statements, "break")])


@pytest.mark.parametrize("check", BREAKING)
async def test_each_check_fails_if_its_rule_is_broken(database: Engine, check: str) -> None:
    """No check of the migrated database always passes."""
    await migrate(database)
    await _break(database, BREAKING[check])
    assert check in await failing(database, "verify.sql")


@pytest.mark.parametrize("check", BREAKING_ROLLBACK)
async def test_each_check_of_the_rollback_fails_if_its_rule_is_broken(database: Engine, check: str) -> None:
    """No check of the rolled-back database always passes."""
    await _break(database, BREAKING_ROLLBACK[check])
    assert check in await failing(database, "verify_rollback.sql")


@pytest.mark.parametrize("child", ["readings", "polling_status", "readings_agg_5m", "readings_agg_1d", "user_systems"])
async def test_orphan_in_any_child_is_found(database: Engine, child: str) -> None:
    """Each table that belongs to systems is checked, including those without a foreign key."""
    await migrate(database)
    others = {"readings", "polling_status", "readings_agg_5m", "readings_agg_1d", "user_systems"} - {child}
    await _break(database, "DELETE FROM systems WHERE id = 4;" + ";".join(f"DELETE FROM {name}" for name in others))
    assert "no orphan" in await failing(database, "verify.sql")
    await _break(database, f"DELETE FROM {child}")
    assert "no orphan" not in await failing(database, "verify.sql")


def test_every_check_is_broken_once() -> None:
    """The lists above name every check in the two files."""
    for name, broken in (("verify.sql", BREAKING), ("verify_rollback.sql", BREAKING_ROLLBACK)):
        checks = read_checks((SQL / name).read_text(encoding="utf-8"), name)
        assert [check.name for check in checks if check.expects_rows is not None] == list(broken)
