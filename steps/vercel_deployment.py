"""Wait until the platform has built the pushed commit and, if new builds go live by themselves, until it is live."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Any

from steps.support.core.errors import Failed, NotSent, Refused, Rejected, Stalled, Unknown
from steps.support.core.limits import BUILD_GOES_LIVE, CANCELLED, LIST_READ, PUSH_TAKEN_UP
from steps.support.core.retry import ensure, poll_until, preflight_read, retry
from steps.support.gateways.vercel import Deployment, Vercel
from steps.support.operations import build, platform_ready, production, promotion
from steps.support.operations.production import Production
from steps.support.run.release import Gateways, Release
from steps.support.run.step import Done, ReversibleStep

SOON = 0.5  # seconds between two reads of a build that goes live by itself: half as often as the platform's own client
BUILDS = 10  # recent builds whose durations are read
_OVER = {"READY", *build.ENDED}
BY_ITSELF = "auto-assign is on: the code goes live as soon as it is built"
LIVE = "the code is live already; with auto-assign of production domains off, the next deployment waits for the schema"


@dataclass(frozen=True, slots=True)
class Observed(production.Observed):
    """What every promotion observes, and also the token's owner and the seconds that recent builds took.

    `is_built`: whether our commit was built already when preflight looked.
    """

    user: str = ""
    builds: tuple[float, ...] = ()
    is_built: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class VercelDeployment(ReversibleStep[Observed]):
    """Waits for the build of our commit. If auto-assign is on, that build also goes live."""

    release: Release
    name = "vercel_deployment"
    rollback_share = 10 / 30
    prepares = True
    triggered = True  # by the push
    writes = "a production deployment; if auto-assign is on, also what is live"

    async def preflight(self, gateways: Gateways) -> Observed:
        """Read what is live and how a new build goes live. Raise Refused if anything stands in the way."""
        vercel, demands = gateways.vercel, self.release.demands
        user, now = await preflight_read(_user, vercel), await production.preflight(gateways, self.release)
        _refuse_unstaged(demands.staged, now.production)
        await preflight_read(platform_ready.refuse_rolling_release, vercel)
        await preflight_read(platform_ready.refuse_other_branch, vercel, gateways.git, now.production.id)
        await preflight_read(platform_ready.refuse_missing_variables, vercel, demands.required_env)
        await preflight_read(platform_ready.refuse_expiring_token, vercel, demands.lasts)
        recent = await preflight_read(partial(vercel.production_deployments, most=BUILDS))
        others = [each for each in recent if each.sha != now.sha]
        _refuse_building(others)
        is_built = any(each.sha == now.sha and each.state == "READY" for each in recent)
        times = tuple(each.build_seconds for each in others if each.state == "READY" and each.build_seconds)
        return Observed(now.sha, now.production, now.round_trip, user, times, is_built)

    def settle(self, release: Release, observed: Observed) -> Release:
        """Rule out DATA_FIRST if our code goes live by itself, or is live: it cannot wait for the schema."""
        ruled_out = {"DATA_FIRST": LIVE if observed.production.is_held is False else BY_ITSELF}
        return release.without(ruled_out if observed.production.goes_live else {})

    def expected_seconds(self, observed: Observed) -> float:
        """Estimate the seconds from the recent builds, unless our commit is built already."""
        took = median(observed.builds) if observed.builds and not observed.is_built else 0.0
        return max(1.0, took + 6 * observed.round_trip)

    def expects_rollback(self, observed: Observed) -> float:
        """Estimate the seconds: if the build goes live by itself, a rollback asks about fourteen questions in turn."""
        return max(1.0, (14 if observed.production.goes_live else 5) * observed.round_trip)

    def plan(self, observed: Observed) -> str:
        """Describe the build, how long recent ones took, and how it goes live."""
        if observed.production.is_held is False:
            return f"{observed.sha[:8]} is built, and live already; before it, {observed.production.id} was live"
        took = (
            f" (recent builds: median {median(observed.builds):.0f} s, longest {max(observed.builds):.0f} s)"
            if observed.builds
            else ""
        )
        then = "goes live by itself" if observed.production.goes_live else f"waits, staged: {_why(observed.production)}"
        if observed.is_built:
            return f"the platform has built {observed.sha[:8]}, which {then}"
        return f"the platform builds {observed.sha[:8]}{took}, which then {then}"

    def rollback_plan(self, observed: Observed) -> str:
        """Describe what will be live after a rollback."""
        return (
            promotion.rollback_plan(observed)
            if observed.production.goes_live
            else "a running build is cancelled; a finished one stays staged"
        )

    def facts(self, observed: Observed) -> Mapping[str, Any]:
        """Return what is live, for the report."""
        now = observed.production
        return {"production": {"id": now.id, "sha": now.sha, "host": now.host, "auto_assign": now.auto_assign}}

    async def apply(self, gateways: Gateways, observed: Observed) -> Done:
        """Find the deployment of our commit, and wait until it is built. If auto-assign is on, wait until it is live.

        Raise Failed if the build fails, or if others change production meanwhile.
        """
        found = await build.find_deployment(gateways.vercel, observed.sha, self.release.demands.appears)
        read = partial(_undisturbed, gateways.vercel, found.id, observed.production)
        await build.wait_for_build(gateways.vercel, read, every=SOON if observed.production.goes_live else build.POLL)
        if observed.production.goes_live:
            await promotion.wait_until_live(gateways.vercel, found.id, observed.production)
            return Done(f"{found.id} is live", promotion.facts(observed, found.id))
        if await retry(gateways.vercel.served) == found.id:
            cause = "it went live as soon as it was built, and this run did not promote it"
            raise Failed(
                code="production-changed",
                operation="staging",
                subject=found.id,
                cause=cause,
                remedy="Someone switched auto-assign on: agree with them on the setting, then release again.",
            )
        return Done(f"{found.id} is built and staged", promotion.facts(observed, found.id))

    async def rollback(self, gateways: Gateways, observed: Observed) -> Done:
        """Cancel running builds; if builds go live by themselves, make the previous deployment live again.

        If a build cannot be cancelled, or its state is not known, auto-assign is switched off, so that it does not go
        live.
        """
        vercel, sha, before = gateways.vercel, observed.sha, observed.production
        builds = await _cancel_builds(vercel, sha, await _taken_up(gateways, observed))
        auto_assign = (await retry(vercel.project)).auto_assign
        if not (before.goes_live or auto_assign):
            return Done(_left_staged(builds))
        if auto_assign and _must_be_held(builds, before):
            await promotion.switch_auto_assign_off(vercel)
            await _wait_for_late_build(vercel, sha, before)
        done = await promotion.roll_back(gateways, sha, before)
        if builds is None and not (before.is_held or promotion.was_rolled_back(await retry(vercel.project), before)):
            raise _unlisted(sha)
        return done

    async def superseded_by(self, gateways: Gateways, observed: Observed) -> str:
        """Return what is now live in place of our deployment.

        Return an empty string if ours is still live, or if builds do not go live by themselves.
        """
        return await promotion.superseded_by(gateways.vercel, observed.sha) if observed.production.goes_live else ""

    async def prove_rollback(self, gateways: Gateways, observed: Observed) -> None:
        """Raise Refused if builds go live by themselves and the previous deployment cannot be made live again."""
        if observed.production.goes_live:
            await promotion.prove_rollback(gateways.vercel, observed.production)

    async def recall(self, gateways: Gateways, marker: Mapping[str, Any]) -> Observed | None:
        """Return what was live before, as the marker row says, with the auto-assign setting as it is now.

        Return None if the row does not say what was live.
        """
        now = await promotion.recall(gateways.vercel, marker)
        return Observed(now.sha, now.production) if now else None

    async def verify_rollback(self, gateways: Gateways, observed: Observed) -> str:
        """Return how what is live, or may still go live by itself, differs from the previous deployment.

        Return an empty string if it does not differ, or if builds do not go live by themselves.
        """
        return (
            await promotion.verify_rollback(gateways.vercel, observed.sha, observed.production)
            if observed.production.goes_live
            else ""
        )


async def _user(vercel: Vercel) -> str:
    """Return the name of the token's user, or an empty text if the token, such as a project's, may not tell it."""
    with suppress(Rejected):
        return await vercel.user()
    return ""


def _why(production: Production) -> str:
    if production.is_held:
        return "it was deployed without the production domains"
    if production.auto_assign is None:
        return "the platform does not say whether auto-assign is on"
    since = f" since production was rolled back to {production.id}" if production.is_rolled_back else ""
    return f"auto-assign is off{since}"


def _refuse_building(others: list[Deployment]) -> None:
    """Raise Refused if someone else's build could go live during the release."""
    for each in others:
        if each.state in build.WORKING:
            cause = f"{each.id} of {each.sha[:8]} is {each.state}"
            raise Refused(
                code="platform-not-ready",
                operation="reading",
                subject="the platform",
                cause=cause,
                remedy="Wait until it has finished, or cancel it.",
            )


def _refuse_unstaged(why: str, production: Production) -> None:
    if production.goes_live and why:
        how = "the commit is live already" if production.is_held is False else "auto-assign is on"
        remedy = "Switch auto-assign of production domains off in the project's settings, or change that setting."
        raise Refused(
            code="platform-not-ready",
            operation="reading",
            subject="the platform",
            cause=f"{how}, but {why}",
            remedy=remedy,
        )


async def _taken_up(gateways: Gateways, observed: Observed) -> list[Deployment] | None:
    """Return the deployments of our commit. If it was pushed, wait briefly until the platform has created one.

    Return None if the platform's list does not answer.
    """
    found: list[Deployment] | None = None

    async def is_known() -> bool:
        nonlocal found
        found = await gateways.vercel.production_deployments(observed.sha)
        return bool(found) or await gateways.git.remote_head() != observed.sha

    with suppress(TimeoutError, Rejected):
        async with asyncio.timeout(PUSH_TAKEN_UP + gateways.vercel.round_trip):
            await poll_until(is_known, bool, every=0.25)
    return found


async def _undisturbed(vercel: Vercel, identifier: str, before: Production) -> Deployment:
    """Return our deployment. Raise Failed if others have moved production: our build could go live over theirs."""
    await promotion.refuse_disturbed(vercel, identifier, before)
    return await vercel.deployment(identifier)


async def _cancel_builds(vercel: Vercel, sha: str, deployments: list[Deployment] | None) -> list[Deployment] | None:
    """Cancel these builds, and return the deployments of our commit as they are then; None if they are not known."""
    with suppress(TimeoutError, Rejected):
        async with asyncio.timeout(CANCELLED + 2 * vercel.round_trip):
            await asyncio.gather(*(_cancel_build(vercel, each) for each in deployments or ()))
    with suppress(TimeoutError, Rejected, NotSent, Unknown):
        async with asyncio.timeout(LIST_READ + vercel.round_trip):
            return await retry(vercel.production_deployments, sha)
    return None


async def _cancel_build(vercel: Vercel, deployment: Deployment) -> None:
    if deployment.state not in build.KNOWN:
        await retry(_cancel, vercel, deployment.id)  # an unknown state may mean that it is building
    await ensure(partial(_ended, vercel, deployment.id), partial(_cancel, vercel, deployment.id), every=0.25)


async def _wait_for_late_build(vercel: Vercel, sha: str, before: Production) -> None:
    """Wait up to BUILD_GOES_LIVE seconds while a build that was ready before auto-assign was off may still go live."""

    async def has_landed() -> bool:
        return not any(promotion.is_landing(each, before) for each in await vercel.production_deployments(sha))

    with suppress(TimeoutError, Rejected):
        async with asyncio.timeout(BUILD_GOES_LIVE + vercel.round_trip):
            await poll_until(has_landed, bool, every=0.25)


def _unlisted(sha: str) -> Stalled:
    return Stalled(
        code="rollback-failed",
        operation="rolling back",
        subject=f"the build of {sha[:8]}",
        cause="the platform does not list it, and one that was ready before auto-assign was off may still go live",
        remedy="Look at them on the platform.",
    )


def _must_be_held(builds: list[Deployment] | None, before: Production) -> bool:
    """Return True if a build would go live by itself unless auto-assign is switched off.

    One that is about to get its aliases cannot be held any more; one whose checks run can.
    """
    if builds is None:
        return not before.is_held
    coming = [each for each in builds if promotion.may_go_live(each, before) and not each.is_aliased]
    return bool(coming) and not any(promotion.is_landing(each, before) for each in coming)


def _left_staged(builds: list[Deployment] | None) -> str:
    """Return, in words, which deployments of ours stay on the platform, where builds do not go live by themselves."""
    if builds is None:
        return "the platform does not say which builds of this run are left; they stay staged"
    if running := ", ".join(f"{each.id} ({each.state})" for each in builds if each.state not in _OVER):
        return f"{running} is not cancelled, and stays staged"
    staged = ", ".join(each.id for each in builds if each.state == "READY")
    return f"{staged} stays on the platform, staged" if staged else "no build of this run is left"


async def _ended(vercel: Vercel, identifier: str) -> bool:
    return (await vercel.deployment(identifier)).state not in build.WORKING


async def _cancel(vercel: Vercel, identifier: str) -> None:
    with suppress(Rejected):  # it has ended by itself; the next reading shows how
        await vercel.cancel(identifier)
