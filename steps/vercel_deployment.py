"""Wait until the platform has built the pushed commit and, if new builds go live by themselves, until it is live."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

from steps.support.core.errors import Failed, NotSent, Refused, Rejected, Stalled, Unknown
from steps.support.core.limits import BUILD_GOES_LIVE, CANCELLED, LIST_READ, PUSH_TAKEN_UP
from steps.support.core.retry import ensure, poll_until, preflight_read, retry
from steps.support.gateways.vercel import Deployment, Vercel
from steps.support.operations import build, promotion
from steps.support.operations.promotion import Production
from steps.support.run.release import Gateways, Release
from steps.support.run.step import Done, ReversibleStep

SOON = 0.5  # seconds between two reads of a build that goes live by itself: half as often as the platform's own client
BUILDS = 10  # recent builds whose durations are read
_OVER = {"READY", *build.ENDED}
ALL_AT_ONCE = "Finish or abort it on the platform: a rollback would not reach the users it serves."


@dataclass(frozen=True, slots=True)
class Observed(promotion.Observed):
    """What every promotion observes, and also the token's owner and the seconds that recent builds took."""

    user: str = ""
    builds: tuple[float, ...] = ()


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
        user, now = await preflight_read(gateways.vercel.user), await promotion.preflight(gateways)
        _refuse_unstaged(self.release.demands.staged, now.production)
        await preflight_read(_refuse_rolling_release, gateways.vercel)
        await preflight_read(_refuse_missing, gateways.vercel, self.release.demands.required_env)
        recent = await preflight_read(partial(gateways.vercel.production_deployments, most=BUILDS))
        same = await preflight_read(gateways.vercel.production_deployments, now.sha)
        _refuse_building([*same, *recent], now.sha)
        times = tuple(each.build_seconds for each in recent if each.state == "READY" and each.build_seconds)
        return Observed(now.sha, now.production, now.round_trip, user, times)

    def settle(self, release: Release, observed: Observed) -> Release:
        """Rule out DATA_FIRST if a build goes live by itself: the code cannot wait for the schema."""
        ruled_out = {"DATA_FIRST": "auto-assign is on: the code goes live as soon as it is built"}
        return release.without(ruled_out if observed.production.auto_assign else {})

    def expected_seconds(self, observed: Observed) -> float:
        """Estimate the seconds from the recent builds."""
        return max(1.0, (median(observed.builds) if observed.builds else 0.0) + 6 * observed.round_trip)

    def expects_rollback(self, observed: Observed) -> float:
        """Estimate the seconds: if the build goes live by itself, a rollback asks about fourteen questions in turn."""
        return max(1.0, (14 if observed.production.auto_assign else 5) * observed.round_trip)

    def plan(self, observed: Observed) -> str:
        """Describe the build, how long recent ones took, and how it goes live."""
        took = (
            f" (recent builds: median {median(observed.builds):.0f} s, longest {max(observed.builds):.0f} s)"
            if observed.builds
            else ""
        )
        then = (
            "goes live by itself" if observed.production.auto_assign else f"waits, staged: {_why(observed.production)}"
        )
        return f"the platform builds {observed.sha[:8]}{took}, which then {then}"

    def rollback_plan(self, observed: Observed) -> str:
        """Describe what will be live after a rollback."""
        return (
            promotion.rollback_plan(observed)
            if observed.production.auto_assign
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
        found = await build.find_deployment(gateways.vercel, observed.sha)
        read = partial(_undisturbed, gateways.vercel, found.id, observed.production)
        await build.wait_for_build(gateways.vercel, read, every=SOON if observed.production.auto_assign else build.POLL)
        if observed.production.auto_assign:
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

        A build that cannot be cancelled, or of which nothing is known, is kept from going live: auto-assign is switched
        off.
        """
        builds = await _cancel_builds(gateways.vercel, observed.sha, await _taken_up(gateways, observed))
        goes_live = (await retry(gateways.vercel.project)).auto_assign
        if not (observed.production.auto_assign or goes_live):
            return Done(_left_staged(builds))
        if goes_live and _must_be_held(builds):
            await promotion.switch_auto_assign_off(gateways.vercel)
            await _wait_for_late_build(gateways.vercel, observed.sha)
        done = await promotion.roll_back(gateways, observed.sha, observed.production)
        if builds is None and not promotion.was_rolled_back(await retry(gateways.vercel.project), observed.production):
            raise _unlisted(observed.sha)
        return done

    async def superseded_by(self, gateways: Gateways, observed: Observed) -> str:
        """Return what is now live in place of our deployment.

        Return an empty string if ours is still live, or if builds do not go live by themselves.
        """
        return await promotion.superseded_by(gateways.vercel, observed.sha) if observed.production.auto_assign else ""

    async def prove_rollback(self, gateways: Gateways, observed: Observed) -> None:
        """Raise Refused if builds go live by themselves and the previous deployment cannot be made live again."""
        if observed.production.auto_assign:
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
            if observed.production.auto_assign
            else ""
        )


def _why(production: Production) -> str:
    if production.auto_assign is None:
        return "the platform does not say whether auto-assign is on"
    since = f" since production was rolled back to {production.id}" if production.is_rolled_back else ""
    return f"auto-assign is off{since}"


async def _refuse_rolling_release(vercel: Vercel) -> None:
    if await vercel.rolling_release():
        raise Refused(
            code="platform-not-ready",
            operation="reading",
            subject="the platform",
            cause="a rolling release is in progress",
            remedy=ALL_AT_ONCE,
        )


async def _refuse_missing(vercel: Vercel, required: tuple[str, ...]) -> None:
    if not required:
        return
    if missing := sorted(set(required) - await vercel.production_variables()):
        cause = f"production has no {', '.join(missing)}"
        raise Refused(
            code="platform-not-ready",
            operation="reading",
            subject="the environment variables",
            cause=cause,
            remedy="Set them on the platform, for production.",
        )


def _refuse_building(deployments: list[Deployment], sha: str) -> None:
    """Raise Refused if someone else's build could go live during the release, or if our commit is already deployed."""
    for each in deployments:
        if each.sha == sha:
            remedy = "Make a new commit: git commit --amend --no-edit"
            raise Refused(
                code="platform-not-ready",
                operation="reading",
                subject="the platform",
                cause=f"{each.id} is already a deployment of {sha[:8]}",
                remedy=remedy,
            )
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
    if production.auto_assign and why:
        remedy = "Switch auto-assign of production domains off in the project's settings, or change that setting."
        raise Refused(
            code="platform-not-ready",
            operation="reading",
            subject="the platform",
            cause=f"auto-assign is on, but {why}",
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


async def _wait_for_late_build(vercel: Vercel, sha: str) -> None:
    """Wait up to BUILD_GOES_LIVE seconds while a build that was ready before auto-assign was off may still go live."""

    async def has_landed() -> bool:
        return not any(promotion.is_landing(each) for each in await vercel.production_deployments(sha))

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


def _must_be_held(builds: list[Deployment] | None) -> bool:
    """Return True if a build would go live by itself unless auto-assign is switched off.

    One that is about to get its aliases cannot be held any more.
    """
    if builds is None:
        return True
    held = [each for each in builds if each.state not in build.ENDED and not each.is_aliased]
    return bool(held) and not any(promotion.is_landing(each) for each in held)


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
