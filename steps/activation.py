"""Promote our deployment if it is staged; if builds go live by themselves, confirm that it is live."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from steps.support.core.errors import Failed, Refused
from steps.support.core.retry import retry
from steps.support.gateways.vercel import Vercel
from steps.support.operations import build, production, promotion
from steps.support.operations.foreign_moves import FOREIGN
from steps.support.operations.health import ask_before, ask_until_judged
from steps.support.operations.production import Observed
from steps.support.run.release import Gateways, HealthCheck, Release
from steps.support.run.step import Done, ReversibleStep

OWN_HOST = "If deployments are protected, set VERCEL_AUTOMATION_BYPASS_SECRET, and a key that works on their hosts."


@dataclass(frozen=True, slots=True)
class Activation(ReversibleStep[Observed]):
    """Promotes our deployment, unless the build goes live by itself."""

    release: Release
    name = "activation"
    rollback_share = 10 / 30
    triggered = True  # by the push, if someone has switched auto-assign on in the meantime
    writes = "the live deployment, if builds wait for their promotion"

    @property
    def blocks_earlier_rollbacks(self) -> bool:
        """Return True if the schema changes before the code.

        The new schema must then stay as long as the new code is live, because that code may not run on the old schema.
        """
        return self.release.order == "DATA_FIRST"

    async def preflight(self, gateways: Gateways) -> Observed:
        """Read what is live.

        If our deployment will have to be promoted, run the checks on the live deployment's own host. Raise Refused if
        one fails, because our deployment could not be checked in the same way.
        """
        observed = await production.preflight(gateways, self.release)
        if not observed.production.goes_live:
            for check in self._smoke:
                found = await ask_before(gateways.site, check.before or check, observed.production.host)
                if found.wrong:
                    cause = f"the live deployment fails on its own host, {observed.production.host}: {found.wrong}"
                    raise Refused(
                        code="health-check-failed",
                        operation="checking",
                        subject=check.name,
                        cause=cause,
                        remedy=OWN_HOST,
                    )
        return observed

    def expected_seconds(self, observed: Observed) -> float:
        """Estimate the seconds: a promotion asks about ten questions in turn."""
        return max(1.0, (2 if observed.production.goes_live else 10) * observed.round_trip)

    def expects_rollback(self, observed: Observed) -> float:
        """Estimate the seconds: if we promoted, a rollback asks about fourteen questions in turn."""
        return max(1.0, (0 if observed.production.goes_live else 14) * observed.round_trip)

    def plan(self, observed: Observed) -> str:
        """Describe how the new deployment goes live."""
        if observed.production.goes_live:
            return f"confirm that {observed.sha[:8]} is live"
        paths = ", ".join(check.request.path for check in self._smoke) or "nothing"
        return f"check the staged deployment of {observed.sha[:8]} on its own host ({paths}), then promote it"

    def rollback_plan(self, observed: Observed) -> str:
        """Describe what will be live after a rollback."""
        return "nothing: the step only confirms" if observed.production.goes_live else promotion.rollback_plan(observed)

    async def apply(self, gateways: Gateways, observed: Observed) -> Done:
        """Promote our deployment, or confirm that it is live. Raise Failed if it is not healthy or does not go live."""
        deployment = await build.find_deployment(gateways.vercel, observed.sha, self.release.demands.appears)
        if observed.production.goes_live:
            return await _confirm(gateways.vercel, deployment.id)
        for check in self._smoke:
            await _refuse_unhealthy(gateways, check, deployment.host)
        await promotion.promote(gateways.vercel, deployment.id, observed.production)
        if not observed.production.auto_assign:  # if it was on, only our deployment waited
            await promotion.switch_auto_assign_off(gateways.vercel)
        unpin = {"unpin": gateways.vercel.unpin_command} if observed.production.is_rolled_back else {}
        detail = f"{deployment.id} is live; auto-assign stays {'on' if observed.production.auto_assign else 'off'}"
        return Done(detail, {**promotion.facts(observed, deployment.id), **unpin})

    async def rollback(self, gateways: Gateways, observed: Observed) -> Done:
        """If we promoted, make the previous deployment live again, and switch auto-assign off."""
        if observed.production.goes_live:
            return Done("nothing to roll back: the step only confirmed")
        await promotion.wait_for_late_promotion(gateways.vercel, observed.production)
        done = await promotion.roll_back(gateways, observed.sha, observed.production)
        is_back = (await retry(gateways.vercel.project)).production_id == observed.production.id
        if is_back and not observed.production.auto_assign:
            await promotion.switch_auto_assign_off(gateways.vercel)
        return done

    async def superseded_by(self, gateways: Gateways, observed: Observed) -> str:
        """Return what is now live in place of our deployment.

        Return an empty string if ours is still live, or if this step did not promote it.
        """
        return "" if observed.production.goes_live else await promotion.superseded_by(gateways.vercel, observed.sha)

    async def prove_rollback(self, gateways: Gateways, observed: Observed) -> None:
        """Raise Refused if we promoted and the previous deployment cannot be made live again."""
        if not observed.production.goes_live:
            await promotion.prove_rollback(gateways.vercel, observed.production)

    async def recall(self, gateways: Gateways, marker: Mapping[str, Any]) -> Observed | None:
        """Return what was live before, as the marker row says, with the auto-assign setting as it is now.

        Return None if the row does not say what was live.
        """
        return await promotion.recall(gateways.vercel, marker)

    async def verify_rollback(self, gateways: Gateways, observed: Observed) -> str:
        """Return how the live deployment differs from the previous one.

        Return an empty string if it does not differ, or if this step did not promote.
        """
        return (
            ""
            if observed.production.goes_live
            else await promotion.verify_rollback(gateways.vercel, observed.sha, observed.production)
        )

    @property
    def _smoke(self) -> list[HealthCheck]:
        """Return the checks that can run before visitors reach a deployment: those that write nothing."""
        return [check for check in self.release.health if not check.writes]


async def _refuse_unhealthy(gateways: Gateways, check: HealthCheck, host: str) -> None:
    if wrong := (await ask_until_judged(gateways.site, check, host=host)).wrong:
        remedy = "No user was sent there. The deployment's logs say why."
        raise Failed(
            code="health-check-failed",
            operation="asking the staged deployment on",
            subject=host,
            cause=wrong,
            remedy=remedy,
        )


async def _confirm(vercel: Vercel, identifier: str) -> Done:
    if not await retry(vercel.is_live, identifier):
        served = await retry(vercel.served)
        raise Failed(
            code="production-changed",
            operation="confirming",
            subject=identifier,
            cause=f"{vercel.host} serves {served}",
            remedy=FOREIGN,
        )
    return Done(f"{identifier} is live")
