"""Earlier runs: rolled back from their journal or marker row, also after arriving, accepted, unlocked; or refused."""

import asyncio
import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support.production.base import AnyProduction, Event, RunResult
from tests.support.production.process import Production

pytestmark = pytest.mark.anyio

READING = """INSERT INTO readings (system_id, inverter_time, received_time, solar_w, solar_inverter_w, shunt_w, load_w,
  battery_w, grid_w, battery_soc, fault_code, fault_timestamp, generator_status)
  SELECT min(id), 4102444800, 4102444801, 1, 2, 3, 4, 5, 6, 7.5, 0, 0, 0 FROM systems"""


async def _killed(production: Production, at: str, step: str) -> str:
    """Release, and kill the process at that event of that step; return the run."""
    config, events = production.configure(), list[Event]()
    async with production.started("--prod", "--yes", "--json", "--config", str(config)) as process:

        async def react(event: Event) -> None:
            events.append(event)
            if (event["event"], event.get("step")) == (at, step):
                process.send_signal(signal.SIGKILL)

        await production.watched(process, react)
    return str(events[0]["run"])


def _journal(production: Production, run: str) -> Path:
    return production.folder / "runs" / run / "journal.jsonl"


def _undone(ending: RunResult) -> dict[str, str]:
    return ending.steps("undo")


async def _marker(production: AnyProduction, run: str) -> Any:
    rows = await production.sql(f"SELECT state, accepted_at FROM _orchestrate_migrations WHERE attempt = '{run}'")
    return rows[0] if rows else None


@pytest.mark.on("process")
async def test_no_release_on_top_of_an_interrupted_run(production: Production) -> None:
    """A release and a dry run are refused until the run is settled; the named command works."""
    before = await production.state()
    run = await _killed(production, "done", "turso_migration")
    refused, looked = await production.release(), await production.release("--dry-run")
    assert (refused.code, looked.code) == (3, 3)
    command = f"python orchestrate.py --prod --config {production.folder / 'orchestrate.toml'} --rollback {run}"
    assert command in refused.report["next_action"]
    restored = await production.release(*command.split()[-2:])
    assert (restored.code, restored.report["verdict"], restored.report["of"]) == (0, "rolled_back", run)
    assert await production.state() == before
    assert (await production.release("--rollback")).report["undo"] == []


@pytest.mark.on("process")
async def test_rows_written_since_survive_the_rollback(production: Production) -> None:
    """Rows that the app wrote on the new schema of an interrupted run are there after its rollback."""
    await _killed(production, "begun", "health_checks")
    await production.sql(READING)
    assert (await production.release("--rollback")).code == 0
    assert await production.sql("SELECT count(*) FROM readings WHERE inverter_time = 4102444800") == [(1,)]


@pytest.mark.on("process")
async def test_short_secret_inside_a_sha_does_not_break_recovery(production: Production) -> None:
    """A secret of six characters that stands in the commit to release leaves the journal fit for a rollback."""
    before, head = await production.state(), await production.head()
    production.settings = {"VERCEL_AUTOMATION_BYPASS_SECRET": head[7:13]}
    run = await _killed(production, "begun", "health_checks")
    assert head in _journal(production, run).read_text()
    ending = await production.release("--rollback", run)
    assert (ending.code, ending.report["verdict"]) == (0, "rolled_back"), ending.report
    assert await production.state() == before


@pytest.mark.on("process")
async def test_killed_rollback_is_continued(production: Production) -> None:
    """A rollback may be killed at any step: the next one does what is left, and nothing twice."""
    before = await production.state()
    run = await _killed(production, "begun", "health_checks")
    for step in ("turso_migration", "vercel_deployment", "git_push"):
        config = production.configure()
        async with production.started("--prod", "--yes", "--json", "--config", str(config), "--rollback") as process:

            async def react(event: Event, step: str = step) -> None:
                if (event["event"], event.get("step")) == ("undo_done", step):
                    process.send_signal(signal.SIGKILL)

            await production.watched(process, react)
    ending = await production.release("--rollback", run)
    assert (ending.code, set(_undone(ending).values())) == (0, {"done"}), ending.report
    assert await production.state() == before
    assert (
        await production.git("rev-list", "--count", "main") == "3"
    )  # the previous commit, ours, and the restoring one


@pytest.mark.on("process")
async def test_torn_journal_is_sufficient(production: Production) -> None:
    """A line torn by a power cut is left out and reported; what it announced was not begun."""
    before = await production.state()
    run = await _killed(production, "done", "activation")
    with _journal(production, run).open("ab") as journal:
        journal.write(b'{"event": "begun", "step": "turso_mig')
    ending = await production.release("--rollback")
    assert ending.code == 0, ending.report
    assert any("1 lines of its journal cannot be read" in text for text in ending.report["warnings"])
    assert await production.state() == before


@pytest.mark.on("process")
async def test_live_run_is_not_rolled_back(production: Production) -> None:
    """While a run's process lives, no one rolls it back: its journal is locked."""
    refusals: list[RunResult] = []

    async def react(event: Event) -> None:
        if (event["event"], event.get("step")) == ("begun", "vercel_deployment"):
            refusals.append(await production.release("--rollback", event["run"]))

    production.world.platform.build_seconds = 6.0
    assert (await production.release(react=react)).code == 0
    assert refusals[0].code == 3
    assert "its process is alive" in refusals[0].report["cause"]


@pytest.mark.on("process")
async def test_arrived_release_is_rolled_back(production: Production) -> None:
    """A run that arrived is rehearsed backwards on a copy and rolled back; that copy stays as a backup."""
    before = await production.state()
    run = (await production.release()).report["run_id"]
    ending = await production.release("--rollback")
    assert (ending.code, ending.report["verdict"], ending.report["of"]) == (0, "rolled_back", run), ending.report
    assert await production.state() == before
    assert (production.folder / "runs" / ending.report["run_id"] / "backup.sql.gz").is_file()
    assert not (production.folder / "runs" / ending.report["run_id"] / "rehearsal").exists()


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("push", ("main is at", "other")),
        ("deployment", ("production is dpl_3",)),
        ("index", ("other indexes than migrate.sql gave it",)),
    ],
)
async def test_release_that_others_built_on_is_not_rolled_back(
    production: AnyProduction, what: str, words: tuple[str, ...]
) -> None:
    """If someone pushed, deployed or changed the schema since, the rollback is refused and names their changes."""
    production.change(production.sql_folder)  # the rollback is rehearsed, too
    await production.release()
    if what == "push":
        production.world.platform.auto_assign = False
        await production.overtake()
    elif what == "deployment":
        production.world.platform.deployed("e" * 40, "main", "Somebody's")
    else:
        await production.sql("CREATE INDEX somebody ON user_systems (role)")
    state = await production.state()
    ending = await production.release("--rollback")
    assert (ending.code, ending.report["verdict"]) == (3, "refused"), ending.report
    for part in words:
        assert part in ending.report["cause"]
    assert await production.state() == state


async def test_accepted_release_drops_its_rollback_data(production: AnyProduction) -> None:
    """Data kept for the rollback is dropped; a later rollback is refused with that reason."""
    run = (await production.release()).report["run_id"]
    kept = "SELECT name FROM sqlite_schema WHERE name GLOB '_orchestrate_kept_*'"
    assert await production.sql(kept)
    accepted = await production.release("--accept")
    assert (accepted.code, accepted.report["verdict"]) == (0, "accepted"), accepted.report
    assert await production.sql(kept) == []
    assert (await _marker(production, run))[1] is not None
    ending = await production.release("--rollback", run)
    assert ending.report["undo"] == []
    assert "user_systems" in (await production.state()).schema


@pytest.mark.on("process")
async def test_absent_change_cannot_be_accepted(production: Production) -> None:
    """A run whose change was rolled back, or never applied, has nothing to keep."""
    run = await _killed(production, "begun", "vercel_deployment")
    ending = await production.release("--accept", run)
    assert (ending.code, "not in the database" in ending.report["cause"]) == (3, True), ending.report


@pytest.mark.on("process")
async def test_interrupted_run_can_be_accepted(production: Production) -> None:
    """If everything arrived but the end, the operator may keep it; the next release is not refused for it."""
    run = await _killed(production, "done", "health_checks")
    assert (await production.release("--accept", run)).code == 0
    following = await production.release("--dry-run")
    assert "it was cut off" not in str(following.report["cause"])


@pytest.mark.on("process")
async def test_unlock_is_refused_while_the_change_is_in_doubt(production: Production) -> None:
    """While the change is in the database and not accepted, --unlock is refused and names both remedies."""
    run = await _killed(production, "done", "turso_migration")
    ending = await production.release("--unlock", run)
    assert ending.code == 3, ending.report
    for way in (f"--rollback {run}", f"--accept {run}"):
        assert way in ending.report["next_action"]


@pytest.mark.on("process")
async def test_lock_of_a_dead_run_is_released(production: Production) -> None:
    """Nothing of the run can commit any more, its leftovers are named, and its lock is free."""
    run = await _killed(production, "done", "git_push")
    ending = await production.release("--unlock", run)
    assert (ending.code, ending.report["verdict"]) == (0, "unlocked"), ending.report
    assert any("main is at" in text for text in ending.report["warnings"])
    assert (await _marker(production, run))[0] == "fenced"
    assert await production.sql("SELECT count(*) FROM _orchestrate_lock WHERE expires_at > unixepoch()") == [(0,)]


@pytest.mark.on("process")
async def test_lost_journal_is_replaced_by_the_marker_row(production: Production) -> None:
    """Elsewhere, once the lease has expired, the marker row tells what to roll back; the sources are reported."""
    before = await production.state()
    run = await _killed(production, "begun", "health_checks")
    shutil.rmtree(production.folder / "runs")
    early = await production.release("--rollback", run)
    assert (early.code, "it may be alive on" in early.report["cause"]) == (3, True), early.report
    await production.sql("UPDATE _orchestrate_lock SET expires_at = 1")
    ending = await production.release("--rollback", run)
    assert ending.code == 0, ending.report
    assert any("its journal is not here" in text for text in ending.report["warnings"])
    assert await production.state() == before


@pytest.mark.on("process")
async def test_copied_journal_rolls_back_after_the_lease_has_expired(production: Production) -> None:
    """With only the journal of an interrupted CI job, the lease is respected, and then all is rolled back."""
    before = await production.state()
    run = await _killed(production, "done", "turso_migration")
    journal = _journal(production, run)
    kept = journal.read_bytes()
    shutil.rmtree(production.folder / "runs")
    journal.parent.mkdir(parents=True)
    journal.write_bytes(kept)
    await production.sql("UPDATE _orchestrate_lock SET host = 'elsewhere'")
    early = await production.release("--rollback", run)
    assert (early.code, "may be alive on elsewhere" in early.report["cause"]) == (3, True)
    await production.sql("UPDATE _orchestrate_lock SET expires_at = unixepoch() - 1")
    assert (await production.release("--rollback", run)).code == 0
    assert await production.state() == before


@pytest.mark.on("process")
async def test_older_checkout_can_roll_back(production: Production) -> None:
    """A colleague's clone that is older than the release, and has no journal, still rolls it back."""
    before, elsewhere = await production.state(), production.folder / "elsewhere"
    url = await production.git("remote", "get-url", "origin", where=production.world.checkout)
    await production.git("clone", "--quiet", url, str(elsewhere))
    run = await _killed(production, "begun", "health_checks")
    shutil.rmtree(production.folder / "runs")
    await production.sql("UPDATE _orchestrate_lock SET expires_at = 1")
    ending = await production.release("--rollback", run, top=f'repository = "{elsewhere}"')
    assert ending.code == 0, ending.report
    assert await production.state() == before


@pytest.mark.on("process")
async def test_two_concurrent_rollbacks_of_the_same_run(production: Production) -> None:
    """Of two engineers without its journal one rolls it back; the other touches nothing and is told of the first."""
    before = await production.state()
    run = await _killed(production, "begun", "health_checks")
    shutil.rmtree(production.folder / "runs")
    await production.sql("UPDATE _orchestrate_lock SET expires_at = 1")
    endings = await asyncio.gather(*(production.release("--rollback", run) for _ in range(2)))
    assert sorted(ending.code for ending in endings) == [0, 3], [ending.report for ending in endings]
    winner, other = sorted(endings, key=lambda ending: ending.code)
    told = (f"(in run {winner.report['run_id']})", "another run took it after the preflight")
    assert any(part in other.report["cause"] for part in told), other.report["cause"]
    assert await production.state() == before


@pytest.mark.on("process")
async def test_unknown_run_is_refused_with_the_last_holder(production: Production) -> None:
    """Without journal and marker row nothing is touched; who held the lock last, and where, is reported."""
    run = await _killed(production, "done", "git_push")
    shutil.rmtree(production.folder / "runs")
    ending = await production.release("--rollback", run)
    assert ending.code == 3, ending.report
    for part in ("its journal is not here", f"run {run} of ", " on ", "since"):
        assert part in ending.report["cause"]


@pytest.mark.on("process")
async def test_only_one_of_four_concurrent_releases_runs(production: Production) -> None:
    """Of four orchestrators exactly one releases; the others name the run that holds the lock, and touch nothing."""
    production.world.platform.build_seconds = 4.0
    endings = await asyncio.gather(*(production.release() for _ in range(4)))
    codes = sorted(ending.code for ending in endings)
    assert codes == [0, 3, 3, 3]
    winner = next(ending.report["run_id"] for ending in endings if ending.code == 0)
    for ending in endings:
        assert ending.code == 0 or winner in ending.report["cause"], json.dumps(ending.report["cause"])


@pytest.mark.on("process")
async def test_run_suspended_past_its_deadline_rolls_back(production: Production) -> None:
    """A process that was stopped beyond its forward time rolls back what it had begun when it wakes."""
    before, config = await production.state(), production.configure(budget="total = 24\nreserve = 16")
    async with production.started("--prod", "--yes", "--json", "--config", str(config)) as process:

        async def react(event: Event) -> None:
            if (event["event"], event.get("step")) == ("begun", "turso_migration"):
                process.send_signal(signal.SIGSTOP)
                await asyncio.sleep(10)
                process.send_signal(signal.SIGCONT)

        ending = await production.watched(process, react)
    assert (ending.code, ending.report["verdict"]) == (1, "rolled_back"), ending.report
    assert "health_checks" in [row["name"] for row in ending.report["steps"] if row["status"] == "not_begun"]
    assert await production.state() == before
