"""Asking again: reads until there is an answer, reads until it is the wanted one, and writes until they are done.

All of them end with the caller's scope; none of them owns the deadline of a step.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from itertools import chain, repeat
from typing import Any, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from steps.support.core.deadline import time_left, waited_for, waiting_for
from steps.support.core.errors import NotSent, Refused, Rejected, Unknown
from steps.support.core.limits import EFFECT, PATIENCE, PREFLIGHT_PATIENCE, PREFLIGHT_TRIES

Result = TypeVar("Result")

AGAIN = (NotSent, Unknown)
FIRST_PAUSES = (0.25, 0.25, 0.5)  # seconds between the first readings: much that was just set off takes a moment
LATE_EVERY = 0.25  # seconds between two readings of what may still take effect


async def retry(
    ask: Callable[..., Awaitable[Result]],
    *args: Any,
    every: float = 0.5,
    patience: float | None = PATIENCE,
    tries: float = math.inf,
) -> Result:
    """Ask every so many seconds until there is an answer; only NotSent and Unknown are asked again.

    `patience`: seconds after which one try without an answer is given up. If the other side asks for a longer pause, it
    gets it. If that pause does not fit into the caller's scope, and after so many tries, the last error is raised.
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
    answer: Result = await again(_within, patience, partial(ask, *args))
    if heard and waited_for() == heard:
        waiting_for("")
    return answer


async def preflight_read(read: Callable[..., Awaitable[Result]], *args: Any) -> Result:
    """Read before anything begins: a few tries. Raise Refused with what the other side said last."""
    try:
        return await retry(read, *args, patience=PREFLIGHT_PATIENCE, tries=PREFLIGHT_TRIES)
    except (NotSent, Rejected, Unknown) as error:
        raise Refused.because(error) from None


async def poll_until(
    read: Callable[[], Awaitable[Result]],
    done: Callable[[Result], bool],
    *,
    every: float,
    within: float | None = None,
    sooner: bool = False,
) -> Result:
    """Read until it is done, and return what was read.

    `every`: seconds between readings; `sooner`: the first pauses are shorter. `within`: seconds after which it is read
    once more and returned as it is; None: until the caller's scope ends.
    """
    waits = _pauses(every) if sooner else repeat(every)
    try:
        async with asyncio.timeout(within) as scope:
            while not done(now := await retry(read, every=every)):
                await asyncio.sleep(next(waits))
            return now
    except TimeoutError:
        if not scope.expired():
            raise
    return await retry(read)


async def wait_for_effect(read: Callable[[], Awaitable[Result]], before: object) -> Result:
    """Return what is read, waiting a moment while it is as before: what was sent and cut off may yet take effect."""
    return await poll_until(read, lambda now: now != before, every=LATE_EVERY, within=EFFECT)


async def ensure(
    is_so: Callable[[], Awaitable[bool]],
    send: Callable[[], Awaitable[None]],
    *,
    every: float = 0.5,
    patience: float | None = PATIENCE,
) -> None:
    """Make the world as wanted: read, send if it is not so, and read on until it is.

    What was taken is not sent again. If it was not, or if the answer was lost, the world is read before it is sent once
    more. `every`: seconds between readings; the first after it was taken come sooner. `patience`: seconds after which
    an answer counts as lost. Ends when it is so, with Rejected, with a pause that does not fit, or with the caller's
    scope.

    Rejected means that nothing was done. A repeated write may be refused because an earlier one was done, so the world
    is read before that is believed. A reading that is refused after a write says nothing of the write: that is Unknown.
    """
    sent, taken, waits = False, False, _pauses(every)
    while not await (_after_a_write(retry(is_so, every=every)) if sent else retry(is_so, every=every)):
        if taken:
            await asyncio.sleep(next(waits))
            continue
        try:
            taken = await _taken(partial(_within, patience, send))
        except Rejected:
            if sent and await _after_a_write(wait_for_effect(is_so, before=False)):
                return
            raise
        sent = True
        if not taken:
            await asyncio.sleep(every)


def _pauses(every: float) -> Iterator[float]:
    """Return the seconds between readings of what was just set off: short ones first, then always as many as these."""
    return chain((min(pause, every) for pause in FIRST_PAUSES), repeat(every))


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


async def _after_a_write(reading: Awaitable[bool]) -> bool:
    """Return what is read. Raise Unknown if that is refused: it says nothing of the write before it."""
    try:
        return await reading
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
