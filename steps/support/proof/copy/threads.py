"""Work for other threads that ends when its caller is cancelled."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import TypeVar

Result = TypeVar("Result")
Piece = TypeVar("Piece")

_AGAIN = 0.02  # seconds between two tries at stopping


async def in_thread(work: Callable[[], Result], stop: Callable[[], object] = lambda: None) -> Result:
    """Do the work in a thread. When cancelled, call `stop` until the thread has ended, so that nothing is left at work.

    `stop` has to end what the thread does at that moment; where the work is short it may do nothing.
    """
    thread = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        while not thread.done():
            stop()
            await asyncio.wait([thread], timeout=_AGAIN)
        thread.exception()  # what it says about being stopped is no news
        raise


async def pump(
    pieces: AsyncIterator[Piece],
    *sinks: Callable[[Piece], None],
    stop: Callable[[], object],
    told: Callable[[Piece], None],
) -> None:
    """Hand each piece to every sink, each in a thread, while the next one is read; then call `told` with it.

    So at most two pieces are in memory. Raises what the first of them raises.
    """
    piece = await _next(pieces)
    while piece is not None:
        coming = await _all(piece, sinks, pieces, stop)
        told(piece)
        piece = coming


async def _all(
    piece: Piece, sinks: tuple[Callable[[Piece], None], ...], pieces: AsyncIterator[Piece], stop: Callable[[], object]
) -> Piece | None:
    try:
        async with asyncio.TaskGroup() as group:
            coming = group.create_task(_next(pieces))
            for sink in sinks:
                group.create_task(in_thread(partial(sink, piece), stop))
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None
    return coming.result()


async def _next(pieces: AsyncIterator[Piece]) -> Piece | None:
    return await anext(pieces, None)
