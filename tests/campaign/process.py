"""A process of the tool within this one, which can be killed: none of its code runs afterwards, not even cleanup.

Tasks started in its context advance only while it lives; its files are closed and its connections hung up, as a kernel
does. Effects that have reached the world continue there.
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
    """One process: alive, then dead."""

    def __init__(self) -> None:
        self.dead = self.gone = False
        self.listens = False  # for signals
        self.death = asyncio.Event()
        self.held: list[Callable[[], object]] = []  # callbacks that close its files and connections
        self.coroutines: list[Mortal] = []
        self.tasks: list[asyncio.Task[Any]] = []

    def die(self) -> None:
        """Stop running, and close everything it holds."""
        if self.dead:
            return
        self.dead, self.listens = True, False
        for let_go in self.held:
            let_go()
        self.death.set()

    async def wait_if_dead(self) -> None:
        """Continue if the process is alive; otherwise wait forever."""
        if self.dead:
            await asyncio.Event().wait()

    def endless(self) -> Any:
        """Return a future that is never done, for a task to wait on; raise CancelledError if the process is being discarded."""
        if self.gone:
            raise asyncio.CancelledError
        future = asyncio.get_running_loop().create_future()
        future._asyncio_future_blocking = True  # noqa: SLF001 - a task waits only on futures marked like this
        return future

    async def discard(self) -> None:
        """Cancel the tasks of a dead process, after all checks; their coroutines are neither resumed nor cleaned up."""
        if not self.dead:
            return
        self.gone = True
        for each in self.coroutines:
            _IMMORTAL(ctypes.py_object(each.inner))  # destroying it would run its `finally` blocks
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


LIFE: ContextVar[Life | None] = ContextVar("life", default=None)


class Mortal(Coroutine[Any, Any, Any]):
    """A coroutine of a process: once that is dead, each step waits forever."""

    def __init__(self, inner: Coroutine[Any, Any, Any], life: Life) -> None:
        self.inner, self._life = inner, life
        life.coroutines.append(self)

    def send(self, value: Any) -> Any:
        """Resume, if the process is alive."""
        return self._life.endless() if self._life.dead else self.inner.send(value)

    def throw(self, *error: Any) -> Any:
        """Resume with an error, if the process is alive."""
        return self._life.endless() if self._life.dead else self.inner.throw(*error)

    def close(self) -> None:
        """Close, if the process is alive."""
        if not self._life.dead:
            self.inner.close()

    def __await__(self) -> Any:
        """Return the iterator of the inner coroutine."""
        return self.inner.__await__()

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the inner coroutine."""
        return getattr(self.inner, name)


def task_factory(
    loop: asyncio.AbstractEventLoop, coroutine: Any, context: Context | None = None
) -> "asyncio.Task[Any]":
    """Create a task that belongs to the current process; a task factory of asyncio."""
    life = context.get(LIFE) if context is not None else LIFE.get()
    if life is None:
        return asyncio.Task(coroutine, loop=loop, context=context)
    task = asyncio.Task(Mortal(coroutine, life), loop=loop, context=context)
    life.tasks.append(task)
    return task


def outlasting(work: Coroutine[Any, Any, Result]) -> "asyncio.Task[Result]":
    """Start work that survives the death of any process; its exception is ignored if the result is not awaited."""
    task = asyncio.get_running_loop().create_task(work, context=Context())
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task


def call_later(seconds: float, action: Callable[[], object]) -> None:
    """Call a function after some seconds, even if the process has died by then."""
    asyncio.get_running_loop().call_later(seconds, action, context=Context())


@contextmanager
def locks_registered() -> Iterator[None]:
    """Patch flock to register a process's locked files, so that its death unlocks them."""

    def flock(file: Any, operation: int) -> None:
        life = LIFE.get()
        if life is None or not life.dead:  # code between a death and the next await would never have run
            fcntl.flock(file, operation)
        if life:
            life.held.append(file.close)

    with patch("steps.support.run.journal.flock", flock), patch("steps.support.run.run_record.flock", flock):
        yield


class Disk:
    """The file of a journal, on a disk that can become full; writes of a dead process are dropped."""

    def __init__(self, file: Any, life: Life) -> None:
        self._file, self._life = file, life
        self.full = False
        self._some = True  # whether a few bytes still fit

    def fill(self) -> None:
        """Make the disk full from now on."""
        self.full = True

    def write(self, data: bytes) -> int:
        """Write the data, half of the first write on a full disk. Raise OSError for every later one."""
        if self._life.dead:
            return len(data)
        if not self.full:
            return int(self._file.write(data))
        if self._some:
            self._some = False
            return int(self._file.write(data[: len(data) // 2]))
        raise OSError(28, "No space left on device")

    def fileno(self) -> int:
        """Return no usable descriptor, as nothing is synced here."""
        return -1

    def close(self) -> None:
        """Close it."""
        self._file.close()
