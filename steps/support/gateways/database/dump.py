"""Read the server's own dump: the whole database as SQL, as it is at one moment.

It is read with aiohttp, because sqld sends each row in its own HTTP chunk. For a million rows, the parser of httpx took
3 to 17 s of processor time, and that of aiohttp 1 to 2 s (measured on sqld 0.24.32).
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from http import HTTPStatus
from typing import Any

import aiohttp
import httpx

from steps.support.core.errors import NotSent, Unknown
from steps.support.gateways.database.hrana_wire import Answer, results

PIECE = 1 << 20  # bytes of one piece, approximately

_LIVENESS = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=30)  # seconds; sock_read: for the next byte
_OPENING = b"PRAGMA foreign_keys=OFF;"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@asynccontextmanager
async def dump(address: str, token: str | None) -> AsyncIterator[AsyncGenerator[bytes, None]]:
    """Open the dump of the database at `address`, an http or https URL. A read-only token is enough.

    Yield an iterator over pieces of the text. The text is complete only if its last statement is `COMMIT;`. Raise
    NoSuchPath if the server has no dumps, Unknown if the dump is cut off, or else NotSent or Rejected.
    """
    try:
        async with aiohttp.ClientSession(timeout=_LIVENESS, trust_env=True) as session, aclosing(
            _pieces(session, address, token)
        ) as pieces:  # fmt: skip
            yield pieces
    except aiohttp.ClientConnectorError as error:
        raise NotSent(
            code="connection",
            operation="reaching",
            subject=address,
            cause=str(error),
            remedy="Check its address in the settings, and the network.",
        ) from None


def cut_off(*, address: str, size: int, cause: str) -> Unknown:
    """Return the error for a dump that was cut off after `size` bytes."""
    return Unknown(
        code="copy-failed",
        operation="reading the dump of",
        subject=address,
        cause=f"the dump is cut off after {size:,} bytes ({cause})",
        remedy="Try again.",
    )


async def _pieces(session: aiohttp.ClientSession, address: str, token: str | None) -> AsyncGenerator[bytes, None]:
    url, size = f"{address}/dump", 0
    try:
        async with session.get(url, middlewares=(_token_only(token),), **_options(address)) as response:
            if response.status != HTTPStatus.OK:
                results(Answer(response.status, response.content_type, await response.content.read(PIECE)), url, 1)
            async for piece in _in_pieces(response.content):
                if not size and not piece.startswith(_OPENING):
                    raise Unknown(
                        code="copy-failed",
                        operation="reading the dump of",
                        subject=address,
                        cause="the answer is not a dump",
                        remedy="Check the database's URL.",
                    )
                size += len(piece)
                yield piece
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientError, OSError, EOFError) as error:  # a TimeoutError is an OSError
        raise cut_off(address=address, size=size, cause=type(error).__name__) from None


def _token_only(token: str | None) -> aiohttp.ClientMiddlewareType:
    """Return middleware that sends the token and no other secret: `trust_env` would also send passwords from netrc."""

    async def send(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        request.headers.pop("Authorization", None)
        if token:
            request.headers["Authorization"] = f"Bearer {token}"
        return await handler(request)

    return send


def _options(address: str) -> dict[str, Any]:
    """Return the options of the request.

    gzip is used only over a network, because it costs the server as much time as the dump itself.
    """
    is_local = httpx.URL(address).host in _LOOPBACK
    headers = {"Accept-Encoding": "identity" if is_local else "gzip"}
    secure = httpx.create_ssl_context() if address.startswith("https:") else True
    return {"headers": headers, "allow_redirects": False, "ssl": secure}


async def _in_pieces(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    piece = bytearray()
    async for chunk in content.iter_any():
        piece += chunk
        if len(piece) >= PIECE:
            yield bytes(piece)
            piece.clear()
    if piece:
        yield bytes(piece)
