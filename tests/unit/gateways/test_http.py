"""The client of every gateway: what it never carries from one request to the next."""

from collections.abc import Awaitable, Callable
from contextlib import aclosing

import httpx
import pytest
from aiohttp import web

from steps.support.core.errors import Problem
from steps.support.gateways.database.hrana import Hrana
from steps.support.gateways.database.hrana_stream import Stream
from steps.support.gateways.http import client_for
from steps.support.gateways.site import Request, Site
from steps.support.gateways.vercel import Vercel
from steps.support.sql.statement import Statement
from steps.support.standin.servers import serve

pytestmark = pytest.mark.anyio

COOKIES = (
    "kept=1; Path=/; Max-Age=600",
    "host=1; Domain=127.0.0.1; Path=/",
    "here=1",
    "login=1; HttpOnly; SameSite=Lax",
)
SELECT = Statement("SELECT 1")


async def _site(url: str) -> None:
    async with client_for(url) as client:
        for path in ("/api/a", "/api/b"):
            await Site(client).ask(Request(path))


async def _platform(url: str) -> None:
    async with client_for(url, headers={"Authorization": "Bearer t"}) as client:
        for _ in range(2):
            await _failing(Vercel(client, "p", None, "h").project)


async def _database(url: str) -> None:
    async with aclosing(Hrana(url, "t")) as database:
        for _ in range(2):
            await _failing(lambda: database.query(SELECT))


async def _stream(url: str) -> None:
    async with client_for(url) as client:
        for _ in range(2):
            await _failing(lambda: Stream(client, url, "t").rows(SELECT))


async def _failing(ask: Callable[[], Awaitable[object]]) -> None:
    """Ask a peer that answers with nothing but cookies."""
    with pytest.raises(Problem):
        await ask()


@pytest.mark.parametrize("asking", [_site, _platform, _database, _stream])
async def test_cookies_of_answers_are_not_sent_back(asking: Callable[[str], Awaitable[None]]) -> None:
    """Cookies set by an answer of site, platform or database do not come back in a later request."""
    brought: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        brought.append(request.headers.get("Cookie"))
        response = web.json_response({})
        for cookie in COOKIES:
            response.headers.add("Set-Cookie", cookie)
        return response

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with serve(app) as url:
        await asking(url)
    assert len(brought) >= 2
    assert {*brought} == {None}


async def test_explicit_cookie_is_sent() -> None:
    """A cookie written into a request is sent: only those set by answers are dropped."""
    sent: list[str] = []

    def answered(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers["Cookie"])
        return httpx.Response(200, headers=[("Set-Cookie", "kept=1")], stream=httpx.ByteStream(b"{}"))

    async with client_for("https://site.example", transport=httpx.MockTransport(answered)) as client:
        for key in ("a", "b"):
            await Site(client).ask(Request("/", headers={"Cookie": f"auth-token={key}"}))
    assert sent == ["auth-token=a", "auth-token=b"]
