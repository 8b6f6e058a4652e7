"""The wire in memory, compared with loopback: a client observes the same on both."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from aiohttp import web

from steps.support.standin.faults import cut, drip, hang
from steps.support.standin.servers import serve
from tests.support.virtual.loop import run
from tests.support.virtual.network import Network

pytestmark = pytest.mark.anyio

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
TIMEOUT = httpx.Timeout(5.0, read=0.3)


async def _plain(request: web.Request) -> web.StreamResponse:
    return web.json_response({"host": request.host, "body": await request.text()}, headers={"X-Own": "kept"})


async def _elsewhere(_request: web.Request) -> web.StreamResponse:
    return web.Response(status=307, headers={"Location": "https://elsewhere.example/"})


async def _squeezed(_request: web.Request) -> web.StreamResponse:
    return web.Response(body=gzip.compress(b"squeezed"), headers={"Content-Encoding": "gzip"})


async def _in_pieces(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for piece in (b"one", b"two", b"x" * 100_000):
        await response.write(piece)
        await asyncio.sleep(0.01)
    return response


async def _cut_short(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "10"})
    await response.prepare(request)
    await response.write(b"half")
    assert request.transport
    request.transport.close()
    return response


async def _cut_off(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "10"})
    await response.prepare(request)
    await response.write(b"half")
    return await cut(request, _plain)


async def _leaving(request: web.Request) -> web.StreamResponse:
    assert request.transport
    request.transport.close()
    return web.Response()


async def _broken(_request: web.Request) -> web.StreamResponse:
    raise web.HTTPServiceUnavailable(text="not now")


async def _reset(request: web.Request) -> web.StreamResponse:
    return await cut(request, _plain)


async def _dripping(request: web.Request) -> web.StreamResponse:
    return await drip(request, _plain)


async def _hanging(request: web.Request) -> web.StreamResponse:
    return await hang(request, _plain)


HANDLERS: list[Handler] = [
    _plain,
    _elsewhere,
    _squeezed,
    _in_pieces,
    _cut_short,
    _cut_off,
    _leaving,
    _broken,
    _reset,
    _hanging,
]


@asynccontextmanager
async def _reached(app: web.Application, *, memory: bool) -> AsyncIterator[httpx.AsyncClient]:
    network = Network()
    transport = network.transport() if memory else httpx.AsyncHTTPTransport(verify=False)
    async with network.serve(app) if memory else serve(app) as url:
        async with httpx.AsyncClient(base_url=url, transport=transport, timeout=TIMEOUT) as client:
            yield client


async def _outcome(handler: Handler, *, memory: bool) -> list[object]:
    """Ask twice, by one client; return both results, without the parts that depend on time or place."""
    app = web.Application()
    app.router.add_route("*", "/", handler)
    async with _reached(app, memory=memory) as client:
        return [await _ask(client), await _ask(client)]


async def _ask(client: httpx.AsyncClient) -> object:
    try:
        answer = await client.post("/", content="asked", headers={"Host": "some.host"})
    except httpx.TransportError as error:
        return type(error)
    headers = {name: value for name, value in answer.headers.items() if name != "date"}
    return answer.status_code, headers, answer.content


@pytest.mark.parametrize("handler", HANDLERS)
async def test_a_client_observes_the_same(handler: Handler) -> None:
    """Answers, ends and errors are those of a real connection, also the second time."""
    assert await _outcome(handler, memory=True) == await _outcome(handler, memory=False)


async def _read_drips(*, memory: bool) -> int:
    app = web.Application()
    app.router.add_get("/", _dripping)
    pieces = 0
    async with _reached(app, memory=memory) as client, client.stream("GET", "/") as answer:
        async for piece in answer.aiter_bytes():
            pieces += len(piece)
            if pieces == 10:
                break
    return pieces


async def test_bytes_come_as_they_are_sent() -> None:
    """Dripped bytes are read one by one, on both wires, and never far enough apart to time out."""
    assert await _read_drips(memory=True) == await _read_drips(memory=False) == 10


@pytest.mark.parametrize("memory", [True, False], ids=["memory", "loopback"])
async def test_a_client_that_leaves_ends_the_handler(memory: bool) -> None:  # noqa: FBT001 - a column
    """A handler ends if its client disconnects."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def waiting(request: web.Request) -> web.StreamResponse:
        begun.set()
        try:
            return await hang(request, _plain)
        finally:
            ended.set()

    app = web.Application()
    app.router.add_get("/", waiting)
    async with _reached(app, memory=memory) as client:
        asking = asyncio.ensure_future(client.get("/"))
        await begun.wait()
        asking.cancel()
        async with asyncio.timeout(20):
            await ended.wait()


async def test_an_unserved_port_refuses_connections() -> None:
    """A port refuses connections if no server listens, or no longer listens."""
    async with _reached(web.Application(), memory=True) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("http://127.0.0.1:99")
    network = Network()
    async with network.serve(web.Application()) as url:
        pass
    async with httpx.AsyncClient(transport=network.transport()) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(url)


def test_a_timeout_takes_no_real_time() -> None:
    """On a clock that jumps, a request to a server that never answers times out after exactly the given seconds."""

    async def asked() -> float:
        loop = asyncio.get_running_loop()
        app = web.Application()
        app.router.add_get("/", _hanging)
        async with _reached(app, memory=True) as client:
            begun = loop.time()
            with pytest.raises(httpx.ReadTimeout):
                await client.get("/", timeout=600.0)
            return loop.time() - begun

    assert run(asked()) == 600
