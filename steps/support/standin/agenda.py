"""What is due when; done when somebody looks: no timers, nothing to clean up."""

import asyncio
from collections.abc import Callable
from functools import cached_property
from heapq import heappop, heappush
from itertools import count
from time import time

Action = Callable[[float], None]
Clock = Callable[[], float]


def loop_clock() -> float:
    """Give the seconds of the running event loop's clock."""
    return asyncio.get_running_loop().time()


class Agenda:
    """Actions in the order in which they are due; each is told its own moment, in seconds of the clock."""

    def __init__(self, clock: Clock = loop_clock) -> None:
        self._clock = clock
        self._due: list[tuple[float, int, Action]] = []
        self._serial = count()

    def at(self, moment: float, action: Action) -> None:
        """Put an action down for a moment."""
        heappush(self._due, (moment, next(self._serial), action))

    def catch_up(self) -> float:
        """Do everything that was due until now, as if it had been done in time; give now."""
        now = self._clock()
        while self._due and self._due[0][0] <= now:
            moment, _, action = heappop(self._due)
            action(moment)
        return now

    def milliseconds(self, moment: float) -> int:
        """Give the wall clock's milliseconds since 1970 at a moment of the clock."""
        return round((self._epoch + moment) * 1000)

    @cached_property
    def _epoch(self) -> float:
        """Give the wall clock's time at the clock's zero, settled at the first look."""
        return time() - self._clock()
