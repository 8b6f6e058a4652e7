"""Deploy what the remote branch is at, with the operator's own command. Later steps wait for it, and roll it back."""

from dataclasses import dataclass

from steps.support.core.errors import Failed, Refused, Unknown
from steps.support.core.retry import preflight_read, retry
from steps.support.gateways.git import Git
from steps.support.gateways.vercel import Vercel
from steps.support.operations import build
from steps.support.operations.merged_commit import Merged, MergedCommit, observe
from steps.support.run.release import Gateways, Release
from steps.support.run.step import Done

NAMED = "It must deploy for production, from the checkout or with --meta gitCommitSha=$COMMIT_SHA."


@dataclass(frozen=True, slots=True)
class Observed(Merged):
    """The commit that is deployed, what was live before it, and the command."""

    command: str = ""


@dataclass(frozen=True, slots=True)
class DeployCommand(MergedCommit[Observed]):
    """Runs the command, and finds the deployment whose URL it prints."""

    release: Release
    name = "deploy_command"
    triggers = True
    writes = "a production deployment, which the configured command makes"

    async def preflight(self, gateways: Gateways) -> Observed:
        """Raise Refused unless exactly the branch's commit is checked out, and none of its deployments is in use."""
        sha = await preflight_read(self.release.commit, gateways.git)
        await _refuse_other_files(gateways.git, sha)
        await preflight_read(_refuse_deployed, gateways.vercel, sha)
        now = await observe(gateways, self.release, sha)
        return Observed(
            now.sha, now.before, now.before_tree, now.live, now.commits, now.round_trip, gateways.deployer.command
        )

    def plan(self, observed: Observed) -> str:
        """Describe what will run."""
        return f"deploy {observed.sha[:8]} with `{observed.command}`"

    def rollback_plan(self, observed: Observed) -> str:  # noqa: ARG002 - the deployment has its own step
        """Describe what a rollback does."""
        return "the next steps roll the deployment back; the commit stays on the branch, as a follow-up"

    async def apply(self, gateways: Gateways, observed: Observed) -> Done:
        """Run the command. Raise Failed if it fails, or did not deploy our commit to our project's production."""
        try:
            host = await gateways.deployer.deploy(observed.sha)
        except Unknown as error:
            raise Failed.because(error) from None
        found, project = await retry(gateways.vercel.deployment, host), await retry(gateways.vercel.project)
        wrong = {
            f"of project {found.project}": found.project in (None, project.id),
            "not for production": found.target == "production",
            f"of {found.sha[:8] or 'no known commit'}": found.sha == observed.sha,
        }
        if causes := [words for words, is_right in wrong.items() if not is_right]:
            raise Failed(
                code="deployment-not-found",
                operation="looking for",
                subject=f"a deployment of {observed.sha[:8]}",
                cause=f"the command deployed {found.id}, which is {' and '.join(causes)}",
                remedy=NAMED,
            )
        return Done(f"the command deployed {found.id}")


async def _refuse_other_files(git: Git, sha: str) -> None:
    head, changes = await git.head(), await git.uncommitted()
    if head != sha:
        cause, remedy = f"{head[:8]} is checked out, and {git.branch} is at {sha[:8]} on {git.remote}", "Pull first."
    elif changes:
        cause, remedy = f"it is not clean: {', '.join(changes[:5])}", "Commit, stash or ignore these files."
    else:
        return
    raise Refused(
        code="checkout-not-ready",
        operation="reading",
        subject="the repository",
        cause=f"{cause}, and the command would deploy it",
        remedy=remedy,
    )


async def _refuse_deployed(vercel: Vercel, sha: str) -> None:
    """Raise Refused if a deployment of the commit is live or building: there would be two of them."""
    live = (await vercel.project()).production_id
    for each in await vercel.production_deployments(sha):
        if each.id == live or each.state in build.WORKING:
            raise Refused(
                code="platform-not-ready",
                operation="reading",
                subject="the platform",
                cause=f"{each.id} is already a deployment of {sha[:8]}",
                remedy="Unset vercel.deploy to release that deployment.",
            )
