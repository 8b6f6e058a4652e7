"""Wait for the platform to build the pushed commit and, where a new build goes live by itself, for that."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from steps.support import switch
from steps.support.engine.step import Change, Done
from steps.support.gateways.answers import Rejected
from steps.support.gateways.vercel import Deployment, Vercel
from steps.support.release import Release
from steps.support.retry import bring_about, insist
from steps.support.stage import Stage
from steps.support.switch import Seen

TAKEN_UP = 3.0  # seconds in which the platform takes up a pushed commit
GOES_LIVE = 3.0  # seconds in which a built deployment goes live by itself


@dataclass(frozen=True, slots=True)
class VercelDeployment(Change[Seen]):
    """The build of our commit; with auto-assign on, it also turns production's switch."""

    release: Release
    name = "vercel_deployment"
    undo_share = 10 / 30
    triggered = True  # by the push

    async def look(self, stage: Stage) -> Seen:
        """See what is live, and whether a new build goes live by itself."""
        return await switch.look(stage)

    def plan(self, seen: Seen) -> str:
        """Say what is waited for."""
        then = "goes live by itself" if seen.production.auto_assign else "waits, staged"
        return f"the platform builds {seen.sha[:8]}, which then {then}; live now is {seen.production.id}"

    async def act(self, stage: Stage, seen: Seen) -> Done:
        """Find the deployment of our commit, and wait until it is built and, with auto-assign on, live."""
        found = await switch.ours(stage.vercel, seen.sha)
        await switch.built(stage.vercel, found.id)
        if seen.production.auto_assign:
            await switch.live(stage.vercel, found.id)
        facts = {"deployment": {"id": found.id, "sha": seen.sha, "previous_id": seen.production.id}}
        return Done(f"{found.id} is {'live' if seen.production.auto_assign else 'built and waits'}", facts)

    async def undo(self, stage: Stage, seen: Seen) -> Done:
        """Stop what still builds; where the switch is ours, put the deployment of before back."""
        built = await _stopped(stage.vercel, seen.sha, await _appeared(stage, seen))
        if not seen.production.auto_assign:
            left = ", ".join(deployment.id for deployment in built)
            return Done(f"{left} is built and never went live: do not promote it" if left else "nothing of it is left")
        await _switched(stage.vercel, built)
        return await switch.back(stage.vercel, seen.sha, seen.production)

    async def remains(self, stage: Stage, seen: Seen) -> str:
        """Compare what is live, or may yet go live by itself, with what was."""
        return await switch.standing(stage.vercel, seen.sha, seen.production) if seen.production.auto_assign else ""


async def _appeared(stage: Stage, seen: Seen) -> list[Deployment]:
    """Give the deployments of our commit; where it was pushed, wait a little for the platform to take it up."""
    with suppress(TimeoutError):
        async with asyncio.timeout(TAKEN_UP):
            while not (found := await _ours(stage.vercel, seen.sha)) and await stage.git.remote_head() == seen.sha:
                await asyncio.sleep(0.25)
            return found
    return await _ours(stage.vercel, seen.sha)


async def _ours(vercel: Vercel, sha: str) -> list[Deployment]:
    return await insist(lambda: vercel.production_deployments(sha))


async def _stopped(vercel: Vercel, sha: str, deployments: list[Deployment]) -> list[Deployment]:
    """Have none of them build any more; give those that were built all the same."""
    for deployment in deployments:
        await bring_about(partial(_ended, vercel, deployment.id), partial(_cancel, vercel, deployment.id), every=0.25)
    return [deployment for deployment in await _ours(vercel, sha) if deployment.state == "READY"]


async def _ended(vercel: Vercel, identifier: str) -> bool:
    return (await vercel.deployment(identifier)).state not in switch.WORKING


async def _cancel(vercel: Vercel, identifier: str) -> None:
    with suppress(Rejected):  # it has ended by itself meanwhile; what counts is what it is then
        await vercel.cancel(identifier)


async def _switched(vercel: Vercel, built: list[Deployment]) -> None:
    """Wait a little for a built deployment to go live by itself: it cannot be stopped, only put back after."""
    if built:
        with suppress(TimeoutError):
            async with asyncio.timeout(GOES_LIVE):
                await switch.live(vercel, built[0].id, every=0.25)
