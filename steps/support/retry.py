"""Asking again, for reads: until the answer comes or the caller's scope ends."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, retry_if_exception_type, wait_fixed

from steps.support.gateways.answers import NotSent, Unknown

Result = TypeVar("Result")

AGAIN = (NotSent, Unknown)
PATIENCE = 5.0  # seconds


async def insist(
    ask: Callable[[], Awaitable[Result]], *, every: float = 0.5, patience: float | None = PATIENCE
) -> Result:
    """Ask every so many seconds until there is an answer; only NotSent and Unknown are asked again.

    `patience`: seconds after which one try without an answer is given up. When the caller's scope ends it all, what was
    heard last goes along with the cancellation, as a note.
    """
    heard: list[Exception] = []

    async def asked() -> Result:
        try:
            return await _within(patience, ask)
        except AGAIN as error:
            heard[:] = [error]
            raise

    try:
        return await AsyncRetrying(retry=retry_if_exception_type(AGAIN), wait=wait_fixed(every), reraise=True)(asked)
    except asyncio.CancelledError as cancelled:
        for error in heard:
            cancelled.add_note(str(error))
        raise


async def _within(patience: float | None, ask: Callable[[], Awaitable[Result]]) -> Result:
    try:
        async with asyncio.timeout(patience) as scope:
            return await ask()
    except TimeoutError:
        if not scope.expired():
            raise
        raise Unknown("waiting for", "an answer", f"there was none for {patience} s", "Look who is slow.") from None


async def bring_about(
    is_so: Callable[[], Awaitable[bool]], send: Callable[[], Awaitable[None]], *, every: float = 0.5
) -> None:
    """Have the world become as wanted: look, send where it is not, and look on until it is.

    What was taken is not sent again. Where it was not, or where the answer was lost, the world is looked at before it
    is sent once more. Ends when it is so, with Rejected, or with the caller's scope.
    """
    taken = False
    while not await insist(is_so, every=every):
        if taken or not (taken := await _taken(send)):
            await asyncio.sleep(every)


async def _taken(send: Callable[[], Awaitable[None]]) -> bool:
    try:
        await send()
    except AGAIN:
        return False
    return True
