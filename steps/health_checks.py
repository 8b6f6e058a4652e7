"""Ask the site what its users and its cron will ask, and hold the answers against those of before."""

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

COLLISION = "UNIQUE constraint failed"  # how it shows that the platform's own run was met
AFTER_COLLISION = 5.0  # seconds
KEY = "Set the key that this check sends; README.md, Settings, says how."
MEND = "Mend the check or the site first."


@dataclass(frozen=True, slots=True)
class Observed:
    """The body of each check's answer before the change, by the check's name."""

    baseline: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one check: what is wrong, empty for nothing, and the seconds that asking took."""

    check: HealthCheck
    wrong: str
    seconds: float

    def __str__(self) -> str:
        """Give it in a few words."""
        expected = len(self.check.expect)
        return f"{self.check.name}: {self.wrong or f'{expected} of {expected} as expected, {self.seconds:.1f} s'}"


@dataclass(frozen=True, slots=True)
class HealthChecks(Step[Observed]):
    """The configured questions to the site."""

    release: Release
    name = "health_checks"

    async def preflight(self, gateways: Gateways) -> Observed:
        """Ask each once: checks that are red before refuse the run, because they could not tell anything after."""
        baseline, red, remedies = {}, {}, list[str]()
        for check in self.release.health:
            before = check.before or check
            answer, wrong = await ask_once(gateways.site, before, None, None)
            baseline[check.name] = answer.body if answer else None
            if wrong:
                red[check.name] = wrong
                remedies.append(_remedy(before, answer))
        if red:
            cause = f"red before anything changed: {'; '.join(red.values())}"
            raise Refused("checking", ", ".join(red), cause, " ".join(dict.fromkeys(remedies)))
        return Observed(baseline)

    def plan(self, observed: Observed) -> str:  # noqa: ARG002
        """Name the questions."""
        paths = (f"{check.request.path}{' (writes)' if check.writes else ''}" for check in self.release.health)
        return f"ask {', '.join(paths)}"

    async def apply(self, gateways: Gateways, observed: Observed) -> Done:
        """Ask all, in their order; each answer is told, whatever the others are."""
        committed, verdicts = await _committed_at(gateways, self.release.run), list[Verdict]()
        try:
            for check in self.release.health:
                verdicts.append(await _verdict(gateways.site, check, observed.baseline[check.name], committed))
        except asyncio.CancelledError:
            waiting_for("; ".join(filter(None, [*map(str, verdicts), waited_for()])))
            raise
        told = "; ".join(map(str, verdicts))
        if any(verdict.wrong for verdict in verdicts):
            raise Failed("checking", "the site", told, "Find out why on the deployment's logs before releasing again.")
        return Done(told)


def _remedy(check: HealthCheck, answer: Answer | None) -> str:
    return KEY if answer and turned_away(answer) and check.request.headers else MEND


async def _committed_at(gateways: Gateways, run: str) -> str | None:
    """Give the database's own time of the commit; None where this run has no migration."""
    marker = await retry(gateways.turso.marker, run)
    return datetime.fromtimestamp(int(str(marker["at"])), UTC).isoformat() if marker else None


async def _verdict(site: Site, check: HealthCheck, baseline: Any, committed: str | None) -> Verdict:
    began = _now()
    ask = _once if check.writes else ask_until_stable
    wrong = await ask(site, check, baseline, committed)
    return Verdict(check, wrong, _now() - began)


async def _once(site: Site, check: HealthCheck, baseline: Any, committed: str | None) -> str:
    """Ask what writes once; once more where it met the platform's own run, which says nothing of either."""
    answer, wrong = await ask_once(site, check, baseline, committed)
    if wrong and answer and COLLISION in str(answer.body):
        waiting_for(f"{check.request.path} met the platform's own run, and is asked once more")
        await asyncio.sleep(AFTER_COLLISION)
        _, wrong = await ask_once(site, check, baseline, committed)
    return wrong


def _now() -> float:
    return asyncio.get_running_loop().time()
