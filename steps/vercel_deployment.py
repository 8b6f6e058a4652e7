"""Wait for the platform to build the pushed commit and, where a new build goes live by itself, for that."""

from dataclasses import dataclass

from steps.support import switch
from steps.support.engine.step import Change, Done
from steps.support.gateways.answers import Rejected, Unknown
from steps.support.release import Release
from steps.support.retry import insist
from steps.support.stage import Stage
from steps.support.switch import Production


@dataclass(frozen=True, slots=True)
class Seen:
    """The commit to come, and what is live before it."""

    sha: str
    production: Production


@dataclass(frozen=True, slots=True)
class VercelDeployment(Change[Seen]):
    """The build of our commit; with auto-assign on, it also turns production's switch."""

    release: Release
    name = "vercel_deployment"

    async def look(self, stage: Stage) -> Seen:
        """See what is live, and whether a new build goes live by itself."""
        return Seen(await stage.git.head(), await switch.production(stage.vercel))

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
        """Cancel what still builds; where the switch is ours, put the deployment of before back."""
        for deployment in await insist(lambda: stage.vercel.production_deployments(seen.sha)):
            await _stop(stage, deployment.id, deployment.state)
        if seen.production.auto_assign:
            return await switch.back(stage.vercel, seen.sha, seen.production)
        return Done("nothing of it is live")

    async def remains(self, stage: Stage, seen: Seen) -> str:
        """Compare what is live with what was."""
        return await switch.standing(stage.vercel, seen.production) if seen.production.auto_assign else ""


async def _stop(stage: Stage, identifier: str, state: str) -> None:
    if state in switch.WORKING:
        try:
            await stage.vercel.cancel(identifier)
        except (Rejected, Unknown):
            await insist(lambda: stage.vercel.deployment(identifier))  # it ended by itself meanwhile
