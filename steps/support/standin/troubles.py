"""Requests that a stand-in answers badly, whatever they ask for."""

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol, TypeVar

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

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
