"""What the running task is waiting for, and when its time ends.

The code that waits reports what it is waiting for, and an enclosing `listening` block receives the report. Both values
belong to the running task, as its timeout does, so they are not passed as arguments. By default nothing is listening,
and the time has no end. This module only remembers a deadline: run/budget.py sets and enforces it.
"""

import asyncio
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Tell = Callable[[str], None]


class _Listener:
    """Calls `tell` whenever the reason for waiting changes, and passes every report on to the enclosing listener."""

    def __init__(self, tell: Tell | None, outer: "_Listener | None") -> None:
        self._tell, self._outer, self._last_told = tell, outer, ""
        self.last = ""

    def hear(self, what: str) -> None:
        self.last = what
        if self._outer:
            self._outer.hear(what)
        if self._tell and what and what != self._last_told:
            self._last_told = what
            self._tell(what)


_listener: ContextVar[_Listener | None] = ContextVar("listener", default=None)
_end: ContextVar[float] = ContextVar("end", default=math.inf)


def waiting_for(what: str) -> None:
    """Report what the task is waiting for from now on; an empty text means nothing."""
    if listener := _listener.get():
        listener.hear(what)


def waited_for() -> str:
    """Return what the task last reported to be waiting for, or an empty text if it is waiting for nothing."""
    listener = _listener.get()
    return listener.last if listener else ""


def time_left() -> float:
    """Return the seconds until the enclosing `deadline_known` block ends, or infinity outside any such block."""
    return _end.get() - asyncio.get_running_loop().time()


@contextmanager
def listening(tell: Tell | None = None) -> Iterator[None]:
    """Call `tell` with each thing that the block waits for. Without `tell`, only remember the last one."""
    token = _listener.set(_Listener(tell, _listener.get()))
    try:
        yield
    finally:
        _listener.reset(token)


@contextmanager
def deadline_known(at: float) -> Iterator[None]:
    """Let code in the block find out, with `time_left`, how long it may take.

    `at`: the end, in seconds on the event loop's clock. If an enclosing block ends earlier, the earlier end counts.
    """
    token = _end.set(min(at, _end.get()))
    try:
        yield
    finally:
        _end.reset(token)
