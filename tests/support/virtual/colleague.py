"""What a colleague does to production meanwhile: their deployment, and its promotion."""

import asyncio

from steps.support.standin.vercel.state import ApiError, Deployment, State, Substate
from tests.support.virtual.git import MAIN
from tests.support.virtual.production import VirtualProduction

TRIES = 1000  # of a promotion that the platform puts off


def foreign_deployment(production: VirtualProduction, sha: str = "") -> Deployment:
    """Add a colleague's deployment that was live once: of this commit, or of a new one with the first code."""
    platform = production.world.platform
    moment = platform.catch_up()
    made = platform.created(sha, MAIN, "", moment) if sha else platform.foreign(platform.known[0], moment)
    made.state, made.substate = State.READY, Substate.PROMOTED
    made.building = made.ended = made.aliased = made.created
    return made


async def promote(production: VirtualProduction, deployment: Deployment, alias_seconds: float, every: float) -> None:
    """Promote a deployment, asking again every so many seconds while the platform puts it off.

    `alias_seconds`: how long its alias takes to move.
    """
    platform = production.world.platform
    for _ in range(TRIES):
        platform.alias_seconds = alias_seconds
        try:
            platform.move("promote", deployment.id)
        except ApiError:
            await asyncio.sleep(every)
        else:
            return
