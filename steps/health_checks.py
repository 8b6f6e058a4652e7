"""Ask the site what its users and its cron will ask, and hold the answers against those of before."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jmespath

from steps.support.engine.step import Check, Done, Failed, Refused
from steps.support.gateways.answers import NotSent, Unknown
from steps.support.gateways.site import Answer, Site
from steps.support.release import HealthCheck, Release
from steps.support.retry import insist
from steps.support.stage import Stage


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
            try:
                answer = await stage.site.ask(check.request)
            except (NotSent, Unknown) as error:
                raise Refused(error.operation, error.subject, error.cause, error.remedy) from None
            if wrong := _wrong(check, answer, answer.body, None):
                raise Refused(
                    "checking",
                    check.name,
                    f"it is red before anything changed: {wrong}",
                    "Mend the check or the site first.",
                )
            baseline[check.name] = answer.body
        return Seen(baseline)

    def plan(self, seen: Seen) -> str:  # noqa: ARG002
        """Name the questions."""
        return "ask " + ", ".join(
            f"{check.request.path}{' (writes)' if check.writes else ''}" for check in self.release.health
        )

    async def act(self, stage: Stage, seen: Seen) -> Done:
        """Ask all; each answer is told, whatever the others are."""
        committed = await _committed_at(stage, self.release.run)
        asked = [_verdict(stage.site, check, seen.baseline[check.name], committed) for check in self.release.health]
        verdicts = dict(zip((check.name for check in self.release.health), await asyncio.gather(*asked), strict=True))
        if any(verdicts.values()):
            told = "; ".join(f"{name}: {wrong or 'as expected'}" for name, wrong in verdicts.items())
            raise Failed("checking", "the site", told, "Find out why on the deployment's logs before releasing again.")
        return Done(f"{', '.join(check.request.path for check in self.release.health)}: as expected")


async def _committed_at(stage: Stage, run: str) -> str | None:
    """Give the database's own time of the commit; None where this run has no migration."""
    marker = await insist(lambda: stage.turso.marker(run))
    return datetime.fromtimestamp(int(str(marker["at"])), UTC).isoformat() if marker else None


async def _verdict(site: Site, check: HealthCheck, baseline: Any, committed: str | None) -> str:
    try:
        answer = await (
            site.ask(check.request) if check.writes else insist(lambda: site.ask(check.request), patience=None)
        )
    except (NotSent, Unknown) as error:
        return str(error)
    return _wrong(check, answer, baseline, committed)


def _wrong(check: HealthCheck, answer: Answer, baseline: Any, committed: str | None) -> str:
    """Name the expectations that the answer does not meet; empty when it meets all."""
    facts = {"status": answer.status, "body": answer.body, "baseline": baseline, "committed_at": committed}
    unmet = [expression for expression in check.expect if not _true(expression, facts)]
    telling = [expression for expression in unmet if expression.startswith("status")] or unmet
    return (
        f"{check.request.path} answered {answer.status} {answer.content_type}, not {', not '.join(telling)}"
        if unmet
        else ""
    )


def _true(expression: str, facts: dict[str, Any]) -> bool:
    try:
        return bool(jmespath.search(expression, facts))
    except jmespath.exceptions.JMESPathError:
        return False  # an answer of another shape, such as a length of nothing
