"""Run work in other threads, and stop the work when its caller is cancelled."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import TypeVar

Result = TypeVar("Result")
Piece = TypeVar("Piece")

_AGAIN = 0.02  # seconds between two attempts to stop


async def in_thread(work: Callable[[], Result], stop: Callable[[], object] = lambda: None) -> Result:
    """Run the work in a thread and return its result. When cancelled, call `stop` again and again until the work ends.

    `stop` must interrupt the work, so that no thread is left running; for short work, it may do nothing.
    """
    thread = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        while not thread.done():
            stop()
            await asyncio.wait([thread], timeout=_AGAIN)
        thread.exception()  # reading the exception keeps asyncio from reporting that the work was stopped
        raise


async def pump(
    pieces: AsyncIterator[Piece],
    *sinks: Callable[[Piece], None],
    stop: Callable[[], object],
    report: Callable[[Piece], None],
) -> None:
    """Pass each piece to all sinks, each in its own thread, and read the next piece meanwhile; then call `report`.

    `report` gets each piece after all sinks have taken it. `stop` interrupts the sinks. At most two pieces are in
    memory. Raise the first exception of the reader or a sink.
    """
    piece = await _next(pieces)
    while piece is not None:
        following = await _all(piece, sinks, pieces, stop)
        report(piece)
        piece = following


async def _all(
    piece: Piece, sinks: tuple[Callable[[Piece], None], ...], pieces: AsyncIterator[Piece], stop: Callable[[], object]
) -> Piece | None:
    try:
        async with asyncio.TaskGroup() as group:
            following = group.create_task(_next(pieces))
            for sink in sinks:
                group.create_task(in_thread(partial(sink, piece), stop))
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None
    return following.result()


async def _next(pieces: AsyncIterator[Piece]) -> Piece | None:
    return await anext(pieces, None)
