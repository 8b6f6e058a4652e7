"""Releases whose commit is on the branch already: what the contract rules out, what moves meanwhile, and later rollbacks."""

import asyncio
import shutil
from pathlib import Path

import pytest

from steps.support.config.loading import Misconfigured, for_production, load
from steps.support.standin.vercel.quirks import NO_DEPLOYMENT, Build, Quirks
from steps.support.standin.vercel.state import Checks
from tests.support.production.base import FAILING, AnyProduction, Event, RunResult
from tests.support.production.changes import EXPANDING, NEEDS_NOTES, changed
from tests.support.production.process import AUTHOR, Production
from tests.support.virtual.production import VirtualProduction

pytestmark = pytest.mark.anyio

NONE = 'release = "none"'


async def _released(production: AnyProduction, *words: str, **extra: str) -> RunResult:
    top = f'repository = "{production.world.checkout}"\n{NONE}'
    return await production.release(*words, react=None, top=top, **extra)


def _merge(production: VirtualProduction, seconds: float = 0.0) -> None:
    """Move the remote branch to the commit to release; its build takes so many seconds."""
    production.world.platform.build_seconds = seconds
    production.world.platform.alias_seconds = 0.0
    production.remote.advance(production.checkout.head)
    production.world.platform.catch_up()


async def test_live_code_that_needs_the_new_schema_is_refused(production: VirtualProduction, tmp_path: Path) -> None:
    """Code that is live before its schema is refused before anything, and the setting that helps is named."""
    production.change(changed(tmp_path / "sql", EXPANDING, NEEDS_NOTES))
    _merge(production)
    before = await production.state()
    ending = await _released(production)
    assert (ending.code, ending.report["verdict"]) == (3, "refused"), ending.report
    assert "not DATA_FIRST, because the code is live already; with auto-assign" in ending.report["cause"]
    assert ending.report["runbook"].endswith("#no-safe-order")
    assert await production.state() == before


@pytest.mark.parametrize("held", [False, True], ids=["auto-assign off", "--skip-domain"])
async def test_staged_code_waits_for_the_schema(production: VirtualProduction, tmp_path: Path, *, held: bool) -> None:
    """The same commit, staged, is released schema first: with auto-assign off, or deployed with --skip-domain."""
    platform = production.world.platform
    production.change(changed(tmp_path / "sql", EXPANDING, NEEDS_NOTES))
    platform.auto_assign, platform.quirks = held, Quirks(pushes=(Build(held=held),))
    _merge(production)
    ending = await _released(production)
    assert (ending.code, ending.report["order"]) == (0, "DATA_FIRST"), ending.report
    assert (platform.live_sha(), platform.auto_assign) == (production.checkout.head, held)
    assert next(iter(ending.steps())) == "branch_head"
    assert [each["sha"] for each in ending.report["commits"]] == [production.checkout.head]


async def test_branch_that_moves_after_the_plan_is_refused(production: VirtualProduction) -> None:
    """A push between the plan and the lock refuses the run: another commit would be released."""
    _merge(production)

    async def react(event: Event) -> None:
        if event["event"] == "planned":
            await production.overtake()

    top = f'repository = "{production.world.checkout}"\n{NONE}'
    ending = await production.release(react=react, top=top)
    assert (ending.code, ending.report["verdict"]) == (3, "refused"), ending.report
    assert not [event for event in ending.events if event["event"] == "begun"]


async def test_long_build_costs_no_budget(production: VirtualProduction) -> None:
    """With a clock that starts once the build is staged, the build of a merged commit takes none of the budget."""
    production.world.platform.auto_assign = False
    _merge(production, seconds=40.0)
    ending = await _released(production, budget='starts = "live"\ntotal = 13\nreserve = 5\nbuild = 60')
    assert (ending.code, ending.report["verdict"]) == (0, "deployed"), ending.report
    assert ending.report["budget"]["used_seconds"] < 8


@pytest.mark.parametrize("journal", [True, False], ids=["journal", "marker row"])
async def test_regretted_release_is_rolled_back(production: VirtualProduction, *, journal: bool) -> None:
    """A release of a live commit that arrived is rolled back later, from its journal or from its marker row.

    The deployment of before goes live, the old schema is back, and nothing is pushed: the branch is a follow-up.
    """
    first = await production.state()
    _merge(production)
    tip = production.remote.tip
    arrived = await _released(production)
    assert arrived.code == 0, arrived.report
    run = arrived.report["run_id"]
    if not journal:
        shutil.rmtree(production.folder / "runs" / run)
    ending = await _released(production, "--rollback", run)
    assert (ending.code, ending.report["verdict"], len(ending.report["follow_ups"])) == (1, "rolled_back", 1), (
        ending.report
    )
    after = await production.state()
    assert (after.schema, after.rows, after.live) == (first.schema, first.rows, first.live)
    assert production.remote.tip == tip
    assert list(ending.steps("undo").items())[-1] == ("branch_head", "done")
    assert "git_push" not in ending.steps("undo")


async def test_failed_release_of_a_live_commit_can_be_repeated(production: VirtualProduction) -> None:
    """After it was rolled back, the same commit is staged: production is pinned, and the next run releases it."""
    _merge(production)
    failed = await _released(production, health=FAILING)
    assert (failed.code, failed.report["verdict"]) == (1, "rolled_back"), failed.report
    assert "autoAssignCustomDomains" in failed.report["unpin"]
    ending = await _released(production)
    assert (ending.code, production.world.platform.live_sha()) == (0, production.checkout.head), ending.report


@pytest.mark.parametrize("reverted", [False, True], ids=["others on top", "reverted"])
async def test_commit_is_a_follow_up_unless_it_was_reverted(production: VirtualProduction, *, reverted: bool) -> None:
    """What others merged on top changes nothing; if the branch has the previous files again, nothing is left to do."""
    remote, platform = production.remote, production.world.platform
    previous, merged = (remote.history.commits[each].tree for each in (remote.tip, production.checkout.head))
    _merge(production)

    async def react(event: Event) -> None:
        if event["event"] == "turned_back":
            remote.tip = remote.history.commit(previous if reverted else merged, remote.tip, "the next merge")

    top = f'repository = "{production.world.checkout}"\n{NONE}'
    ending = await production.release(react=react, top=top, health=FAILING)
    assert (ending.code, ending.report["verdict"], ending.report["remains"]) == (1, "rolled_back", []), ending.report
    assert (bool(ending.report["follow_ups"]), platform.auto_assign) == (not reverted, False)


async def test_branch_that_does_not_answer_holds_up_no_rollback(production: VirtualProduction) -> None:
    """Production is back within its time, and pinned, although the git remote hangs from the failure on."""
    _merge(production)

    async def react(event: Event) -> None:
        if event["event"] == "turned_back":
            production.faults.arm("git_push", "hang")

    top = f'repository = "{production.world.checkout}"\n{NONE}'
    ending = await production.release(react=react, top=top, health=FAILING)
    assert (ending.code, ending.report["verdict"], ending.report["remains"]) == (1, "rolled_back", []), ending.report
    assert len(ending.report["follow_ups"]) == 1
    assert not production.world.platform.auto_assign


async def test_deployment_of_others_is_left_alone_with_its_setting(production: VirtualProduction) -> None:
    """If others deploy over it, their deployment stays, and so does auto-assign, which is theirs to switch."""
    platform = production.world.platform
    _merge(production)

    async def react(event: Event) -> None:
        if event["event"] == "begun" and event["step"] == "turso_migration":
            platform.deployed("e" * 40, "main", "somebody's")

    top = f'repository = "{production.world.checkout}"\n{NONE}'
    ending = await production.release(react=react, top=top)
    assert (platform.live_sha(), platform.auto_assign) == ("e" * 40, True), ending.report
    (left,) = [event for event in ending.events if event["event"] == "undo_done" and event["step"] == "branch_head"]
    assert left["follow_ups"]


async def test_checks_that_still_run_cannot_carry_it_live(production: VirtualProduction) -> None:
    """A build whose checks run at the rollback, with auto-assign on, is pinned before the checks end."""
    platform = production.world.platform
    platform.quirks = Quirks(pushes=(Build(checks=Checks(("E2E",), 30)),))
    _merge(production)
    ending = await _released(production, limits="vercel_deployment = 3")
    assert (ending.code, ending.report["verdict"]) == (1, "rolled_back"), ending.report
    assert "its checks run: E2E" in ending.report["cause"]
    assert not platform.auto_assign


async def test_dry_run_changes_nothing(production: VirtualProduction) -> None:
    """--prod --dry-run shows the plan of a merged commit, and moves nothing."""
    production.world.platform.auto_assign = False
    _merge(production)
    before = await production.state()
    ending = await _released(production, "--dry-run")
    assert (ending.code, ending.report["verdict"]) == (0, "rehearsed"), ending.report
    assert await production.state() == before


@pytest.mark.on("process")
async def test_merged_commit_is_released_from_any_checkout(production: Production) -> None:
    """With real git: the checkout is at another commit, detached and not clean, as in a job; nothing of it matters."""
    head, here = await production.head(), production.world.checkout
    production.world.platform.auto_assign = False
    await production.git("push", "--quiet", "origin", "main", where=here)
    await production.git("checkout", "--quiet", "--detach", "HEAD~1", where=here)
    (here / "left.txt").write_text("by an earlier step of the job")
    ending = await _released(production)
    assert (ending.code, production.world.platform.live_sha()) == (0, head), ending.report
    assert ending.report["commits"][0]["sha"] == head
    assert await production.main() == head


@pytest.mark.on("process")
async def test_commit_that_stays_on_the_branch_is_a_follow_up(production: Production) -> None:
    """With real git: after a failed release, the commands of the follow-up put the previous files on a branch."""
    before, here = await production.tree(), production.world.checkout
    production.world.platform.build_seconds = production.world.platform.alias_seconds = 0.0
    await production.git("push", "--quiet", "origin", "main", where=here)
    ending = await _released(production, health=FAILING)
    assert (ending.code, ending.report["verdict"]) == (1, "rolled_back"), ending.report
    (left,) = [event for event in ending.events if event["event"] == "undo_done" and event["step"] == "branch_head"]
    (follow_up,) = left["follow_ups"]
    assert "this run did not push" in follow_up["what"]
    words = dict(zip(("user.name", "user.email"), (AUTHOR[1], AUTHOR[3]), strict=True))
    for key, value in words.items():
        await production.git("config", key, value.partition("=")[2], where=here)
    (command,) = follow_up["commands"]
    done = await asyncio.create_subprocess_exec("sh", "-c", command, env=production.environment)
    assert await done.wait() == 0
    assert await production.git("rev-parse", f"rollback-{ending.report['run_id']}^{{tree}}") == before
    assert await production.main() == await production.git("rev-parse", "main", where=here)


@pytest.mark.on("process")
async def test_command_deploys_the_commit(production: Production) -> None:
    """With real processes: the command runs in the checkout, its URL is found, and its deployment goes live."""
    head, platform, here = await production.head(), production.world.platform, production.world.checkout
    platform.auto_assign, platform.quirks = False, Quirks(pushes=(NO_DEPLOYMENT,))
    await production.git("push", "--quiet", "origin", "main", where=here)

    async def react(event: Event) -> None:
        if event["event"] == "begun" and event["step"] == "deploy_command":
            platform.pushed(head, "main", "deployed by the command")

    command = (
        "test $COMMIT_SHA = $(git rev-parse HEAD) && test $VERCEL_TOKEN && echo https://liveone-2-standin.vercel.app"
    )
    vercel = f'project = "liveone"\napi = "{production.world.api_url}"\ndeploy = "{command}"'
    top = f'repository = "{here}"\n{NONE}'
    ending = await production.release(react=react, top=top, vercel=vercel)
    assert (ending.code, platform.live_sha()) == (0, head), ending.report
    assert next(iter(ending.steps())) == "deploy_command"


@pytest.mark.on("process")
async def test_protected_branch_names_the_other_way(production: Production) -> None:
    """With real git: a hook of the remote refuses the push in GitHub's words; the refusal names release = "none"."""
    hook = production.world.remote / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'error: GH006: Protected branch update failed for refs/heads/main.' >&2\nexit 1\n")
    hook.chmod(0o755)
    before = await production.state()
    ending = await production.release()
    assert (ending.code, ending.report["verdict"]) == (3, "refused"), ending.report
    assert "GH006" in ending.report["cause"]
    assert 'release = "none"' in ending.report["next_action"]
    assert await production.state() == before


def test_deploying_command_needs_the_setting(tmp_path: Path) -> None:
    """A command without release = "none" is a mistake in the settings: exit code 2, with the words for it."""
    (tmp_path / "app").mkdir()
    (tmp_path / "o.toml").write_text('repository = "app"\n[vercel]\ndeploy = "vercel deploy"\n')
    with pytest.raises(Misconfigured, match=r'vercel\.deploy: it is used only with release = "none"'):
        for_production(load(tmp_path / "o.toml"))
