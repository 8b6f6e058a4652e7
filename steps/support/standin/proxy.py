"""A reverse proxy in front of the real database server. It changes nothing, but it can lose requests and answers."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Literal

from aiohttp import ClientError, ClientSession, web
from multidict import CIMultiDict
from yarl import URL

from steps.support.standin.faults import Faults, Kind, faulty, reset
from steps.support.standin.servers import Background

MOST = 64 * 1024 * 1024  # bytes of a request's body
# Headers that concern one connection, not the message (RFC 9110, 7.6.1), or that each side sets for itself.
OWN = {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "content-length", "host"}
UNASKED = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")  # what aiohttp would add

When = Literal["before", "after", "late"]


@dataclass(frozen=True, slots=True)
class Drop:
    """The connection to reset: that of the next request whose body matches.

    `when`: as for Proxy.drop. `delay`: seconds until a late request is forwarded.
    """

    matches: Callable[[bytes], bool]
    when: When
    delay: float


class Proxy:
    """Forwards requests to the server at `upstream`. Each is completed even if its client disconnects."""

    def __init__(self, upstream: str, faults: Faults) -> None:
        self._upstream = URL(upstream)
        self._faults = faults
        self._drop: Drop | None = None
        self._background = Background()
        self._session: ClientSession

    def application(self) -> web.Application:
        """Build the HTTP application of the proxy."""
        migrating = faulty(self._faults, ("turso_migration",), _broken, _lost_later)
        verifying = faulty(self._faults, ("verification_query",), _broken)
        middlewares = [migrating, verifying, self._background.carried_out]
        app = web.Application(middlewares=middlewares, client_max_size=MOST)
        app.cleanup_ctx.extend((self._connected, self._background.running))
        app.router.add_route("*", "/{path:.*}", self._pass_on)
        return app

    def drop(self, matches: Callable[[bytes], bool], when: When, delay: float = 0.0) -> None:
        """Reset the connection of the next request whose body matches, and of no other.

        `when` is "before": do not forward the request. "after": forward it, then lose the answer. "late": reset the
        connection at once, and forward the request after `delay` seconds.
        """
        self._drop = Drop(matches, when, delay)

    async def wait_idle(self) -> None:
        """Wait until no request is being forwarded."""
        await self._background.wait_idle()

    async def _connected(self, _app: web.Application) -> AsyncIterator[None]:
        async with ClientSession(auto_decompress=False, skip_auto_headers=UNASKED) as self._session:
            yield

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        drop = self._drop or self._to_lose()
        if drop is None or not drop.matches(body):
            return await self._forward(request, body)
        self._drop = None
        if drop.when == "late":
            self._background.start(self._forward_late(request, body, drop.delay))
        if drop.when == "after":
            await self._forward(request, body)
        return reset(request)

    def _to_lose(self) -> Drop | None:
        """Return a drop for the answer to a write if the fault is "lost", otherwise None.

        Losing the answer to a read would risk nothing.
        """
        lost = self._faults.kind_for("turso_migration") == "lost"
        return Drop(lambda body: b"BEGIN IMMEDIATE" in body, "after", 0.0) if lost else None

    async def _forward_late(self, request: web.Request, body: bytes, delay: float) -> None:
        await asyncio.sleep(delay)
        await self._forward(request, body)

    async def _forward(self, request: web.Request, body: bytes) -> web.Response:
        target = self._upstream.join(URL(request.raw_path, encoded=True))
        headers = _passed_on(request.headers)
        try:
            async with self._session.request(
                request.method, target, headers=headers, data=BytesIO(body) if body else None, allow_redirects=False
            ) as answer:
                content = await answer.read()
                return web.Response(status=answer.status, headers=_passed_on(answer.headers), body=content)
        except ClientError as error:
            return web.Response(status=502, text=f"{error}\n")


def _passed_on(headers: Mapping[str, str]) -> CIMultiDict[str]:
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in OWN)


def _lost_later(_request: web.Request, kind: Kind) -> bool:
    return kind == "lost"


def _broken(_request: web.Request) -> web.Response:
    return web.json_response({"error": "internal error"}, status=500)
