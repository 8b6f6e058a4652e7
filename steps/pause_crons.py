"""Pause the project's crons during a release. The step runs only if the settings ask for it."""

from dataclasses import dataclass
from functools import partial

from steps.support.core.errors import Refused, Rejected
from steps.support.core.retry import ensure, preflight_read, retry, wait_for_effect
from steps.support.gateways.vercel import Vercel
from steps.support.run.release import Gateways, Release
from steps.support.run.step import Done, ReversibleStep


@dataclass(frozen=True, slots=True)
class Observed:
    """Whether the crons were on. If they were off, the run leaves them off."""

    on: bool


@dataclass(frozen=True, slots=True)
class PauseCrons(ReversibleStep[Observed]):
    """Switches the project's crons off for the release, and on again when it ends, with or without success."""

    release: Release
    name = "pause_crons"
    rollback_share = 5 / 30
    prepares = True
    temporary = True
    writes = "the project's crons: off, and on again at the end"

    async def preflight(self, gateways: Gateways) -> Observed:
        """Read whether the crons are on. Raise Refused if the platform does not say."""
        project = await preflight_read(gateways.vercel.project)
        if project.crons is None:
            cause = "the platform does not say whether its crons are on"
            raise Refused(
                code="platform-not-ready",
                operation="reading",
                subject=f"project {project.name}",
                cause=cause,
                remedy="Set vercel.pause_crons to false.",
            )
        return Observed(project.crons)

    def plan(self, observed: Observed) -> str:
        """Describe what will happen to the crons."""
        return "switch the crons off, and on again at the end" if observed.on else "the crons are off, and stay off"

    def rollback_plan(self, observed: Observed) -> str:
        """Describe what a rollback will do to the crons."""
        return "the crons are switched on again" if observed.on else "nothing: they were off"

    async def apply(self, gateways: Gateways, observed: Observed) -> Done:
        """Switch the crons off. Raise Refused if the platform refuses, because then certainly nothing has changed."""
        try:
            await _switch(gateways.vercel, on=False)
        except Rejected as error:
            raise Refused.because(error) from None
        return Done("the crons are off" if observed.on else "the crons were already off")

    async def rollback(self, gateways: Gateways, observed: Observed) -> Done:
        """Switch the crons on again if they were on."""
        if not observed.on:
            return Done("the crons were off, and stay off")
        await wait_for_effect(partial(_are_on, gateways.vercel), before=True)
        await _switch(gateways.vercel, on=True)
        return Done("the crons are on again")

    async def superseded_by(self, gateways: Gateways, observed: Observed) -> str:  # noqa: ARG002
        """Return an empty string.

        The crons are restored whenever a release ends, so a later switch is not a conflict.
        """
        return ""

    async def verify_rollback(self, gateways: Gateways, observed: Observed) -> str:
        """Return how to switch the crons on if they were on and are off now; otherwise an empty string."""
        if not observed.on or (await retry(gateways.vercel.project)).crons:
            return ""
        return f"the crons are off; to switch them on: {gateways.vercel.resume_crons_command}"


async def _switch(vercel: Vercel, *, on: bool) -> None:
    """Switch the crons on or off, and read until the platform says so."""

    async def is_done() -> bool:
        return await _are_on(vercel) is on

    await ensure(is_done, partial(vercel.set_crons, on))


async def _are_on(vercel: Vercel) -> bool | None:
    return (await vercel.project()).crons
