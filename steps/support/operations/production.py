"""Find out what a release begins with: its commit, and what was live before it."""

from dataclasses import dataclass, field

from steps.support.core.errors import Refused
from steps.support.core.retry import preflight_read
from steps.support.gateways.vercel import Deployment, Missing, Project, Vercel
from steps.support.operations.build import ENDED
from steps.support.run.release import Gateways, Release


@dataclass(frozen=True, slots=True)
class Production:
    """What was live before this run, and whether a new deployment goes live by itself.

    `id`, `sha` and `host`: the live deployment, its commit and its own host. If the release's own deployment is live
    already, they are those of the deployment that was live before it. `auto_assign`: None if the platform does not
    report it, which counts as off. `is_rolled_back`: whether it is off because production was rolled back to the live
    deployment. `moved`: when production was last promoted or rolled back, in milliseconds on the platform's clock; 0
    for never, None if that is not known. `is_held`: whether the release's own deployment, if there is one already,
    waits for its promotion; False if it is live already, None if the setting decides.
    """

    id: str
    sha: str
    host: str
    auto_assign: bool | None
    is_rolled_back: bool
    moved: int | None = None
    is_held: bool | None = None

    @property
    def goes_live(self) -> bool:
        """Return True if the release's deployment goes live by itself, or is live already."""
        return bool(self.auto_assign) if self.is_held is None else not self.is_held


@dataclass(frozen=True, slots=True)
class Observed:
    """The commit to be released, what was live before it, and the seconds that a question to the platform takes."""

    sha: str
    production: Production
    round_trip: float = field(default=0.0, compare=False)


async def preflight(gateways: Gateways, release: Release) -> Observed:
    """Read the commit to be released, and what is live. Raise Refused if production is moving or inconsistent."""
    sha = await preflight_read(release.commit, gateways.git)
    return Observed(sha, await preflight_read(_production, gateways.vercel, sha), gateways.vercel.round_trip)


async def _production(vercel: Vercel, sha: str) -> Production:
    project, served = await vercel.project(), await _served(vercel)
    if served is None or served != project.production_id:
        raise await _inconsistent(vercel, project, served)
    if project.moving_to:
        cause = f"production is being moved to {project.moving_to} right now"
        raise Refused(
            code="platform-not-ready",
            operation="reading",
            subject=f"project {project.name}",
            cause=cause,
            remedy="Wait until it has moved, then release.",
        )
    ours = [each for each in await vercel.production_deployments(sha) if each.state not in ENDED]
    is_live = served in [each.id for each in ours]
    held = False if is_live else await _is_held(vercel, ours)
    live = await _before(vercel, project, sha) if is_live else await vercel.deployment(served)
    moved = project.move.requested if project.move else 0
    return Production(live.id, live.sha, live.host, project.auto_assign, project.is_rolled_back, moved, held)


async def _is_held(vercel: Vercel, ours: list[Deployment]) -> bool | None:
    """Return True if the newest of these deployments waits for its promotion, or None if it does not say so."""
    return True if ours and (await vercel.deployment(ours[0].id)).is_held else None


async def _before(vercel: Vercel, project: Project, sha: str) -> Deployment:
    """Return the deployment that was live before the one of this commit, which is live. Raise Refused without one."""
    move = project.move
    source = move.source if move and move.to == project.production_id else None
    if source and (former := await vercel.deployment(source)).sha != sha:
        return former
    others = [each for each in await vercel.production_deployments() if each.was_live and each.sha != sha]
    if not others:
        raise Refused(
            code="platform-not-ready",
            operation="reading",
            subject=f"project {project.name}",
            cause=f"{project.production_id} of {sha[:8]} is live already, and no deployment was live before it",
            remedy="A rollback would have nothing to make live: release the next commit with this tool.",
        )
    return others[0]


async def _served(vercel: Vercel) -> str | None:
    """Return what the public host serves. Raise Refused if the platform does not move that host by itself."""
    try:
        alias = await vercel.alias()
    except Missing:
        domain = await vercel.wildcard()
        how = f"only through the wildcard {domain}" if domain else "under no alias"
        raise _unusable(vercel, f"the platform knows {vercel.host} {how}", "a domain of the project itself") from None
    if alias.redirect and not alias.deployment:
        cause = f"{vercel.host} serves nothing: it redirects to {alias.redirect}"
        raise _unusable(vercel, cause, f"https://{alias.redirect}")
    return alias.deployment


def _unusable(vercel: Vercel, cause: str, site: str) -> Refused:
    return Refused(
        code="platform-not-ready",
        operation="reading",
        subject=f"the alias {vercel.host}",
        cause=f"{cause}, so it cannot be seen there what is live",
        remedy=f"Set `site` to {site}.",
    )


async def _inconsistent(vercel: Vercel, project: Project, served: str | None) -> Refused:
    """Return the error for a production target that the public host does not serve."""
    cause, remedy = f"the production target is {project.production_id}", "Decide which deployment should be live, then"
    if project.production_id and (state := (await vercel.deployment(project.production_id)).state) in ENDED:
        cause, remedy = f"{cause}, which is {state}", f"Make {served} the production target again:"
    return Refused(
        code="platform-not-ready",
        operation="reading",
        subject=f"project {project.name}",
        cause=f"{cause}, but {vercel.host} serves {served}",
        remedy=f"{remedy} promote it.",
    )
