"""A process of the tool within this one, which can be killed: from then on nothing of it runs, not even to clean up.

What was begun in its context is stepped only while it lives; its files are closed and its connections hung up, as a
kernel does. What has reached the world goes on there.
"""

import asyncio
import ctypes
import fcntl
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from typing import Any, TypeVar
from unittest.mock import patch

Result = TypeVar("Result")

_IMMORTAL = ctypes.pythonapi.Py_IncRef


class Life:
    """One process: alive, and then not."""

    def __init__(self) -> None:
        self.dead = self.gone = False
        self.listens = False  # to signals
        self.death = asyncio.Event()
        self.held: list[Callable[[], object]] = []  # files and connections: how each is let go of
        self.coroutines: list[Mortal] = []
        self.tasks: list[asyncio.Task[Any]] = []

    def die(self) -> None:
        """Stop running, and let go of everything."""
        if self.dead:
            return
        self.dead, self.listens = True, False
        for let_go in self.held:
            let_go()
        self.death.set()

    async def lives(self) -> None:
        """Go on where it is alive; else never."""
        if self.dead:
            await asyncio.Event().wait()

    def never(self) -> Any:
        """Give a task what it waits for in vain; the end, where all of it is thrown away."""
        if self.gone:
            raise asyncio.CancelledError
        future = asyncio.get_running_loop().create_future()
        future._asyncio_future_blocking = True  # noqa: SLF001 - what a task waits for says so
        return future

    async def thrown_away(self) -> None:
        """End the tasks of the dead, once all has been looked at; what they were at is never resumed, nor cleaned up."""
        if not self.dead:
            return
        self.gone = True
        for each in self.coroutines:
            _IMMORTAL(ctypes.py_object(each.inner))  # to forget it would run whatever it has under `finally`
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


LIFE: ContextVar[Life | None] = ContextVar("life", default=None)


class Mortal(Coroutine[Any, Any, Any]):
    """A coroutine of a process: when that is dead, every step of it waits for something that never comes."""

    def __init__(self, inner: Coroutine[Any, Any, Any], life: Life) -> None:
        self.inner, self._life = inner, life
        life.coroutines.append(self)

    def send(self, value: Any) -> Any:
        """Go on."""
        return self._life.never() if self._life.dead else self.inner.send(value)

    def throw(self, *error: Any) -> Any:
        """Go on with an error."""
        return self._life.never() if self._life.dead else self.inner.throw(*error)

    def close(self) -> None:
        """End, if it may."""
        if not self._life.dead:
            self.inner.close()

    def __await__(self) -> Any:
        """Be awaited as what it stands for."""
        return self.inner.__await__()

    def __getattr__(self, name: str) -> Any:
        """Look like what it stands for."""
        return getattr(self.inner, name)


def born(loop: asyncio.AbstractEventLoop, coroutine: Any, context: Context | None = None) -> "asyncio.Task[Any]":
    """Make a task; a task factory of asyncio."""
    life = context.get(LIFE) if context is not None else LIFE.get()
    if life is None:
        return asyncio.Task(coroutine, loop=loop, context=context)
    task = asyncio.Task(Mortal(coroutine, life), loop=loop, context=context)
    life.tasks.append(task)
    return task


def of_the_world(work: Coroutine[Any, Any, Result]) -> "asyncio.Task[Result]":
    """Begin something that nobody's death ends; nobody need be there to hear what came of it."""
    task = asyncio.get_running_loop().create_task(work, context=Context())
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task


def later(seconds: float, deed: Callable[[], object]) -> None:
    """Do something in a while, whoever has died by then."""
    asyncio.get_running_loop().call_later(seconds, deed, context=Context())


@contextmanager
def locks_noticed() -> Iterator[None]:
    """Have a process's locked files known, so that its death unlocks them."""

    def flock(file: Any, operation: int) -> None:
        life = LIFE.get()
        if life is None or not life.dead:  # what comes between a death and the next await was never run
            fcntl.flock(file, operation)
        if life:
            life.held.append(file.close)

    with patch("steps.support.run.journal.flock", flock), patch("steps.support.run.run_record.flock", flock):
        yield


class Disk:
    """The file of a journal, on a disk that may become full; what a dead process writes is not written."""

    def __init__(self, file: Any, life: Life) -> None:
        self._file, self._life = file, life
        self.full = False
        self._some = True  # whether a few bytes still fit

    def fill(self) -> None:
        """Have it full from now on."""
        self.full = True

    def write(self, data: bytes) -> int:
        """Write, as far as there is room. Raises OSError where there is none."""
        if self._life.dead:
            return len(data)
        if not self.full:
            return int(self._file.write(data))
        if self._some:
            self._some = False
            return int(self._file.write(data[: len(data) // 2]))
        raise OSError(28, "No space left on device")

    def fileno(self) -> int:
        """Give nothing that anybody could use: nobody syncs here."""
        return -1

    def close(self) -> None:
        """Close it."""
        self._file.close()
