"""The one clock, which keeps counting while the machine is suspended, and the event loop that runs on it."""

import asyncio
import socket
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any, TypeVar

Result = TypeVar("Result")

# Linux stops CLOCK_MONOTONIC while the machine sleeps, macOS does not.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_TICK = 0.25  # seconds; the kernel's timers do not count suspended time, so the loop reads the clock this often


def now() -> float:
    """Return the seconds since boot, including suspended time if the platform has such a clock."""
    return time.clock_gettime(_CLOCK)


class BoottimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose deadlines pass also while the machine sleeps; noticed within a tick after waking."""

    def time(self) -> float:
        """Return the seconds since boot, including suspended time if the platform has such a clock."""
        return now()

    async def getaddrinfo(self, host: Any, port: Any, **how: int) -> list[Any]:
        """Resolve a name in a daemon thread, so that a hung resolver cannot delay shutdown."""
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
        """Wake up regularly, so that a deadline that passed during a suspend is noticed soon after."""
        self.call_later(_TICK, self.tick)


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine to its end on a BoottimeLoop."""
    with asyncio.Runner(loop_factory=_started_loop) as runner:
        return runner.run(main)


def _started_loop() -> BoottimeLoop:
    loop = BoottimeLoop()
    loop.tick()
    return loop
