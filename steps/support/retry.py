"""Asking again, for reads: until the answer comes or the caller's scope ends."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, retry_if_exception_type, wait_fixed

from steps.support.gateways.answers import NotSent, Unknown

Result = TypeVar("Result")


async def insist(
    ask: Callable[[], Awaitable[Result]], *, again: tuple[type[Exception], ...] = (NotSent, Unknown), every: float = 0.5
) -> Result:
    """Ask until there is an answer, every so many seconds; only what is listed in `again` is asked again."""

    async def asked() -> Result:
        return await ask()  # tenacity only awaits what is a coroutine function itself

    return await AsyncRetrying(retry=retry_if_exception_type(again), wait=wait_fixed(every), reraise=True)(asked)
