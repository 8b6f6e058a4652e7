"""Rolling back: every step that was begun, newest first; then the world is asked whether anything of it is left."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from steps.support.core.errors import NeedsHuman
from steps.support.core.events import Left, UndoBegun, Verified, Warned
from steps.support.core.limits import REMARKS_READ
from steps.support.run.budget import RollbackDeadline
from steps.support.run.journal import UNDO, Journal, reason
from steps.support.run.release import Gateways
from steps.support.run.step import Begun, PlannedStep, ReversibleStep

_Begun = PlannedStep[ReversibleStep[Any]]


async def roll_back(gateways: Gateways, begun: Begun, deadline: RollbackDeadline, journal: Journal) -> None:
    """Roll back the newest first; one that fails stops no other, unless an earlier one rests on it. Then verify all.

    Raise NeedsHuman if something is not rolled back, or if it is not known whether it is.
    """
    stuck: list[_Begun] = []
    for each in reversed(begun):
        if not each.step.temporary and (blocking := _blocking(stuck)):
            journal.note(Left(step=each.name, cause=f"it rests on {blocking}, which is not put back"))
            continue
        done = await _roll_back_one(gateways, each, deadline, journal)
        if renewed := deadline.renewed_after_suspend():
            text = f"the machine was suspended while it went back: {renewed.seconds:g} s from now"
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
        causes = "; ".join(left.values()) or f"{', '.join(each.name for each in stuck)} failed to go back"
        raise NeedsHuman("putting back", "the release", causes, "Follow the runbook.")


async def superseded(gateways: Gateways, begun: Begun) -> list[str]:
    """Return what others have done to production since these steps arrived, as far as it can be known in a moment."""
    told = [await _asked(each.step.superseded_by(gateways, each.observed)) for each in begun]
    return list(filter(None, told))


async def remaining(gateways: Gateways, begun: Begun) -> list[str]:
    """Return what of these steps is still there, as far as it can be known in a moment."""
    told = [await _asked(each.step.verify_rollback(gateways, each.observed)) for each in begun]
    return list(filter(None, told))


async def _asked(question: Coroutine[Any, Any, str]) -> str:
    try:
        async with asyncio.timeout(REMARKS_READ):
            return await question
    except Exception as error:  # noqa: BLE001 - what is only told can fail nothing
        return f"not known: {error or 'no answer'}"


def _blocking(stuck: list[_Begun]) -> str:
    """Return the name of a step that is not rolled back, and without which no earlier one may be."""
    return next((each.name for each in stuck if each.step.blocks_earlier_rollbacks), "")


async def _roll_back_one(gateways: Gateways, each: _Begun, deadline: RollbackDeadline, journal: Journal) -> bool:
    """Roll back one step within its share of the time. Return whether it is rolled back."""
    journal.note(UndoBegun(step=each.name, limit=deadline.limit(each.step)))
    try:
        with journal.timed(UNDO, each.name) as said:
            async with deadline.scope(each.step):
                said(await each.step.rollback(gateways, each.observed))
    except Exception:  # noqa: BLE001 - it is journalled, and the next one must have its turn
        return False
    return True


async def _verify(gateways: Gateways, each: _Begun, deadline: RollbackDeadline) -> str:
    """Ask the world, not our memory, what of a step is still there."""
    try:
        async with deadline.scope(each.step):
            return await each.step.verify_rollback(gateways, each.observed)
    except Exception as error:  # noqa: BLE001 - not to know is not to be restored
        return f"{each.name}: not known whether it is put back ({reason(error).cause})"
