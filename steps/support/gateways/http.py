"""One HTTP exchange, said in the answers that the tool knows.

httpx's own timeouts only notice a dead peer; how long a call may take is the caller's scope.
"""

import json
import re
import zlib
from collections.abc import Callable, Iterable
from contextlib import aclosing
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx

from steps.support.core.errors import NotSent, Unknown


def retry_after(response: httpx.Response, now: float) -> float:
    """Give the seconds that an answer asks to wait, 0 where it asks for none; `now` is seconds since 1970.

    `Retry-After` holds seconds or an HTTP date; Vercel's 429 also tells the moment of the reset in its body. A moment
    is held against the answer's own Date: our clock may be another.
    """
    said = response.headers.get("retry-after", "")
    if re.fullmatch(r"\d+(\.\d+)?", said):
        return float(said)
    until = _moment(said) or _reset(response)
    return max(0.0, until - (_moment(response.headers.get("date", "")) or now)) if until else 0.0


def _moment(date: str) -> float:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def _reset(response: httpx.Response) -> float:
    try:
        body: Any = json_of(response.content)
        return float(body["error"]["limit"]["resetMs"]) / 1000
    except (ValueError, KeyError, TypeError):
        return 0.0


LIVENESS = httpx.Timeout(30.0, connect=5.0)  # seconds without a byte
MOST = 4 * 1024 * 1024  # bytes of a body that are read, unless told otherwise
DEEPEST = 100  # lists and objects inside each other that are read
SHOWN = 300  # characters of the other side's own words that a message repeats
_GZIP = 31  # 15 bits of window, in the gzip format

_UNSENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)
_LOOK = "It may have been done: look before doing it again."
_TOO_DEEP = f"it is nested more than {DEEPEST} deep"


def client_for(address: str, **options: Any) -> httpx.AsyncClient:
    """Open a client that takes no cookies and sends none of its own.

    It reads the world's certificates, which takes a while, only where they are needed.
    """
    forgetful = CookieJar(DefaultCookiePolicy(allowed_domains=()))  # httpx keeps whatever its jar accepts
    return httpx.AsyncClient(base_url=address, verify=not address.startswith("http:"), cookies=forgetful, **options)


async def exchange(
    client: httpx.AsyncClient, method: str, url: str, *, whom: str, most: int = MOST, **options: Any
) -> httpx.Response:
    """Send `whom` one request and read the whole answer, at most `most` bytes; redirects are answers, not directions.

    Raises NotSent, or Unknown when no whole answer came.
    """
    what = f"{whom} ({method} {_shown(client.base_url, url)})"
    headers = {**(options.pop("headers", None) or {}), "Accept-Encoding": "gzip"}
    try:
        request = client.build_request(method, url, headers=headers, **options)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise NotSent("writing to", what, _of(error), "Check what is asked in the settings.") from None
    try:
        async with aclosing(await client.send(request, stream=True, follow_redirects=False)) as response:
            return await _read(response, what, most)
    except _UNSENT as error:
        raise NotSent("reaching", what, _of(error), "Check its address in the settings, and the network.") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:  # a redirect, too, has an address
        raise Unknown("reading the answer of", what, _of(error), _LOOK) from None


def json_of(content: bytes) -> Any:
    """Read JSON. Raises ValueError where it is none, or nested more deeply than anything that is meant to be read."""
    try:
        document = json.loads(content)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    level = [document]
    for _ in range(DEEPEST):
        level = [item for each in level for item in _inside(each)]
    if level:
        raise ValueError(_TOO_DEEP)
    return document


def _inside(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _shown(base: httpx.URL, url: str) -> str:
    """Give the address that is asked, without whatever in it may be a secret."""
    try:
        return str(base.join(url).copy_with(query=None, username=None, password=None))
    except (httpx.InvalidURL, UnicodeError):
        return f"{base.scheme}://{base.host}"


async def _read(response: httpx.Response, what: str, most: int) -> httpx.Response:
    body, unpack = bytearray(), _unpacking(response, what)
    async for piece in response.aiter_raw():
        body += unpack(piece, most + 1 - len(body))
        if len(body) > most:
            raise Unknown("reading the answer of", what, f"it is larger than {most} bytes", _LOOK)
    plain = [(name, value) for name, value in response.headers.raw if name.lower() != b"content-encoding"]
    return httpx.Response(response.status_code, headers=plain, content=bytes(body), request=response.request)


def _unpacking(response: httpx.Response, what: str) -> Callable[[bytes, int], bytes]:
    """Give what unpacks a piece of the body, to so many bytes at the most: a kilobyte may hold a gigabyte."""
    packing = response.headers.get("content-encoding", "").strip().lower()
    if packing in ("", "identity"):
        return lambda piece, _most: piece
    if packing != "gzip":
        raise Unknown("reading the answer of", what, f"it is packed as {packing[:SHOWN]!r}, unasked", _LOOK)
    unpacker = zlib.decompressobj(_GZIP)

    def unpacked(piece: bytes, most: int) -> bytes:
        try:
            return unpacker.decompress(piece, most)
        except zlib.error as error:
            raise Unknown("reading the answer of", what, f"it cannot be unpacked ({error})", _LOOK) from None

    return unpacked


def _of(error: Exception) -> str:
    # what is wrong with a header is not repeated: it may be the token
    said = "" if isinstance(error, httpx.LocalProtocolError | UnicodeError) else str(error)
    plain = {"ReadError": "the connection was reset", "ConnectError": "no connection"}.get(type(error).__name__, "")
    return f"{plain} ({type(error).__name__}: {said}".rstrip(": ").lstrip() + ")"
