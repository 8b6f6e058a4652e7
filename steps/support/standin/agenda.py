"""A schedule without timers: due actions run the next time the stand-in is asked, so nothing needs cleaning up."""

import asyncio
from collections.abc import Callable
from functools import cached_property
from heapq import heappop, heappush
from itertools import count
from time import time

Action = Callable[[float], None]
Clock = Callable[[], float]


def loop_clock() -> float:
    """Return the seconds of the running event loop's clock."""
    return asyncio.get_running_loop().time()


class Agenda:
    """Scheduled actions, run in the order they are due; each is called with its due time in seconds of the clock."""

    def __init__(self, clock: Clock = loop_clock) -> None:
        self._clock = clock
        self._due: list[tuple[float, int, Action]] = []
        self._serial = count()

    def at(self, moment: float, action: Action) -> None:
        """Schedule an action for a moment."""
        heappush(self._due, (moment, next(self._serial), action))

    def catch_up(self) -> float:
        """Run every action due by now, as if each had run on time; return now."""
        now = self._clock()
        while self._due and self._due[0][0] <= now:
            moment, _, action = heappop(self._due)
            action(moment)
        return now

    def milliseconds(self, moment: float) -> int:
        """Return the wall clock's milliseconds since 1970 at a moment of the clock."""
        return round((self._epoch + moment) * 1000)

    @cached_property
    def _epoch(self) -> float:
        """Return the wall clock's time at the clock's zero, fixed when first read."""
        return time() - self._clock()
