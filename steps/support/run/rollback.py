"""Roll back every step that was begun, newest first, then check that nothing of them is left in production."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from steps.support.core.deadline import time_left, waiting_for
from steps.support.core.errors import Failed, NeedsHuman, Rejected, Stalled
from steps.support.core.events import Left, UndoBegun, Verified, Warned
from steps.support.core.limits import REMARKS_READ
from steps.support.run.budget import RollbackDeadline
from steps.support.run.journal import ROLLBACK_EVENTS, Journal, reason
from steps.support.run.release import Gateways
from steps.support.run.step import FOLLOW_UPS, Begun, PlannedStep, ReversibleStep

FINAL = (Failed, NeedsHuman)  # a step's own judgement: trying again would not change it
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 2.0  # seconds between two rounds over what is stuck
VERIFY_AGAIN = 0.5  # seconds until a refused reading is tried again

_Begun = PlannedStep[ReversibleStep[Any]]


async def roll_back(gateways: Gateways, begun: Begun, deadline: RollbackDeadline, journal: Journal) -> None:
    """Roll back the newest step first, then verify all of them. Raise NeedsHuman if anything is left or unconfirmed.

    If the rollback of a step fails, only the earlier steps that depend on it are left as they are. Time that the others
    leave unused is spent on what failed: it is tried again until the time ends.
    """
    rounds = _Rounds(gateways, journal, deadline)
    stuck = await rounds.first(list(reversed(begun)))
    stuck = await rounds.again(stuck)
    for each in stuck:
        if each.name not in rounds.tried:
            cause = f"it depends on {_blocking(_before(each, stuck))}, which is not rolled back"
            journal.note(Left(step=each.name, cause=cause))
    end = rounds.deadline.renewed_after_suspend() or rounds.deadline
    asked = [each for each in begun if each.name not in rounds.followed_up]
    remains = await asyncio.gather(*(_verify(gateways, each, end) for each in asked))
    left = {each.name: what for each, what in zip(asked, remains, strict=True) if what}
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


@dataclass(slots=True)
class _Rounds:
    """Rolls back step after step, and again those that are stuck.

    `tried`: the names of the steps whose rollback was begun. `final`: those whose own judgement it is that they cannot
    be rolled back. `followed_up`: those with nothing left but a follow-up, which a person can do later.
    """

    gateways: Gateways
    journal: Journal
    deadline: RollbackDeadline
    tried: set[str] = field(default_factory=set)
    final: set[str] = field(default_factory=set)
    followed_up: set[str] = field(default_factory=set)

    async def first(self, steps: list[_Begun]) -> list[_Begun]:
        """Roll back each step within its share of the time, newest first. Return those that are not rolled back."""
        stuck: list[_Begun] = []
        for each in steps:
            if _is_blocked(each, stuck) or not await self._unhurried(each):
                stuck.append(each)
        return stuck

    async def again(self, stuck: list[_Begun]) -> list[_Begun]:
        """Roll back what is stuck, and what depended on it, until nothing is or the time ends. Return what is stuck."""
        pause = FIRST_PAUSE
        while (hopeful := self._hopeful(stuck)) and self.deadline.limit_again(1) > pause:
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            still: list[_Begun] = []
            for each in stuck:
                limit = self.deadline.limit_again(max(1, len(hopeful)))
                if each.name in self.final or _is_blocked(each, still) or not await self._roll_back(each, limit):
                    still.append(each)
            stuck = still
        return stuck

    def _hopeful(self, stuck: list[_Begun]) -> list[_Begun]:
        """Return the steps that another try may roll back, without those that wait for others."""
        return [each for each in stuck if each.name not in self.final and not _is_blocked(each, _before(each, stuck))]

    async def _unhurried(self, each: _Begun) -> bool:
        """Roll back a step, and once more with a new deadline if the machine was suspended meanwhile."""
        done = await self._roll_back(each, self.deadline.limit(each.step))
        if renewed := self.deadline.renewed_after_suspend():
            text = f"{self.journal.standstill} during the rollback, which gets {renewed.seconds:g} s from now"
            self.journal.note(Warned(text=text))
            self.deadline = renewed
            done = done or await self._roll_back(each, renewed.limit(each.step))
        return done

    async def _roll_back(self, each: _Begun, limit: float) -> bool:
        """Roll back one step within `limit` seconds. Return True if that succeeded."""
        self.tried.add(each.name)
        self.journal.note(UndoBegun(step=each.name, limit=limit))
        try:
            with self.journal.timed(ROLLBACK_EVENTS, each.name) as report:
                async with self.deadline.scope(each.step, limit):
                    done = await each.step.rollback(self.gateways, each.observed)
                report(done)
        except Exception as error:  # noqa: BLE001 - it is in the journal, and the next step must still be rolled back
            if isinstance(error, FINAL) and not isinstance(error, Stalled):
                self.final.add(each.name)
            return False
        if done.facts.get(FOLLOW_UPS):
            self.followed_up.add(each.name)
        return True


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


def _is_blocked(each: _Begun, stuck: list[_Begun]) -> bool:
    """Return True if a step must wait until one of those that are stuck is rolled back."""
    return not each.step.temporary and bool(_blocking(stuck))


def _blocking(stuck: list[_Begun]) -> str:
    """Return the name of a step that was not rolled back and blocks earlier rollbacks; empty if none does."""
    return next((each.name for each in stuck if each.step.blocks_earlier_rollbacks), "")


def _before(each: _Begun, stuck: list[_Begun]) -> list[_Begun]:
    """Return the stuck steps that have to be rolled back before this one."""
    return stuck[: [other.name for other in stuck].index(each.name)]


async def _verify(gateways: Gateways, each: _Begun, deadline: RollbackDeadline) -> str:
    """Return what is still there of a step in production, or an empty string if nothing is."""
    try:
        async with deadline.scope(each.step, deadline.limit_verifying(each.step)):
            return await _what_is_left(gateways, each)
    except Exception as error:  # noqa: BLE001 - unless it is known, it does not count as rolled back
        return f"{each.name}: not known whether it is rolled back ({reason(error).cause})"


async def _what_is_left(gateways: Gateways, each: _Begun) -> str:
    """Return what is still there of a step. A refused reading is tried again until the time ends."""
    while True:
        try:
            return await each.step.verify_rollback(gateways, each.observed)
        except Rejected as error:
            if time_left() < VERIFY_AGAIN:
                raise
            waiting_for(str(error))
        await asyncio.sleep(VERIFY_AGAIN)
