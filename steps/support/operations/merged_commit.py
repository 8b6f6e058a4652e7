"""A commit that is on the branch already, and was not pushed by this run: a rollback leaves it to a person."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from steps.support.core.errors import Problem
from steps.support.core.limits import BRANCH_READ
from steps.support.core.retry import retry
from steps.support.gateways.git import Commit, Git
from steps.support.operations import production
from steps.support.operations.left_branch import Left, leave_branch
from steps.support.run.release import Gateways, Release
from steps.support.run.step import Done, ReversibleStep

NOT_OURS = "this run did not push them"


@dataclass(frozen=True, slots=True)
class Merged:
    """What preflight read of a commit that is on the branch already.

    `sha`: the commit. `before` and `before_tree`: the commit that was live before and its tree, empty if they are not
    known. `live`: the deployment that was live before. `commits`: the commits since. `round_trip`: the seconds that a
    question to the platform takes.
    """

    sha: str
    before: str
    before_tree: str
    live: str
    commits: tuple[Commit, ...]
    round_trip: float = field(default=0.0, compare=False)


MergedObserved = TypeVar("MergedObserved", bound=Merged)


async def observe(gateways: Gateways, release: Release, sha: str) -> Merged:
    """Read what was live before a commit of the branch. Raise Refused if production is moving or inconsistent."""
    git, now = gateways.git, await production.preflight(gateways, release)
    before, commits = now.production.sha, tuple[Commit, ...]()
    with suppress(Problem):  # this repository need not have the previous commit
        commits = await git.commits(before, sha) if before else ()
    return Merged(sha, before, await tree_of(git, before), now.production.id, commits, now.round_trip)


async def tree_of(git: Git, sha: str) -> str:
    """Return a commit's tree, or an empty string if this repository does not have that commit."""
    with suppress(Problem):
        return await git.tree(sha) if sha else ""
    return ""


class MergedCommit(ReversibleStep[MergedObserved]):
    """What the steps that release a commit of the branch share: they change nothing of their own on the branch."""

    release: Release
    rollback_share = 8 / 30
    prepares = True

    def expects_rollback(self, observed: MergedObserved) -> float:
        """Estimate the seconds: a rollback reads the branch, and switches auto-assign off."""
        return max(1.0, 4 * observed.round_trip)

    def facts(self, observed: MergedObserved) -> Mapping[str, Any]:
        """Return the commits since the previous deployment, for the report."""
        return {"commits": [{"sha": commit.sha, "subject": commit.subject} for commit in observed.commits]}

    async def rollback(self, gateways: Gateways, observed: MergedObserved) -> Done:
        """Leave the commit on the branch, say what a person has to do, and keep it from going live by itself."""
        return await _leave_commit(gateways, self.release, observed)

    async def superseded_by(self, gateways: Gateways, observed: MergedObserved) -> str:  # noqa: ARG002 - it changed nothing
        """Return an empty string: the steps that follow the deployment see what others have done to it."""
        return ""

    async def verify_rollback(self, gateways: Gateways, observed: MergedObserved) -> str:  # noqa: ARG002 - it changed nothing
        """Return an empty string: the steps that follow the deployment see what is left of it."""
        return ""


async def _leave_commit(gateways: Gateways, release: Release, merged: Merged) -> Done:
    """Leave a commit on the branch to a person, unless its files are not there any more.

    Keep builds of the branch from going live by themselves.
    """
    git, before = gateways.git, merged.before
    with suppress(Problem, TimeoutError):
        async with asyncio.timeout(BRANCH_READ):
            now = await retry(git.fetch)
            if merged.before_tree and await git.tree(now) == merged.before_tree:
                return Done(f"{git.branch} has the files of {before[:8]} again")
    message = release.rollback_message.format(run=release.run, previous=before, released=merged.sha)
    left = Left(merged.sha, before, merged.before_tree, merged.live, message, release.run, pushed=False)
    return await leave_branch(git, gateways.vercel, left, NOT_OURS)
