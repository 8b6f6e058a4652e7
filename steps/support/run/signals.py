"""SIGINT, SIGTERM and SIGHUP: the first stops the run and has it put back, the second stops at once."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from steps.support.core.errors import NeedsHuman

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Counts signals; cancels the run's task at the first on the way forward, and at the second always.

    `told` gets the name of each, and whether it is another one.
    """

    def __init__(self, told: Callable[[str, bool], None]) -> None:
        self._told = told
        self._count = 0
        self._forward = True

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Listen for the signals while the block runs, on behalf of the task that runs it."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task; this is for the type checker
        for number in SIGNALS:
            loop.add_signal_handler(number, self._received, number, task)
        try:
            yield
        finally:
            for number in SIGNALS:
                loop.remove_signal_handler(number)

    @contextmanager
    def rolling_back(self) -> Iterator[None]:
        """Put back in this block: a first signal changes nothing there any more, a second ends it with NeedsHuman."""
        self._forward = False
        task = asyncio.current_task()
        while task and task.cancelling():
            task.uncancel()
        try:
            yield
        except asyncio.CancelledError:
            raise NeedsHuman(
                "putting back", "the release", "stopped at once by a second signal", "Follow the runbook."
            ) from None

    def _received(self, number: int, task: "asyncio.Task[object]") -> None:
        self._count += 1
        if self._forward or self._count > 1:
            self._forward = False
            task.cancel()
        self._told(signal.Signals(number).name, self._count > 1)
