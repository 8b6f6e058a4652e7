"""What the operator's shell holds by accident: it changes neither where a request goes nor what it carries."""

import asyncio
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from aiohttp import web

from steps.support.core.errors import NotSent, Problem
from steps.support.gateways.database.connect import connect
from steps.support.gateways.http import client_for, exchange
from steps.support.standin.servers import serve

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _without_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "http_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@asynccontextmanager
async def _echo() -> AsyncIterator[str]:
    """Serve an application that answers with the headers that it got."""

    async def answer(request: web.Request) -> web.Response:
        return web.json_response(dict(request.headers))

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with serve(app) as url:
        yield url


@asynccontextmanager
async def _proxy(status: bytes = b"502 Bad Gateway") -> AsyncIterator[tuple[str, list[str]]]:
    """Run a proxy that connects to nothing; yield its address and the first line of each request."""
    lines: list[str] = []

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        lines.append(head.decode().splitlines()[0])
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(meet, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", lines


async def _asked(client: httpx.AsyncClient, url: str) -> httpx.Response:
    return await exchange(client, "GET", url, peer="the site")


async def test_netrc_sends_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password that netrc holds for this host is not sent."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password hidden\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    async with _echo() as url, client_for(url) as client:
        assert "Authorization" not in (await _asked(client, "/")).json()


async def test_loopback_is_asked_past_every_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy for the internet, in any variable, gets no request for this machine."""
    async with _proxy() as (proxy, lines), _echo() as url:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy)
        async with client_for(url) as client:
            assert (await _asked(client, "/")).status_code == 200
    assert lines == []


async def test_remote_host_is_asked_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A remote host is asked through HTTPS_PROXY; if the proxy refuses, nothing was sent and the cause names it."""
    async with _proxy(b"407 Proxy Authentication Required") as (proxy, lines):
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        async with client_for("https://db.example") as client:
            with pytest.raises(NotSent, match="the proxy of HTTPS_PROXY refused") as refused:
                await _asked(client, "/v3")
    assert lines == ["CONNECT db.example:443 HTTP/1.1"]
    assert "407" in refused.value.cause


async def test_hosts_of_no_proxy_are_asked_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_PROXY holds: the host is asked without the proxy."""
    async with _proxy() as (proxy, lines):
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        monkeypatch.setenv("NO_PROXY", "nowhere.invalid")
        async with client_for("https://nowhere.invalid") as client:
            with pytest.raises(NotSent, match="no connection"):
                await _asked(client, "/")
    assert lines == []


def _self_signed(folder: Path) -> ssl.SSLContext:
    """Make a certificate that nobody has signed but itself, and return the context of its server."""
    key, certificate = str(folder / "key.pem"), str(folder / "cert.pem")
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    subprocess.run([*made, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context


@asynccontextmanager
async def _encrypted(context: ssl.SSLContext) -> AsyncIterator[str]:
    """Serve over TLS."""
    runner = web.AppRunner(web.Application())
    await runner.setup()
    place = socket.socket()
    place.bind(("127.0.0.1", 0))
    await web.SockSite(runner, place, ssl_context=context).start()
    try:
        yield f"https://localhost:{place.getsockname()[1]}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("base", ["http://127.0.0.1:9", "https://db.example"])
async def test_certificates_are_verified_by_the_url_of_the_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base: str
) -> None:
    """A client of a plain http site verifies an https host all the same, and no switch of the shell changes that."""
    async with _encrypted(_self_signed(tmp_path)) as url:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        async with client_for(base) as client:
            with pytest.raises(NotSent, match="certificate verify failed"):
                await _asked(client, f"{url}/")


@pytest.mark.parametrize("url", ["http://db.example", "http://10.0.0.7:8080", "http://0.0.0.0:8080"])
async def test_token_is_not_sent_unencrypted(url: str) -> None:
    """No database on another machine gets a token over plain http; without a token, or on this machine, it may."""
    with pytest.raises(Problem, match="the token would be sent unencrypted to") as refused:
        connect(url, "secret")
    assert refused.value.remedy == "Use libsql:// or https:// in its URL."
    for fine, token in (
        (url, None),
        ("http://127.0.0.1:8080", "t"),
        ("http://[::1]:8080", "t"),
        ("libsql://d.example", "t"),
    ):
        await connect(fine, token).aclose()
