"""One HTTP exchange, said in the three answers that the tool knows.

httpx's own timeouts only notice a dead peer; how long a call may take is the caller's scope.
"""

from typing import Any

import httpx

from steps.support.gateways.answers import NotSent, Unknown

LIVENESS = httpx.Timeout(30.0, connect=5.0)  # seconds without a byte
MOST = 4 * 1024 * 1024  # bytes of a body that are read

_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


class TooLarge(Unknown):
    """The answer is larger than anything this tool has a use for."""


async def exchange(client: httpx.AsyncClient, method: str, url: str, **options: Any) -> httpx.Response:
    """Send one request and read its whole answer, redirects not followed.

    Raises NotSent, or Unknown when no whole answer came, or TooLarge.
    """
    what = f"{method} {_without_query(url)}"
    try:
        async with client.stream(method, url, **options) as response:
            return await _bounded(response, what)
    except (*_UNSENT, httpx.InvalidURL) as error:
        raise NotSent("reaching", what, _words(error), "Check the address and the network.") from None
    except httpx.HTTPError as error:
        raise Unknown("reading the answer to", what, _words(error), "Look whether it was done.") from None


async def _bounded(response: httpx.Response, what: str) -> httpx.Response:
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > MOST:
            raise TooLarge(
                "reading the answer to", what, f"it is larger than {MOST} bytes", "Look whether it was done."
            )
    plain = {name: value for name, value in response.headers.items() if name != "content-encoding"}
    return httpx.Response(response.status_code, headers=plain, content=bytes(body), request=response.request)


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")


def _without_query(url: str) -> str:
    return url.partition("?")[0]
