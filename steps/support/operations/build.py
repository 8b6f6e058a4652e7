"""Find the build of our commit on the platform, wait until it ends, and explain any end other than READY."""

from collections.abc import Awaitable, Callable
from functools import partial

from steps.support.core.deadline import waiting_for
from steps.support.core.errors import Failed
from steps.support.core.limits import DEPLOYMENT_APPEARS
from steps.support.core.retry import poll_until, retry
from steps.support.gateways.vercel import Deployment, Vercel

POLL = 1.0  # seconds between two readings of the platform
WORKING = {"QUEUED", "INITIALIZING", "BUILDING"}
ENDED = {"ERROR", "CANCELED", "BLOCKED", "DELETED"}  # a build in any other state, known or not, may still go live
KNOWN = {*WORKING, "READY", *ENDED}

ENDS = {  # for each state: what it means, and what to do
    "ERROR": ("its build failed", "Fix the build and release again."),
    "CANCELED": ("someone cancelled it", "Ask who did, and release again."),
    "BLOCKED": ("the platform blocked it", "Check that the commit's author may deploy the project."),
    "DELETED": ("someone deleted it", "Ask who did, and release again."),
}
SKIPPED = ("the platform skipped its build", "Check the project's Ignored Build Step and root directory.")
SUPERSEDED = "Agree with the other committer which commit to release, then release again."
UNKNOWN = "This tool does not know that state: look at the deployment on the platform."
NONE = "Check the project's Git connection and `git.deploymentEnabled`, and that the commit's author may deploy."


async def find_deployment(vercel: Vercel, sha: str) -> Deployment:
    """Wait for the platform to show the production deployment of this commit, and return it.

    Raise Failed if it does not within DEPLOYMENT_APPEARS seconds.
    """

    async def shown() -> list[Deployment]:
        if not (found := await vercel.production_deployments(sha)):
            waiting_for(f"the platform shows no deployment of {sha[:8]} yet")
        return found

    if found := await poll_until(shown, bool, every=POLL, within=DEPLOYMENT_APPEARS):
        return found[0]
    newest = await retry(partial(vercel.production_deployments, most=1))
    instead = "".join(f"; the newest is {each.id} of {each.sha[:8]}" for each in newest)
    cause = f"the platform shows none after {DEPLOYMENT_APPEARS:.0f} s{instead}"
    raise Failed(
        code="deployment-not-found",
        operation="looking for",
        subject=f"a deployment of {sha[:8]}",
        cause=cause,
        remedy=NONE,
    )


async def wait_for_build(vercel: Vercel, read: Callable[[], Awaitable[Deployment]], every: float = POLL) -> Deployment:
    """Call `read` every so many seconds until the build is READY. Raise Failed if it ends in any other state."""

    async def state() -> Deployment:
        now = await read()
        if now.state in WORKING:
            waiting_for(f"{now.id} is {now.state}{', behind other builds' if now.is_queued else ''}")
        return now

    waiting_for("the state of the build")
    now = await poll_until(state, lambda now: now.state not in WORKING, every=every)
    if now.state != "READY":
        cause, remedy = await _ended(vercel, now)
        raise Failed(code="build-failed", operation="building", subject=now.id, cause=cause, remedy=remedy)
    return now


async def _ended(vercel: Vercel, deployment: Deployment) -> tuple[str, str]:
    """Return why a build ended in another state than READY, and what to do about that."""
    cause, remedy = ENDS.get(deployment.state, (f"it is {deployment.state}", UNKNOWN))
    if deployment.is_skipped:
        cause, remedy = SKIPPED
    elif deployment.state == "CANCELED" and (newer := await _newer(vercel, deployment)):
        cause, remedy = f"a later push superseded it: {newer.id} of {newer.sha[:8]} is built instead", SUPERSEDED
    if deployment.reason:
        cause = f"{cause}: {deployment.reason}"
    log = await retry(vercel.build_errors, deployment.id) if deployment.state == "ERROR" else ""
    return f"{cause}\n{log}".strip(), remedy


async def _newer(vercel: Vercel, deployment: Deployment) -> Deployment | None:
    """Return a production deployment of another commit that was created after this one, or None."""
    newest = await retry(partial(vercel.production_deployments, most=1))
    return next((each for each in newest if each.created > deployment.created and each.sha != deployment.sha), None)
