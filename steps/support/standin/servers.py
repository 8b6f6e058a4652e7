"""A stand-in's way onto a port of loopback, and off it again in no time."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from aiohttp import web
from aiohttp.typedefs import Handler

Result = TypeVar("Result")

SHUTDOWN = 0.1  # seconds that handlers get to end by themselves


def runner_of(app: web.Application) -> web.AppRunner:
    """Make what runs a stand-in.

    Bodies reach the handlers as they were sent, still compressed. A handler is cancelled when its client goes
    away, and when the runner is cleaned up, whatever it is doing.
    """
    return web.AppRunner(
        app, shutdown_timeout=SHUTDOWN, handler_cancellation=True, auto_decompress=False, access_log=None
    )


@asynccontextmanager
async def serve(app: web.Application) -> AsyncIterator[str]:
    """Serve `app` on a free port of 127.0.0.1 and give its base URL, without a slash at the end."""
    runner = runner_of(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class Background:
    """What a server goes on doing when the client has gone; it ends with the server."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Begin some work; await the task shielded to see it through with a client who may leave."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def settled(self) -> None:
        """Wait until nothing is under way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def running(self, _app: web.Application) -> AsyncIterator[None]:
        """End what is under way with the application; a cleanup context of aiohttp."""
        yield
        for task in self._tasks:
            task.cancel()
        await self.settled()

    @web.middleware
    async def carried_out(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """See a request through once it was received, even when the client has gone."""
        return await asyncio.shield(self.start(_answer(handler, request)))


async def _answer(handler: Handler, request: web.Request) -> web.StreamResponse:
    return await handler(request)
