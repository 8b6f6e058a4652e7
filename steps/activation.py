"""Turn production's switch to our deployment where it waits staged; else confirm that it has turned."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from steps.support.core.errors import Failed, Refused
from steps.support.core.retry import bring_about, insist
from steps.support.gateways.vercel import Vercel
from steps.support.operations import build, promotion
from steps.support.operations.foreign_moves import FOREIGN
from steps.support.operations.health import asked, settled
from steps.support.operations.promotion import Seen
from steps.support.run.release import HealthCheck, Release, Stage
from steps.support.run.step import Change, Done

OWN_HOST = "Set VERCEL_AUTOMATION_BYPASS_SECRET where deployments are protected, and a key that works on their hosts."


@dataclass(frozen=True, slots=True)
class Activation(Change[Seen]):
    """The switch of production, where the build does not turn it by itself."""

    release: Release
    name = "activation"
    undo_share = 10 / 30
    triggered = True  # by the push, should somebody have switched auto-assign on meanwhile
    writes = "what is live, where a build waits for it"

    @property
    def foundation(self) -> bool:
        """Where the schema went first the new code may run on nothing else: it stays, as long as that code is live."""
        return self.release.order == "DATA_FIRST"

    async def look(self, stage: Stage) -> Seen:
        """See what is live; where we turn the switch, also that a deployment can be asked on its own host."""
        seen = await promotion.look(stage)
        if not seen.production.auto_assign:
            for check in self._smoke:
                _, wrong = await asked(stage.site, check.before or check, None, None, seen.production.host)
                if wrong:
                    cause = f"on its own host, {seen.production.host}, what is live is red: {wrong}"
                    raise Refused("checking", check.name, cause, OWN_HOST)
        return seen

    def plan(self, seen: Seen) -> str:
        """Say who turns the switch."""
        if seen.production.auto_assign:
            return f"confirm that {seen.sha[:8]} is live"
        paths = ", ".join(check.request.path for check in self._smoke) or "nothing"
        return f"ask the staged deployment of {seen.sha[:8]} on its own host ({paths}), then promote it"

    def way_back(self, seen: Seen) -> str:
        """Say what is live then."""
        return "nothing, as it only confirms" if seen.production.auto_assign else promotion.way_back(seen)

    async def act(self, stage: Stage, seen: Seen) -> Done:
        """Promote our deployment, or confirm that it is live."""
        deployment = await build.ours(stage.vercel, seen.sha)
        if seen.production.auto_assign:
            return await _confirm(stage.vercel, deployment.id)
        for check in self._smoke:
            await _refuse_unwell(stage, check, deployment.host)
        await promotion.promoted(stage.vercel, deployment.id, seen.production)
        await _auto_assign_off(stage.vercel)
        unpin = {"unpin": stage.vercel.unpinning} if seen.production.is_rolled_back else {}
        said = f"{deployment.id} is live; auto-assign stays off, as it was"
        return Done(said, {**promotion.facts(seen, deployment.id), **unpin})

    async def undo(self, stage: Stage, seen: Seen) -> Done:
        """Where the switch is ours, put the deployment of before back, and auto-assign to off."""
        if seen.production.auto_assign:
            return Done("nothing to put back: it only confirmed")
        await promotion.settle(stage.vercel, seen.production)
        done = await promotion.back(stage, seen.sha, seen.production)
        if (await insist(stage.vercel.project)).production_id == seen.production.id:
            await _auto_assign_off(stage.vercel)
        return done

    async def overtaken(self, stage: Stage, seen: Seen) -> str:
        """Where the switch is ours, say what is live instead of our deployment."""
        return "" if seen.production.auto_assign else await promotion.overtaken(stage.vercel, seen.sha)

    async def prove_undo(self, stage: Stage, seen: Seen) -> None:
        """See that the deployment of before can be live again."""
        if not seen.production.auto_assign:
            await promotion.prove_back(stage.vercel, seen.production)

    async def recall(self, stage: Stage, marker: Mapping[str, Any]) -> Seen | None:
        """Take what was live from the marker row, and whether auto-assign was on from now."""
        return await promotion.recalled(stage.vercel, marker)

    async def remains(self, stage: Stage, seen: Seen) -> str:
        """Compare what is live with what was."""
        return "" if seen.production.auto_assign else await promotion.standing(stage.vercel, seen.sha, seen.production)

    @property
    def _smoke(self) -> list[HealthCheck]:
        """Give the questions that a deployment can be asked before anybody is sent there: those that write nothing."""
        return [check for check in self.release.health if not check.writes]


async def _refuse_unwell(stage: Stage, check: HealthCheck, host: str) -> None:
    if wrong := await settled(stage.site, check, None, None, host):
        remedy = "Nobody was sent there. Find out why on the deployment's logs."
        raise Failed("asking the staged deployment on", host, wrong, remedy)


async def _confirm(vercel: Vercel, identifier: str) -> Done:
    if not await insist(partial(vercel.is_live, identifier)):
        served = await insist(vercel.served)
        raise Failed("confirming", identifier, f"{vercel.host} serves {served}", FOREIGN)
    return Done(f"{identifier} is live")


async def _auto_assign_off(vercel: Vercel) -> None:
    """Switch auto-assign off where promoting switched it on."""

    async def off() -> bool:
        return (await vercel.project()).auto_assign is False

    if (await insist(vercel.project)).auto_assign is None:  # nothing to read back, and no harm in saying it again
        await insist(partial(vercel.set_auto_assign, on=False))
    else:
        await bring_about(off, partial(vercel.set_auto_assign, on=False))
