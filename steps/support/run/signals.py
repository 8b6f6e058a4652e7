"""SIGINT, SIGTERM and SIGHUP: the first one stops the run and rolls it back, the second one stops it at once."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from steps.support.core.errors import NeedsHuman

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Counts signals. The first one cancels the run's task, unless that is rolling back; the second one always does.

    `notify` is called with the name of each signal, and with True if it is not the first one.
    """

    def __init__(self, notify: Callable[[str, bool], None]) -> None:
        self._notify = notify
        self._count = 0
        self._forward = True

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Handle signals while the block runs. They can cancel the task that runs the block."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None  # noqa: S101 - for the type checker: a coroutine runs in a task
        for number in SIGNALS:
            loop.add_signal_handler(number, self._received, number, task)
        try:
            yield
        finally:
            for number in SIGNALS:
                loop.remove_signal_handler(number)

    @contextmanager
    def rolling_back(self) -> Iterator[None]:
        """Mark the block as a rollback: a first signal is ignored, and a second one raises NeedsHuman."""
        self._forward = False
        task = asyncio.current_task()
        while task and task.cancelling():
            task.uncancel()
        try:
            yield
        except asyncio.CancelledError:
            raise NeedsHuman(
                code="rollback-failed",
                operation="rolling back",
                subject="the release",
                cause="stopped by a second signal",
                remedy="Follow the runbook.",
            ) from None

    def _received(self, number: int, task: "asyncio.Task[object]") -> None:
        self._count += 1
        if self._forward or self._count > 1:
            self._forward = False
            task.cancel()
        self._notify(signal.Signals(number).name, self._count > 1)
