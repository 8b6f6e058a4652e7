"""Turn production's switch to our deployment where it waits staged; else confirm that it has turned."""

from dataclasses import dataclass
from functools import partial

from steps.support import switch
from steps.support.engine.step import Change, Done, Failed
from steps.support.release import Release
from steps.support.retry import bring_about, insist
from steps.support.stage import Stage
from steps.support.switch import Seen


@dataclass(frozen=True, slots=True)
class Activation(Change[Seen]):
    """The switch of production, where the build did not turn it by itself."""

    release: Release
    name = "activation"
    undo_share = 10 / 30

    async def look(self, stage: Stage) -> Seen:
        """See what is live, and whether a new build goes live by itself."""
        return await switch.look(stage)

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
        project = await insist(stage.vercel.project)
        promote = partial(stage.vercel.promote, project, deployment.id)
        await bring_about(partial(switch.is_live, stage.vercel, deployment.id), promote, every=switch.POLL)
        await _auto_assign_off(stage)
        facts = {"deployment": {"id": deployment.id, "sha": seen.sha, "previous_id": seen.production.id}}
        return Done(f"{deployment.id} is live; auto-assign stays off, as it was", facts)

    async def undo(self, stage: Stage, seen: Seen) -> Done:
        """Where the switch is ours, put the deployment of before back, and auto-assign to off."""
        if seen.production.auto_assign:
            return Done("nothing to put back: it only confirmed")
        done = await switch.back(stage.vercel, seen.sha, seen.production)
        await _auto_assign_off(stage)
        return done

    async def remains(self, stage: Stage, seen: Seen) -> str:
        """Compare what is live with what was."""
        return "" if seen.production.auto_assign else await switch.standing(stage.vercel, seen.sha, seen.production)


async def _confirm(stage: Stage, identifier: str) -> Done:
    if (now := await insist(stage.vercel.live)) != identifier:
        raise Failed(
            "confirming",
            identifier,
            f"{stage.vercel.host} serves {now}",
            "Somebody turned the switch: settle with them what is to be live.",
        )
    return Done(f"{identifier} is live")


async def _auto_assign_off(stage: Stage) -> None:
    """Switch auto-assign off where promoting switched it on."""

    async def off() -> bool:
        return not (await stage.vercel.project()).auto_assign

    await bring_about(off, partial(stage.vercel.set_auto_assign, on=False))
