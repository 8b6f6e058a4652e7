"""Rolling back if part of it is done already, or cannot be done."""

import asyncio
from dataclasses import replace

import pytest

from tests.support.production.base import FAILING, Event
from tests.support.virtual.production import VirtualProduction

pytestmark = pytest.mark.anyio


async def test_found_pin_is_reported_with_its_command(production: VirtualProduction) -> None:
    """If the previous deployment is live again and auto-assign is off since, the command to unpin is reported."""
    platform = production.world.platform
    before = platform.production

    async def react(event: Event) -> None:
        if event["event"] == "turned_back" and before:
            platform.alias_seconds = 0.0
            platform.move("rollback", before)

    ending = await production.release(react=react, health=FAILING)
    assert (ending.code, platform.production, platform.auto_assign) == (1, before, False)
    assert "autoAssignCustomDomains" in ending.report["unpin"]
    assert any("as before; the project is pinned" in str(undo["detail"]) for undo in ending.report["undo"])


async def test_schema_stays_if_code_cannot_be_rolled_back(production: VirtualProduction) -> None:
    """After schema first, the live code may need the new schema: both stay, or both are rolled back."""
    production.world.platform.auto_assign = False
    production.proof = replace(production.proof, ruled_out={"CODE_FIRST": "the new code runs on the new schema only"})

    async def react(event: Event) -> None:
        if event["event"] == "turned_back":
            production.faults.arm("activation", "fail")

    ending = await production.release(react=react, health=FAILING)
    assert (ending.code, ending.report["order"]) == (4, "DATA_FIRST")
    assert ending.steps("undo")["turso_migration"] == "left"
    assert production.world.platform.live_sha() == await production.head()
    assert await production.sql("SELECT state FROM _orchestrate_migrations") == [("applied",)]


async def test_late_promotion_is_rolled_back(production: VirtualProduction) -> None:
    """A promotion whose request was cut off, and which the platform accepts a second later, is still rolled back."""
    platform = production.world.platform
    platform.auto_assign = False
    before, ours = platform.production, await production.head()

    async def react(event: Event) -> None:
        if (event["event"], event.get("step")) == ("begun", "activation"):
            production.faults.arm("activation", "hang")
        if (event["event"], event.get("step")) == ("undo_begun", "activation"):
            production.faults.disarm()
            (late,) = (each.id for each in platform.deployments if each.sha == ours)
            asyncio.get_running_loop().call_later(1.0, platform.move, "promote", late)

    ending = await production.release(react=react, limits="activation = 2")
    await asyncio.sleep(5)
    platform.catch_up()
    assert (ending.code, platform.production, platform.served) == (1, before, before), ending.report
