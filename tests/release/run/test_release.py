"""Whole releases: what arrives, what a rollback restores, what is kept of both."""

import gzip
import json
from collections import Counter
from typing import Any

import pytest

from steps.support.standin.world import TOKEN
from tests.support.production.base import BUILT_IN, FAILING, LOST, AnyProduction, Event
from tests.support.production.process import Production

pytestmark = pytest.mark.anyio

CHANGES = ["git_push", "vercel_deployment", "activation", "turso_migration"]


@pytest.mark.on("process", large=True)
async def test_release_arrives_and_loses_nothing(production: Production) -> None:
    """20,000 child rows under ON DELETE CASCADE survive the rebuild of their parent; code and schema are new."""
    before = await production.state()
    head = await production.head()
    async with production.visited() as statuses:
        ending = await production.release(
            health=BUILT_IN, limits="vercel_deployment = 20"
        )  # a cron may wait for its turn
    after = await production.state()
    assert (ending.code, ending.report["verdict"]) == (0, "deployed"), ending.report
    assert set(ending.steps().values()) == {"done"}
    assert len(before.rows["readings"]) >= 20_160
    for table in set(before.rows) - {"systems", "sqlite_sequence", "readings", "polling_status", "readings_agg_5m"}:
        assert after.rows[table] == before.rows[table], table
    assert after.rows["readings"][: len(before.rows["readings"])] == before.rows["readings"]
    assert len(after.rows["polling_status"]) == len(before.rows["polling_status"])
    assert len(after.rows["systems"]) == len(before.rows["systems"])
    assert (await production.main(), production.world.platform.live_sha()) == (head, head)
    assert "user_systems" in after.schema
    assert set(statuses) == {200}
    assert ending.report["downtime"]["failed_probes"] == 0
    assert ending.report["downtime"]["probes"] > 5


@pytest.mark.on("process", large=True)
async def test_failing_health_check_rolls_everything_back(production: Production) -> None:
    """Schema, rows, indexes, sequences, live code and main's files are restored, database first, unseen by visitors."""
    before = await production.state()
    async with production.visited() as statuses:
        ending = await production.release(health=FAILING)
    assert (ending.code, ending.report["verdict"]) == (1, "rolled_back"), ending.report
    assert list(ending.steps("undo")) == CHANGES[::-1]
    assert set(ending.steps("undo").values()) == {"done"}
    assert await production.state() == before
    assert Counter(statuses).keys() == {200}
    assert ending.report["runbook"] == "runbook.md#rolled-back"
    assert " pull --ff-only origin main && git -C " in ending.report["next_action"]


@pytest.mark.on("process")
async def test_next_action_makes_the_release_possible_again(production: Production) -> None:
    """After a rollback the reported commands bring the same change back onto main, and it can be released."""
    await production.release(health=FAILING)
    await production.bring_back()
    production.world.platform.auto_assign = True  # the operator's promotion, which lifts the pin
    ending = await production.release()
    assert (ending.code, ending.report["verdict"]) == (0, "deployed"), ending.report


@pytest.mark.on("process")
async def test_history_is_never_rewritten(production: Production) -> None:
    """The restoring commit stands on the release's commit, which stands on the previous one."""
    before = await production.main()
    head = await production.head()
    await production.release(health=FAILING)
    assert (await production.git("rev-parse", "main~1"), await production.git("rev-parse", "main~2")) == (head, before)
    assert await production.git("status", "--porcelain", where=production.world.checkout) == ""


async def _write_meanwhile(production: AnyProduction, *statements: str) -> dict[str, Any]:
    """Release, write once the migration is committed, then have the health check hang until its limit."""

    async def react(event: Event) -> None:
        if event["event"] == "done" and event["step"] == "verification_query":
            production.faults.arm("health_checks", "hang")
            for statement in statements:
                await production.sql(statement)
        if event["event"] == "turned_back":
            production.faults.disarm()

    ending = await production.release(react=react, limits="health_checks = 1.5")
    assert (ending.code, ending.report["verdict"]) == (1, "rolled_back"), ending.report
    return ending.report


@pytest.mark.on("virtual", "process")
async def test_readings_written_meanwhile_survive_the_rollback(production: AnyProduction) -> None:
    """A reading that arrived on the new schema is there after the rollback."""
    await _write_meanwhile(
        production,
        "INSERT INTO readings (system_id, inverter_time, received_time, solar_w, solar_inverter_w, shunt_w, load_w, battery_w, grid_w, battery_soc, fault_code, fault_timestamp, generator_status) SELECT min(id), 4102444800, 4102444801, 1, 2, 3, 4, 5, 6, 7.5, 0, 0, 0 FROM systems",
    )
    assert await production.sql(
        "SELECT solar_w, grid_w, battery_soc FROM readings WHERE inverter_time = 4102444800"
    ) == [(1, 6, 7.5)]


async def test_edits_made_meanwhile_survive_the_rollback(production: AnyProduction) -> None:
    """A system renamed on the new schema keeps its new name after the rollback, and its old number and owner."""
    ((identifier, number, owner),) = await production.sql(
        "SELECT id, system_number, user_id FROM systems ORDER BY id LIMIT 1"
    )
    await _write_meanwhile(
        production, f"UPDATE systems SET display_name = 'Renamed meanwhile' WHERE id = {identifier!s}"
    )
    assert await production.sql(
        f"SELECT display_name, system_number, user_id FROM systems WHERE id = {identifier!s}"
    ) == [("Renamed meanwhile", number, owner)]


async def test_inexpressible_rows_return_with_the_next_migration(production: AnyProduction) -> None:
    """Another vendor's system, which the old schema cannot express, is kept and is whole after migrating again."""
    add = "INSERT INTO systems (owner_clerk_user_id, vendor_type, vendor_site_id, display_name, timezone_offset_min) VALUES ('user_new', 'enphase', '648', 'Roof', 330)"
    report = await _write_meanwhile(production, add)
    ((system,),) = report["kept"].values()
    assert (system["vendor_type"], system["vendor_site_id"]) == ("enphase", "648")
    kept = [
        str(name)
        for (name,) in await production.sql("SELECT name FROM sqlite_schema WHERE name GLOB '_orchestrate_kept_*'")
    ]
    assert kept
    await production.bring_back()
    production.world.platform.auto_assign = True
    ending = await production.release()
    assert ending.code == 0, ending.report
    assert await production.sql(
        "SELECT owner_clerk_user_id, display_name, timezone_offset_min FROM systems WHERE vendor_type = 'enphase' AND vendor_site_id = '648'"
    ) == [("user_new", "Roof", 330)]


async def test_report_has_every_promised_key(production: AnyProduction) -> None:
    """Every key of the report is there, for a run that was rolled back."""
    report = (await production.release(health=FAILING)).report
    assert {
        "run_id",
        "mode",
        "verdict",
        "exit_code",
        "started_at",
        "order",
        "budget",
        "steps",
        "undo",
        "deployment",
        "migration",
        "cause",
        "next_action",
        "runbook",
    } <= report.keys()
    assert {"total", "reserve", "starts", "build", "used_seconds", "clocks"} == report["budget"].keys()
    assert (
        {"name", "status", "began_seconds", "seconds", "limit_seconds", "detail"}
        == report["steps"][0].keys()
        == report["undo"][0].keys()
    )
    assert {"id", "sha", "previous_id"} == report["deployment"].keys()
    assert {"name", "sha256", "rows_changed"} == report["migration"].keys()
    assert LOST in report["cause"]


@pytest.mark.on("process")
async def test_secrets_are_in_no_kept_file(production: Production) -> None:
    """Neither journal nor report nor screen shows a token."""
    ending = await production.release(health=FAILING)
    paths = [path for path in (production.folder / "runs").rglob("*") if path.is_file()]
    kept = [gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes() for path in paths]
    assert sorted(path.name for path in paths) == ["backup.sql.gz", "journal.jsonl", "report.html", "report.json"]
    assert TOKEN not in b"".join(kept).decode() + json.dumps(ending.events) + ending.said


async def test_dry_run_of_production_changes_nothing(production: AnyProduction) -> None:
    """--prod --dry-run reads and plans, polls nothing, leaves the world unchanged, and creates no table."""
    before = await production.state()
    ending = await production.release("--dry-run", health=BUILT_IN)
    assert (ending.code, ending.report["verdict"]) == (0, "rehearsed"), ending.report
    assert [step["name"] for step in ending.report["plan"]] == [*CHANGES, "verification_query", "health_checks"]
    assert await production.state() == before
    assert await production.sql("SELECT name FROM sqlite_schema WHERE name GLOB '_orchestrate_*'") == []


async def test_old_code_is_asked_its_own_question(production: AnyProduction) -> None:
    """If the new code's health question differs, the old code is asked its own, the new one only after the change."""
    headers = '{ Cookie = "auth-token=$SITE_AUTH_TOKEN" }'
    health = (
        f'[[health]]\nname = "data"\npath = "/api/data?systemId=1"\nheaders = {headers}\n'
        'expect = ["status == `200`", "committed_at", "body.vendorSiteId == baseline.vendorSiteId"]\n'
        f'before = {{ path = "/api/data", headers = {headers}, expect = ["status == `200`", "body.latest"] }}\n'
    )
    ending = await production.release(health=health)
    assert (ending.code, ending.report["verdict"]) == (0, "deployed"), ending.report


async def test_stopped_cron_is_noticed(production: AnyProduction) -> None:
    """A site whose data is not newer than the commit is unhealthy, although it answers 200."""
    stale = (
        '[[health]]\nname = "data"\npath = "/api/data"\nheaders = { Cookie = "auth-token=$SITE_AUTH_TOKEN" }\n'
        'expect = ["status == `200`", "is_fresh(body.polling.lastSuccessTime, baseline.polling.lastSuccessTime, committed_at)"]\n'
    )
    ending = await production.release(health=stale)
    assert (ending.code, ending.report["verdict"]) == (1, "rolled_back"), ending.report
    assert "is_fresh" in ending.report["cause"]
