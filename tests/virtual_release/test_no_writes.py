"""A database that answers every question and takes no write: told by the verification, and settled once it is over."""

from contextlib import AsyncExitStack
from typing import Any

import pytest

from steps.support.gateways.turso import RolledBack, Turso
from tests.world.production import FAILING, Event, Reaction
from tests.world.virtual import VirtualProduction

pytestmark = pytest.mark.anyio

SHORT = "total = 40\nreserve = 20"


def locked(production: VirtualProduction, stack: AsyncExitStack, *, until: str) -> Reaction:
    """Have nobody write from the commit on, until that event of the verification; empty: for good."""

    async def react(event: Event) -> None:
        if (event["event"], event.get("step")) == ("done", "turso_migration"):
            await stack.enter_async_context(production.store.write_locked())
        if (event["event"], event.get("step")) == (until, "verification_query"):
            await stack.aclose()

    return react


async def test_it_fails_the_verification_and_is_rolled_back_once_writes_are_taken(
    production: VirtualProduction,
) -> None:
    """The cause says what it is, in place of a step that ran out of time, and all is as before."""
    before = await production.state()
    async with AsyncExitStack() as stack:
        ending = await production.release(react=locked(production, stack, until="failed"))
    assert (ending.code, ending.report["verdict"]) == (1, "rolled_back"), ending.report
    cause, after = ending.report["cause"], ending.report["next_action"]
    assert cause.startswith("writing after the commit to memory:production: it answers queries but takes no writes")
    assert "runbook.md#no-writes" in after
    assert ending.steps()["verification_query"] == "failed"
    assert await production.state() == before


async def test_for_good_it_needs_a_human_and_is_settled_afterwards(production: VirtualProduction) -> None:
    """The rollback cannot be written either: the code stays, and what remains is told; later one command rolls back."""
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


async def test_a_rollback_after_which_nobody_can_write_needs_a_human(
    production: VirtualProduction, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All is as before but that nobody can write: the run does not end as if production were well."""
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
