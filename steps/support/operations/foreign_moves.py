"""Find out what others do to production.

This is checked before every write that could overwrite their work, because the platform would accept both.
"""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from functools import partial

from steps.support.core.errors import Failed, Problem
from steps.support.core.limits import OWNER_KNOWN
from steps.support.core.retry import retry
from steps.support.gateways.vercel import Deployment, Project, Vercel
from steps.support.operations.build import WORKING

NEWEST = 10  # deployments that are read to find builds of others
FOREIGN = "Someone else deployed meanwhile: agree with them which deployment should be live."
NOT_OURS = "which is neither this run's nor the previous one"


def find_foreign(project: Project, known: Collection[str], since: int | None, ours: Collection[str] = ()) -> str | None:
    """Return someone else's deployment that is live, is about to be, or was replaced by ours; None if there is none.

    `known`: the deployments of this run, and the previous one. `since`: when production was last moved before this run,
    in milliseconds on the platform's clock; None if that is not known. `ours`: the deployments to which only this run
    moves production.
    """
    if project.production_id and project.production_id not in known:
        return project.production_id
    move = project.move
    if move is None or move.had_no_effect or since is None or move.requested <= since:
        return None if project.moving_to in (None, *known) else project.moving_to
    if move.to not in known:
        return move.to
    return move.source if move.to in ours and move.source and move.source not in known else None


async def refuse_foreign(
    vercel: Vercel, known: Collection[str], since: int | None, ours: Collection[str] = ()
) -> Project:
    """Return the project. Raise Failed, which names the owner, if someone else's deployment is live or about to be."""
    project = await retry(vercel.project)
    if theirs := find_foreign(project, known, since, ours):
        raise await foreign_refusal(vercel, theirs, project)
    return project


async def refuse_others(vercel: Vercel, known: Collection[str], *, promotes: bool = False, why: str = NOT_OURS) -> None:
    """Raise Failed if a deployment that is not `known` is live, is about to be, or has a build that may go live.

    A build goes live by itself while auto-assign is on. `promotes`: whether a promotion is next, which switches
    auto-assign on. `why`: what the message says is wrong with the other deployment.
    """
    project, served, newest = await asyncio.gather(
        retry(vercel.project), retry(vercel.served), retry(partial(vercel.production_deployments, most=NEWEST))
    )
    if theirs := find_foreign(project, known, None) or (served if served not in known else None):
        raise await foreign_refusal(vercel, theirs, project, why)
    for each in arriving(project, newest, known, promotes=promotes):
        if (await retry(vercel.deployment, each.id)).is_held:
            continue  # it waits for its promotion even if auto-assign is on; a list does not say so
        cause = f"{each.id} of {owner_of(each)} is {each.state}, and would go live by itself"
        raise Failed(code="production-changed", operation="reading", subject=vercel.host, cause=cause, remedy=FOREIGN)


def arriving(
    project: Project, newest: Collection[Deployment], known: Collection[str], *, promotes: bool = False
) -> list[Deployment]:
    """Return the builds that would go live by themselves and are not `known`.

    `promotes`: whether a promotion is next, after which running builds go live by themselves, too.
    """
    building = [each for each in newest if each.id not in known and each.state in WORKING]
    landing = [each for each in newest if _is_landing(each, newest, known)]
    return [*(building if promotes or project.auto_assign else []), *(landing if project.auto_assign else [])]


def _is_landing(each: Deployment, newest: Collection[Deployment], known: Collection[str]) -> bool:
    """Return True if a build is ready and waits for its aliases. A build that is older than ours was left staged."""
    younger = each.id not in known and all(each.created > one.created for one in newest if one.id in known)
    return younger and each.state == "READY" and not each.is_aliased and each.checks != "failed"


async def foreign_refusal(vercel: Vercel, theirs: str, project: Project, why: str = NOT_OURS) -> Failed:
    """Return the error that names the other deployment and its owner."""
    by = ""
    with suppress(Problem, TimeoutError):
        async with asyncio.timeout(OWNER_KNOWN + vercel.round_trip):
            by = f" (of {owner_of(await vercel.deployment(theirs))})"
    verb = "is being moved to" if theirs == project.moving_to else "is"
    if theirs not in (project.production_id, project.moving_to):
        verb = "was moved by someone else to"
    cause = f"production {verb} {theirs}{by}, {why}"
    return Failed(code="production-changed", operation="reading", subject=vercel.host, cause=cause, remedy=FOREIGN)


def owner_of(deployment: Deployment) -> str:
    """Return a deployment's commit, and its creator if the platform names one."""
    commit = deployment.sha[:8] or "no known commit"
    return f"{commit}, by {deployment.creator}" if deployment.creator else commit
