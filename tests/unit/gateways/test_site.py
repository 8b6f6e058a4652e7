"""The site's gateway: which host is asked what, who gets the secret, and how an answer is read."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx
import pytest
from aiohttp import web

from steps.support.core.errors import NotSent, Unknown
from steps.support.gateways.http import LONGEST_WAIT, client_for
from steps.support.gateways.site import BYPASS, Answer, Request, Site
from steps.support.standin.servers import serve

pytestmark = pytest.mark.anyio

SECRET = "o" * 32
HOST = "liveone-abc123-team.vercel.app"
ASKED = Request("/api/data?systemId=1", headers={"Cookie": "auth-token=key"})


async def _echo(request: web.Request) -> web.Response:
    return web.json_response({"path": request.path_qs, "headers": dict(request.headers)})


@asynccontextmanager
async def _on_loopback(answer: web.Response | None = None, bypass: str | None = SECRET) -> AsyncIterator[Site]:
    """Serve one answer, or else an echo of the request, on this machine."""

    async def answered(request: web.Request) -> web.Response:
        return answer or await _echo(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answered)
    async with serve(app) as url, httpx.AsyncClient(base_url=url) as client:
        yield Site(client, bypass)


@asynccontextmanager
async def _far_away(bypass: str | None = SECRET) -> AsyncIterator[tuple[Site, list[httpx.Request]]]:
    """Return a site that is not on this machine, and what is sent."""
    sent: list[httpx.Request] = []

    def answered(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, stream=httpx.ByteStream(b"{}"))

    transport = httpx.MockTransport(answered)
    async with httpx.AsyncClient(base_url="https://liveone.example", transport=transport) as client:
        yield Site(client, bypass), sent


async def test_public_site_never_gets_the_secret() -> None:
    """The secret is sent to hosts of deployments only, local and remote."""
    async with _far_away() as (site, sent), _on_loopback() as near:
        await site.ask(ASKED)
        headers: Mapping[str, str] = (await near.ask(ASKED)).body["headers"]
    assert str(sent[0].url) == "https://liveone.example/api/data?systemId=1"
    assert sent[0].headers["Cookie"] == "auth-token=key"
    assert BYPASS not in sent[0].headers
    assert BYPASS not in headers
    assert headers["Host"].startswith("127.0.0.1:")


@pytest.mark.parametrize("path", ["/api/data?systemId=1", "api/data?systemId=1"])
async def test_deployment_is_asked_at_its_own_address(path: str) -> None:
    """The same question goes over TLS, with the secret that opens protected deployments."""
    async with _far_away() as (site, sent):
        await site.ask(Request(path, "POST", ASKED.headers), HOST)
    assert (sent[0].method, str(sent[0].url)) == ("POST", f"https://{HOST}/api/data?systemId=1")
    assert (sent[0].headers["Host"], sent[0].headers[BYPASS]) == (HOST, SECRET)
    assert sent[0].headers["Cookie"] == "auth-token=key"


async def test_loopback_deployment_is_chosen_by_the_host_header() -> None:
    """The stand-in site serves all deployments on one port."""
    async with _on_loopback() as site:
        body = (await site.ask(ASKED, HOST)).body
    assert (body["path"], body["headers"]["Host"], body["headers"][BYPASS]) == (ASKED.path, HOST, SECRET)


@pytest.mark.parametrize("bypass", [None, ""])
async def test_missing_secret_sends_no_header(bypass: str | None) -> None:
    """Not even an empty one is sent."""
    async with _far_away(bypass) as (site, sent), _on_loopback(bypass=bypass) as near:
        await site.ask(ASKED, HOST)
        assert BYPASS not in (await near.ask(ASKED, HOST)).body["headers"]
    assert BYPASS not in sent[0].headers


@pytest.mark.parametrize(
    "path", ["@elsewhere.example/", "//elsewhere.example/", "https://elsewhere.example/", "/\\elsewhere.example"]
)
async def test_path_cannot_lead_to_another_host(path: str) -> None:
    """Keys go to the intended deployment, even if the path looks like another host."""
    async with _far_away() as (site, sent):
        await site.ask(Request(path), HOST)
    assert (sent[0].url.scheme, sent[0].url.host) == ("https", HOST)


@pytest.mark.parametrize(
    "host",
    [
        "elsewhere.example/path",
        "elsewhere.example?x=",
        "elsewhere.example#",
        "elsewhere.example:8443",
        "user@elsewhere.example",
        "elsewhere.example\n",
        "elsewhere.example\r\nX-More: 1",
        "else where.example",
        "https://elsewhere.example",
        "exämple.vercel.app",
        "\N{KELVIN SIGN}.vercel.app",
        "xn--0.vercel.app",
        "-a.vercel.app",
        "a-.vercel.app",
        "a..vercel.app",
        ".vercel.app",
        "vercel.app.",
        f"{'a' * 64}.vercel.app",
        f"{'a.' * 125}vercel.app",
        "localhost",
        "127.0.0.1",
        "169.254.169.254",
        "[::1]",
        "*.vercel.app",
    ],
)
async def test_keys_are_sent_to_plain_names_only(host: str) -> None:
    """Nothing is sent to an invalid host name, wherever the site is, and the message gives the reason."""
    async with _far_away() as (site, sent), _on_loopback() as near:
        for each in (site, near):
            with pytest.raises(NotSent, match="not a host name"):
                await each.ask(ASKED, host)
    assert sent == []


@pytest.mark.parametrize("host", ["a.co", "LIVEONE-2.Vercel.App", f"{'a' * 63}.vercel.app", "1.liveone.example"])
async def test_plain_host_names_are_accepted(host: str) -> None:
    """Every name that a deployment can have is accepted."""
    async with _far_away() as (site, sent):
        await site.ask(ASKED, host)
    assert sent[0].url.raw_host == host.lower().encode()


@pytest.mark.parametrize(
    ("kind", "text", "body"),
    [
        ("application/json", '{"a": 1}', {"a": 1}),
        ("Application/JSON; charset=utf-8", "[1]", [1]),
        ("application/health+json", '{"status": "pass"}', {"status": "pass"}),
        ("application/json", '{"a": ', None),
        ("application/json", "", None),
        ("application/json", "[" * 100_000, None),
        ("text/html", '{"a": 1}', None),
        ("text/event-stream", '{"a": 1}', None),
    ],
)
async def test_json_body_is_parsed_by_content_type(kind: str, text: str, body: object) -> None:
    """The body is parsed if it is declared as JSON, and is None if that fails."""
    async with _on_loopback(web.Response(body=text.encode(), headers={"Content-Type": kind})) as site:
        answer = await site.ask(ASKED)
    assert (answer.body, answer.content_type) == (body, kind.partition(";")[0].lower())


@pytest.mark.parametrize(
    ("location", "there"),
    [
        ("https://vercel.com/sso-api?url=https://liveone.example&nonce=secret", "vercel.com"),
        ("https://user:secret@login.example:8443/in#secret", "login.example"),
        ("//login.example/in", "login.example"),
        ("/sign-in?redirect_url=secret#secret", "/sign-in"),
        ("http://[", ""),
        ("", ""),
    ],
)
async def test_redirect_is_an_answer(location: str, there: str) -> None:
    """It is not followed; only the target's host, or its path here, is kept, and nothing that may be a key."""
    async with _on_loopback(web.Response(status=307, headers={"Location": location})) as site:
        answer = await site.ask(ASKED)
    assert answer == Answer(307, "", None, there)


async def test_refused_connection_is_not_sent() -> None:
    """If no connection comes about nothing was sent, and both addresses are in the message."""
    async with httpx.AsyncClient(base_url="http://127.0.0.1:9") as client:
        with pytest.raises(NotSent, match=rf"reaching {HOST} \(GET http://127.0.0.1:9/api/data\)"):
            await Site(client).ask(ASKED, HOST)


async def test_truncated_answer_is_unknown() -> None:
    """The request may have been carried out: that is unknown."""
    cut = web.Response(body=b"{}", headers={"Content-Type": "application/json", "Content-Encoding": "gzip"})
    async with _on_loopback(cut) as site:
        with pytest.raises(Unknown):
            await site.ask(ASKED)


STICKY = ("__vdpl=dpl_1; Path=/; HttpOnly", "AWSALB=old; Path=/", "lb=1; Domain=127.0.0.1", "session=s; Max-Age=600")
TRANSPORT = {"Host", "Accept", "Accept-Encoding", "Connection", "User-Agent"}  # headers of every request


@asynccontextmanager
async def _sticky() -> AsyncIterator[tuple[Site, list[object]]]:
    """Echo requests, with cookies that keep a visitor; return the site, and the peer of each request."""
    peers: list[object] = []

    async def answered(request: web.Request) -> web.Response:
        peers.append(request.transport and request.transport.get_extra_info("peername"))
        answer = await _echo(request)
        for cookie in STICKY:
            answer.headers.add("Set-Cookie", cookie)
        return answer

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answered)
    async with serve(app) as url, client_for(url) as client:
        yield Site(client, SECRET), peers


@pytest.mark.parametrize("host", ["", HOST])
async def test_request_carries_no_cookie_of_another(host: str) -> None:
    """Cookies of answers and of other checks are not sent; a check's own cookie is sent unchanged."""
    async with _sticky() as (site, _):
        bare = Request("/api/door")
        sent = [(await site.ask(request, host)).body["headers"] for request in (bare, ASKED, bare, ASKED, bare)]
    assert [headers.get("Cookie") for headers in sent] == [None, "auth-token=key", None, "auth-token=key", None]


async def test_request_carries_only_the_headers_of_its_check() -> None:
    """Besides the headers that every request has there are only those of the check."""
    async with _sticky() as (site, _):
        await site.ask(ASKED)
        headers = (await site.ask(Request("/api/data", headers={"X-Own": "1"}))).body["headers"]
    assert set(headers) == {*TRANSPORT, "X-Own"}


async def test_every_request_opens_its_own_connection() -> None:
    """No connection from before the switch is reused, so no load balancer keeps us on the old code."""
    async with _sticky() as (site, peers):
        for _ in range(4):
            await site.ask(ASKED)
        await site.ask(ASKED, HOST)
    assert len({*peers}) == len(peers) == 5


@pytest.mark.parametrize(
    ("status", "headers", "text", "expected"),
    [
        (200, {"x-vercel-cache": "HIT", "age": "33"}, "{}", {"cached": "HIT, 33 s old"}),
        (200, {"x-vercel-cache": "STALE"}, "{}", {"cached": "STALE"}),
        (200, {"x-vercel-cache": "HIT", "age": "soon"}, "{}", {"cached": "HIT"}),
        (200, {"x-vercel-cache": "MISS", "age": "0"}, "{}", {"cached": ""}),
        (200, {"age": "33"}, "{}", {"cached": ""}),
        (200, {"x-deployment-id": "dpl_new"}, "{}", {"deployment": "dpl_new"}),
        (429, {"retry-after": "12"}, "slow down", {"retry_after": 12.0, "is_challenge": False}),
        (429, {"retry-after": "9" * 400}, "slow down", {"retry_after": LONGEST_WAIT}),
        (429, {}, "<title>Vercel Security Checkpoint</title>", {"is_challenge": True}),
        (403, {}, "<title>Vercel Security Checkpoint</title>", {"is_challenge": True}),
        (403, {"x-vercel-mitigated": "challenge"}, "", {"is_challenge": True}),
        (403, {"x-vercel-mitigated": "deny"}, "", {"is_challenge": False}),
        (403, {}, f"{' ' * 30_000}Security Checkpoint", {"is_challenge": False}),
        (200, {}, "our Security Checkpoint explained", {"is_challenge": False}),
    ],
)
async def test_what_stands_before_the_app_is_read_from_the_response(
    status: int, headers: dict[str, str], text: str, expected: dict[str, object]
) -> None:
    """The cache, the answering deployment, a limit's pause and the firewall's page are recognised."""
    async with _on_loopback(web.Response(status=status, headers=headers, text=text)) as site:
        answer = await site.ask(ASKED)
    assert {name: getattr(answer, name) for name in expected} == expected


async def test_request_past_the_cache_has_a_query_of_its_own() -> None:
    """Each one differs from those before it, keeps its own query, and asks caches not to answer."""
    async with _on_loopback() as site:
        echoes = [(await site.ask(ASKED, past_cache=True)).body for _ in range(2)]
        plain = (await site.ask(Request("/api/data"), past_cache=True)).body["path"]
    paths = [echo["path"] for echo in echoes]
    assert len({*paths}) == len(paths)
    assert all(path.startswith(f"{ASKED.path}&_orchestrate=") for path in paths)
    assert plain.startswith("/api/data?_orchestrate=")
    assert {echo["headers"]["Cache-Control"] for echo in echoes} == {"no-cache"}
