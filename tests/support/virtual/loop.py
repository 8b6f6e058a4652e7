"""A clock that jumps: when every task waits, time moves to the next deadline at once."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class _Jumping(selectors.DefaultSelector):
    """A selector that never waits: it adds the time it would have waited to the clock."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; move the clock if nothing is."""
        if ready := super().select(0):
            return ready
        if timeout is None:
            raise RuntimeError("every task waits for something that will never come")
        self.now += max(timeout, 0.0)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on that clock, which starts at 1000 s."""

    def __init__(self) -> None:
        self.selector = _Jumping()
        super().__init__(self.selector)

    def time(self) -> float:
        """Return the virtual time."""
        return 1000.0 + self.selector.now

    def sleep_through(self, seconds: float) -> None:
        """Let time pass without any task noticing, like a suspended machine."""
        self.selector.now += seconds


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine to its end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
