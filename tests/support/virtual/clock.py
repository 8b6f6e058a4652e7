"""The time of day in a virtual world: it advances with the loop's clock, and all modules read it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from unittest.mock import patch

from steps.support.standin.agenda import loop_clock

START = 1_767_225_610.0  # seconds since 1970 at which every run begins: ten past a full minute

TIMES = (
    "steps.support.standin.agenda.time",
    "steps.support.standin.vercel.quirks.time",
    "steps.support.standin.site_body.clock",
)
CLOCKS = (
    "steps.support.operations.health.time",
    "steps.support.operations.platform_ready.time",
    "steps.support.gateways.vercel.time",
)


class Wall:
    """The time of day in a virtual world: it advances with the loop's clock."""

    def __init__(self) -> None:
        self._zero = loop_clock()

    def __call__(self) -> float:
        """Return the seconds since 1970."""
        return START + loop_clock() - self._zero


@contextmanager
def patched_time(wall: Wall) -> Iterator[None]:
    """Patch every module that reads the time of day to use this clock."""
    with ExitStack() as stack:
        for place in TIMES:
            stack.enter_context(patch(place, wall))
        for place in CLOCKS:
            stack.enter_context(patch(place, SimpleNamespace(time=wall)))
        yield
