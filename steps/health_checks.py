"""Ask the site what its users and its cron will ask, and hold the answers against those of before."""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from steps.support.engine.step import Check, Done, Failed, Refused
from steps.support.expectation import holds
from steps.support.gateways.answers import NotSent, Unknown
from steps.support.gateways.site import Answer, Site
from steps.support.release import HealthCheck, Release
from steps.support.retry import insist
from steps.support.stage import Stage

IN_A_ROW, BAD = 2, 3  # good answers that are enough, bad ones that are too many
PAUSE = 0.5  # seconds between two questions
NEAR = 3.0  # seconds before and after a full minute in which the platform calls the cron itself
COLLISION, AFTER_COLLISION = "UNIQUE constraint failed", 5.0  # what a meeting with it looks like; seconds to wait then


@dataclass(frozen=True, slots=True)
class Seen:
    """The body of each check's answer before the change, by the check's name."""

    baseline: dict[str, Any]


@dataclass(frozen=True, slots=True)
class HealthChecks(Check[Seen]):
    """The configured questions to the site."""

    release: Release
    name = "health_checks"

    async def look(self, stage: Stage) -> Seen:
        """Ask each once: a check that is red before refuses the run, because it could not tell anything after."""
        baseline = {}
        for check in self.release.health:
            answer, wrong = await _asked(stage.site, check.before or check, None, None)
            if wrong or answer is None:
                cause = f"it is red before anything changed: {wrong}"
                raise Refused("checking", check.name, cause, "Mend the check or the site first.")
            baseline[check.name] = answer.body
        return Seen(baseline)

    def plan(self, seen: Seen) -> str:  # noqa: ARG002
        """Name the questions."""
        paths = (f"{check.request.path}{' (writes)' if check.writes else ''}" for check in self.release.health)
        return f"ask {', '.join(paths)}"

    async def act(self, stage: Stage, seen: Seen) -> Done:
        """Ask all, in their order; each answer is told, whatever the others are."""
        committed, verdicts = await _committed_at(stage, self.release.run), {}
        for check in self.release.health:
            verdicts[check.name] = await _verdict(stage.site, check, seen.baseline[check.name], committed)
        if any(verdicts.values()):
            told = "; ".join(f"{name}: {wrong or 'as expected'}" for name, wrong in verdicts.items())
            raise Failed("checking", "the site", told, "Find out why on the deployment's logs before releasing again.")
        return Done(f"{', '.join(check.request.path for check in self.release.health)}: as expected")


async def _committed_at(stage: Stage, run: str) -> str | None:
    """Give the database's own time of the commit; None where this run has no migration."""
    marker = await insist(lambda: stage.turso.marker(run))
    return datetime.fromtimestamp(int(str(marker["at"])), UTC).isoformat() if marker else None


async def _verdict(site: Site, check: HealthCheck, baseline: Any, committed: str | None) -> str:
    """Say what is wrong with the answers to one check; empty when nothing is."""
    if check.writes:
        return await _once(site, check, baseline, committed)
    good = bad = 0
    while True:
        _, wrong = await _asked(site, check, baseline, committed)
        good, bad = (0, bad + 1) if wrong else (good + 1, bad)
        if good == IN_A_ROW or bad == BAD:
            return wrong
        await asyncio.sleep(PAUSE)


async def _once(site: Site, check: HealthCheck, baseline: Any, committed: str | None) -> str:
    """Ask what writes once; once more where it met the platform's own run, which says nothing of either."""
    answer, wrong = await _asked(site, check, baseline, committed)
    if wrong and answer and COLLISION in str(answer.body):
        await asyncio.sleep(AFTER_COLLISION)
        _, wrong = await _asked(site, check, baseline, committed)
    return wrong


async def _asked(site: Site, check: HealthCheck, baseline: Any, committed: str | None) -> tuple[Answer | None, str]:
    """Ask, what writes away from the full minute, when the platform asks too; give the answer and what is wrong."""
    if check.writes:
        await asyncio.sleep(away(time.time()))
    try:
        answer = await site.ask(check.request)
    except (NotSent, Unknown) as error:
        return None, str(error)
    return answer, _wrong(check, answer, answer.body if baseline is None else baseline, committed)


def away(now: float) -> float:
    """Give the seconds to wait so as not to be near a full minute; `now` is seconds since 1970."""
    since = now % 60
    if since < NEAR:
        return NEAR - since
    return 60 + NEAR - since if since > 60 - NEAR else 0.0


def _wrong(check: HealthCheck, answer: Answer, baseline: Any, committed: str | None) -> str:
    """Name the expectations that the answer does not meet; empty when it meets all."""
    facts = {"status": answer.status, "body": answer.body, "baseline": baseline, "committed_at": committed}
    unmet = [expression for expression in check.expect if not holds(expression, facts)]
    telling = [expression for expression in unmet if expression.startswith("status")] or unmet
    what = f"{check.request.path} answered {answer.status} {answer.content_type}"
    return f"{what}, not {', not '.join(telling)}" if unmet else ""
