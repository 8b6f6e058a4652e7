"""Going back: every change that was begun is undone, newest first, and then the world is asked what is left of it."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

from steps.support.core.errors import NeedsHuman
from steps.support.core.events import Left, UndoBegun, Verified, Warned
from steps.support.run.budget import RollbackDeadline
from steps.support.run.journal import UNDO, Journal, reason
from steps.support.run.release import Gateways
from steps.support.run.step import ReversibleStep

MOMENT = 5.0  # seconds for what is only told


async def roll_back(
    gateways: Gateways,
    begun: Sequence[ReversibleStep[Any]],
    observed: Mapping[str, Any],
    reserve: RollbackDeadline,
    journal: Journal,
) -> None:
    """Undo newest first; one that fails stops no other, unless what is older rests on it. Then look at the world.

    Raises NeedsHuman where something is not put back, or where it is not known whether it is.
    """
    stuck: list[ReversibleStep[Any]] = []
    for change in reversed(begun):
        if not change.temporary and (
            foundation := next((each.name for each in stuck if each.blocks_earlier_rollbacks), "")
        ):
            journal.note(Left(step=change.name, cause=f"it rests on {foundation}, which is not put back"))
            continue
        done = await _undone(gateways, change, observed[change.name], reserve, journal)
        if woken := reserve.renewed_after_suspend():
            text = f"the machine was suspended while it went back: {woken.seconds:g} s from now"
            journal.note(Warned(text=text))
            reserve = woken
            done = done or await _undone(gateways, change, observed[change.name], reserve, journal)
        if not done:
            stuck.append(change)
    reserve = reserve.renewed_after_suspend() or reserve
    remains = {change.name: await _remaining(gateways, change, observed[change.name], reserve) for change in begun}
    left = {name: what for name, what in remains.items() if what}
    journal.note(Verified(remains=left))
    if stuck or left:
        causes = "; ".join(left.values()) or f"{', '.join(each.name for each in stuck)} failed to go back"
        raise NeedsHuman("putting back", "the release", causes, "Follow the runbook.")


async def superseded(
    gateways: Gateways, changes: Sequence[ReversibleStep[Any]], observed: Mapping[str, Any]
) -> list[str]:
    """Say what others have done to production since these changes arrived, as far as it can be known in a moment."""
    told = [await _asked(change.superseded_by(gateways, observed[change.name])) for change in changes]
    return list(filter(None, told))


async def remaining(
    gateways: Gateways, changes: Sequence[ReversibleStep[Any]], observed: Mapping[str, Any]
) -> list[str]:
    """Say what of these changes is still there, as far as it can be known in a moment."""
    told = [await _asked(change.verify_rollback(gateways, observed[change.name])) for change in changes]
    return list(filter(None, told))


async def _asked(question: Coroutine[Any, Any, str]) -> str:
    try:
        async with asyncio.timeout(MOMENT):
            return await question
    except Exception as error:  # noqa: BLE001 - what is only told can fail nothing
        return f"not known: {error or 'no answer'}"


async def _undone(
    gateways: Gateways, change: ReversibleStep[Any], observed: Any, reserve: RollbackDeadline, journal: Journal
) -> bool:
    """Undo one change within its ceiling; say whether it is put back."""
    journal.note(UndoBegun(step=change.name, limit=reserve.limit(change)))
    try:
        with journal.timed(UNDO, change.name) as said:
            async with reserve.scope(change):
                said(await change.rollback(gateways, observed))
    except Exception:  # noqa: BLE001 - it is journalled, and the next one must have its turn
        return False
    return True


async def _remaining(gateways: Gateways, change: ReversibleStep[Any], observed: Any, reserve: RollbackDeadline) -> str:
    """Ask the world, not our memory, what of a change is still there."""
    try:
        async with reserve.scope(change):
            return await change.verify_rollback(gateways, observed)
    except Exception as error:  # noqa: BLE001 - not to know is not to be restored
        return f"{change.name}: not known whether it is put back ({reason(error).cause})"
