"""Push the release's commits to the branch that the platform builds. A rollback adds a commit, and rewrites nothing."""

import asyncio
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from shlex import quote
from typing import Any

from steps.support.core.deadline import waiting_for
from steps.support.core.errors import Failed, NotSent, Problem, Refused, Rejected, Unknown
from steps.support.core.limits import PUSH_AGAIN, RESTORING_BUILD_APPEARS, SIGNED
from steps.support.core.retry import ensure, poll_until, preflight_read, retry, wait_for_effect
from steps.support.gateways.git import Commit, Git
from steps.support.gateways.vercel import Vercel
from steps.support.operations.build import ENDED
from steps.support.operations.foreign_moves import find_foreign
from steps.support.operations.left_branch import Left, leave_branch, leave_to_others
from steps.support.run.release import Gateways, Release
from steps.support.run.step import Done, ReversibleStep

_IN_ACTIONS = "in GitHub Actions, give actions/checkout `ref` (the branch) and `fetch-depth: 0`"
SHOWN = 5  # commits of others that a message lists
PROTECTED = ("protected branch", "Protected branch", "GH006", "GH013", "through pull requests", "via pull request")
MERGE = 'Merge the change by a pull request, then release it with `release = "none"`: nothing is pushed then.'


@dataclass(frozen=True, slots=True)
class Observed:
    """What preflight read of the branch, here and on the remote.

    `sha`: the local commit to push. `before` and `before_tree`: the remote's commit and its tree.
    `commits`: the commits between the two. `probe`: the seconds that a dry-run push took. `live`: the id of the live
    deployment, empty if it is not known. `hook`: whether a local pre-push hook will run in the push.
    """

    sha: str
    before: str
    before_tree: str
    commits: tuple[Commit, ...]
    probe: float = field(compare=False)
    live: str = ""
    hook: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class GitPush(ReversibleStep[Observed]):
    """Pushes exactly the commit that preflight read."""

    release: Release
    name = "git_push"
    rollback_share = 8 / 30
    prepares = True
    triggers = True
    writes = "commits on the branch; a rollback adds one more and rewrites nothing"

    async def preflight(self, gateways: Gateways) -> Observed:
        """Read the branch. Raise Refused unless the tree is clean, the branch is ahead, and a dry-run push succeeds."""
        await _refuse_unready(gateways.git)
        sha, before = await gateways.git.head(), await gateways.git.fetch()
        await _refuse_diverged(gateways.git, sha, before)
        await preflight_read(_refuse_deployed, gateways.vercel, sha)
        probe = await _dry_run_seconds(gateways.git, sha)
        live = (await preflight_read(gateways.vercel.project)).production_id or ""
        tree, commits = await gateways.git.tree(before), await gateways.git.commits(before, sha)
        return Observed(sha, before, tree, commits, probe, live, await gateways.git.has_push_hook())

    def expected_seconds(self, observed: Observed) -> float:
        """Estimate the seconds from the dry-run push, which sends no commits."""
        return max(1.0, 2 * observed.probe)

    def expects_rollback(self, observed: Observed) -> float:
        """Estimate the seconds from the dry-run push: a rollback reads, pushes, and reads again."""
        return max(1.0, 3 * observed.probe)

    def plan(self, observed: Observed) -> str:
        """Describe what will be pushed."""
        hook = "; the pre-push hook runs once, in the push, and within limits.git_push" if observed.hook else ""
        return (
            f"push {len(observed.commits)} commit{'s' * (len(observed.commits) != 1)} onto {observed.before[:8]} "
            f"(push permission tested with a dry run{hook})"
        )

    def rollback_plan(self, observed: Observed) -> str:
        """Describe the commit that restores the previous files."""
        return f"a commit on top restores the files of {observed.before[:8]}"

    def facts(self, observed: Observed) -> Mapping[str, Any]:
        """Return the commits to be pushed, for the report."""
        return {"commits": [{"sha": commit.sha, "subject": commit.subject} for commit in observed.commits]}

    async def apply(self, gateways: Gateways, observed: Observed) -> Done:
        """Push the commit. Raise Refused if it was rejected or not sent, because then certainly nothing has changed."""
        waiting_for("the pre-push hook, or the remote" if observed.hook else "")
        try:
            await gateways.git.push(observed.sha)
        except (Rejected, NotSent) as error:
            is_protected = any(words in error.cause for words in PROTECTED)
            raise Refused(
                code=error.code,
                operation="pushing to",
                subject=gateways.git.branch,
                cause=error.cause,
                remedy=MERGE if is_protected else error.remedy,
            ) from None
        return Done(
            f"{gateways.git.branch} is at {observed.sha[:8]}",
            {"pushed": {"sha": observed.sha, "before": observed.before}},
        )

    async def rollback(self, gateways: Gateways, observed: Observed) -> Done:
        """Push a commit on top of ours that restores the previous files.

        If the branch's rules, or commits of others, do not let us restore it, it is left for a person, and nothing of
        it goes live by itself. Raise Failed if it may.
        """
        git = gateways.git
        await git.end_pushes(observed.sha)
        now = await wait_for_effect(git.remote_head, observed.before)
        if now == observed.before:
            return Done(f"{git.branch} did not move")
        if now != observed.sha and not await self.verify_rollback(gateways, observed):
            return Done(f"the files of {observed.before[:8]} are already restored")
        if now != observed.sha:
            return await self._left_to_others(gateways, observed, now)
        return await self._restore(gateways, observed)

    async def _restore(self, gateways: Gateways, observed: Observed) -> Done:
        """Push the restoring commit, or leave the branch to a person if its rules refuse that."""
        git, left, restoring = gateways.git, self._left(observed), ""
        can_cancel = await _can_cancel_build(gateways.vercel, observed)
        try:
            restoring = await _restoring_commit(git, left)
            await _push(git, restoring, observed)
        except _Unsigned as unsigned:
            return await leave_branch(git, gateways.vercel, left, unsigned.cause)
        except Rejected as refused:
            if (now := await retry(git.remote_head)) != observed.sha:
                return await self._left_to_others(gateways, observed, now)
            return await leave_branch(git, gateways.vercel, left, f"it refuses that ({refused.cause})", restoring)
        build = await _stop_build(gateways.vercel, restoring) if can_cancel else f"the platform builds {restoring[:8]}"
        here = f"git -C {quote(str(git.repository))}"
        again = f"{here} pull --ff-only {git.remote} {git.branch} && {here} revert --no-edit {restoring}"
        return Done(f"the files of {observed.before[:8]} are restored by {restoring[:8]}; {build}", {"retry": again})

    async def _left_to_others(self, gateways: Gateways, observed: Observed, now: str) -> Done:
        """Return what a person has to do with a branch that others moved. Raise Failed if it may go live by itself."""
        await gateways.git.fetch()
        error = await _foreign_push(gateways.git, now, observed)
        left = await leave_to_others(gateways.git, gateways.vercel, self._left(observed), now, error.cause)
        if left is None:
            raise error
        return left

    def _left(self, observed: Observed) -> Left:
        run = self.release.run
        message = self.release.rollback_message.format(run=run, previous=observed.before, released=observed.sha)
        return Left(observed.sha, observed.before, observed.before_tree, observed.live, message, run)

    async def superseded_by(self, gateways: Gateways, observed: Observed) -> str:
        """Return how others have moved the branch since our push, or an empty string if they have not."""
        now = await retry(gateways.git.fetch)
        if now == observed.sha:
            return ""
        since = [f"{commit.sha[:8]} {commit.subject}" for commit in await gateways.git.commits(observed.sha, now)]
        return f"{gateways.git.branch} is at {now[:8]}, and not at {observed.sha[:8]}: {'; '.join(since[:SHOWN])}"

    async def recall(self, gateways: Gateways, marker: Mapping[str, Any]) -> Observed | None:
        """Return where the branch was before, as the marker row says, after fetching its commits.

        Return None if the run did not push.
        """
        await retry(gateways.git.fetch)
        sha, before = (str(marker[key]) for key in ("release_commit", "previous_head"))
        if sha == before:
            return None  # the commit was on the branch already, and was not pushed by the run
        return Observed(sha, before, await gateways.git.tree(before), (), 0.0, str(marker["previous_deployment"] or ""))

    async def verify_rollback(self, gateways: Gateways, observed: Observed) -> str:
        """Return how the remote branch differs from the previous files.

        Return an empty string if they were restored, even if others have added commits since.
        """
        now = await retry(gateways.git.fetch)
        if await gateways.git.tree(now) == observed.before_tree or await _is_reverted(gateways.git, now, observed):
            return ""
        return f"{gateways.git.branch} is at {now[:8]}, whose files are not those of {observed.before[:8]}"


async def _dry_run_seconds(git: Git, sha: str) -> float:
    """Push with --dry-run, and return the seconds that it took. Raise Refused if the remote refuses."""
    began = asyncio.get_running_loop().time()
    try:
        await git.push(sha, rehearse=True)
    except (Rejected, NotSent, Unknown) as error:
        raise Refused(
            code=error.code, operation="probing the push to", subject=git.branch, cause=error.cause, remedy=error.remedy
        ) from None
    return asyncio.get_running_loop().time() - began


async def _refuse_unready(git: Git) -> None:
    if (branch := await git.branch_checked_out()) != git.branch:
        raise Refused(
            code="checkout-not-ready",
            operation="reading",
            subject="the repository",
            cause=f"{branch} is checked out" if branch else "HEAD is detached: no branch is checked out",
            remedy=f"Check out {git.branch}." if branch else f"Run `git switch {git.branch}`; {_IN_ACTIONS}.",
        )
    if changes := await git.uncommitted():
        shown = ", ".join(changes[:5]) + (f" and {len(changes) - 5} more" if len(changes) > 5 else "")  # noqa: PLR2004
        raise Refused(
            code="checkout-not-ready",
            operation="reading",
            subject="the repository",
            cause=f"it is not clean: {shown}",
            remedy=f"Commit, stash or ignore these files.{_about_filters(await git.own_filters())}",
        )


def _about_filters(names: Collection[str]) -> str:
    """Return a sentence about filters that are not run, so that files look changed; empty if there are none."""
    if not names:
        return ""
    what = f"Filter {', '.join(names)} of the checkout's own configuration is not run for a look"
    return f" {what}: if the files differ only for want of it, configure it with `git config --global`."


async def _refuse_diverged(git: Git, sha: str, before: str) -> None:
    if sha == before:
        raise Refused(
            code="nothing-to-release",
            operation="comparing",
            subject=git.branch,
            cause="the remote already has every commit",
            remedy="Commit the changes that you want to release.",
        )
    if await git.is_ancestor(before, sha):
        return
    if await git.is_shallow():
        raise Refused(
            code="checkout-not-ready",
            operation="reading",
            subject="the repository",
            cause=f"the checkout is shallow: its commits do not reach back to {before[:8]}, where the remote is",
            remedy=f"Run `git fetch --unshallow`; {_IN_ACTIONS}.",
        )
    raise Refused(
        code="branch-diverged",
        operation="comparing",
        subject=git.branch,
        cause=f"the remote is at {before[:8]}, which is not an ancestor of {sha[:8]}",
        remedy="Pull or rebase first.",
    )


async def _refuse_deployed(vercel: Vercel, sha: str) -> None:
    """Raise Refused if the commit is deployed already: the platform would not build it again."""
    for each in await vercel.production_deployments(sha):
        raise Refused(
            code="platform-not-ready",
            operation="reading",
            subject="the platform",
            cause=f"{each.id} is already a deployment of {sha[:8]}",
            remedy="Make a new commit: git commit --amend --no-edit",
        )


async def _contains(git: Git, sha: str, parent: str) -> bool:
    """Return True if `sha`, a commit on top of `parent`, is on the branch, even if others have pushed onto it since."""
    if (now := await git.remote_head()) in (sha, parent):
        return now == sha
    return await git.is_ancestor(sha, await git.fetch())


async def _is_reverted(git: Git, now: str, observed: Observed) -> bool:
    """Return True if a commit on top of ours restored the previous files, and the branch does not hold ours again."""
    is_ours = await git.tree(now) == await git.tree(observed.sha)
    return not is_ours and await git.had_tree(observed.before_tree, observed.sha, now)


class _Unsigned(Problem):
    """The restoring commit could not be created, usually because it could not be signed."""


async def _restoring_commit(git: Git, left: Left) -> str:
    """Create the commit that restores the previous files, and return its id. Raise _Unsigned if that fails."""
    try:
        async with asyncio.timeout(SIGNED):
            return await git.commit_tree(left.tree, left.sha, left.message)
    except TimeoutError:
        cause = f"it could not be signed within {SIGNED:g} s"
    except Problem as problem:
        cause = f"no signed commit could be created ({problem.cause})"
    raise _Unsigned(
        code="rollback-failed", operation="rolling back", subject="the branch", cause=cause, remedy="Sign it."
    )


async def _push(git: Git, restoring: str, observed: Observed) -> None:
    """Push the restoring commit, once more if it is refused while the branch has not moved."""
    arrived = partial(_contains, git, restoring, observed.sha)
    push = partial(ensure, arrived, partial(git.push, restoring, hooks=False), patience=None)
    try:
        await push()
    except Rejected:
        if await retry(git.remote_head) != observed.sha:
            raise
        await asyncio.sleep(PUSH_AGAIN)
        await push()


async def _foreign_push(git: Git, now: str, observed: Observed) -> Failed:
    """Return the error that says whose commits are on the branch."""
    if await git.is_ancestor(observed.sha, now):
        cause = f"someone else pushed {now[:8]} after this run's {observed.sha[:8]}"
        remedy = "revert this run's commits by hand"
    else:
        cause = f"someone else pushed {now[:8]}; nothing of this run is on the branch"
        remedy = "make sure that the platform builds what should be live"
    return Failed(
        code="rollback-failed",
        operation="rolling back",
        subject=git.branch,
        cause=cause,
        remedy=f"Agree with them; then {remedy}.",
    )


async def _stop_build(vercel: Vercel, restoring: str) -> str:
    """Cancel the build of the restoring commit if it appears in time. Return what happened, and never fail the run."""
    try:
        async with asyncio.timeout(RESTORING_BUILD_APPEARS):
            builds = await poll_until(partial(vercel.production_deployments, restoring), bool, every=0.25)
            await vercel.cancel(builds[0].id)
            return f"its build {builds[0].id} is cancelled"
    except (TimeoutError, Rejected, Unknown, NotSent):
        return f"the platform may build {restoring[:8]}, which is the previous code"


async def _can_cancel_build(vercel: Vercel, observed: Observed) -> bool:
    """Return True if the build of the restoring commit may be cancelled.

    It may be if no build of our commit can still go live by itself. Otherwise the build of the restoring commit must
    run, because it makes the previous code live again. Raise Failed if it would go live over a deployment of others.
    """
    with suppress(TimeoutError, Rejected, NotSent, Unknown):
        async with asyncio.timeout(RESTORING_BUILD_APPEARS):
            project = await retry(vercel.project)
            if not project.auto_assign:
                return True
            builds = await retry(vercel.production_deployments, observed.sha)
            known = {observed.live, *(build.id for build in builds)}
            if observed.live and (theirs := find_foreign(project, known, None)):
                cause = f"{theirs} is live and not of this run, and the build of a restoring commit would replace it"
                raise Failed(
                    code="rollback-failed",
                    operation="rolling back",
                    subject="the branch",
                    cause=cause,
                    remedy="Agree with them; then revert this run's commits.",
                )
            return bool(builds) and all(build.state in ENDED for build in builds)
    return False
