"""Keep the platform from calling the site's crons while the change is under way; off by default."""

from dataclasses import dataclass
from functools import partial

from steps.support.core.errors import Refused, Rejected
from steps.support.core.retry import bring_about, insist, looked, settled
from steps.support.gateways.vercel import Vercel
from steps.support.run.release import Release, Stage
from steps.support.run.step import Change, Done


@dataclass(frozen=True, slots=True)
class Seen:
    """Whether the crons were on; where they were off already, nobody touches them."""

    on: bool


@dataclass(frozen=True, slots=True)
class PauseCrons(Change[Seen]):
    """The project's crons, off while the release goes on, and as before when it has ended, well or not."""

    release: Release
    name = "pause_crons"
    undo_share = 5 / 30
    prepares = True
    temporary = True
    writes = "the project's crons: off, and on again at the end"

    async def look(self, stage: Stage) -> Seen:
        """See whether the crons are on."""
        project = await looked(stage.vercel.project)
        if project.crons is None:
            cause = "the platform does not tell whether its crons are on"
            raise Refused("reading", f"project {project.name}", cause, "Set vercel.pause_crons to false.")
        return Seen(project.crons)

    def plan(self, seen: Seen) -> str:
        """Say what happens to the crons."""
        return "switch the crons off, and on again at the end" if seen.on else "the crons are off, and stay so"

    def way_back(self, seen: Seen) -> str:
        """Say what becomes of the crons."""
        return "the crons are switched on again" if seen.on else "nothing, as they were off"

    async def act(self, stage: Stage, seen: Seen) -> Done:
        """Switch them off. A refusal by the platform is certain to have changed nothing."""
        try:
            await _switched(stage.vercel, on=False)
        except Rejected as error:
            raise Refused(error.operation, error.subject, error.cause, error.remedy) from None
        return Done("the crons are off" if seen.on else "the crons were off")

    async def undo(self, stage: Stage, seen: Seen) -> Done:
        """Switch them on again where they were on."""
        if not seen.on:
            return Done("the crons stay off, as they were")
        await settled(partial(_are_on, stage.vercel), True)  # noqa: FBT003 - it is what it gives
        await _switched(stage.vercel, on=True)
        return Done("the crons are on again")

    async def overtaken(self, stage: Stage, seen: Seen) -> str:  # noqa: ARG002
        """They are as before when a release has ended, and nobody is to be asked who switched them since."""
        return ""

    async def remains(self, stage: Stage, seen: Seen) -> str:
        """Compare the crons with before."""
        if not seen.on or (await insist(stage.vercel.project)).crons:
            return ""
        return f"the crons are off; to switch them on: {stage.vercel.resuming_crons}"


async def _switched(vercel: Vercel, *, on: bool) -> None:
    """Switch the crons, and read back that they are."""

    async def is_so() -> bool:
        return await _are_on(vercel) is on

    await bring_about(is_so, partial(vercel.set_crons, on))


async def _are_on(vercel: Vercel) -> bool | None:
    return (await vercel.project()).crons
