"""One HTTP exchange, said in the answers that the tool knows.

httpx's own timeouts only notice a dead peer; how long a call may take is the caller's scope.
"""

from typing import Any

import httpx

from steps.support.gateways.answers import NotSent, Unknown

LIVENESS = httpx.Timeout(30.0, connect=5.0)  # seconds without a byte
MOST = 4 * 1024 * 1024  # bytes of a body that are read, unless told otherwise

_UNSENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
    httpx.InvalidURL,
)
_LOOK = "It may have been done: look before doing it again."


def client_for(address: str, **options: Any) -> httpx.AsyncClient:
    """Open a client; it reads the certificates of the world, which takes a while, only where they are needed."""
    return httpx.AsyncClient(base_url=address, verify=not address.startswith("http:"), **options)


async def exchange(
    client: httpx.AsyncClient, method: str, url: str, *, whom: str, most: int = MOST, **options: Any
) -> httpx.Response:
    """Send `whom` one request and read the whole answer, at most `most` bytes; redirects are answers, not directions.

    Raises NotSent, or Unknown when no whole answer came.
    """
    address = client.base_url.join(url).copy_with(query=None, username=None, password=None)
    what = f"{whom} ({method} {address})"
    try:
        async with client.stream(method, url, follow_redirects=False, **options) as response:
            return await _read(response, what, most)
    except _UNSENT as error:
        raise NotSent("reaching", what, _of(error), "Check its address in the settings, and the network.") from None
    except (httpx.HTTPError, OSError) as error:
        raise Unknown("reading the answer of", what, _of(error), _LOOK) from None


async def _read(response: httpx.Response, what: str, most: int) -> httpx.Response:
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > most:
            raise Unknown("reading the answer of", what, f"it is larger than {most} bytes", _LOOK)
    plain = [(name, value) for name, value in response.headers.raw if name.lower() != b"content-encoding"]
    return httpx.Response(response.status_code, headers=plain, content=bytes(body), request=response.request)


def _of(error: Exception) -> str:
    # what is wrong with a header is not repeated: it may be the token
    said = "" if isinstance(error, httpx.LocalProtocolError) else str(error)
    plain = {"ReadError": "the connection was reset", "ConnectError": "no connection"}.get(type(error).__name__, "")
    return f"{plain} ({type(error).__name__}: {said}".rstrip(": ").lstrip() + ")"
