"""Turn production's switch to our deployment where it waits staged; else confirm that it has turned."""

from contextlib import suppress
from dataclasses import dataclass

from steps.support import switch
from steps.support.engine.step import Change, Done, Failed
from steps.support.gateways.answers import Unknown
from steps.support.release import Release
from steps.support.retry import insist
from steps.support.stage import Stage
from steps.support.switch import Production


@dataclass(frozen=True, slots=True)
class Seen:
    """The commit to go live, and what is live before it."""

    sha: str
    production: Production


@dataclass(frozen=True, slots=True)
class Activation(Change[Seen]):
    """The switch of production, where the build did not turn it by itself."""

    release: Release
    name = "activation"

    async def look(self, stage: Stage) -> Seen:
        """See what is live, and whether a new build goes live by itself."""
        return Seen(await stage.git.head(), await switch.production(stage.vercel))

    def plan(self, seen: Seen) -> str:
        """Say who turns the switch."""
        return (
            f"confirm that {seen.sha[:8]} is live"
            if seen.production.auto_assign
            else f"promote the deployment of {seen.sha[:8]}"
        )

    async def act(self, stage: Stage, seen: Seen) -> Done:
        """Promote our deployment, or confirm that it is live."""
        deployment = await switch.ours(stage.vercel, seen.sha)
        if seen.production.auto_assign:
            return await _confirm(stage, deployment.id)
        with suppress(Unknown):  # where the answer is lost, what counts is what becomes live
            await stage.vercel.promote(deployment.id)
        await switch.live(stage.vercel, deployment.id)
        await stage.vercel.set_auto_assign(on=False)  # promoting switched it on
        return Done(
            f"{deployment.id} is live; auto-assign stays off, as it was",
            {"deployment": {"id": deployment.id, "sha": seen.sha, "previous_id": seen.production.id}},
        )

    async def undo(self, stage: Stage, seen: Seen) -> Done:
        """Where the switch is ours, put the deployment of before back."""
        if seen.production.auto_assign:
            return Done("nothing to put back: it only confirmed")
        return await switch.back(stage.vercel, seen.sha, seen.production)

    async def remains(self, stage: Stage, seen: Seen) -> str:
        """Compare what is live with what was."""
        return "" if seen.production.auto_assign else await switch.standing(stage.vercel, seen.production)


async def _confirm(stage: Stage, identifier: str) -> Done:
    if (now := await insist(stage.vercel.live)) != identifier:
        raise Failed(
            "confirming",
            identifier,
            f"{stage.vercel.host} serves {now}",
            "Somebody turned the switch: settle with them what is to be live.",
        )
    return Done(f"{identifier} is live")
