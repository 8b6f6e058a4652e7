"""What is waited for right now, and until when: said by whoever waits, heard by whoever drew the scope.

Both are properties of the running task, as its deadline is; nobody passes them on, and outside any scope they are
"nothing" and "for ever".
"""

import asyncio
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Tell = Callable[[str], None]


class _Ear:
    """Tells what is waited for, once until it is something else; whoever listens further out hears it too."""

    def __init__(self, tell: Tell | None, further: "_Ear | None") -> None:
        self._tell, self._further, self._said = tell, further, ""
        self.heard = ""

    def hear(self, what: str) -> None:
        self.heard = what
        if self._further:
            self._further.hear(what)
        if self._tell and what and what != self._said:
            self._said = what
            self._tell(what)


_ear: ContextVar[_Ear | None] = ContextVar("ear", default=None)
_end: ContextVar[float] = ContextVar("end", default=math.inf)


def waiting_for(what: str) -> None:
    """Say what is waited for right now; an empty text: nothing any more."""
    if ear := _ear.get():
        ear.hear(what)


def waited_for() -> str:
    """Give what was waited for last; empty where it came."""
    ear = _ear.get()
    return ear.heard if ear else ""


def time_left() -> float:
    """Give the seconds until the scope that we are in ends."""
    return _end.get() - asyncio.get_running_loop().time()


@contextmanager
def listening(tell: Tell | None = None) -> Iterator[None]:
    """Have `tell` called with whatever is waited for inside the block; without it, only listen."""
    token = _ear.set(_Ear(tell, _ear.get()))
    try:
        yield
    finally:
        _ear.reset(token)


@contextmanager
def deadline_known(at: float) -> Iterator[None]:
    """Let everything inside the block know when its time ends, in seconds of the loop's clock."""
    token = _end.set(min(at, _end.get()))
    try:
        yield
    finally:
        _end.reset(token)
