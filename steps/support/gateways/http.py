"""Send HTTP requests, and turn every failure into one of the tool's own errors.

httpx's timeouts only detect that the peer is dead. The caller limits how long a call may take.
"""

import json
import re
import ssl
import zlib
from collections.abc import Callable, Iterable
from contextlib import aclosing
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx

from steps.support.core.addresses import PROXY, proxy_for
from steps.support.core.errors import NotSent, Unknown

LONGEST_WAIT = 86_400.0  # seconds; a longer wait means the same, because no run lasts so long
_LATEST = 1e15  # milliseconds since 1970, later than any clock


def retry_after(response: httpx.Response, now: float) -> float:
    """Return the seconds that a response asks to wait, or 0.

    `now`: the seconds since 1970. `Retry-After` holds seconds or an HTTP date; Vercel's 429 also gives the time of the
    reset in its body. A time is compared with the response's own Date, because our clock may differ.
    """
    value = response.headers.get("retry-after", "")
    if re.fullmatch(r"\d+(\.\d+)?", value):
        return min(float(value), LONGEST_WAIT)
    until = _timestamp(value) or _reset(response)
    if not until:
        return 0.0
    return min(max(0.0, until - (_timestamp(response.headers.get("date", "")) or now)), LONGEST_WAIT)


def _timestamp(date: str) -> float:
    try:
        when = parsedate_to_datetime(date)
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()  # -0000 means UTC, too
    except (ValueError, OverflowError):
        return 0.0


def _reset(response: httpx.Response) -> float:
    try:
        body: Any = json_of(response.content)
        return float(body["error"]["limit"]["resetMs"]) / 1000
    except OverflowError:
        return _LATEST / 1000
    except (ValueError, KeyError, TypeError):
        return 0.0


LIVENESS = httpx.Timeout(30.0, connect=5.0)  # seconds during which no byte may arrive
MOST = 4 * 1024 * 1024  # bytes of a body that are read by default
DEEPEST = 100  # levels of nested lists and objects that are read
SHOWN = 300  # characters of the peer's own text that a message quotes
_NO_ROOTS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody; loading all root certificates takes long
_GZIP = 31  # 15 bits of window, in the gzip format

_UNSENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,  # the proxy did not connect
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)
_PROXY = f"the proxy of {PROXY} refused"
_CHECK_FIRST = "It may have been done: check before repeating it."
_TOO_DEEP = f"it is nested more than {DEEPEST} levels deep"


def client_for(address: str, *, transport: httpx.AsyncBaseTransport | None = None, **options: Any) -> httpx.AsyncClient:
    """Open a client that accepts no cookies and sends none of its own.

    Of the environment, only HTTPS_PROXY and NO_PROXY count, and for remote hosts only: no netrc, no certificate
    switches. It loads the root certificates, which takes a while, only if the address is not plain http.
    """
    no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=()))  # httpx keeps every cookie that its jar accepts
    routes = transport or _Routes(httpx.URL(address))
    return httpx.AsyncClient(base_url=address, transport=routes, trust_env=False, cookies=no_cookies, **options)


class _Routes(httpx.AsyncBaseTransport):
    """Sends each request as its own URL says: verified if that is https, and through the proxy meant for its host."""

    def __init__(self, base: httpx.URL) -> None:
        self._plain = httpx.AsyncHTTPTransport(verify=_NO_ROOTS, trust_env=False)
        self._verified: dict[str, httpx.AsyncHTTPTransport] = {}  # proxy, or nothing -> transport
        self._of(base)  # loads the root certificates now, and not while a request is timed

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._of(request.url).handle_async_request(request)

    async def aclose(self) -> None:
        for transport in (self._plain, *self._verified.values()):
            await transport.aclose()

    def _of(self, url: httpx.URL) -> httpx.AsyncHTTPTransport:
        if url.scheme != "https":
            return self._plain
        proxy = proxy_for(url.scheme, url.host, url.port)
        if proxy not in self._verified:
            through = httpx.Proxy(proxy) if proxy else None
            self._verified[proxy] = httpx.AsyncHTTPTransport(verify=True, trust_env=False, proxy=through)
        return self._verified[proxy]


async def exchange(
    client: httpx.AsyncClient, method: str, url: str, *, peer: str, most: int = MOST, **options: Any
) -> httpx.Response:
    """Send one request to `peer`, and return the whole response. Redirects are not followed.

    `most`: the bytes that the body may have. Raise NotSent, or Unknown if the response was not received completely.
    """
    what = f"{peer} ({method} {_public_address(client.base_url, url)})"
    headers = {"Accept-Encoding": "gzip", **(options.pop("headers", None) or {})}
    try:
        request = client.build_request(method, url, headers=headers, **options)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise NotSent(
            code="connection",
            operation="writing to",
            subject=what,
            cause=_describe(error),
            remedy="Check the address and the headers in the settings.",
        ) from None
    try:
        async with aclosing(await client.send(request, stream=True, follow_redirects=False)) as response:
            return await _read(response, what, most)
    except _UNSENT as error:
        raise NotSent(
            code="connection",
            operation="reaching",
            subject=what,
            cause=_describe(error),
            remedy="Check its address in the settings, and the network.",
        ) from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:  # the URL of a redirect may be invalid
        raise Unknown(
            code="connection",
            operation="reading the answer of",
            subject=what,
            cause=_describe(error),
            remedy=_CHECK_FIRST,
        ) from None


def json_of(content: bytes) -> Any:
    """Return the parsed JSON. Raise ValueError if it is not JSON, or nested more than DEEPEST levels deep."""
    try:
        document = json.loads(content)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    level = [document]
    for _ in range(DEEPEST):
        level = [item for each in level for item in _children(each)]
    if level:
        raise ValueError(_TOO_DEEP)
    return document


def _children(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


@lru_cache(maxsize=64)  # parsing takes as long as building the request, and most addresses are requested often
def _public_address(base: httpx.URL, url: str) -> str:
    """Return the requested address without the parts that may be secret."""
    try:
        return str(base.join(url).copy_with(query=None, username=None, password=None))
    except (httpx.InvalidURL, UnicodeError):
        return f"{base.scheme}://{base.host}"


async def _read(response: httpx.Response, what: str, most: int) -> httpx.Response:
    body, decompress = bytearray(), _decompressor(response, what)
    async for piece in response.aiter_raw():
        body += decompress(piece, most + 1 - len(body))
        if len(body) > most:
            raise Unknown(
                code="connection",
                operation="reading the answer of",
                subject=what,
                cause=f"it is larger than {most} bytes",
                remedy=_CHECK_FIRST,
            )
    plain = [(name, value) for name, value in response.headers.raw if name.lower() != b"content-encoding"]
    return httpx.Response(response.status_code, headers=plain, content=bytes(body), request=response.request)


def _decompressor(response: httpx.Response, what: str) -> Callable[[bytes, int], bytes]:
    """Return the function that decompresses a piece of the body.

    Its second argument limits the bytes that it returns, because 1 kB may hold 1 GB.
    """
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return lambda piece, _most: piece
    if encoding != "gzip":
        cause = f"it is compressed as {encoding[:SHOWN]!r}, which was not requested"
        raise Unknown(
            code="connection", operation="reading the answer of", subject=what, cause=cause, remedy=_CHECK_FIRST
        )
    decompressor = zlib.decompressobj(_GZIP)

    def decompressed(piece: bytes, most: int) -> bytes:
        try:
            return decompressor.decompress(piece, most)
        except zlib.error as error:
            cause = f"it cannot be decompressed ({error})"
            raise Unknown(
                code="connection", operation="reading the answer of", subject=what, cause=cause, remedy=_CHECK_FIRST
            ) from None

    return decompressed


def _describe(error: Exception) -> str:
    # the text of an error about a header is not quoted, because it may contain the token
    text = "" if isinstance(error, httpx.LocalProtocolError | UnicodeError) else str(error)
    plain = {"ReadError": "the connection was reset", "ConnectError": "no connection", "ProxyError": _PROXY}.get(
        type(error).__name__, ""
    )
    return f"{plain} ({type(error).__name__}: {text}".rstrip(": ").lstrip() + ")"
