"""Production's switch: who turns it in this run, and what it stands on. Shared by the steps that may own it."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from steps.support.engine.step import Done, Failed, Refused
from steps.support.gateways.answers import NotSent, Rejected, Unknown
from steps.support.gateways.vercel import Deployment, Vercel
from steps.support.retry import bring_about, insist
from steps.support.stage import Stage

POLL = 1.0  # seconds between two looks at the platform
NO_DEPLOYMENT = 20.0  # seconds after which a push that shows no deployment will show none
MOVES = 6.0  # seconds that a promotion under way is waited for before it is put back
WORKING = {"QUEUED", "INITIALIZING", "BUILDING"}
COMING = {*WORKING, "READY"}  # with auto-assign on, such a build may go live by itself


@dataclass(frozen=True, slots=True)
class Production:
    """What production was before: the live deployment and its commit, and whether a new one goes live by itself."""

    id: str
    sha: str
    auto_assign: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """The commit that is to go live, and what is live before it."""

    sha: str
    production: Production


async def look(stage: Stage) -> Seen:
    """See what is to go live and what is. Raises Refused when production does not agree with itself."""
    return Seen(await stage.git.head(), await _production(stage.vercel))


async def _production(vercel: Vercel) -> Production:
    try:
        project, served = await vercel.project(), await vercel.served()
        if served is None or served != project.production_id:
            cause = f"the production target is {project.production_id}, but {vercel.host} serves {served}"
            raise Refused("reading", f"project {project.name}", cause, "Settle which deployment is to be live.")
        return Production(served, (await vercel.deployment(served)).sha, project.auto_assign)
    except (NotSent, Rejected, Unknown) as error:
        raise Refused(error.operation, error.subject, error.cause, error.remedy) from None


async def ours(vercel: Vercel, sha: str) -> Deployment:
    """Wait until the platform shows the production deployment of this commit. Raises Failed when it shows none."""
    if found := await insist(lambda: vercel.production_deployments(sha), every=POLL):
        return found[0]
    try:
        async with asyncio.timeout(NO_DEPLOYMENT):
            while not (found := await insist(lambda: vercel.production_deployments(sha), every=POLL)):
                await asyncio.sleep(POLL)
            return found[0]
    except TimeoutError:
        cause, remedy = f"the platform shows none after {NO_DEPLOYMENT:.0f} s", "Check the project's Git connection."
        raise Failed("looking for", f"a deployment of {sha[:8]}", cause, remedy) from None


async def built(vercel: Vercel, identifier: str) -> Deployment:
    """Wait until a build is READY. Raises Failed on any other end, with the log's last lines."""
    while (deployment := await insist(lambda: vercel.deployment(identifier), every=POLL)).state in WORKING:
        await asyncio.sleep(POLL)
    if deployment.state != "READY":
        log = await insist(lambda: vercel.build_errors(identifier))
        cause = f"it ended as {deployment.state} {deployment.reason}\n{log}".strip()
        raise Failed("building", identifier, cause, "Mend the build and release again.")
    return deployment


async def live(vercel: Vercel, identifier: str, every: float = POLL) -> None:
    """Wait until production target and public alias are this deployment, looking every so many seconds."""
    while await insist(vercel.live, every=every) != identifier:
        await asyncio.sleep(every)


async def back(vercel: Vercel, sha: str, before: Production) -> Done:
    """Put the live deployment of before back where this release's is live; wait until the public alias serves it."""
    mine = {deployment.id for deployment in await insist(lambda: vercel.production_deployments(sha))}
    await _settled(vercel, mine)
    project, served = await insist(vercel.project), await insist(vercel.served)
    if {served, project.production_id} == {before.id}:
        return Done(f"{before.id} is live, as before")
    if not {served, project.production_id} <= {*mine, before.id}:
        cause = f"it serves {served}, which is neither this run's nor the one before"
        raise Failed("putting back", vercel.host, cause, "Somebody deployed meanwhile: settle what is to be live.")
    await bring_about(partial(is_live, vercel, before.id), partial(vercel.roll_back, project, before.id), every=0.25)
    pinned = "the project is pinned: nothing goes live by itself until auto-assign is on again"
    return Done(f"{before.id} is live again; {pinned}", {"pinned": True})


async def standing(vercel: Vercel, sha: str, before: Production) -> str:
    """Say how what is live, or about to be, differs from before; empty when it does not."""
    project, served = await insist(vercel.project), await insist(vercel.served)
    if {project.production_id, served} != {before.id}:
        return f"production is {project.production_id} and {vercel.host} serves {served}, not {before.id}"
    if project.auto_assign and not before.auto_assign:
        return "auto-assign is on, and was off"
    builds = await insist(lambda: vercel.production_deployments(sha))
    coming = {project.moving_to, *(each.id for each in builds if project.auto_assign and each.state in COMING)}
    ours_coming = [each.id for each in builds if each.id in coming]
    return f"{', '.join(ours_coming)} of this run may still go live" if ours_coming else ""


async def _settled(vercel: Vercel, mine: set[str]) -> None:
    """Wait a little for a move to a deployment of ours that is under way: it can only be put back once it is done."""
    with suppress(TimeoutError):
        async with asyncio.timeout(MOVES):
            while (await insist(vercel.project)).moving_to in mine:
                await asyncio.sleep(0.25)


async def is_live(vercel: Vercel, identifier: str) -> bool:
    """Say whether production target and public alias are this deployment."""
    return await vercel.live() == identifier
