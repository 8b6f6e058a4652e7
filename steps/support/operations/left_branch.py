"""A branch that a rollback does not restore: nothing of it goes live, and a person gets the commands for it."""

import re
from dataclasses import dataclass
from shlex import join, quote

from steps.support.core.errors import Failed
from steps.support.core.retry import retry
from steps.support.gateways.git import Git
from steps.support.gateways.vercel import Vercel
from steps.support.operations.promotion import switch_auto_assign_off
from steps.support.run.step import FOLLOW_UPS, Done

SIGNATURE = re.compile(r"\bsign(ed|ature|atures|ing)?\b", re.IGNORECASE)
PINNED = "until then leave auto-assign off, because the next build of the branch would go live with those commits"


@dataclass(frozen=True, slots=True)
class Left:
    """What a run left on a branch: its commit `sha` on top of `before`, whose files `tree` are to be restored.

    `before` and `tree` are empty if they are not known, as is `live`: the deployment that was live before. `message`:
    that of the restoring commit. `run`: the run's id. `pushed`: whether the run pushed the commit; otherwise it was on
    the branch already.
    """

    sha: str
    before: str
    tree: str
    live: str
    message: str
    run: str
    pushed: bool = True


async def leave_branch(git: Git, vercel: Vercel, left: Left, why: str, restoring: str = "") -> Done:
    """Keep builds of the branch from going live by themselves, and return what a person has to do with the branch.

    `why`: why the branch is not restored. `restoring`: the commit that would restore it, if it was created. Raise
    Failed if someone else's deployment is live: then it is not for this run to switch auto-assign off.
    """
    held = await _hold(vercel, left)
    how = (
        f"Put a commit that restores the files of {left.before[:8]} on the branch {_name(left)}, open a pull request "
        f"from there to {git.branch}, and merge it"
        if left.tree
        else "Revert them there"
    )
    what = (
        f"{git.branch} still has the {'commits of this run' if left.pushed else 'released commits'}: {why}. {how}; "
        f"{PINNED}"
    )
    commands = [await _push(git, left, why, restoring)] if left.tree else []
    facts = {FOLLOW_UPS: [{"what": what, "commands": commands}]}
    detail = f"{git.branch} keeps {left.sha[:8]}, and nothing of it goes live by itself: {why}"
    return Done(detail, facts | ({"unpin": vercel.unpin_command} if held else {}))


async def leave_to_others(git: Git, vercel: Vercel, left: Left, now: str, why: str) -> Done | None:
    """Return what a person has to do with a branch that others have moved, or None if it may go live by itself."""
    if (await retry(vercel.project)).auto_assign is not False:
        return None
    here, name = _here(git), _name(left)
    fetched = f"{here} fetch {quote(git.remote)} {quote(git.branch)} && {here} switch -c {name} FETCH_HEAD"
    reverted = f"{here} revert --no-edit {left.before}..{left.sha} && {here} push {quote(git.remote)} {name}"
    is_ours_there = await git.is_ancestor(left.sha, now)
    what = f"{git.branch} is at {now[:8]}: {why}. Agree with them; " + (
        f"then revert the commits of this run, and {PINNED}"
        if is_ours_there
        else "then make sure that the platform builds what should be live"
    )
    commands = [f"{fetched} && {reverted}"] if is_ours_there else [f"{here} ls-remote {quote(git.remote)} {git.branch}"]
    facts = {FOLLOW_UPS: [{"what": what, "commands": commands}]}
    return Done(f"{git.branch} is at {now[:8]}, and nothing of it goes live by itself: {why}", facts)


async def _hold(vercel: Vercel, left: Left) -> bool:
    """Switch auto-assign off unless it is off. Return True if this switched it.

    If the run did not push the commits, and someone else's deployment is live, it is left to them.
    """
    project = await retry(vercel.project)
    if project.auto_assign is False:
        return False
    live = project.production_id
    if left.live and live and live != left.live and await _sha(vercel, live, project.production_sha) != left.sha:
        if not left.pushed:
            return False
        raise Failed(
            code="rollback-failed",
            operation="rolling back",
            subject="the branch",
            cause=f"{live} is live and not of this run, and it is not known what the branch is to have",
            remedy="Agree with them; then revert this run's commits.",
        )
    await switch_auto_assign_off(vercel)
    return True


async def _sha(vercel: Vercel, identifier: str, known: str) -> str:
    return known or (await retry(vercel.deployment, identifier)).sha


async def _push(git: Git, left: Left, why: str, restoring: str) -> str:
    """Return the command that pushes a restoring commit to a branch of its own, signed if the branch wants that."""
    commit, must_be_signed = restoring, SIGNATURE.search(why)
    if not restoring or must_be_signed:
        signed = ["-S"] if must_be_signed or await git.signs() else []
        made = join(["commit-tree", *signed, "-p", left.sha, "-m", left.message, left.tree])
        commit = f'"$({_here(git)} {made})"'
    return f"{_here(git)} push {quote(git.remote)} {commit}:refs/heads/{_name(left)}"


def _here(git: Git) -> str:
    return f"git -C {quote(str(git.repository))}"


def _name(left: Left) -> str:
    return f"rollback-{left.run}"
