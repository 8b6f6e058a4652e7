"""The proxy in front of the real database server."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from aiohttp import web

from steps.support.gateways.database.hrana import Hrana
from steps.support.sql.statement import Statement
from steps.support.standin.faults import Faults, Kind
from steps.support.standin.proxy import Proxy, When
from steps.support.standin.servers import serve

pytestmark = pytest.mark.anyio


PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # everything here is plain HTTP: no authorities need loading


class Upstream:
    """A server that records its requests and echoes them."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def answer(self, request: web.Request) -> web.Response:
        """Echo the request."""
        body = await request.read()
        self.bodies.append(body)
        headers = {"X-Seen": f"{request.method} {request.raw_path}", "X-Sent": str(dict(request.headers))}
        if "zip" in request.path:
            return web.Response(body=gzip.compress(body), headers={**headers, "Content-Encoding": "gzip"})
        return web.Response(status=299, body=body, headers=headers)


@asynccontextmanager
async def _proxied(faults: Faults | None = None) -> AsyncIterator[tuple[Proxy, Upstream, httpx.AsyncClient]]:
    upstream = Upstream()
    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/{path:.*}", upstream.answer)
    async with serve(app) as behind:
        proxy = Proxy(behind, faults or Faults())
        async with serve(proxy.application()) as url, httpx.AsyncClient(verify=PLAIN, base_url=url) as client:
            yield proxy, upstream, client


async def test_everything_passes_unchanged() -> None:
    """Method, path with its escapes, query, headers and body arrive; status, headers and body come back."""
    async with _proxied() as (_, upstream, client):
        answer = await client.put("/a%20b/c%2Fd?x=1&y=%26", content=b"body", headers={"X-Own": "mine"})
    assert (answer.status_code, answer.content, upstream.bodies) == (299, b"body", [b"body"])
    assert answer.headers["X-Seen"] == "PUT /a%20b/c%2Fd?x=1&y=%26"
    assert "'X-Own': 'mine'" in answer.headers["X-Sent"]


async def test_compressed_and_large_bodies_pass_unchanged() -> None:
    """Several megabytes, compressed in both directions, arrive bit for bit."""
    large = gzip.compress(bytes(range(256)) * 20_000, compresslevel=0)
    async with _proxied() as (_, upstream, client):
        answer = await client.post("/zip", content=large, headers={"Content-Encoding": "gzip"})
    assert upstream.bodies == [large]
    assert answer.content == large


async def test_proxy_works_with_the_real_server(server: str) -> None:
    """A statement written through the proxy is read without it."""
    async with serve(Proxy(server, Faults()).application()) as url:
        through, direct = Hrana(url, None), Hrana(server, None)
        await through.transaction([Statement("CREATE TABLE t (x)"), Statement("INSERT INTO t VALUES (7)")])
        assert (await direct.query(Statement("SELECT x FROM t"))).scalar == 7
        await through.aclose()
        await direct.aclose()


async def test_unreachable_server_is_a_bad_gateway() -> None:
    """If nothing listens the proxy answers 502."""
    async with serve(web.Application()) as gone:
        pass
    async with serve(Proxy(gone, Faults()).application()) as url, httpx.AsyncClient(verify=PLAIN) as client:
        assert (await client.get(url)).status_code == 502


@pytest.mark.parametrize("step", ["turso_migration", "verification_query"])
async def test_fail_answers_500_and_forwards_nothing(step: str) -> None:
    """The server does not get the request."""
    faults = Faults()
    faults.arm(step, "fail")
    async with _proxied(faults) as (_, upstream, client):
        assert (await client.post("/", content=b"x")).status_code == 500
        assert upstream.bodies == []


async def test_hang_answers_nothing_and_forwards_nothing() -> None:
    """The client gives up; the server never gets the request, not even when the fault is over."""
    faults = Faults()
    faults.arm("turso_migration", "hang")
    async with _proxied(faults) as (proxy, upstream, client):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await client.post("/", content=b"x")
        faults.disarm()
        await proxy.wait_idle()
        assert upstream.bodies == []


async def test_lost_forwards_and_loses_the_answer() -> None:
    """The server has carried out the write, the client sees a reset; a read is exempt."""
    faults = Faults()
    faults.arm("turso_migration", "lost")
    async with _proxied(faults) as (_, upstream, client):
        with pytest.raises(httpx.ReadError):
            await client.post("/", content=b"BEGIN IMMEDIATE")
        assert (await client.post("/", content=b"x")).content == b"x"
        assert upstream.bodies == [b"BEGIN IMMEDIATE", b"x"]


@pytest.mark.parametrize("kind", ["fail", "hang", "lost"])
async def test_faults_of_other_steps_change_nothing(kind: Kind) -> None:
    """The stand-in works while another step is broken."""
    faults = Faults()
    faults.arm("activation", kind)
    async with _proxied(faults) as (_, _, client):
        assert (await client.post("/", content=b"x")).content == b"x"


@pytest.mark.parametrize(("when", "forwarded"), [("before", []), ("after", [b"COMMIT"])])
async def test_one_connection_can_be_dropped(when: When, forwarded: list[bytes]) -> None:
    """Only the first matching request is lost, before or after it was forwarded."""
    async with _proxied() as (proxy, upstream, client):
        proxy.drop(lambda body: b"COMMIT" in body, when)
        await client.post("/", content=b"SELECT")
        with pytest.raises(httpx.ReadError):
            await client.post("/", content=b"COMMIT")
        assert upstream.bodies == [b"SELECT", *forwarded]
        assert (await client.post("/", content=b"COMMIT")).status_code == 299


async def test_dropped_request_can_arrive_late() -> None:
    """The client sees a reset at once; the server gets the request after that."""
    async with _proxied() as (proxy, upstream, client):
        proxy.drop(lambda body: b"COMMIT" in body, "late", delay=0.1)
        with pytest.raises(httpx.ReadError):
            await client.post("/", content=b"COMMIT")
        assert upstream.bodies == []
        await proxy.wait_idle()
        assert upstream.bodies == [b"COMMIT"]


async def test_request_is_carried_out_after_its_client_leaves() -> None:
    """A received request is forwarded to the end: a client that gave up knows nothing."""
    arrived, go_on = asyncio.Event(), asyncio.Event()
    done: list[str] = []

    async def slow(request: web.Request) -> web.Response:
        arrived.set()
        await go_on.wait()
        done.append(await request.text())
        return web.Response()

    app = web.Application()
    app.router.add_post("/", slow)
    async with serve(app) as behind:
        proxy = Proxy(behind, Faults())
        async with serve(proxy.application()) as url, httpx.AsyncClient(verify=PLAIN) as client:
            asking = asyncio.create_task(client.post(url, content=b"x"))
            await arrived.wait()
            asking.cancel()
            await asyncio.sleep(0.05)
            go_on.set()
            await proxy.wait_idle()
    assert done == ["x"]
