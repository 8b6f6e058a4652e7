"""A database that answers every question and takes no writes: the verification says so; afterwards it is settled."""

from contextlib import AsyncExitStack
from typing import Any

import pytest

from steps.support.gateways.turso import RolledBack, Turso
from tests.support.production.base import FAILING, Event, Reaction
from tests.support.virtual.production import VirtualProduction

pytestmark = pytest.mark.anyio

SHORT = "total = 40\nreserve = 20"


def locked(production: VirtualProduction, stack: AsyncExitStack, *, until: str) -> Reaction:
    """Block all writes from the commit until that event of the verification; empty: permanently."""

    async def react(event: Event) -> None:
        if (event["event"], event.get("step")) == ("done", "turso_migration"):
            await stack.enter_async_context(production.store.write_locked())
        if (event["event"], event.get("step")) == (until, "verification_query"):
            await stack.aclose()

    return react


async def test_blocked_writes_fail_the_verification_and_are_rolled_back_later(production: VirtualProduction) -> None:
    """The cause names the blocked writes, not a timeout; once writes are taken, everything is rolled back."""
    before = await production.state()
    async with AsyncExitStack() as stack:
        ending = await production.release(react=locked(production, stack, until="failed"))
    assert (ending.code, ending.report["verdict"]) == (1, "rolled_back"), ending.report
    cause, after = ending.report["cause"], ending.report["next_action"]
    assert cause.startswith("writing after the commit to memory:production: it answers queries but takes no writes")
    assert "runbook.md#no-writes" in after
    assert ending.steps()["verification_query"] == "failed"
    assert await production.state() == before


async def test_permanently_blocked_writes_need_a_human(production: VirtualProduction) -> None:
    """The rollback cannot be written: the code stays and leftovers are reported; one command rolls back later."""
    before = await production.state()
    async with AsyncExitStack() as stack:
        ending = await production.release(react=locked(production, stack, until=""), budget=SHORT)
        assert (ending.code, ending.report["verdict"]) == (4, "needs_human"), ending.report
        assert "takes no writes" in ending.report["cause"]
        assert ending.steps("undo")["turso_migration"] == "failed"
        assert ending.steps("undo")["git_push"] == "left"
        assert any("is applied in memory:production" in each for each in ending.report["remains"])
    again = await production.release("--rollback")
    assert again.code == 0, again.report
    assert await production.state() == before


async def test_rollback_followed_by_blocked_writes_needs_a_human(
    production: VirtualProduction, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If everything is rolled back but no one can write, the run does not end as if production were healthy."""
    real, before = Turso.roll_back, await production.state()
    async with AsyncExitStack() as stack:

        async def roll_back(self: Turso, *what: Any) -> RolledBack:
            done = await real(self, *what)
            await stack.enter_async_context(production.store.write_locked())
            return done

        monkeypatch.setattr(Turso, "roll_back", roll_back)
        ending = await production.release(health=FAILING, budget=SHORT)
        assert (ending.code, ending.report["verdict"]) == (4, "needs_human"), ending.report
        (undone,) = [step for step in ending.report["undo"] if step["name"] == "turso_migration"]
        assert undone["status"] == "failed"
        assert "it answers queries but takes no writes" in undone["detail"]
    assert (await production.release("--rollback")).code == 0
    assert await production.state() == before
