"""Ours went live over someone's deployment, which gets production back, unless someone else promotes meanwhile."""

import asyncio

import httpx
import pytest

from steps.support.gateways.site import Site
from steps.support.gateways.turso import Turso
from steps.support.gateways.vercel import Vercel
from steps.support.operations import promotion
from steps.support.operations.production import Production
from steps.support.run.release import Gateways
from steps.support.standin.vercel.quirks import Answer, Quirks, Trouble
from steps.support.standin.world import HOST, TOKEN
from tests.support.virtual.colleague import foreign_deployment, promote
from tests.support.virtual.database import MemoryDatabase
from tests.support.virtual.git import MAIN, MemoryGit
from tests.support.virtual.production import VirtualProduction

pytestmark = [pytest.mark.anyio, pytest.mark.slow]  # many releases each

EVERY_TRY = 0.01  # seconds between two tries of a promotion
LATER = 30.0  # seconds in which everything under way arrives
EVERY, UNTIL = 0.1, 1.5  # seconds: when the other colleague promotes
TROUBLES = [Answer.CONFLICT, Answer.LIMITED, Answer.ERROR, Answer.RESET, Answer.LOST]


async def _rolled_back(
    production: VirtualProduction, trouble: Answer, after: float | None, seconds: float
) -> tuple[str, str]:
    """Roll back from ours, live over theirs; return who got production, and who should have got it.

    The first rollback is in trouble. `after`: seconds until another colleague promotes, None: no one does. `seconds`:
    how long the other colleague's alias takes.
    """
    platform, head = production.world.platform, production.checkout.head
    before, ours = platform.known[0], foreign_deployment(production, head)
    theirs, other = foreign_deployment(production, "d" * 40), foreign_deployment(production, "e" * 40)
    for each in (theirs, ours):
        await promote(production, each, 0.0, EVERY_TRY)
    platform.alias_seconds, platform.quirks = 0.1, Quirks(troubles=(Trouble(trouble, f"/rollback/{theirs.id}", 1),))
    tasks = list[asyncio.Task[None]]()
    if after is not None:
        asyncio.get_running_loop().call_later(
            after, lambda: tasks.append(asyncio.ensure_future(promote(production, other, seconds, EVERY_TRY)))
        )
    headers, transport = {"Authorization": f"Bearer {TOKEN}"}, production.network.transport()
    async with (
        httpx.AsyncClient(base_url=production.world.api_url, headers=headers, transport=transport) as client,
        production.visitor() as visitor,
    ):
        gateways = Gateways(
            MemoryGit(production.folder, "origin", MAIN, production.checkout, production.remote),
            Vercel(client, "liveone", None, HOST),
            Turso(MemoryDatabase(production.store)),
            Site(visitor, None),
        )
        was = Production(before.id, before.sha, before.url, auto_assign=True, is_rolled_back=False, moved=0)
        async with asyncio.timeout(LATER):
            await promotion.roll_back(gateways, head, was)
    await asyncio.sleep(LATER)
    platform.catch_up()
    return str(platform.served), theirs.id if after is None else other.id


@pytest.mark.parametrize("seconds", [0.0, 0.5], ids=["at once", "slowly"])
@pytest.mark.parametrize("trouble", TROUBLES)
async def test_rollback_never_overwrites_a_concurrent_promotion(
    production: VirtualProduction, trouble: Answer, seconds: float
) -> None:
    """No colleague's concurrent promotion is undone when production is given back; without one, it is given back."""
    found = dict[float | None, tuple[str, str]]()
    for after in (None, *(step * EVERY for step in range(round(UNTIL / EVERY)))):
        found[after] = await _rolled_back(production, trouble, after, seconds)
        production.world.platform.quirks, production.world.platform.alias_seconds = Quirks(), 0.0
        await promote(production, production.world.platform.known[0], 0.0, EVERY_TRY)
    assert {after: each for after, each in found.items() if each[0] != each[1]} == {}
