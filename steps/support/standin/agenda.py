"""A schedule without timers. Due actions run when the stand-in is next asked, so nothing needs to be cleaned up."""

import asyncio
from collections.abc import Callable
from functools import cached_property
from heapq import heappop, heappush
from itertools import count
from time import time

Action = Callable[[float], None]
Clock = Callable[[], float]


def loop_clock() -> float:
    """Return the time of the running event loop's clock, in seconds."""
    return asyncio.get_running_loop().time()


class Agenda:
    """Actions that are scheduled, and run in the order in which they are due.

    Each action is called with the time when it was due, in seconds of the clock.
    """

    def __init__(self, clock: Clock = loop_clock) -> None:
        self._clock = clock
        self._due: list[tuple[float, int, Action]] = []
        self._serial = count()

    def at(self, moment: float, action: Action) -> None:
        """Schedule an action for a time of the clock."""
        heappush(self._due, (moment, next(self._serial), action))

    def catch_up(self) -> float:
        """Run every action that is due, as if each had run on time. Return the present time of the clock."""
        now = self._clock()
        while self._due and self._due[0][0] <= now:
            moment, _, action = heappop(self._due)
            action(moment)
        return now

    def milliseconds(self, moment: float) -> int:
        """Return a time of the clock as milliseconds since 1970."""
        return round((self._epoch + moment) * 1000)

    @cached_property
    def _epoch(self) -> float:
        """Return the wall clock's time at the clock's zero, in seconds since 1970. It is fixed when first read."""
        return time() - self._clock()
