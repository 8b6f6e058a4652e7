"""A server in front of the real one, which answers some paths differently."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

from steps.support.standin.servers import serve

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


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


async def missing(_: web.Request) -> web.Response:
    """Answer that the path does not exist."""
    return web.Response(status=404, text='{"error":"route not found"}', content_type="application/json")


def streaming(pieces: Iterable[bytes], *, pause: float = 0.0, whole: bool = True) -> Handler:
    """Answer with these pieces, one after the other; unless complete, the connection is lost after them."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
            await asyncio.sleep(pause)
        if not whole and request.transport:
            request.transport.abort()
        return response

    return answer


async def dumped(url: str) -> bytes:
    """Return the whole dump of a server."""
    async with aiohttp.ClientSession() as session, session.get(f"{url}/dump") as answer:
        return await answer.read()
