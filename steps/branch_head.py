"""Release what the remote branch is at. It was merged there, and the Git integration or an Action deploys it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from steps.support.core.errors import Code, Refused
from steps.support.core.retry import poll_until, preflight_read, retry
from steps.support.gateways.vercel import Deployment, Vercel
from steps.support.operations import build
from steps.support.operations.merged_commit import Merged, MergedCommit, observe, tree_of
from steps.support.run.release import Gateways, Release
from steps.support.run.step import Done

DEPLOY = "Set vercel.deploy to the command that deploys it, if nobody else does."


@dataclass(frozen=True, slots=True)
class Observed(Merged):
    """The commit that the branch is at, what was live before it, and its deployment."""

    deployment: str = ""


@dataclass(frozen=True, slots=True)
class BranchHead(MergedCommit[Observed]):
    """Finds the deployment of the commit that the branch is at, and leaves the branch alone."""

    release: Release
    name = "branch_head"
    writes = "nothing; the commit is on the branch already, and a rollback leaves it there"

    async def preflight(self, gateways: Gateways) -> Observed:
        """Wait until the platform shows one deployment of the branch's commit. Raise Refused without one."""
        sha = await preflight_read(self.release.commit, gateways.git)
        found = await _deployment(gateways.vercel, sha, self.release.demands.appears)
        now = await observe(gateways, self.release, sha)
        return Observed(now.sha, now.before, now.before_tree, now.live, now.commits, now.round_trip, found.id)

    def plan(self, observed: Observed) -> str:
        """Describe what is released."""
        subject = f" ({observed.commits[0].subject})" if observed.commits else ""
        return f"release {observed.sha[:8]}{subject}, which the branch is at; its deployment is {observed.deployment}"

    def rollback_plan(self, observed: Observed) -> str:  # noqa: ARG002 - any commit stays
        """Describe what a rollback does."""
        return "the commit stays on the branch, as a follow-up, and no build of the branch goes live by itself"

    async def apply(self, gateways: Gateways, observed: Observed) -> Done:
        """Confirm that the branch is still at the commit. Raise Refused if it has moved."""
        if (now := await retry(gateways.git.remote_head)) != observed.sha:
            raise Refused(
                code="production-changed",
                operation=self.name,
                subject="checked again",
                cause=f"{gateways.git.branch} has moved to {now[:8]} since the plan",
                remedy="Run again.",
            )
        return Done(f"{gateways.git.branch} is at {observed.sha[:8]}")

    async def recall(self, gateways: Gateways, marker: Mapping[str, Any]) -> Observed | None:
        """Return the commit and the previous one, as the marker row says, or None if the run pushed the commit."""
        sha, before = str(marker["release_commit"]), str(marker["previous_commit"] or "")
        if sha != str(marker["previous_head"]):
            return None
        await retry(gateways.git.fetch)
        tree = await tree_of(gateways.git, before)
        return Observed(sha, before, tree, str(marker["previous_deployment"] or ""), ())


async def _deployment(vercel: Vercel, sha: str, within: float) -> Deployment:
    found = await poll_until(lambda: vercel.production_deployments(sha), bool, every=build.POLL, within=within)
    usable = [each for each in found if each.state not in build.ENDED]
    if not found:
        cause, remedy = await build.absent(vercel, sha, within)
        raise _refused("deployment-not-found", sha, cause, f"{remedy} {DEPLOY}")
    if not usable:
        cause, remedy = await build.why_ended(vercel, found[0])
        raise _refused("deployment-not-found", sha, f"{found[0].id}: {cause}", remedy)
    if len(usable) > 1:
        names = ", ".join(each.id for each in usable)
        raise _refused("deployment-not-found", sha, f"it has several: {names}", "Delete all but one of them.")
    return usable[0]


def _refused(code: Code, sha: str, cause: str, remedy: str) -> Refused:
    return Refused(code=code, operation="looking for", subject=f"a deployment of {sha[:8]}", cause=cause, remedy=remedy)
