"""Run one of the configured health checks against the site, and report what is wrong with its answer.

Expectations are JMESPath expressions. They may use `is_fresh`, a function that compares times.
"""

import asyncio
import re
import time
from datetime import datetime
from typing import Any

import jmespath
from jmespath import functions
from jmespath.exceptions import JMESPathError

from steps.support.core.deadline import waiting_for
from steps.support.core.errors import NotSent, Unknown
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
    return datetime.fromisoformat(time).timestamp()


IN_A_ROW, BAD = 2, 3  # how many good answers in a row are enough, and how many bad answers are too many
PAUSE = 0.5  # seconds between two requests
NEAR = 3.0  # seconds before and after a full minute in which the platform calls the cron itself
PATIENCE = 10.0  # seconds until a request that writes nothing is given up and sent again
REDIRECTS = range(300, 400)
NOT_FOUND = 404  # a middleware that checks keys may also answer this if there is no key
QUOTED = 120  # characters of the site's own words
NO_KEY = {401, 403, NOT_FOUND}


async def ask_once(
    site: Site, check: HealthCheck, baseline: Any, committed: str | None, host: str = ""
) -> tuple[Answer | None, str]:
    """Run a check once, and return the answer and what is wrong with it; "" if nothing is.

    `host`: the host of the deployment to check, or "" for the public site. `baseline`: the body of the answer before
    the change, or None if this is that answer. `committed`: when the database committed, or None if it has not yet. A
    check that writes waits until no full minute is near, because the platform calls the same route then. The answer is
    None if there was none.
    """
    path = check.request.path
    if check.writes and (wait := away(time.time())):
        waiting_for(f"{path} is asked once the full minute is over")
        await asyncio.sleep(wait)
    try:
        answer = await _answer(site, check, host)
    except (NotSent, Unknown) as error:
        return None, f"{path} gave no answer: {error.cause}"
    return answer, _wrong(check, answer, answer.body if baseline is None else baseline, committed)


async def ask_until_stable(site: Site, check: HealthCheck, baseline: Any, committed: str | None, host: str = "") -> str:
    """Run a check until enough answers in a row are good or too many are bad. Return what is wrong with the last."""
    good = bad = 0
    while True:
        _, wrong = await ask_once(site, check, baseline, committed, host)
        waiting_for(wrong)
        good, bad = (0, bad + 1) if wrong else (good + 1, bad)
        if good == IN_A_ROW or bad == BAD:
            return wrong
        await asyncio.sleep(PAUSE)


def away(now: float) -> float:
    """Return the seconds to wait until no full minute is near. `now` is in seconds since 1970."""
    since = now % 60
    if since < NEAR:
        return NEAR - since
    return 60 + NEAR - since if since > 60 - NEAR else 0.0


def turned_away(answer: Answer) -> bool:
    """Return True if the request was turned away, which concerns keys, routes and logins, but not health."""
    return answer.status in NO_KEY or answer.status in REDIRECTS


async def _answer(site: Site, check: HealthCheck, host: str) -> Answer:
    try:
        async with asyncio.timeout(None if check.writes else PATIENCE) as scope:
            return await site.ask(check.request, host)
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
    if answer.status in REDIRECTS:
        target = f" to {answer.leads_to}" if answer.leads_to else ""
        return f"it redirects{target}: a login, a deployment protection, or another address of the site"
    key = "the site does not accept its key" if request.headers else "the site wants a key, and this check sends none"
    if answer.status == NOT_FOUND:
        return f"there is no such route, or {key}"
    return key if answer.body is not None else f"{key}, or a deployment protection stands before it"


def _is_of_status(expression: str) -> bool:
    return _names(expression, "status") and not _names(expression, "body")


def _names(expression: str, fact: str) -> bool:
    """Return True if an expression uses this fact, and not only a field of the same name."""
    return bool(re.search(rf"(?<![\w.'`]){fact}\b", expression))
