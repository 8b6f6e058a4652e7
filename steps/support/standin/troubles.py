"""Requests that a stand-in answers badly, whatever they ask for: which ones, and the ways in which any server fails."""

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol, TypeVar

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from steps.support.standin.faults import reset

DRIP = 0.05  # seconds between two bytes

Way = Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]


class Concern(Protocol):
    """Which requests: the first `times`, None: all, that have `where`, a regular expression, in "METHOD /path"."""

    @property
    def where(self) -> str: ...  # noqa: D102 - said above

    @property
    def times(self) -> int | None: ...  # noqa: D102 - said above


Trouble = TypeVar("Trouble", bound=Concern)


def troubled(wanted: Callable[[web.Request], Iterable[Trouble]], way: Callable[[Trouble], Way]) -> Middleware:
    """Answer as the troubles of the moment want it; each keeps its count as long as the server runs."""
    seen: Counter[Trouble] = Counter()

    @web.middleware
    async def answer_badly(request: web.Request, handler: Handler) -> web.StreamResponse:
        for each in wanted(request):
            if re.search(each.where, f"{request.method} {request.path}") and seen[each] != each.times:
                seen[each] += 1
                return await way(each)(request, handler)
        return await handler(request)

    return answer_badly


async def drip(request: web.Request, _handler: Handler) -> web.StreamResponse:
    """Send 200 and a byte now and then, for ever."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(DRIP)


async def hang(_request: web.Request, _handler: Handler) -> web.StreamResponse:
    """Never answer."""
    await asyncio.Event().wait()
    return web.Response()  # never


async def cut(request: web.Request, _handler: Handler) -> web.StreamResponse:
    """Reset the connection at once."""
    return reset(request)


async def lost(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Do what was asked, and reset the connection before the answer."""
    await handler(request)
    return reset(request)
