"""Check that the code that is live, or about to be, can run on the schema that a rollback restores."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from steps.support.core.errors import Failed, NotSent, Problem, Rejected, Stalled, Unknown
from steps.support.core.limits import LIVE_CODE_KNOWN
from steps.support.core.retry import retry
from steps.support.gateways.git import Git
from steps.support.gateways.vercel import Deployment, Project, Vercel
from steps.support.operations.build import WORKING
from steps.support.operations.foreign_moves import NEWEST, arriving, owner_of
from steps.support.run.release import Gateways

AGAIN = 0.25  # seconds between two tries

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Tried:
    """The code that is known to run on the schema that a rollback restores.

    `deployment`: the deployment that was live on that schema. `commits`: the commits whose code runs on it. `release`:
    this run's own commit, whether or not its code runs on it. `alone`: whether to assume, if the platform does not
    answer, that no other code is live.
    """

    deployment: str
    commits: tuple[str, ...]
    release: str
    alone: bool


async def refuse_unfit(gateways: Gateways, tried: Tried) -> None:
    """Raise Failed if code that has not been proved to run on the previous schema is live or about to be.

    Raise Stalled if it cannot be found out which code is live, unless `tried.alone` allows a platform that does not
    answer.
    """
    vercel = gateways.vercel
    served, projects, lists, rolling = await asyncio.gather(
        _answer(vercel, vercel.served),
        _answer(vercel, vercel.project),
        _answer(vercel, partial(vercel.production_deployments, most=NEWEST)),
        _answer(vercel, vercel.rolling_release),
    )
    newest = {each.id: each for each in (lists[0] if lists else ())}
    coming = dict(_moves(served, projects))
    coming |= {each.queued: "goes live once the rolling release has ended" for each in rolling if each and each.queued}
    coming |= _builds(projects, tuple(newest.values()), tried)
    coming.pop(tried.deployment, None)
    for project in projects:
        if project.production_sha in tried.commits:  # known without another question
            coming.pop(project.production_id or "", None)
    unknown = [each for each, how in coming.items() if not await _is_fit(gateways, tried, newest.get(each), each, how)]
    is_silent = not served or not projects or (projects[0].auto_assign and not lists)
    if unknown or (is_silent and not tried.alone):
        known = "".join(f", only that it is {each}" for each in unknown)
        cause = f"the platform does not tell which code is live{known}"
        raise Stalled(
            code="rollback-failed",
            operation="rolling back",
            subject="the schema",
            cause=cause,
            remedy="Try again once it answers.",
        )


def _moves(served: Sequence[str | None], projects: Sequence[Project]) -> Iterator[tuple[str, str]]:
    """Yield each deployment that is live or to which production is being moved, and words that say which of the two."""
    for project in projects:
        if project.moving_to:
            yield project.moving_to, "is about to be live"
        if project.production_id:
            yield project.production_id, "is live"
    for each in served:
        yield each or "", "is live"


def _builds(projects: Sequence[Project], newest: Sequence[Deployment], tried: Tried) -> dict[str, str]:
    """Return the builds that would go live by themselves, each with its state in words.

    A build of this run that has ended is left out, because it was left staged.
    """
    ended = (each.id for each in newest if each.sha == tried.release and each.state not in WORKING)
    known = {tried.deployment, *ended}
    found = (each for project in projects for each in arriving(project, newest, known))
    return {each.id: f"is {each.state}, and would go live by itself" for each in found}


async def _is_fit(gateways: Gateways, tried: Tried, found: Deployment | None, identifier: str, how: str) -> bool:
    """Return True if a deployment's code can run on the schema, or False if the platform does not answer.

    Raise Failed if the code has not been proved to run on it.
    """
    if identifier and not found:
        if not (answer := await _answer(gateways.vercel, partial(gateways.vercel.deployment, identifier))):
            return False
        found = answer[0]
    sha = found.sha if found else ""
    if sha not in tried.commits and not await _is_same(gateways.git, sha, tried.commits):
        who = f"{identifier} (of {owner_of(found)})" if found else "nothing"
        cause = f"{who} {how}, and has not been proved to run on the old schema"
        raise Failed(
            code="rollback-failed",
            operation="rolling back",
            subject="the schema",
            cause=cause,
            remedy="First decide which deployment should be live.",
        )
    return True


async def _is_same(git: Git, sha: str, commits: Sequence[str]) -> bool:
    """Return True if a commit has the same files as one of `commits`. If it is unknown here, fetch the branch first."""
    if not sha:
        return False
    if not await _is_known(git, sha):
        with suppress(Problem, TimeoutError):
            async with asyncio.timeout(LIVE_CODE_KNOWN):
                await git.fetch()
    return any([await git.same_files(sha, each) for each in commits])


async def _is_known(git: Git, sha: str) -> bool:
    with suppress(Problem):
        return bool(await git.tree(sha))
    return False


async def _answer(vercel: Vercel, ask: Callable[[], Awaitable[Result]]) -> list[Result]:
    """Return the answer in a list, or an empty list if there is none within LIVE_CODE_KNOWN seconds."""
    with suppress(TimeoutError, NotSent, Rejected, Unknown):
        async with asyncio.timeout(LIVE_CODE_KNOWN + vercel.round_trip):
            return [await retry(ask, every=AGAIN)]
    return []
