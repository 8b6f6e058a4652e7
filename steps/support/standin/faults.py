"""What is broken right now: one step's outside world, in one way, for as long as the step runs.

fail      it says no
hang      it never answers
drip      it answers a byte at a time, for ever
garbage   it answers what nobody asked for
cut       it does nothing, and resets the connection
lost      it does what it was asked, then the connection is reset before the answer
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from steps.support.standin import ways

Kind = Literal["fail", "hang", "drip", "garbage", "cut", "lost"]
Refusal = Callable[[web.Request], web.StreamResponse | None]
Exempt = Callable[[web.Request, Kind], bool]

_OVER = ("done", "failed", "undo_begun")
_WAYS = {"hang": ways.hang, "drip": ways.drip, "garbage": ways.garbage, "cut": ways.cut, "lost": ways.lost}


class Faults:
    """Breaks `step` in the way `kind` while that step runs; a listener of the journal tells it when."""

    def __init__(self, step: str | None = None, kind: Kind | None = None) -> None:
        if kind not in (None, *get_args(Kind)):
            raise ValueError(f"a fault is one of {get_args(Kind)}, not {kind}")
        self._planned = (step, kind)
        self._to_come = self._planned
        self._armed: tuple[str | None, Kind | None] = (None, None)

    @property
    def step(self) -> str | None:
        """Name the step that is to be broken."""
        return self._planned[0]

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Arm when the step begins, disarm when it ends or is undone."""
        if event["event"] == "begun" and event.get("step") == self._planned[0]:
            self._armed, self._to_come = self._planned, (None, None)
        elif event["event"] in _OVER:
            self.disarm()

    def arm(self, step: str, kind: Kind) -> None:
        """Break a step's outside world from now on."""
        self._armed = (step, kind)

    def disarm(self) -> None:
        """Mend it."""
        self._armed = (None, None)

    def kind_for(self, *steps: str) -> Kind | None:
        """Say how a stand-in that serves these steps must misbehave now; None: not at all."""
        step, kind = self._armed
        return kind if step in steps else None

    def ahead_for(self, step: str) -> Kind | None:
        """Say how this step's world is broken now, or will be once the step begins."""
        planned, kind = self._to_come
        return kind if planned == step else self.kind_for(step)


def faulty(faults: Faults, steps: tuple[str, ...], refusal: Refusal, exempt: Exempt = lambda *_: False) -> Middleware:
    """Break the requests that a stand-in gets during these steps.

    `refusal` gives the answer for "fail"; None: answer this request honestly. `exempt` says which
    requests a kind of fault does not concern.
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
