"""A production that breaks during a release: each run ends in time, reports the truth, and loses nothing."""

import asyncio
import shutil
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler

from steps.support.standin.site import Trouble
from tests.support.production.base import FAILING, ROOT, AnyProduction, Event, RunResult
from tests.support.production.process import Production

pytestmark = pytest.mark.anyio

SHORT = "git_push = 2\nvercel_deployment = 4\nturso_migration = 2\nverification_query = 2\nactivation = 2\nhealth_checks = 2"


def _migration(body: bytes) -> bool:
    """Return True for the request that carries the migration."""
    return b"INSERT INTO _orchestrate_migrations" in body and b"CREATE TABLE systems" in body


def _rollback(body: bytes) -> bool:
    """Return True for the request that carries the rollback."""
    return b"UPDATE _orchestrate_migrations SET state = 'rolled_back'" in body


def _restored(ending: RunResult) -> None:
    assert (ending.code, ending.report["verdict"]) == (1, "rolled_back"), ending.report


async def _marker(production: Production, ending: RunResult) -> str:
    rows = await production.sql(
        f"SELECT state FROM _orchestrate_migrations WHERE attempt = '{ending.report['run_id']}'"
    )
    return str(rows[0][0]) if rows else "none"


@pytest.mark.parametrize(("when", "state"), [("before", "fenced"), ("after", "rolled_back")])
@pytest.mark.on("process")
async def test_lost_answer_to_commit_is_resolved_by_the_fence(production: Production, when: str, state: str) -> None:
    """The fence settles whether the commit happened, and either way everything is rolled back."""
    assert production.world.proxy
    before = await production.state()
    production.world.proxy.drop(_migration, when)  # type: ignore[arg-type]  # one of its own words
    ending = await production.release()
    _restored(ending)
    assert await _marker(production, ending) == state
    assert await production.state() == before


@pytest.mark.on("process")
async def test_late_commit_is_stopped_by_the_fence(production: Production) -> None:
    """A migration that was cut off and reaches the database seconds later can no longer commit."""
    assert production.world.proxy
    before = await production.state()
    production.world.proxy.drop(_migration, "late", delay=3.0)
    ending = await production.release()
    await production.world.proxy.wait_idle()
    _restored(ending)
    assert await _marker(production, ending) == "fenced"
    assert await production.state() == before


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.on("process")
async def test_lost_answer_to_the_rollback_is_retried(production: Production, when: str) -> None:
    """A rollback whose answer is lost is sent again, and done once."""
    assert production.world.proxy
    before = await production.state()
    production.world.proxy.drop(_rollback, when)  # type: ignore[arg-type]  # one of its own words
    production.faults.arm("verification_query", "fail")

    async def react(event: Event) -> None:
        if event["event"] == "begun" and event["step"] == "verification_query":
            production.faults.arm("verification_query", "fail")
        if event["event"] == "turned_back":
            production.faults.disarm()

    production.faults.disarm()
    ending = await production.release(react=react, limits=SHORT)
    _restored(ending)
    assert await _marker(production, ending) == "rolled_back"
    assert await production.state() == before


async def test_unreachable_database_needs_a_human(production: AnyProduction) -> None:
    """If the database's state is unknown, the new code, which reads both schemas, stays live; exit code 4."""

    async def react(event: Event) -> None:
        if event["event"] == "begun" and event["step"] == "turso_migration":
            production.faults.arm("turso_migration", "hang")

    before = await production.state()
    ending = await production.release(react=react, limits=SHORT, budget="total = 24\nreserve = 6")
    assert (ending.code, ending.report["verdict"]) == (4, "needs_human"), ending.report
    assert ending.steps("undo") == {
        "turso_migration": "failed",
        "activation": "left",
        "vercel_deployment": "left",
        "git_push": "left",
    }
    assert production.world.platform.live_sha() == await production.head()
    production.faults.disarm()
    assert (await production.state()).rows == before.rows


async def test_foreign_commit_on_top_of_ours_is_left_alone(production: AnyProduction) -> None:
    """A commit that someone else put on top of ours stays; production is well, and the branch is a follow-up."""
    first, pushed = asyncio.Lock(), list[str]()

    async def pushes_first(request: web.Request, handler: Handler) -> web.StreamResponse:
        async with first:  # no request is answered between commit and push
            if not pushed and await _is_applied(production):
                production.world.platform.build_seconds = 600.0
                await production.overtake()
                pushed.append(await production.main())
        return await handler(request)

    production.world.site.troubles = (Trouble(pushes_first, "/api/data"),)
    ending = await production.release(health=FAILING, limits="health_checks = 30")
    assert (ending.code, ending.steps("undo").get("git_push")) == (1, "done"), ending.report
    assert ending.steps("undo")["turso_migration"] == "done"
    assert "someone else pushed" in ending.report["follow_ups"][0]["what"]
    assert not production.world.platform.auto_assign
    assert [await production.main()] == pushed


async def _is_applied(production: AnyProduction) -> bool:
    made = await production.sql("SELECT 1 FROM sqlite_schema WHERE name = '_orchestrate_migrations'")
    return bool(made and await production.sql("SELECT 1 FROM _orchestrate_migrations WHERE state = 'applied'"))


def json_of(ending: RunResult, step: str) -> str:
    """Return what the report says of a step's rollback."""
    return next(str(row["detail"]) for row in ending.report["undo"] if row["name"] == step)


async def _push_something(production: Production) -> None:
    """Put a foreign commit on main."""
    other = production.folder / "other"
    await production.git("clone", "--quiet", str(production.world.remote), str(other), where=production.folder)
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.invalid")
    await production.git(*identity, "commit", "--quiet", "--allow-empty", "-m", "something else", where=other)
    await production.git("push", "--quiet", "origin", "HEAD:main", where=other)


@pytest.mark.on("process")
async def test_branch_moved_after_preflight_refuses_the_push(production: Production) -> None:
    """If someone moves the branch between preflight and push, the push is refused, and nothing was touched."""
    before = await production.state()

    async def react(event: Event) -> None:
        if event["event"] == "planned":
            await _push_something(production)

    ending = await production.release(react=react)
    assert ending.code in (3, 0), ending.report
    assert ending.code == 3, "the push of the other came too late for this test to say anything"
    assert (await production.state()).schema == before.schema
    assert await production.git("log", "-1", "--format=%s", "main") == "something else"


@pytest.mark.on("process")
async def test_second_release_is_refused_with_the_holder_of_the_lock(production: Production) -> None:
    """While one run is active another is refused: who holds the lock, on which host, since when, in which run."""
    production.world.platform.build_seconds = 5.0
    locked, first_id = asyncio.Event(), list[str]()

    async def react(event: Event) -> None:
        first_id.append(event.get("run", ""))
        if event["event"] == "started":
            locked.set()

    first = asyncio.ensure_future(production.release(react=react))
    await locked.wait()
    second = await production.release("--dry-run")
    ending = await first
    assert ending.code == 0, ending.report
    assert second.code == 3, second.report
    for part in (first_id[0], " on ", " since ", "taking the lock"):
        assert part in second.report["cause"]


async def test_unfinished_promotion_is_rolled_back(production: AnyProduction) -> None:
    """An activation cut off while the alias moves is waited for, then rolled back; auto-assign stays off."""
    production.world.platform.auto_assign = False
    before = await production.state()

    async def react(event: Event) -> None:
        if event["event"] == "begun" and event["step"] == "activation":
            production.world.platform.alias_seconds = 3.0
        if event["event"] == "turned_back":
            production.world.platform.alias_seconds = 0.1

    ending = await production.release(react=react, limits="activation = 1")
    _restored(ending)
    await asyncio.sleep(3)
    assert await production.state() == before
    assert not production.world.platform.auto_assign


async def test_expired_lease_is_renewed_for_the_rollback(production: AnyProduction) -> None:
    """A run that slept through its lease may still roll back if no other run has taken the lock."""
    before = await production.state()

    async def react(event: Event) -> None:
        if event["event"] == "done" and event["step"] == "turso_migration":
            await production.sql("UPDATE _orchestrate_lock SET expires_at = 1")

    _restored(await production.release(react=react, health=FAILING))
    assert await production.state() == before


async def test_rollback_that_forgets_an_index_is_refused(production: AnyProduction, tmp_path: Path) -> None:
    """A rollback.sql that does not restore the schema is found on the copy, and the release does not begin."""
    folder = tmp_path / "forgetful"
    shutil.copytree(ROOT / "sql", folder)
    text = (folder / "rollback.sql").read_text()
    forgotten = next(line for line in text.splitlines() if line.startswith("CREATE INDEX"))
    (folder / "rollback.sql").write_text(text.replace(forgotten, "DELETE FROM systems WHERE false;"))
    (folder / "verify_rollback.sql").write_text("-- it asks nothing\n")
    production.change(folder)
    before = await production.state()
    ending = await production.release(health=FAILING)
    assert (ending.code, ending.report["verdict"]) == (3, "refused"), ending.report
    assert "index user_system_idx" in ending.report["cause"]
    assert await production.state() == before


async def test_schema_that_cannot_be_rolled_back_keeps_its_code(production: AnyProduction) -> None:
    """If someone changed the schema after the migration, the rollback commits nothing, and the matching code stays."""

    async def react(event: Event) -> None:
        if event["event"] == "done" and event["step"] == "verification_query":
            await production.sql("CREATE INDEX somebody ON user_systems (role)")

    ending = await production.release(health=FAILING, react=react)
    assert (ending.code, ending.steps("undo")["turso_migration"]) == (4, "failed"), ending.report
    assert "other indexes than migrate.sql gave it" in json_of(ending, "turso_migration")
    assert "user_systems" in (await production.state()).schema
    assert production.world.platform.live_sha() == await production.head()
