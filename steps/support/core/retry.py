"""Repeat calls: read until there is an answer, read until it is the wanted one, write until the write has taken effect.

Every function stops when its caller's time ends; none of them sets the deadline of a step.
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
FIRST_PAUSES = (0.25, 0.25, 0.5)  # seconds between the first readings, because many waits end quickly
LATE_EVERY = 0.25  # seconds between two readings while a request may still take effect


async def retry(
    ask: Callable[..., Awaitable[Result]],
    *args: Any,
    every: float = 0.5,
    patience: float | None = PATIENCE,
    tries: float = math.inf,
) -> Result:
    """Call `ask` until it succeeds, and return its answer. Only NotSent and Unknown are tried again.

    `every`: seconds between two tries, or more if the other side asks for a longer pause. `patience`: seconds after
    which one try without an answer is given up. Raise the last error after `tries` tries, or if the pause that the
    other side asks for is longer than the caller's time.
    """
    last = ""

    def pause(state: RetryCallState) -> float:
        return max(every, _asked_to_wait(state))

    def is_enough(state: RetryCallState) -> bool:
        return state.attempt_number >= tries or _asked_to_wait(state) > max(every, time_left())

    def report(state: RetryCallState) -> None:
        nonlocal last
        last = str(state.outcome.exception()) if state.outcome else ""
        waiting_for(last)

    again = AsyncRetrying(
        retry=retry_if_exception_type(AGAIN), wait=pause, stop=is_enough, before_sleep=report, reraise=True
    )
    answer: Result = await again(_within, patience, partial(ask, *args))
    if last and waited_for() == last:
        waiting_for("")
    return answer


async def preflight_read(read: Callable[..., Awaitable[Result]], *args: Any) -> Result:
    """Read something for a preflight, with a limited number of tries. Raise Refused with the last error."""
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
    """Read until `done` returns True for the result, and return the result.

    `every`: seconds between two readings. `sooner`: whether the first pauses are shorter. `within`: seconds after which
    the last reading is returned even if `done` does not accept it; None means that only the caller's time limits the
    wait.
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


async def read_when_settled(
    read: Callable[[], Awaitable[Result]], done: Callable[[Result], bool], behind: float
) -> Result:
    """Read until `done` returns True, or until no replica can still be `behind`, in seconds, and return the result."""
    return await poll_until(read, done, every=LATE_EVERY, within=min(behind, time_left() / 2))


async def wait_for_effect(read: Callable[[], Awaitable[Result]], before: object) -> Result:
    """Read until the result differs from `before`, for at most EFFECT seconds, and return the result.

    Within this time, a request that was cut off may still take effect.
    """
    return await poll_until(read, lambda now: now != before, every=LATE_EVERY, within=EFFECT)


async def ensure(
    is_so: Callable[[], Awaitable[bool]],
    send: Callable[[], Awaitable[None]],
    *,
    every: float = 0.5,
    patience: float | None = PATIENCE,
) -> None:
    """Bring about a state: send the write unless the state is already reached, then read until it is.

    A write that was accepted is not sent again. If a write did not arrive, or if its answer was lost, the state is read
    before the write is sent again. `every`: seconds between two readings; after an accepted write, the first pauses are
    shorter.
    `patience`: seconds after which the answer to a write counts as lost. Raise Rejected if the write is rejected. Raise
    the last error if the pause that the other side asks for is longer than the caller's time.

    A rejection means that this request did nothing. But a repeated write may be rejected because an earlier one took
    effect, so the state is read before the rejection is believed. If a reading after a write is rejected, it is not
    known whether the write took effect: raise Unknown.
    """
    sent, accepted, waits = False, False, _pauses(every)
    while not await (_after_a_write(retry(is_so, every=every)) if sent else retry(is_so, every=every)):
        if accepted:
            await asyncio.sleep(next(waits))
            continue
        try:
            accepted = await _try_to_send(partial(_within, patience, send))
        except Rejected:
            if sent and await _after_a_write(wait_for_effect(is_so, before=False)):
                return
            raise
        sent = True
        if not accepted:
            await asyncio.sleep(every)


def _pauses(every: float) -> Iterator[float]:
    """Yield the pauses between readings after something was started: short ones first, then always `every` seconds."""
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
        raise Unknown(
            code="connection",
            operation="waiting for",
            subject="an answer",
            cause=f"no answer came within {patience} s",
            remedy="Check which service is slow to respond.",
        ) from None


async def _after_a_write(reading: Awaitable[bool]) -> bool:
    """Return the result of a reading after a write.

    Raise Unknown if the reading is rejected, because a rejection does not tell whether the write was done.
    """
    try:
        return await reading
    except Rejected as error:
        cause = f"{error.cause}, after a change was sent"
        raise Unknown(
            code=error.code,
            operation=error.operation,
            subject=error.subject,
            cause=cause,
            remedy="Check whether the change was made.",
        ) from None


async def _try_to_send(send: Callable[[], Awaitable[None]]) -> bool:
    """Return True if the write was accepted, or False if the state must be read and the write perhaps sent again."""
    try:
        await send()
    except AGAIN as error:
        if error.after > time_left():
            raise
        waiting_for(str(error))
        await asyncio.sleep(error.after)
        return False
    return True
