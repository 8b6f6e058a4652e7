"""The present fault, which breaks the outside world of one step in one way, for as long as the step runs."""

import asyncio
import re
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Literal, Protocol, TypeVar, get_args

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from steps.support.core.events import Event, StepBegun, StepDone, StepFailed, UndoBegun

DRIP = 0.05  # seconds between two bytes

_LINGER = struct.pack("ii", 1, 0)  # on, 0 seconds: closing the socket sends a reset


def reset(request: web.Request) -> web.StreamResponse:
    """Reset the connection. The returned response is never sent."""
    if transport := request.transport:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
        transport.abort()
    return web.Response()


async def drip(request: web.Request, _handler: Handler) -> web.StreamResponse:
    """Send status 200, and then one byte at a time, forever."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(DRIP)


async def hang(_request: web.Request, _handler: Handler) -> web.StreamResponse:
    """Never answer."""
    await asyncio.Event().wait()
    return web.Response()  # not reached


async def cut(request: web.Request, _handler: Handler) -> web.StreamResponse:
    """Reset the connection at once, without carrying out the request."""
    return reset(request)


async def lost(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Carry out the request, then reset the connection before the answer."""
    await handler(request)
    return reset(request)


async def garbage(_request: web.Request, _handler: Handler) -> web.StreamResponse:
    """Answer with status 200 and unrelated HTML."""
    return web.Response(text="<html><body>It works!</body></html>", content_type="text/html")


Kind = Literal["fail", "hang", "drip", "garbage", "cut", "lost"]
Refusal = Callable[[web.Request], web.StreamResponse | None]
Exempt = Callable[[web.Request, Kind], bool]

_OVER = (StepDone, StepFailed, UndoBegun)
_WAYS = {"hang": hang, "drip": drip, "garbage": garbage, "cut": cut, "lost": lost}


class Faults:
    """Breaks the world of `step` in the way `kind` while that step runs.

    It is a journal listener, so it knows when that is.
    """

    def __init__(self, step: str | None = None, kind: Kind | None = None) -> None:
        if kind not in (None, *get_args(Kind)):
            raise ValueError(f"a fault is one of {get_args(Kind)}, not {kind}")
        self._planned = (step, kind)
        self._to_come = self._planned
        self._armed: tuple[str | None, Kind | None] = (None, None)

    @property
    def step(self) -> str | None:
        """Return the step to break, or None if no step breaks."""
        return self._planned[0]

    def __call__(self, event: Event) -> None:
        """Arm the fault when its step begins. Disarm it when the step ends or a rollback begins."""
        if isinstance(event, StepBegun) and event.step == self._planned[0]:
            self._armed, self._to_come = self._planned, (None, None)
        elif isinstance(event, _OVER):
            self.disarm()

    def arm(self, step: str, kind: Kind) -> None:
        """Break the outside world of a step from now on."""
        self._armed = (step, kind)

    def disarm(self) -> None:
        """Stop breaking anything."""
        self._armed = (None, None)

    def kind_for(self, *steps: str) -> Kind | None:
        """Return how a stand-in that serves these steps must misbehave now, or None if it must not."""
        step, kind = self._armed
        return kind if step in steps else None

    def ahead_for(self, step: str) -> Kind | None:
        """Return how this step's world is broken now, or will be when the step begins; None if it is not broken."""
        planned, kind = self._to_come
        return kind if planned == step else self.kind_for(step)


def faulty(faults: Faults, steps: tuple[str, ...], refusal: Refusal, exempt: Exempt = lambda *_: False) -> Middleware:
    """Return middleware that breaks the requests that a stand-in gets during these steps.

    `refusal`: returns the answer for "fail", or None to answer the request honestly. `exempt`: returns True for
    requests that a kind of fault does not affect.
    """

    @web.middleware
    async def misbehave(request: web.Request, handler: Handler) -> web.StreamResponse:
        kind = faults.kind_for(*steps)
        if kind is None or exempt(request, kind):
            return await handler(request)
        if kind == "fail":
            return refusal(request) or await handler(request)
        return await _WAYS[kind](request, handler)

    return misbehave


Way = Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]


class Concern(Protocol):
    """Which requests to answer badly.

    They are the first `times` whose "METHOD /path" matches the regular expression `where` anywhere, or all of them if
    `times` is None.
    """

    @property
    def where(self) -> str: ...  # noqa: D102 - see the class

    @property
    def times(self) -> int | None: ...  # noqa: D102 - see the class


Trouble = TypeVar("Trouble", bound=Concern)


def troubled(wanted: Callable[[web.Request], Iterable[Trouble]], way: Callable[[Trouble], Way]) -> Middleware:
    """Return middleware that answers badly while a trouble matches.

    The bad answers of each trouble are counted for as long as the server runs.
    """
    answered: Counter[Trouble] = Counter()

    @web.middleware
    async def answer_badly(request: web.Request, handler: Handler) -> web.StreamResponse:
        for each in wanted(request):
            if re.search(each.where, f"{request.method} {request.path}") and answered[each] != each.times:
                answered[each] += 1
                return await way(each)(request, handler)
        return await handler(request)

    return answer_badly
