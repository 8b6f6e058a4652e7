"""Find the build of our commit on the platform, wait until it ends, and explain any end other than READY."""

from collections.abc import Awaitable, Callable
from functools import partial

from steps.support.core.deadline import waiting_for
from steps.support.core.errors import Failed
from steps.support.core.retry import poll_until, retry
from steps.support.gateways.vercel import IGNORED, Deployment, Vercel

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
SKIPPED = ("the platform skipped its build", f"Check the project's {IGNORED} and root directory.")
UNCHECKED = ("failed", "canceled", "timeout")
CHECKED = "Look at these checks on the platform, fix what they found, and release again."
SUPERSEDED = "Agree with the other committer which commit to release, then release again."
UNKNOWN = "This tool does not know that state: look at the deployment on the platform."
CONNECTED = "Check the project's Git connection and `git.deploymentEnabled`, and that the commit's author may deploy."
SLOW = "If an Action deploys it, raise limits.deployment_appears above the time that it takes."
CLEAN = "Deploy it again from a checkout without uncommitted files."


async def find_deployment(vercel: Vercel, sha: str, within: float) -> Deployment:
    """Wait for the platform to show the production deployment of this commit, and return it.

    If it has several, return the newest whose build has not failed. Raise Failed if it shows none within so many
    seconds.
    """

    async def shown() -> list[Deployment]:
        if not (found := await vercel.production_deployments(sha)):
            waiting_for(f"the platform shows no deployment of {sha[:8]} yet")
        return found

    if found := await poll_until(shown, bool, every=POLL, within=within):
        return next((each for each in found if each.state not in ENDED), found[0])
    cause, remedy = await absent(vercel, sha, within)
    raise Failed(
        code="deployment-not-found",
        operation="looking for",
        subject=f"a deployment of {sha[:8]}",
        cause=cause,
        remedy=remedy,
    )


async def absent(vercel: Vercel, sha: str, waited: float) -> tuple[str, str]:
    """Return what the platform shows in place of a deployment of this commit, and what to do about that."""
    newest = await retry(partial(vercel.production_deployments, most=1))
    changed = [each for each in newest if each.changed_from == sha]
    if changed:
        return f"{changed[0].id} was deployed from it, but with files that were not committed", CLEAN
    instead = "".join(f"; the newest is {each.id} of {each.sha[:8] or 'no known commit'}" for each in newest)
    cause = f"the platform shows none after {waited:.0f} s{instead}"
    is_connected = bool((await retry(vercel.project)).branch)
    return cause, f"{CONNECTED} {SLOW}" if is_connected else f"The project has no Git connection. {SLOW}"


async def wait_for_build(vercel: Vercel, read: Callable[[], Awaitable[Deployment]], every: float = POLL) -> Deployment:
    """Call `read` every so many seconds until the build is READY and checked.

    Raise Failed if it ends in any other state, or if its checks fail.
    """

    async def state() -> Deployment:
        now = await read()
        if now.state in WORKING:
            waiting_for(f"{now.id} is {now.state}{', behind other builds' if now.is_queued else ''}")
        elif _is_checked(now):
            waiting_for(f"{now.id} is READY, and its checks run: {await _checks(vercel, now, '')}")
        return now

    waiting_for("the state of the build")
    now = await poll_until(state, lambda now: now.state not in WORKING and not _is_checked(now), every=every)
    if now.state != "READY" or (now.checks == "failed" and not now.is_aliased):
        cause, remedy = await why_ended(vercel, now)
        raise Failed(code="build-failed", operation="building", subject=now.id, cause=cause, remedy=remedy)
    return now


def _is_checked(now: Deployment) -> bool:
    """Return True if checks that are not over keep a deployment from its aliases."""
    return now.state == "READY" and now.checks == "running" and not now.is_aliased


async def _checks(vercel: Vercel, now: Deployment, *conclusions: str) -> str:
    """Return the names of the checks that have one of these conclusions."""
    runs = await retry(vercel.check_runs, now.id)
    return ", ".join(run.name for run in runs if run.conclusion in conclusions) or "not named by the platform"


async def why_ended(vercel: Vercel, deployment: Deployment) -> tuple[str, str]:
    """Return why a build ended in another state than READY, and what to do about that."""
    cause, remedy = ENDS.get(deployment.state, (f"it is {deployment.state}", UNKNOWN))
    if deployment.state == "READY":
        return f"its checks failed: {await _checks(vercel, deployment, *UNCHECKED)}", CHECKED
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
