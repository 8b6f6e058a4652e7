"""Promote our deployment, and roll back. Every step that may move production uses this."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from itertools import count
from operator import not_
from typing import Any

from steps.support.core.deadline import waiting_for
from steps.support.core.errors import Failed, Refused
from steps.support.core.limits import BUILD_GOES_LIVE, PROMOTION_ENDS
from steps.support.core.retry import ensure, poll_until, preflight_read, retry, wait_for_effect
from steps.support.gateways.vercel import Deployment, Project, Vercel
from steps.support.operations.build import ENDED, POLL
from steps.support.operations.foreign_moves import find_foreign, foreign_refusal, refuse_foreign, refuse_others
from steps.support.operations.ours import Ours
from steps.support.operations.production import Observed, Production
from steps.support.run.release import Gateways
from steps.support.run.step import Done

READINGS_PER_CHECK = 7  # of the alias (four seconds at first) before finding out why it does not move
PINNED = "the project is pinned: nothing goes live by itself until auto-assign is on again"


def rollback_plan(observed: Observed) -> str:
    """Return, in words for the plan, how a rollback makes the previous deployment live again."""
    return f"{observed.production.id} is made live again at once; after that, nothing goes live by itself"


def facts(observed: Observed, identifier: str) -> dict[str, object]:
    """Return what the report says about a deployment of ours."""
    return {"deployment": {"id": identifier, "sha": observed.sha, "previous_id": observed.production.id}}


async def wait_until_live(vercel: Vercel, identifier: str, before: Production, every: float = POLL) -> None:
    """Read every so many seconds, more often at first, until a deployment is live. Raise Failed if it will not be."""
    await poll_until(_arrival(vercel, identifier, before), bool, every=every, sooner=True)


async def refuse_disturbed(vercel: Vercel, identifier: str, before: Production) -> None:
    """Raise Failed if others moved production since the preflight, or if a staged build would go live by itself."""
    project = await refuse_foreign(vercel, {identifier, before.id}, before.moved)
    if before.auto_assign is False and project.auto_assign:
        cause = "auto-assign was off, and someone has switched it on: the build would go live by itself"
        raise Failed(
            code="production-changed",
            operation="reading",
            subject=f"project {project.name}",
            cause=cause,
            remedy="Agree with them whether builds should wait.",
        )


async def promote(vercel: Vercel, identifier: str, before: Production) -> None:
    """Promote a staged deployment, and wait until it is live. Raise Failed if it will not be live."""
    known = {identifier, before.id}

    async def promote() -> None:
        await refuse_others(vercel, known, promotes=True)
        await vercel.promote(identifier)

    await ensure(_arrival(vercel, identifier, before), promote, every=POLL)
    await refuse_foreign(vercel, known, before.moved, {identifier})


def _arrival(vercel: Vercel, identifier: str, before: Production) -> Callable[[], Awaitable[bool]]:
    """Return a function that returns True once a deployment is live.

    It raises Failed once it is clear that the deployment will not be live.
    """
    readings = count(1)

    async def is_live() -> bool:
        served, project = await vercel.served(), await vercel.project()
        if theirs := find_foreign(project, {identifier, before.id}, before.moved):
            raise await foreign_refusal(vercel, theirs, project)
        if served == identifier == project.production_id:
            return True
        if served not in (identifier, before.id):
            raise await foreign_refusal(vercel, str(served), project)
        if next(readings) % READINGS_PER_CHECK == 0:
            await _refuse_stuck(vercel, identifier)
        waiting_for(f"{vercel.host} serves {served}")
        return False

    return is_live


async def _refuse_stuck(vercel: Vercel, identifier: str) -> None:
    deployment = await vercel.deployment(identifier)
    if (error := deployment.alias_error) or deployment.checks == "failed":
        cause = f"the platform could not give it {vercel.host}: {error or 'its checks failed'}"
        raise Failed(
            code="promotion-failed",
            operation="waiting for",
            subject=identifier,
            cause=cause,
            remedy="Check the project's domains on the platform.",
        )
    move = (await vercel.project()).move
    if move and (move.kind, move.to) == ("promote", identifier) and move.status in ("failed", "skipped"):
        raise Failed(
            code="promotion-failed",
            operation="promoting",
            subject=identifier,
            cause=f"the platform says {move.status}",
            remedy="Look at it on the platform.",
        )


async def wait_for_late_promotion(vercel: Vercel, before: Production) -> None:
    """Wait up to EFFECT seconds for production to move.

    A promotion that was cut off may have been sent, and the platform has nothing like a fence.
    """

    async def production() -> tuple[str | None, ...]:
        project = await vercel.project()
        return await vercel.served(), project.production_id, project.moving_to

    await wait_for_effect(production, (before.id, before.id, None))


async def roll_back(gateways: Gateways, sha: str, before: Production) -> Done:
    """Make the previous deployment live again, and wait until the public alias serves it.

    A deployment of someone else is left alone; if ours replaced it, it is made live again. The platform's list of
    deployments is not needed for this.
    """
    vercel, sent = gateways.vercel, set[str]()
    ours = Ours(vercel, gateways.git, sha, before.id, before.sha)
    await ours.list()
    if ours.listed:
        await _wait_for_build(vercel, sha, before)
    await _wait_for_move(vercel, ours)

    async def is_decided() -> bool:
        served, project = await vercel.served(), await vercel.project()
        if {served, project.production_id} == {before.id} and project.moving_to in (None, before.id):
            return True
        await ours.judge(project, served, before.moved)
        return find_foreign(project, ours.known, before.moved) is not None or served not in (None, *ours.known)

    async def roll_back() -> None:
        sent.add(before.id)
        await vercel.roll_back(before.id)

    await _give_back(vercel, ours, before, ours.mine)
    await ensure(is_decided, roll_back, every=0.25)
    await _give_back(vercel, ours, before, sent)
    return _outcome(vercel, before, await retry(vercel.project), moved=bool(sent))


def _outcome(vercel: Vercel, before: Production, project: Project, *, moved: bool) -> Done:
    """Return the result of a rollback: what is live, and whether the project is now pinned."""
    if project.production_id != before.id or project.moving_to not in (None, before.id):
        live = project.moving_to or project.production_id
        return Done(f"production is {live}, which belongs to someone else and is left alone")
    detail = f"{before.id} is live again" if moved else f"{before.id} is live, as before"
    if moved and before.auto_assign is False and not before.is_rolled_back:
        return Done(f"{detail}; auto-assign stays off")
    if moved or (before.auto_assign and project.auto_assign is False):
        return Done(f"{detail}; {PINNED}", {"unpin": vercel.unpin_command})
    return Done(detail)


async def _give_back(vercel: Vercel, ours: Ours, before: Production, movers: set[str]) -> None:
    """Make someone else's deployment live again if one of `movers` replaced it, and no one moved production since."""

    async def judged() -> Project:
        project = await vercel.project()
        await ours.judge(project, None, before.moved)
        return project

    project = await retry(judged)
    theirs = find_foreign(project, ours.known, before.moved, movers)
    if not theirs or project.production_id not in movers or project.moving_to:
        return

    def is_between(now: Project) -> bool:
        return now.production_id in {*movers, theirs} and now.moving_to in (None, theirs)

    async def is_over() -> bool:
        served, now = await vercel.served(), await vercel.project()
        return served == theirs == now.production_id or not is_between(now)

    async def roll_back() -> None:
        if is_between(await retry(vercel.project)):
            await vercel.roll_back(theirs)

    waiting_for(f"{project.production_id} replaced {theirs}, which is made live again")
    await ensure(is_over, roll_back, every=0.25)


async def superseded_by(vercel: Vercel, sha: str) -> str:
    """Return what is live in place of a deployment of this commit, or an empty string if one of those is live."""
    project, served = await retry(vercel.project), await retry(vercel.served)
    mine = {deployment.id for deployment in await retry(vercel.production_deployments, sha)}
    others = sorted({str(each) for each in (served, project.production_id, project.moving_to or served)} - mine)
    return f"production is {', '.join(others)}, and not a deployment of {sha[:8]}" if others else ""


async def recall(vercel: Vercel, marker: Mapping[str, Any]) -> Observed | None:
    """Return what was live before a migration, as its marker row says, or None if the row does not say so."""
    sha, live, commit = (str(marker[key] or "") for key in ("release_commit", "previous_deployment", "previous_commit"))
    if not (sha and live):
        return None
    project, deployment = await preflight_read(vercel.project), await preflight_read(vercel.deployment, live)
    by_itself = project.auto_assign if marker["code_order"] == "CODE_FIRST" else False
    return Observed(sha, Production(live, commit, deployment.host, by_itself, project.is_rolled_back))


async def prove_rollback(vercel: Vercel, before: Production) -> None:
    """Raise Refused if the previous deployment cannot be made live again."""
    state = (await preflight_read(vercel.deployment, before.id)).state
    if state != "READY":
        raise Refused(
            code="rollback-refused",
            operation="proving",
            subject=f"the rollback to {before.id}",
            cause=f"that deployment is {state}, so it cannot be made live again",
            remedy="Release a new commit instead.",
        )


async def verify_rollback(vercel: Vercel, sha: str, before: Production) -> str:
    """Return how what is live, or about to be, differs from before; empty if it does not."""
    project, served = await retry(vercel.project), await retry(vercel.served)
    if {project.production_id, served} != {before.id}:
        pinned = "; auto-assign is off, and was on" if before.auto_assign and not project.auto_assign else ""
        return f"production is {project.production_id} and {vercel.host} serves {served}, not {before.id}{pinned}"
    if project.moving_to not in (None, before.id):
        return f"production is being moved to {project.moving_to}"
    if project.auto_assign and not before.auto_assign:
        return "auto-assign is on, and was off"
    rolling = await retry(vercel.rolling_release)
    coming = {project.moving_to, rolling.queued if rolling else None} - {None, before.id}
    if not coming and not project.auto_assign:
        return ""
    builds = await retry(vercel.production_deployments, sha)
    if project.auto_assign:
        coming |= {each.id for each in builds if may_go_live(each, before)}
    ours_coming = [f"{each.id} ({each.state})" for each in builds if each.id in coming]
    return f"{', '.join(ours_coming)} of this run may still go live" if ours_coming else ""


def was_rolled_back(project: Project, before: Production) -> bool:
    """Return True if production was rolled back to the previous deployment since; after that, no build goes live."""
    move = project.move
    return move is not None and (move.kind, move.to) == ("rollback", before.id) and move.requested > (before.moved or 0)


def is_landing(deployment: Deployment, before: Production) -> bool:
    """Return True if a deployment is built and may be about to get its aliases: nothing holds it or checks it."""
    is_ready = deployment.state == "READY" and not deployment.is_aliased and not deployment.alias_error
    return is_ready and not deployment.checks and not before.is_held


def may_go_live(deployment: Deployment, before: Production) -> bool:
    """Return True if a build may still go live by itself, or is live, where auto-assign is on."""
    waits = deployment.state == "READY" and before.is_held
    return deployment.state not in ENDED and deployment.checks != "failed" and not waits


async def switch_auto_assign_off(vercel: Vercel) -> None:
    """Keep builds from going live by themselves."""

    async def off() -> bool:
        return (await vercel.project()).auto_assign is False

    if (await retry(vercel.project)).auto_assign is None:  # it cannot be read back, and setting it again does no harm
        await retry(partial(vercel.set_auto_assign, on=False))
    else:
        await ensure(off, partial(vercel.set_auto_assign, on=False))


async def _wait_for_build(vercel: Vercel, sha: str, before: Production) -> None:
    """Wait up to BUILD_GOES_LIVE seconds until a ready build of ours has gone live by itself.

    It can be rolled back only after that.
    """

    async def landing() -> list[str]:
        if before.is_held or not (await vercel.project()).auto_assign:
            return []
        builds = await vercel.production_deployments(sha)
        found = [each.id for each in builds if each.state == "READY" and not each.is_aliased and not each.checks]
        if found:
            waiting_for(f"{found[0]} goes live by itself")
        return found

    with suppress(TimeoutError):
        async with asyncio.timeout(BUILD_GOES_LIVE + vercel.round_trip):
            await poll_until(landing, not_, every=0.25)


async def _wait_for_move(vercel: Vercel, ours: Ours) -> None:
    """Wait up to PROMOTION_ENDS seconds until a promotion of ours that is under way has ended.

    It can be rolled back only after that.
    """

    async def moving() -> bool:
        project = await vercel.project()
        target = project.moving_to
        if not target or not await ours.is_mine(target, project):
            return False
        waiting_for(f"production is being moved to {target}")
        return True

    with suppress(TimeoutError):
        async with asyncio.timeout(PROMOTION_ENDS + vercel.round_trip):
            await poll_until(moving, not_, every=0.25)
