"""Serving on loopback: quick to start, quicker to stop."""

import asyncio
import ssl
from time import monotonic

import httpx
import pytest
from aiohttp import web

from steps.support.standin.servers import Background, serve

pytestmark = pytest.mark.anyio

PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # everything here is plain HTTP: no authorities need loading
QUICK = 5  # seconds; the library alone waits for 60


async def _hello(_request: web.Request) -> web.Response:
    return web.Response(text="hello")


async def _never(_request: web.Request) -> web.Response:
    await asyncio.Event().wait()
    raise AssertionError


def _app() -> web.Application:
    app = web.Application()
    app.add_routes([web.get("/hello", _hello), web.get("/never", _never)])
    return app


async def test_serves_on_loopback() -> None:
    """The URL that the block gets answers, and is on 127.0.0.1."""
    async with serve(_app()) as url, httpx.AsyncClient(verify=PLAIN, base_url=url) as client:
        assert (await client.get("/hello")).text == "hello"
        assert url.startswith("http://127.0.0.1:")
    with pytest.raises(httpx.ConnectError):
        async with httpx.AsyncClient(verify=PLAIN) as client:
            await client.get(url)


async def test_shuts_down_quickly_with_a_hanging_handler_and_an_idle_connection() -> None:
    """Neither an endless handler nor a kept-alive connection delays the shutdown."""
    async with httpx.AsyncClient(verify=PLAIN) as client:
        async with serve(_app()) as url:
            await client.get(f"{url}/hello")
            hanging = asyncio.create_task(client.get(f"{url}/never"))
            await asyncio.sleep(0.02)
            begun = monotonic()
        assert monotonic() - begun < QUICK
        with pytest.raises(httpx.TransportError):
            await hanging


async def test_background_request_survives_its_client() -> None:
    """A received request is completed although its client has disconnected."""
    background, received, done = Background(), asyncio.Event(), asyncio.Event()

    async def slow(_request: web.Request) -> web.Response:
        received.set()
        await asyncio.sleep(0.05)
        done.set()
        return web.Response()

    app = web.Application(middlewares=[background.carried_out])
    app.cleanup_ctx.append(background.running)
    app.router.add_get("/", slow)
    async with serve(app) as url, httpx.AsyncClient(verify=PLAIN) as client:
        asking = asyncio.create_task(client.get(url))
        await received.wait()
        asking.cancel()
        await background.wait_idle()
        assert done.is_set()


async def test_background_work_ends_with_the_server() -> None:
    """Endless work is cancelled when the server stops."""
    background, ended = Background(), asyncio.Event()

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    app = _app()
    app.cleanup_ctx.append(background.running)
    async with serve(app):
        background.start(forever())
        await asyncio.sleep(0)
    assert ended.is_set()
