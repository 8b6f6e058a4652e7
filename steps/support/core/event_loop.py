"""The clock that the tool uses, which keeps counting while the machine sleeps, and the event loop that runs on it."""

import asyncio
import socket
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any, TypeVar

Result = TypeVar("Result")

# On Linux, CLOCK_MONOTONIC stops while the machine sleeps; on macOS it does not.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_TICK = 0.25  # seconds between two readings of the clock, because the kernel's timers stop during sleep


def now() -> float:
    """Return the seconds since boot, including suspended time if the platform has such a clock."""
    return time.clock_gettime(_CLOCK)


class BoottimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock keeps counting while the machine sleeps.

    A deadline that passes during sleep is noticed within a quarter of a second after waking up.
    """

    def time(self) -> float:
        """Return the seconds since boot, including suspended time if the platform has such a clock."""
        return now()

    async def getaddrinfo(self, host: Any, port: Any, **how: int) -> list[Any]:
        """Resolve a name in a daemon thread, so that a resolver that hangs cannot delay shutdown."""
        found: Future[list[Any]] = Future()

        def resolve() -> None:
            with suppress(InvalidStateError):  # the caller has stopped waiting
                try:
                    found.set_result(socket.getaddrinfo(host, port, **how))
                except Exception as error:  # noqa: BLE001 - the caller handles it
                    found.set_exception(error)

        threading.Thread(target=resolve, daemon=True).start()
        return await asyncio.wrap_future(found, loop=self)

    def tick(self) -> None:
        """Wake up every quarter of a second, so that a deadline that passed during sleep is noticed soon after."""
        self.call_later(_TICK, self.tick)


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine on a BoottimeLoop, and return its result."""
    with asyncio.Runner(loop_factory=_started_loop) as runner:
        return runner.run(main)


def _started_loop() -> BoottimeLoop:
    loop = BoottimeLoop()
    loop.tick()
    return loop
