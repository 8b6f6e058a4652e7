"""What the proof means for a release: its order, what it refuses before anything is touched, and what is recorded."""

import gzip
import hashlib
from pathlib import Path

import pytest

from tests.support.production.base import FAILING, ROOT, AnyProduction
from tests.support.production.changes import EXPANDING, NEEDS_NOTES, UNTOUCHED, changed, refused
from tests.support.production.process import Production

pytestmark = [pytest.mark.anyio, pytest.mark.slow]  # each is proved on a real server

SEED = ROOT / "tests" / "support" / "database" / "seed"


@pytest.mark.on("virtual", "process")
async def test_schema_goes_first_if_the_new_code_needs_it(production: AnyProduction, tmp_path: Path) -> None:
    """With staged builds, a change that the old code tolerates and the new code needs is made before the switch."""
    production.change(changed(tmp_path / "sql", EXPANDING, NEEDS_NOTES))
    production.world.platform.auto_assign = False
    ending = await production.release()
    assert (ending.code, ending.report["verdict"]) == (0, "deployed"), ending.report
    names = list(ending.steps())
    assert ending.report["order"] == "DATA_FIRST"
    assert names.index("turso_migration") < names.index("activation")
    assert await production.sql("SELECT code_order FROM _orchestrate_migrations") == [("DATA_FIRST",)]


async def test_schema_first_release_is_rolled_back_code_first(production: AnyProduction, tmp_path: Path) -> None:
    """A schema-first release that failed late rolls back the code, then the schema."""
    production.change(changed(tmp_path / "sql", EXPANDING, NEEDS_NOTES))
    production.world.platform.auto_assign = False
    before = await production.state()
    ending = await production.release(health=FAILING)
    assert (ending.code, ending.report["verdict"]) == (1, "rolled_back"), ending.report
    undone = list(ending.steps("undo"))
    assert undone.index("activation") < undone.index("turso_migration")
    assert await production.state() == before


async def test_schema_cannot_go_first_with_auto_assign_on(production: AnyProduction, tmp_path: Path) -> None:
    """With auto-assign on, the same change has no order: both reasons are given, and both remedies."""
    production.change(changed(tmp_path / "sql", EXPANDING, NEEDS_NOTES))
    words = (
        "not CODE_FIRST",
        "no such table: notes",
        "not DATA_FIRST",
        "auto-assign is on",
        "auto-assign of production",
    )
    await refused(production, *words)


async def test_code_alone_is_refused_if_the_schema_lacks_a_table(production: AnyProduction, tmp_path: Path) -> None:
    """A table that the new code needs and no change creates, the cause of the outage, is named before the push."""
    production.change(changed(tmp_path / "sql", UNTOUCHED, NEEDS_NOTES))
    await refused(production, "no such table: notes", "contract/new.sql", "migrate.sql")


async def test_code_alone_is_released_if_it_can_run(production: AnyProduction, tmp_path: Path) -> None:
    """Nothing is migrated and no marker is written, but both versions of the code were tried on a copy."""
    production.change(changed(tmp_path / "sql", UNTOUCHED))
    ending = await production.release()
    assert (ending.code, ending.report["verdict"]) == (0, "deployed"), ending.report
    assert "turso_migration" not in ending.steps()
    assert ending.steps()["schema_contract"] == "done"
    assert await production.sql("SELECT count(*) FROM _orchestrate_migrations") == [(0,)]


@pytest.mark.on("virtual", "process")
async def test_change_that_loses_data_is_refused(production: AnyProduction, tmp_path: Path) -> None:
    """The change that emptied readings is refused with what it loses; neither branch nor database has moved."""
    scripts = {name: (SEED / f"seed_{name}").read_text() for name in ("migrate.sql", "rollback.sql")}
    checks = dict.fromkeys(("verify.sql", "verify_rollback.sql"), "SELECT 1 WHERE 0;\n")
    production.change(changed(tmp_path / "sql", {**scripts, **checks}))
    ending = await refused(
        production, "user_id", "timezone_offset", "readings.system_id -> systems(id) ON DELETE CASCADE"
    )
    assert [event["event"] for event in ending.events if event["event"] == "begun"] == []


async def test_change_edited_after_it_was_applied_is_refused(production: AnyProduction, tmp_path: Path) -> None:
    """Different content under the name of an applied change is not run; the edit is reported."""
    production.change(changed(tmp_path / "sql", EXPANDING, NEEDS_NOTES))
    production.world.platform.auto_assign = False
    first = await production.release()
    assert first.code == 0, first.report
    (production.sql_folder / "migrate.sql").write_text(EXPANDING["migrate.sql"] + "-- edited\n")
    await production.commit_more()
    await refused(production, "already applied", first.report["run_id"], "edited since")


async def test_release_that_does_not_fit_is_refused(production: AnyProduction) -> None:
    """Expected times are compared with limits and budget before the clock starts; both figures are given."""
    limits = "turso_migration = 0.5\nhealth_checks = 5\nvercel_deployment = 20"
    await refused(production, "turso_migration will take 1.0 s, and 0.5 s are allowed", limits=limits)


async def test_too_large_copy_is_refused(production: AnyProduction) -> None:
    """If a copy exceeds its limit, the figures and the setting that allows more are given."""
    production.change(production.sql_folder)
    await refused(production, "rehearsal.most_bytes allows 1,000", rehearsal="most_bytes = 1000")


@pytest.mark.on("process")
async def test_report_contains_the_proof(production: Production) -> None:
    """Engine, times, losses, contract, changes, forecast and the backup with its digest are in the report."""
    report = (await production.release("--dry-run")).report
    rehearsal = report["rehearsal"]
    assert rehearsal["engine"].startswith("sqld 0.24")
    assert rehearsal["lossless"] is True
    assert rehearsal["warnings"] == []
    assert 0 < rehearsal["migrate_seconds"] < 5
    assert 0 < rehearsal["rollback_seconds"] < 5
    assert report["changes"]["rows"]["systems"]["changed"] == 2
    assert report["contract"]["new code on the old schema"] == []
    assert report["forecast"]["seconds"] > 0 < report["forecast"]["undo_seconds"]
    backup = Path(report["backup"]["path"])
    assert backup.parent == production.folder / "runs" / report["run_id"]
    kept = {path.name: path.read_bytes() for path in backup.parent.glob("*")}
    assert kept.keys() == {"journal.jsonl", "report.json", "report.html", backup.name}
    assert hashlib.sha256(kept[backup.name]).hexdigest() == report["backup"]["sha256"]
    assert b'INSERT INTO "systems" VALUES(1,' in gzip.decompress(kept[backup.name])
