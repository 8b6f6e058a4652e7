"""Asking again, for reads: until the answer comes or the caller's scope ends."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import chain, repeat
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from steps.support.core.deadline import time_left, waited_for, waiting_for
from steps.support.core.errors import NotSent, Refused, Rejected, Unknown

Result = TypeVar("Result")

AGAIN = (NotSent, Unknown)
PATIENCE = 5.0  # seconds
LATE = 2.0  # seconds in which a request that was cut off may still take effect
AGAIN_LATE = 0.25  # seconds between two looks at whether it did
LOOK_TRIES, LOOK_PATIENCE = 3, 10.0  # seconds for each, before anything begins
AT_FIRST = (0.25, 0.25, 0.5)  # seconds between the first looks at what was just set off: much of it takes a moment


async def insist(
    ask: Callable[[], Awaitable[Result]],
    *,
    every: float = 0.5,
    patience: float | None = PATIENCE,
    tries: float = math.inf,
) -> Result:
    """Ask every so many seconds until there is an answer; only NotSent and Unknown are asked again.

    `patience`: seconds after which one try without an answer is given up. Where the other side asks for a longer pause,
    it gets it; where that does not fit into the caller's scope, and after so many tries, its last answer is raised.
    """
    heard = ""

    def pause(state: RetryCallState) -> float:
        return max(every, _asked_to_wait(state))

    def is_enough(state: RetryCallState) -> bool:
        return state.attempt_number >= tries or _asked_to_wait(state) > max(every, time_left())

    def say(state: RetryCallState) -> None:
        nonlocal heard
        heard = str(state.outcome.exception()) if state.outcome else ""
        waiting_for(heard)

    again = AsyncRetrying(
        retry=retry_if_exception_type(AGAIN), wait=pause, stop=is_enough, before_sleep=say, reraise=True
    )
    answer: Result = await again(_within, patience, ask)
    if heard and waited_for() == heard:
        waiting_for("")
    return answer


def pauses(every: float) -> Iterator[float]:
    """Give the seconds between looks at what was just set off: short ones first, then always as many as these."""
    return chain((min(pause, every) for pause in AT_FIRST), repeat(every))


def _asked_to_wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    return error.after if isinstance(error, AGAIN) else 0.0


async def _within(patience: float | None, ask: Callable[[], Awaitable[Result]]) -> Result:
    try:
        async with asyncio.timeout(patience) as scope:
            return await ask()
    except TimeoutError:
        if not scope.expired():
            raise
        raise Unknown("waiting for", "an answer", f"there was none for {patience} s", "Look who is slow.") from None


async def settled(ask: Callable[[], Awaitable[Result]], before: object) -> Result:
    """Give an answer, waiting a little while it is as before: what was sent and cut off may yet take effect."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LATE):
            while (now := await insist(ask)) == before:
                await asyncio.sleep(AGAIN_LATE)
            return now
    return await insist(ask)


async def bring_about(
    is_so: Callable[[], Awaitable[bool]],
    send: Callable[[], Awaitable[None]],
    *,
    every: float = 0.5,
    patience: float | None = PATIENCE,
) -> None:
    """Have the world become as wanted: look, send where it is not, and look on until it is.

    What was taken is not sent again. Where it was not, or where the answer was lost, the world is looked at before it
    is sent once more. `every`: seconds between looks; the first after it was taken come sooner. `patience`: seconds
    after which an answer counts as lost. Ends when it is so, with Rejected, with a pause that does not fit, or with the
    caller's scope.

    Rejected means that nothing was done: a repeated write may be refused because an earlier one was done, so the world
    is looked at before that is believed; and a look that is refused after a write says nothing of it: that is Unknown.
    """
    sent, taken, waits = False, False, pauses(every)
    while not await (_after_a_write(insist(is_so, every=every)) if sent else insist(is_so, every=every)):
        if taken:
            await asyncio.sleep(next(waits))
            continue
        try:
            taken = await _taken(partial(_within, patience, send))
        except Rejected:
            if sent and await _after_a_write(settled(is_so, before=False)):
                return
            raise
        sent = True
        if not taken:
            await asyncio.sleep(every)


async def _after_a_write(look: Awaitable[bool]) -> bool:
    """Return what a look sees. Raise Unknown if it is refused: that says nothing of the write before it."""
    try:
        return await look
    except Rejected as error:
        cause = f"{error.cause}, after a change was sent"
        raise Unknown(error.operation, error.subject, cause, "Look whether the change was made.") from None


async def _taken(send: Callable[[], Awaitable[None]]) -> bool:
    try:
        await send()
    except AGAIN as error:
        if error.after > time_left():
            raise
        waiting_for(str(error))
        await asyncio.sleep(error.after)
        return False
    return True


async def looked(look: Callable[[], Awaitable[Result]]) -> Result:
    """Give what a look sees. Raises Refused with what the other side said last."""
    try:
        return await insist(look, patience=LOOK_PATIENCE, tries=LOOK_TRIES)
    except (NotSent, Rejected, Unknown) as error:
        raise Refused(error.operation, error.subject, error.cause, error.remedy) from None
