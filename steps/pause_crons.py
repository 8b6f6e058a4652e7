"""Keep the platform from calling the site's crons while the change is under way; off by default."""

from dataclasses import dataclass
from functools import partial

from steps.support.core.errors import Refused, Rejected
from steps.support.core.retry import ensure, preflight_read, retry, wait_for_effect
from steps.support.gateways.vercel import Vercel
from steps.support.run.release import Gateways, Release
from steps.support.run.step import Done, ReversibleStep


@dataclass(frozen=True, slots=True)
class Observed:
    """Whether the crons were on; where they were off already, nobody touches them."""

    on: bool


@dataclass(frozen=True, slots=True)
class PauseCrons(ReversibleStep[Observed]):
    """The project's crons, off while the release goes on, and as before when it has ended, well or not."""

    release: Release
    name = "pause_crons"
    rollback_share = 5 / 30
    prepares = True
    temporary = True
    writes = "the project's crons: off, and on again at the end"

    async def preflight(self, gateways: Gateways) -> Observed:
        """See whether the crons are on."""
        project = await preflight_read(gateways.vercel.project)
        if project.crons is None:
            cause = "the platform does not tell whether its crons are on"
            raise Refused("reading", f"project {project.name}", cause, "Set vercel.pause_crons to false.")
        return Observed(project.crons)

    def plan(self, observed: Observed) -> str:
        """Say what happens to the crons."""
        return "switch the crons off, and on again at the end" if observed.on else "the crons are off, and stay so"

    def rollback_plan(self, observed: Observed) -> str:
        """Say what becomes of the crons."""
        return "the crons are switched on again" if observed.on else "nothing, as they were off"

    async def apply(self, gateways: Gateways, observed: Observed) -> Done:
        """Switch them off. A refusal by the platform is certain to have changed nothing."""
        try:
            await _switched(gateways.vercel, on=False)
        except Rejected as error:
            raise Refused.because(error) from None
        return Done("the crons are off" if observed.on else "the crons were off")

    async def rollback(self, gateways: Gateways, observed: Observed) -> Done:
        """Switch them on again where they were on."""
        if not observed.on:
            return Done("the crons stay off, as they were")
        await wait_for_effect(partial(_are_on, gateways.vercel), before=True)
        await _switched(gateways.vercel, on=True)
        return Done("the crons are on again")

    async def superseded_by(self, gateways: Gateways, observed: Observed) -> str:  # noqa: ARG002
        """They are as before when a release has ended, and nobody is to be asked who switched them since."""
        return ""

    async def verify_rollback(self, gateways: Gateways, observed: Observed) -> str:
        """Compare the crons with before."""
        if not observed.on or (await retry(gateways.vercel.project)).crons:
            return ""
        return f"the crons are off; to switch them on: {gateways.vercel.resuming_crons}"


async def _switched(vercel: Vercel, *, on: bool) -> None:
    """Switch the crons, and read back that they are."""

    async def is_so() -> bool:
        return await _are_on(vercel) is on

    await ensure(is_so, partial(vercel.set_crons, on))


async def _are_on(vercel: Vercel) -> bool | None:
    return (await vercel.project()).crons
