"""Deployments of others, live or building, when the schema is about to change or a build about to be promoted."""

import asyncio
from dataclasses import replace

import pytest

from steps.support.gateways.vercel import Move, Project
from steps.support.operations.foreign_moves import find_foreign
from steps.support.standin.vercel.quirks import Quirks
from steps.support.standin.vercel.state import State
from tests.support.production.base import FAILING, Event
from tests.support.virtual.colleague import foreign_deployment
from tests.support.virtual.production import VirtualProduction

pytestmark = pytest.mark.anyio

KNOWN = {"dpl_old", "dpl_ours"}
SINCE = 100


def _project(target: str, *move: object) -> Project:
    return Project("prj", "liveone", True, target, Move(*move) if move else None, True)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("project", "theirs"),
    [
        (_project("dpl_old"), None),
        (_project("dpl_ours"), None),
        (_project("dpl_x"), "dpl_x"),
        (_project("dpl_old", "promote", "dpl_x", "in-progress", "dpl_old", 101), "dpl_x"),
        (_project("dpl_ours", "promote", "dpl_x", "succeeded", "dpl_old", 101), "dpl_x"),
        (_project("dpl_ours", "promote", "dpl_x", "failed", "dpl_old", 101), None),
        (_project("dpl_ours", "promote", "dpl_x", "skipped", "dpl_old", 101), None),
        (_project("dpl_old", "rollback", "dpl_x", "succeeded", "dpl_old", 100), None),
        (_project("dpl_ours", "promote", "dpl_ours", "succeeded", "dpl_x", 101), "dpl_x"),
        (_project("dpl_ours", "promote", "dpl_ours", "succeeded", "dpl_old", 101), None),
        (_project("dpl_old", "rollback", "dpl_old", "succeeded", "dpl_x", 101), None),
    ],
)
async def test_foreign_moves_of_production_are_recognised(project: Project, theirs: str | None) -> None:
    """The target, a move under way or a move since preflight shows others at work; older or failed moves do not."""
    assert find_foreign(project, KNOWN, SINCE, {"dpl_ours"}) == theirs
    if project.production_id in KNOWN and not project.moving_to:
        assert find_foreign(project, KNOWN, None, {"dpl_ours"}) is None


async def _foreign_push(production: VirtualProduction) -> None:
    """Have the platform build someone else's commit, and take its time."""
    platform = production.world.platform
    platform.build_seconds = 30.0
    platform.pushed("e" * 40, "main", "somebody's")


@pytest.mark.parametrize(
    "staged", [False, True], ids=["it would go live over ours", "a promotion would let it go live"]
)
async def test_foreign_build_under_way_stops_schema_and_promotion(production: VirtualProduction, staged: bool) -> None:  # noqa: FBT001
    """No schema is changed and no build promoted while someone else's build may go live: the build is named."""
    production.world.platform.auto_assign = not staged

    async def react(event: Event) -> None:
        if (event["event"], event.get("step")) == ("begun", "activation"):
            await _foreign_push(production)

    before = await production.state()
    ending = await production.release(react=react)
    assert (ending.code, ending.report["verdict"]) == (1, "rolled_back"), ending.report
    assert "of eeeeeeee" in ending.report["cause"]
    assert "would go live by itself" in ending.report["cause"]
    assert await production.state() == before


@pytest.mark.parametrize("staged", [False, True], ids=["auto-assign", "staged"])
async def test_build_that_would_overwrite_a_promotion_is_cancelled(production: VirtualProduction, staged: bool) -> None:  # noqa: FBT001
    """If someone promotes while our build runs, the build is cancelled and never takes production from theirs."""
    platform, theirs = production.world.platform, foreign_deployment(production)
    platform.auto_assign, platform.build_seconds = not staged, 5.0

    async def react(event: Event) -> None:
        if (event["event"], event.get("step")) == ("begun", "vercel_deployment"):
            platform.move("promote", theirs.id)

    ending = await production.release(react=react)
    await asyncio.sleep(10)
    ours = next(each for each in platform.deployments if each.sha == production.checkout.head)
    assert (ending.code, platform.served) == (4, theirs.id), ending.report
    assert (ours.state, ours.aliased) == (State.CANCELED, None)


@pytest.mark.parametrize("staged", [False, True], ids=["auto-assign", "staged"])
async def test_rollback_leaves_a_promotion_under_way_in_place(production: VirtualProduction, staged: bool) -> None:  # noqa: FBT001
    """A promotion under way when the rollback begins is the last move of production: none follows it."""
    platform, theirs = production.world.platform, foreign_deployment(production)
    platform.auto_assign = not staged

    async def react(event: Event) -> None:
        if event["event"] == "turned_back":
            platform.alias_seconds = 1.0
            platform.move("promote", theirs.id)

    ending = await production.release(react=react, health=FAILING)
    await asyncio.sleep(5)
    platform.catch_up()
    assert (ending.code, platform.served) == (4, theirs.id), ending.report
    assert platform.job
    assert (platform.job.kind, platform.job.target) == ("promote", theirs.id)


async def test_foreign_staged_build_does_not_block_the_release(production: VirtualProduction) -> None:
    """A deployment that was built while auto-assign is off waits for its owner, and the release arrives."""
    platform = production.world.platform
    platform.auto_assign = False
    platform.quirks = Quirks()
    platform.pushed("e" * 40, "main", "somebody's")
    await asyncio.sleep(5)
    ending = await production.release()
    assert (ending.code, ending.report["verdict"]) == (0, "deployed"), ending.report


@pytest.mark.parametrize("order", ["CODE_FIRST", "DATA_FIRST"])
async def test_schema_does_not_change_under_foreign_code(production: VirtualProduction, order: str) -> None:
    """A foreign deployment that went live just before the transaction ends the run before it."""
    platform = production.world.platform
    if order == "DATA_FIRST":
        platform.auto_assign = False
        production.proof = replace(production.proof, ruled_out={"CODE_FIRST": "the new code needs the new schema"})

    async def react(event: Event) -> None:
        if (event["event"], event.get("step")) == ("begun", "turso_migration"):
            platform.deployed("e" * 40, "main", "somebody's")

    schema = (await production.state()).schema
    ending = await production.release(react=react)
    assert (ending.code, ending.report["order"]) == (4, order), ending.report
    assert "under code that was tried with it" in ending.report["cause"]
    assert (await production.state()).schema == schema
