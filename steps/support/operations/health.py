"""Asking the site one of the configured questions, and saying what is wrong with its answer.

What must be true of an answer is JMESPath, with the one question about times that JMESPath itself cannot ask.
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

TOLERANCE = 2.0  # seconds; the app keeps whole seconds, and the database's clock is not the app's


class _Times(functions.Functions):
    """Adds is_fresh(time, before, committed_at)."""

    @functions.signature({"types": []}, {"types": []}, {"types": []})
    def _func_is_fresh(self, time: Any, before: Any, committed: Any) -> bool:
        return fresh(time, before, committed)


_OPTIONS = jmespath.Options(custom_functions=_Times())


def fresh(time: str | None, before: str | None, committed: str | None) -> bool:
    """Say whether a time (ISO 8601) is newer than the one before, and not older than the commit.

    Where nothing is committed yet, having a time at all is enough.
    """
    if time is None or committed is None:
        return time is not None
    newer = before is None or _seconds(time) > _seconds(before)
    return newer and _seconds(time) >= _seconds(committed) - TOLERANCE


def holds(expression: str, facts: dict[str, Any]) -> bool:
    """Say whether an expression is true of the facts; of an answer of another shape it is not."""
    try:
        return bool(jmespath.search(expression, facts, options=_OPTIONS))
    except (JMESPathError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return False


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()


IN_A_ROW, BAD = 2, 3  # good answers that are enough, bad ones that are too many
PAUSE = 0.5  # seconds between two questions
NEAR = 3.0  # seconds before and after a full minute in which the platform calls the cron itself
PATIENCE = 10.0  # seconds after which a question that writes nothing is given up, to be asked again
REDIRECTS = range(300, 400)
NOT_FOUND = 404  # also what a middleware that checks keys may say to strangers
QUOTED = 120  # characters of the site's own words
NO_KEY = {401, 403, NOT_FOUND}


async def ask_once(
    site: Site, check: HealthCheck, baseline: Any, committed: str | None, host: str = ""
) -> tuple[Answer | None, str]:
    """Ask once, the deployment at `host` where there is one; give the answer and what is wrong, empty for nothing.

    What writes is asked away from the full minute, when the platform asks too. `baseline` is the body of the answer
    before the change, None: this is that answer. `committed` is the time of the database's commit, None: not yet.
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
    """Ask until enough answers in a row are good, or too many are bad; say what is wrong with the last."""
    good = bad = 0
    while True:
        _, wrong = await ask_once(site, check, baseline, committed, host)
        waiting_for(wrong)
        good, bad = (0, bad + 1) if wrong else (good + 1, bad)
        if good == IN_A_ROW or bad == BAD:
            return wrong
        await asyncio.sleep(PAUSE)


def away(now: float) -> float:
    """Give the seconds to wait so as not to be near a full minute; `now` is seconds since 1970."""
    since = now % 60
    if since < NEAR:
        return NEAR - since
    return 60 + NEAR - since if since > 60 - NEAR else 0.0


def turned_away(answer: Answer) -> bool:
    """Say whether the question was sent away: that tells of keys, routes and logins, not of health."""
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
        raise Unknown("asking", "the site", f"none within {PATIENCE:.0f} s", "Look who is slow.") from None


def _wrong(check: HealthCheck, answer: Answer, baseline: Any, committed: str | None) -> str:
    """Name the expectations that the answer does not meet; where the status is wrong, only that matters."""
    facts = {"status": answer.status, "body": answer.body, "baseline": baseline, "committed_at": committed}
    unmet = [expression for expression in check.expect if not holds(expression, facts)]
    wrong_status = [expression for expression in unmet if _is_of_status(expression)]
    what = f"{check.request.path} answered {answer.status}"
    if turned_away(answer) and (wrong_status or (unmet and not any(map(_is_of_status, check.expect)))):
        return f"{what}: {_why_away(check.request, answer)}"
    what = f"{what} {answer.content_type}".rstrip()
    if not wrong_status and answer.body is None and any(_names(each, "body") for each in check.expect):
        return f"{what}, which is not JSON"
    return f"{what}, not {', not '.join(wrong_status or unmet)}{_told_by(answer.body)}" if unmet else ""


def _told_by(body: Any) -> str:
    """Quote what the site itself says of an error."""
    error = body.get("error") if isinstance(body, dict) else None
    return f" (it says {error[:QUOTED]!r})" if isinstance(error, str) else ""


def _why_away(request: Request, answer: Answer) -> str:
    """Say what sends a question away with such a status."""
    if answer.status in REDIRECTS:
        there = f" to {answer.leads_to}" if answer.leads_to else ""
        return f"it redirects{there}: a login, a deployment protection, or another address of the site"
    key = "the site does not accept its key" if request.headers else "the site wants a key, and this check sends none"
    if answer.status == NOT_FOUND:
        return f"there is no such route, or {key}"
    return key if answer.body is not None else f"{key}, or a deployment protection stands before it"


def _is_of_status(expression: str) -> bool:
    return _names(expression, "status") and not _names(expression, "body")


def _names(expression: str, fact: str) -> bool:
    """Say whether an expression is about this fact, not about a field of that name."""
    return bool(re.search(rf"(?<![\w.'`]){fact}\b", expression))
