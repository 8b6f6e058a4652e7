"""Send the site the requests of its users and its cron, and compare the answers with those from before the change."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from steps.support.core.deadline import waited_for, waiting_for
from steps.support.core.errors import Failed, Refused
from steps.support.core.retry import retry
from steps.support.gateways.site import Answer, Site
from steps.support.operations.health import ask_once, ask_until_stable, turned_away
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

    `wrong`: what is wrong with the answer, empty if nothing is. `seconds`: how long the check took.
    """

    check: HealthCheck
    wrong: str
    seconds: float

    def __str__(self) -> str:
        """Return the result in a few words."""
        expected = len(self.check.expect)
        return f"{self.check.name}: {self.wrong or f'{expected} of {expected} as expected, {self.seconds:.1f} s'}"


@dataclass(frozen=True, slots=True)
class HealthChecks(Step[Observed]):
    """Runs the configured checks against the site."""

    release: Release
    name = "health_checks"

    async def preflight(self, gateways: Gateways) -> Observed:
        """Run each check once. Raise Refused if one fails, because it could prove nothing after the change."""
        baseline, failing, remedies = {}, {}, list[str]()
        for check in self.release.health:
            before = check.before or check
            answer, wrong = await ask_once(gateways.site, before, None, None)
            baseline[check.name] = answer.body if answer else None
            if wrong:
                failing[check.name] = wrong
                remedies.append(_remedy(before, answer))
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
        committed, verdicts = await _committed_at(gateways, self.release.run), list[Verdict]()
        try:
            for check in self.release.health:
                verdicts.append(await _verdict(gateways.site, check, observed.baseline[check.name], committed))
        except asyncio.CancelledError:
            waiting_for("; ".join(filter(None, [*map(str, verdicts), waited_for()])))
            raise
        results = "; ".join(map(str, verdicts))
        if any(verdict.wrong for verdict in verdicts):
            raise Failed(
                code="health-check-failed",
                operation="checking",
                subject="the site",
                cause=results,
                remedy="Find the reason in the deployment's logs, then release again.",
            )
        return Done(results)


def _remedy(check: HealthCheck, answer: Answer | None) -> str:
    return KEY if answer and turned_away(answer) and check.request.headers else FIX


async def _committed_at(gateways: Gateways, run: str) -> str | None:
    """Return when the database committed, by its own clock (ISO 8601, UTC), or None if this run has no migration."""
    marker = await retry(gateways.turso.marker, run)
    return datetime.fromtimestamp(int(str(marker["at"])), UTC).isoformat() if marker else None


async def _verdict(site: Site, check: HealthCheck, baseline: Any, committed: str | None) -> Verdict:
    began = _now()
    ask = _once if check.writes else ask_until_stable
    wrong = await ask(site, check, baseline, committed)
    return Verdict(check, wrong, _now() - began)


async def _once(site: Site, check: HealthCheck, baseline: Any, committed: str | None) -> str:
    """Run a check that writes, and return what is wrong with the answer.

    If it collided with the platform's own cron run, which proves nothing, repeat it once.
    """
    answer, wrong = await ask_once(site, check, baseline, committed)
    if wrong and answer and COLLISION in str(answer.body):
        waiting_for(f"{check.request.path} collided with the platform's own run, and is repeated")
        await asyncio.sleep(AFTER_COLLISION)
        _, wrong = await ask_once(site, check, baseline, committed)
    return wrong


def _now() -> float:
    return asyncio.get_running_loop().time()
