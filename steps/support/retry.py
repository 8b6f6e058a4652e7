"""Asking again, for reads: until the answer comes or the caller's scope ends."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, retry_if_exception_type, wait_fixed

from steps.support.gateways.answers import NotSent, Unknown

Result = TypeVar("Result")

AGAIN = (NotSent, Unknown)


async def insist(ask: Callable[[], Awaitable[Result]], *, every: float = 0.5) -> Result:
    """Ask every so many seconds until there is an answer; only NotSent and Unknown are asked again.

    When the caller's scope ends it, what was heard last goes along with the cancellation, as a note.
    """
    heard: list[Exception] = []

    async def asked() -> Result:
        try:
            return await ask()
        except (NotSent, Unknown) as error:
            heard[:] = [error]
            raise

    try:
        return await AsyncRetrying(retry=retry_if_exception_type(AGAIN), wait=wait_fixed(every), reraise=True)(asked)
    except asyncio.CancelledError as cancelled:
        for error in heard:
            cancelled.add_note(str(error))
        raise
