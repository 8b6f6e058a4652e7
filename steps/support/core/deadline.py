"""What the running code waits for, and until when: the code that waits reports it, and the scope around it listens.

Both belong to the running task, as its timeout does, and are not passed as arguments. Outside any scope they are
"nothing" and "for ever". This module ends nothing: the scopes are in run/budget.py.
"""

import asyncio
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Tell = Callable[[str], None]


class _Listener:
    """Reports what is waited for, each time that it changes, and passes it on to the listener around it."""

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
    """Report what is waited for from now on; an empty text means nothing."""
    if listener := _listener.get():
        listener.hear(what)


def waited_for() -> str:
    """Return what was reported last; empty if nothing is waited for."""
    listener = _listener.get()
    return listener.last if listener else ""


def time_left() -> float:
    """Return the seconds until the current scope ends; infinity outside any scope."""
    return _end.get() - asyncio.get_running_loop().time()


@contextmanager
def listening(tell: Tell | None = None) -> Iterator[None]:
    """Call `tell` with each thing that the block waits for; without `tell`, only remember the last one."""
    token = _listener.set(_Listener(tell, _listener.get()))
    try:
        yield
    finally:
        _listener.reset(token)


@contextmanager
def deadline_known(at: float) -> Iterator[None]:
    """Make the end of the block's time, in seconds of the loop's clock, known inside it."""
    token = _end.set(min(at, _end.get()))
    try:
        yield
    finally:
        _end.reset(token)
