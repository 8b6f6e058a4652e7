"""A server in front of the real one, which answers some paths differently."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import aiohttp
from aiohttp import web

from steps.support.standin.servers import serve

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Change = Callable[[bytes], bytes]


@asynccontextmanager
async def in_front_of(url: str, paths: dict[str, Handler]) -> AsyncIterator[str]:
    """Serve these paths differently, and pass every other request on."""
    async with aiohttp.ClientSession() as session:

        async def passed_on(request: web.Request) -> web.Response:
            async with session.post(f"{url}{request.path}", data=await request.read()) as answer:
                return web.Response(status=answer.status, body=await answer.read(), content_type=answer.content_type)

        async def answer(request: web.Request) -> web.StreamResponse:
            return await paths.get(request.path, passed_on)(request)

        app = web.Application(client_max_size=2**26)
        app.router.add_route("*", "/{path:.*}", answer)
        async with serve(app) as front:
            yield front


@asynccontextmanager
async def changing(
    url: str, answers: Change = lambda text: text, questions: Change = lambda text: text, *, pause: float = 0.0
) -> AsyncIterator[str]:
    """Serve a server with what is asked and what it answers changed, after a pause in seconds."""
    async with aiohttp.ClientSession() as session:

        async def answer(request: web.Request) -> web.Response:
            await asyncio.sleep(pause)
            asked = questions(await request.read())
            async with session.post(f"{url}{request.path}", data=asked) as told:
                text = answers(await told.read())
                return web.Response(status=told.status, body=text, content_type=told.content_type)

        app = web.Application(client_max_size=2**26)
        app.router.add_route("POST", "/{path:.*}", answer)
        async with serve(app) as front:
            yield front


def without_file_pages(url: str, answers: Change = lambda text: text) -> AbstractAsyncContextManager[str]:
    """Serve a server that does not give the pages of its file."""
    return changing(url, answers, lambda text: text.replace(b"sqlite_dbpage", b"no_such_table"))


async def missing(_: web.Request) -> web.Response:
    """Answer that the path does not exist."""
    return web.Response(status=404, text='{"error":"route not found"}', content_type="application/json")


async def dumped(url: str) -> bytes:
    """Return the whole dump of a server."""
    async with aiohttp.ClientSession() as session, session.get(f"{url}/dump") as answer:
        return await answer.read()
