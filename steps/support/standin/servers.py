"""Start stand-ins on a loopback port, and stop them quickly."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from aiohttp import web
from aiohttp.typedefs import Handler

Result = TypeVar("Result")

SHUTDOWN = 0.1  # seconds that handlers get to finish


def runner_of(app: web.Application) -> web.AppRunner:
    """Return a runner for a stand-in.

    Handlers get the bodies as they were sent, still compressed. A handler is cancelled if its client disconnects or the
    runner is cleaned up, even in the middle of its work.
    """
    return web.AppRunner(
        app, shutdown_timeout=SHUTDOWN, handler_cancellation=True, auto_decompress=False, access_log=None
    )


@asynccontextmanager
async def serve(app: web.Application) -> AsyncIterator[str]:
    """Serve `app` on a free port of 127.0.0.1, and yield its base URL, without a trailing slash."""
    runner = runner_of(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class Background:
    """Work that a server continues after the client has disconnected. It ends with the server."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Start some work, and return its task.

        Shield the task when awaiting it, so that it completes even if the client disconnects.
        """
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def wait_idle(self) -> None:
        """Wait until no work is left."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def running(self, _app: web.Application) -> AsyncIterator[None]:
        """Cancel the remaining work when the application shuts down. This is a cleanup context of aiohttp."""
        yield
        for task in self._tasks:
            task.cancel()
        await self.wait_idle()

    @web.middleware
    async def carried_out(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Complete every request that was received, even if its client has disconnected."""
        return await asyncio.shield(self.start(_answer(handler, request)))


async def _answer(handler: Handler, request: web.Request) -> web.StreamResponse:
    return await handler(request)
