"""Roll back every step that was begun, newest first, then check that nothing of them is left in production."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from steps.support.core.errors import NeedsHuman
from steps.support.core.events import Left, UndoBegun, Verified, Warned
from steps.support.core.limits import REMARKS_READ
from steps.support.run.budget import RollbackDeadline
from steps.support.run.journal import ROLLBACK_EVENTS, Journal, reason
from steps.support.run.release import Gateways
from steps.support.run.step import Begun, PlannedStep, ReversibleStep

_Begun = PlannedStep[ReversibleStep[Any]]


async def roll_back(gateways: Gateways, begun: Begun, deadline: RollbackDeadline, journal: Journal) -> None:
    """Roll back the newest step first, then verify all of them. Raise NeedsHuman if anything is left or unconfirmed.

    If the rollback of a step fails, only the earlier steps that depend on it are left as they are.
    """
    stuck: list[_Begun] = []
    for each in reversed(begun):
        if not each.step.temporary and (blocking := _blocking(stuck)):
            journal.note(Left(step=each.name, cause=f"it depends on {blocking}, which is not rolled back"))
            continue
        done = await _roll_back_one(gateways, each, deadline, journal)
        if renewed := deadline.renewed_after_suspend():
            text = f"{journal.standstill} during the rollback, which gets {renewed.seconds:g} s from now"
            journal.note(Warned(text=text))
            deadline = renewed
            done = done or await _roll_back_one(gateways, each, deadline, journal)
        if not done:
            stuck.append(each)
    deadline = deadline.renewed_after_suspend() or deadline
    remains = {each.name: await _verify(gateways, each, deadline) for each in begun}
    left = {name: what for name, what in remains.items() if what}
    journal.note(Verified(remains=left))
    if stuck or left:
        causes = "; ".join(left.values()) or f"{', '.join(each.name for each in stuck)} failed to roll back"
        raise NeedsHuman(
            code="rollback-failed",
            operation="rolling back",
            subject="the release",
            cause=causes,
            remedy="Follow the runbook.",
        )


async def superseded(gateways: Gateways, begun: Begun) -> list[str]:
    """Return what others have done to production since these steps.

    What cannot be read in time is reported as not known.
    """
    answers = [await _answer(each.step.superseded_by(gateways, each.observed)) for each in begun]
    return list(filter(None, answers))


async def remaining(gateways: Gateways, begun: Begun) -> list[str]:
    """Return what is still there of these steps.

    What cannot be read in time is reported as not known.
    """
    answers = [await _answer(each.step.verify_rollback(gateways, each.observed)) for each in begun]
    return list(filter(None, answers))


async def _answer(question: Coroutine[Any, Any, str]) -> str:
    try:
        async with asyncio.timeout(REMARKS_READ):
            return await question
    except Exception as error:  # noqa: BLE001 - a remark must not fail the run
        return f"not known: {error or 'no answer'}"


def _blocking(stuck: list[_Begun]) -> str:
    """Return the name of a step that was not rolled back and blocks earlier rollbacks; empty if none does."""
    return next((each.name for each in stuck if each.step.blocks_earlier_rollbacks), "")


async def _roll_back_one(gateways: Gateways, each: _Begun, deadline: RollbackDeadline, journal: Journal) -> bool:
    """Roll back one step within its share of the time. Return True if that succeeded."""
    journal.note(UndoBegun(step=each.name, limit=deadline.limit(each.step)))
    try:
        with journal.timed(ROLLBACK_EVENTS, each.name) as report:
            async with deadline.scope(each.step):
                report(await each.step.rollback(gateways, each.observed))
    except Exception:  # noqa: BLE001 - it is in the journal, and the next step must still be rolled back
        return False
    return True


async def _verify(gateways: Gateways, each: _Begun, deadline: RollbackDeadline) -> str:
    """Return what is still there of a step in production, or an empty string if nothing is."""
    try:
        async with deadline.scope(each.step):
            return await each.step.verify_rollback(gateways, each.observed)
    except Exception as error:  # noqa: BLE001 - unless it is known, it does not count as rolled back
        return f"{each.name}: not known whether it is rolled back ({reason(error).cause})"
