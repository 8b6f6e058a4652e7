"""Run one of the configured health checks against the site, and report what is wrong with its answer.

Expectations are JMESPath expressions. They may use `is_fresh`, a function that compares times.
"""

import asyncio
import re
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import inf
from typing import Any

import jmespath
from jmespath import functions
from jmespath.exceptions import JMESPathError

from steps.support.core.deadline import waiting_for
from steps.support.core.errors import NotSent, Unknown
from steps.support.gateways.obstacles import REDIRECTS, Obstacle, obstacle, redirect
from steps.support.gateways.site import Answer, Request, Site
from steps.support.run.release import HealthCheck

TOLERANCE = 2.0  # seconds, because the app keeps whole seconds, and the clocks of the database and the app may differ


class _Times(functions.Functions):
    """Adds the function is_fresh(time, before, committed_at)."""

    @functions.signature({"types": []}, {"types": []}, {"types": []})
    def _func_is_fresh(self, time: Any, before: Any, committed: Any) -> bool:
        return fresh(time, before, committed)


_OPTIONS = jmespath.Options(custom_functions=_Times())


def fresh(time: str | None, before: str | None, committed: str | None) -> bool:
    """Return True if a time (ISO 8601) is later than `before` and not earlier than the commit, within TOLERANCE.

    If nothing is committed yet, any time will do, and None will not.
    """
    if time is None or committed is None:
        return time is not None
    newer = before is None or _seconds(time) > _seconds(before)
    return newer and _seconds(time) >= _seconds(committed) - TOLERANCE


def holds(expression: str, facts: dict[str, Any]) -> bool:
    """Return True if an expression is true of the facts.

    Return False if it is not, or if the facts have another shape than the expression expects.
    """
    try:
        return bool(jmespath.search(expression, facts, options=_OPTIONS))
    except (JMESPathError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return False


def _seconds(time: str) -> float:
    """Return a time in seconds since 1970. One without a zone is UTC, as databases write it, and not local time."""
    when = datetime.fromisoformat(time)
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


IN_A_ROW = 2  # good answers in a row that are enough
APART = 2.0  # seconds between two wrong answers that together are enough
PAUSE = 0.5  # seconds between two requests
CALM = 10.0  # seconds in which something in front of the app may go away before anything has changed
NEAR = 3.0  # seconds before and after a full minute in which the platform calls the cron itself
PATIENCE = 10.0  # seconds until a request that writes nothing is given up and sent again
NOT_FOUND = 404  # a middleware that checks keys may also answer this if there is no key
QUOTED = 120  # characters of the site's own words
NO_KEY = {401, 403, NOT_FOUND}


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the answers of a check are compared with.

    `baseline`: the body of the answer before the change; None if there is none yet. `committed`: when the database
    committed (ISO 8601, UTC); None if it has not. `live`: the id of the deployment that should answer; empty if every
    deployment may.
    """

    baseline: Any = None
    committed: str | None = None
    live: str = ""


BEFORE = Comparison()  # nothing has changed: an answer is compared with itself


@dataclass(frozen=True, slots=True)
class Outcome:
    """One answer to a check, None if there was none, and what is wrong with it; an empty text if nothing is.

    `obstacle`: what answered instead of the app, or None. `is_proof`: True if the answer is wrong and the new code gave
    it itself, so that a second one a little later proves that the code is unwell. `beside`: what a cache still answers
    wrongly although the app does not; empty if it does not.
    """

    answer: Answer | None
    wrong: str
    obstacle: Obstacle | None = None
    is_proof: bool = False
    beside: str = ""

    @property
    def words(self) -> str:
        """Return what is wrong, and what to do about an obstacle that stays."""
        return f"{self.wrong}. {self.obstacle.remedy}" if self.obstacle else self.wrong

    @property
    def pause(self) -> float:
        """Return the seconds until the check may be asked again."""
        return max(PAUSE, self.answer.retry_after if self.answer else 0.0)


async def ask_once(site: Site, check: HealthCheck, compared: Comparison = BEFORE, host: str = "") -> Outcome:
    """Run a check once, and judge the answer.

    `host`: the host of the deployment to check, or "" for the public site. A check that writes waits until no full
    minute is near, because the platform calls the same route then. An answer from a cache is asked for again past it.
    """
    path = check.request.path
    if check.writes and (wait := away(time.time())):
        waiting_for(f"{path} is asked once the full minute is over")
        await asyncio.sleep(wait)
    try:
        answer = await _answer(site, check, host)
        if not answer.cached:
            return _judged(check, answer, compared)
        fresh = _judged(check, await _answer(site, check, host, past_cache=True), compared)
    except (NotSent, Unknown) as error:
        return Outcome(None, f"{path} gave no answer: {error.cause}")
    return _beside_cache(fresh, answer, _judged(check, answer, compared).wrong)


async def ask_before(site: Site, check: HealthCheck, host: str = "") -> Outcome:
    """Run a check before anything has changed, and again for up to CALM seconds if the app itself did not answer.

    A check that writes is repeated only if the request certainly did not reach the app.
    """
    ends = _now() + CALM
    while True:
        found = await ask_once(site, check, host=host)
        if not may_repeat(check, found) or _now() + found.pause > ends:
            return found
        waiting_for(found.words)
        await asyncio.sleep(found.pause)


async def ask_until_judged(site: Site, check: HealthCheck, compared: Comparison = BEFORE, host: str = "") -> Outcome:
    """Run a check until two answers in a row are good, or until it is proved wrong; return the last outcome.

    Two answers of the new code that are wrong, at least APART seconds apart with no good one between them, are proof
    that it is unwell. Nothing else is: no answer, and what something in front of the app says, is asked for again until
    the caller's time ends.
    """
    good, wrong_since = 0, inf
    while True:
        found = await ask_once(site, check, compared, host)
        waiting_for(found.words)
        good = 0 if found.wrong else good + 1
        if good == IN_A_ROW:
            return found
        if not found.wrong:
            wrong_since = inf
        elif found.is_proof:
            wrong_since = min(wrong_since, _now())
            if _now() - wrong_since >= APART:
                return found
        await asyncio.sleep(found.pause)


def away(now: float) -> float:
    """Return the seconds to wait until no full minute is near. `now` is in seconds since 1970."""
    since = now % 60
    if since < NEAR:
        return NEAR - since
    return 60 + NEAR - since if since > 60 - NEAR else 0.0


def turned_away(answer: Answer) -> bool:
    """Return True if the request was turned away, which concerns keys, routes and logins, but not health."""
    return answer.status in NO_KEY or answer.status in REDIRECTS


def may_repeat(check: HealthCheck, found: Outcome) -> bool:
    """Return True if the app itself did not answer, so that the check may be asked again.

    One that writes may be only if the request certainly did not reach the app.
    """
    if check.writes:
        return found.obstacle is not None and found.obstacle.is_before_app
    return bool(found.wrong) and (found.answer is None or found.obstacle is not None)


def _beside_cache(fresh: Outcome, cached: Answer, wrong: str) -> Outcome:
    """Return the outcome of the fresh answer, which counts, with what the cache answered if one of the two is wrong."""
    cache = f"the CDN's cache ({cached.cached})"
    if not fresh.wrong:
        return replace(fresh, beside=f"{cache} still answers wrongly: {wrong}" if wrong else "")
    said = f"{cache} {'is wrong too' if wrong else 'still answers as expected'}"
    return replace(fresh, wrong=f"{fresh.wrong}; {said}")


def _judged(check: HealthCheck, answer: Answer, compared: Comparison) -> Outcome:
    wrong = _wrong(check, answer, answer.body if compared.baseline is None else compared.baseline, compared.committed)
    stands = obstacle(answer) if wrong else None
    if stands:
        wrong = f"{check.request.path} answered {answer.status}: {stands.cause}"
    other = compared.live and answer.deployment and answer.deployment != compared.live
    if wrong and other:
        wrong = f"{wrong} (answered by {answer.deployment}, not by {compared.live})"
    return Outcome(answer, wrong, stands, bool(wrong) and not stands and not other)


async def _answer(site: Site, check: HealthCheck, host: str, *, past_cache: bool = False) -> Answer:
    try:
        async with asyncio.timeout(None if check.writes else PATIENCE) as scope:
            return await site.ask(check.request, host, past_cache=past_cache)
    except asyncio.CancelledError:
        waiting_for(f"{check.request.path} has not answered")
        raise
    except TimeoutError:
        if not scope.expired():
            raise
        raise Unknown(
            code="connection",
            operation="asking",
            subject="the site",
            cause=f"none within {PATIENCE:.0f} s",
            remedy="Check which service is slow to respond.",
        ) from None


def _wrong(check: HealthCheck, answer: Answer, baseline: Any, committed: str | None) -> str:
    """Return the expectations that an answer does not meet, or ""; if the status is wrong, only those about it."""
    facts = {"status": answer.status, "body": answer.body, "baseline": baseline, "committed_at": committed}
    unmet = [expression for expression in check.expect if not holds(expression, facts)]
    wrong_status = [expression for expression in unmet if _is_of_status(expression)]
    what = f"{check.request.path} answered {answer.status}"
    if turned_away(answer) and (wrong_status or (unmet and not any(map(_is_of_status, check.expect)))):
        return f"{what}: {_why_away(check.request, answer)}"
    what = f"{what} {answer.content_type}".rstrip()
    if not wrong_status and answer.body is None and any(_names(each, "body") for each in check.expect):
        return f"{what}, which is not JSON"
    return f"{what}, not {', not '.join(wrong_status or unmet)}{_own_error(answer.body)}" if unmet else ""


def _own_error(body: Any) -> str:
    """Return the error message of the site itself, quoted, or an empty string if it gives none."""
    error = body.get("error") if isinstance(body, dict) else None
    return f" (it says {error[:QUOTED]!r})" if isinstance(error, str) else ""


def _why_away(request: Request, answer: Answer) -> str:
    """Return the likely reasons why a request was turned away with this status."""
    if led := redirect(answer):
        return led.cause
    key = "the site does not accept its key" if request.headers else "the site wants a key, and this check sends none"
    if answer.status == NOT_FOUND:
        return f"there is no such route, or {key}"
    return key if answer.body is not None else f"{key}, or a deployment protection stands before it"


def _is_of_status(expression: str) -> bool:
    return _names(expression, "status") and not _names(expression, "body")


def _names(expression: str, fact: str) -> bool:
    """Return True if an expression uses this fact, and not only a field of the same name."""
    return bool(re.search(rf"(?<![\w.'`]){fact}\b", expression))


def _now() -> float:
    return asyncio.get_running_loop().time()
