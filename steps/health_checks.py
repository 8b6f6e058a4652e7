"""Send the site the requests of its users and its cron, and compare the answers with those from before the change."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from steps.support.core.deadline import waited_for, waiting_for
from steps.support.core.errors import Failed, Refused
from steps.support.core.retry import read_when_settled, retry
from steps.support.gateways.obstacles import redirect
from steps.support.gateways.site import Site
from steps.support.operations.health import (
    Comparison,
    Outcome,
    ask_before,
    ask_once,
    ask_until_judged,
    may_repeat,
    turned_away,
)
from steps.support.run.release import Gateways, HealthCheck, Release
from steps.support.run.step import Done, Step

COLLISION = "UNIQUE constraint failed"  # in the answer if the check collided with the platform's own cron run
AFTER_COLLISION = 5.0  # seconds until the check is repeated
KEY = "Set the key that this check sends: see Settings in README.md."
FIX = "Fix the check or the site first."


@dataclass(frozen=True, slots=True)
class Observed:
    """The body of each check's answer before the change, by the name of the check."""

    baseline: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of one check.

    `outcome`: of its last answer. `seconds`: how long the check took.
    """

    check: HealthCheck
    outcome: Outcome
    seconds: float

    def __str__(self) -> str:
        """Return the result in a few words."""
        if self.outcome.wrong:
            return f"{self.check.name}: {self.outcome.wrong}"
        expected, beside = len(self.check.expect), self.outcome.beside and f" ({self.outcome.beside})"
        return f"{self.check.name}: {expected} of {expected} as expected, {self.seconds:.1f} s{beside}"


@dataclass(frozen=True, slots=True)
class HealthChecks(Step[Observed]):
    """Runs the configured checks against the site."""

    release: Release
    name = "health_checks"

    async def preflight(self, gateways: Gateways) -> Observed:
        """Run each check. Raise Refused if one fails, because it could prove nothing after the change."""
        baseline, failing, remedies = {}, {}, list[str]()
        for check in self.release.health:
            before = check.before or check
            found = await ask_before(gateways.site, before)
            baseline[check.name] = found.answer.body if found.answer else None
            if found.wrong:
                failing[check.name] = found.wrong
                remedies.append(_remedy(before, found))
        if failing:
            cause = f"failed before anything changed: {'; '.join(failing.values())}"
            raise Refused(
                code="health-check-failed",
                operation="checking",
                subject=", ".join(failing),
                cause=cause,
                remedy=" ".join(dict.fromkeys(remedies)),
            )
        return Observed(baseline)

    def plan(self, observed: Observed) -> str:  # noqa: ARG002
        """Describe the requests that will be sent."""
        paths = (f"{check.request.path}{' (writes)' if check.writes else ''}" for check in self.release.health)
        return f"ask {', '.join(paths)}"

    async def apply(self, gateways: Gateways, observed: Observed) -> Done:
        """Run all checks in order, and return their results. Raise Failed if any of them fails."""
        committed, verdicts = await _committed_at(gateways, self.release), list[Verdict]()
        live = await retry(gateways.vercel.served) or ""
        try:
            for check in self.release.health:
                compared = Comparison(observed.baseline[check.name], committed, live)
                verdicts.append(await _verdict(gateways.site, check, compared))
        except asyncio.CancelledError:
            waiting_for("; ".join(filter(None, [*map(str, verdicts), waited_for()])))
            raise
        results = "; ".join(map(str, verdicts))
        if any(verdict.outcome.wrong for verdict in verdicts):
            raise Failed(
                code="health-check-failed",
                operation="checking",
                subject="the site",
                cause=results,
                remedy="Find the reason in the deployment's logs, then release again.",
            )
        return Done(results)


def _remedy(check: HealthCheck, found: Outcome) -> str:
    if found.obstacle:
        return found.obstacle.remedy
    if found.answer and (led := redirect(found.answer)) and led.remedy:
        return led.remedy
    return KEY if found.answer and turned_away(found.answer) and check.request.headers else FIX


async def _committed_at(gateways: Gateways, release: Release) -> str | None:
    """Return when the database committed, by its own clock (ISO 8601, UTC), or None if this run has no migration."""
    read = partial(gateways.turso.marker, release.run)
    marker = await (read_when_settled(read, bool, gateways.turso.behind) if release.proof else retry(read))
    return datetime.fromtimestamp(int(str(marker["at"])), UTC).isoformat() if marker else None


async def _verdict(site: Site, check: HealthCheck, compared: Comparison) -> Verdict:
    began = _now()
    ask = _once if check.writes else ask_until_judged
    return Verdict(check, await ask(site, check, compared), _now() - began)


async def _once(site: Site, check: HealthCheck, compared: Comparison) -> Outcome:
    """Run a check that writes, and return the outcome.

    It is repeated only if the request did not reach the app, or, once, if it collided with the platform's own cron run,
    which proves nothing.
    """
    has_collided = False
    while True:
        found = await ask_once(site, check, compared)
        if may_repeat(check, found):
            waiting_for(found.words)
            await asyncio.sleep(found.pause)
        elif found.wrong and found.answer and COLLISION in str(found.answer.body) and not has_collided:
            has_collided = True
            waiting_for(f"{check.request.path} collided with the platform's own run, and is repeated")
            await asyncio.sleep(AFTER_COLLISION)
        else:
            return found


def _now() -> float:
    return asyncio.get_running_loop().time()
