"""The one clock: seconds that count through a suspended machine, and the event loop that lives by them."""

import asyncio
import socket
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any, TypeVar

Result = TypeVar("Result")

_CLOCK = getattr(
    time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC
)  # Linux stops CLOCK_MONOTONIC while asleep, macOS does not
_TICK = 0.25  # seconds; the kernel's own waiting does not count a suspend, so the loop looks at the clock this often


def now() -> float:
    """Give seconds since boot, suspended time included where the platform has such a clock."""
    return time.clock_gettime(_CLOCK)


class BoottimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose deadlines also fall due while the machine sleeps; noticed within a tick of waking."""

    def time(self) -> float:
        """Give seconds since boot, suspended time included where the platform has such a clock."""
        return now()

    async def getaddrinfo(self, host: Any, port: Any, **how: int) -> list[Any]:
        """Look a name up in a thread of its own: a resolver that hangs is in nobody's way, not even of the end."""
        found: Future[list[Any]] = Future()

        def look() -> None:
            with suppress(InvalidStateError):  # nobody waits for it any more
                try:
                    found.set_result(socket.getaddrinfo(host, port, **how))
                except Exception as error:  # noqa: BLE001 - it belongs to whoever asked
                    found.set_exception(error)

        threading.Thread(target=look, daemon=True).start()
        return await asyncio.wrap_future(found, loop=self)

    def tick(self) -> None:
        """Wake up regularly, so that a deadline that passed during a suspend is seen soon after."""
        self.call_later(_TICK, self.tick)


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine to its end on such a loop."""
    with asyncio.Runner(loop_factory=_started) as runner:
        return runner.run(main)


def _started() -> BoottimeLoop:
    loop = BoottimeLoop()
    loop.tick()
    return loop
