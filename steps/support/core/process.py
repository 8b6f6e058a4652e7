"""Run a command in a process group of its own, without a time limit.

However the call ends, even by cancellation, every process of the group is ended within 0.4 s, grandchildren included.
On Linux, the group also ends if this process dies. A command gets our environment without our secrets.
"""

import asyncio
import concurrent.futures.thread  # noqa: F401 - its hooks must be registered before any thread forks
import ctypes
import os
import shutil
import signal
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath

import psutil

from steps.support.core.errors import Problem

# The variables that may hold a secret. Any setting may hold one, too, for example in a header.
WITHHELD = frozenset({
    "VERCEL_TOKEN", "VERCEL_AUTOMATION_BYPASS_SECRET", "TURSO_AUTH_TOKEN", "TURSO_DATABASE_URL", "CRON_SECRET",
    "SITE_AUTH_TOKEN", "NOTIFY_URLS",
})  # fmt: skip
_SETTINGS = "ORCHESTRATE_"


def child_environment() -> dict[str, str]:
    """Return our environment without our secrets and settings, and with only the absolute entries of PATH."""
    passed_on = {name: value for name, value in os.environ.items() if not _is_ours(name.upper())}
    return {**passed_on, "PATH": search_path()}


def search_path() -> str:
    """Return PATH without its relative entries, so that no program is taken from the current directory."""
    entries = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(entry for entry in entries if PurePath(entry).is_absolute())


def find_program(program: str) -> str | None:
    """Return the path of a program, or None if it is not on PATH."""
    return shutil.which(program, path=search_path())


def secrets_in_environment() -> list[str]:
    """Return the values of the secrets in our environment, for the redactor. The database's URL is not one of them."""
    return [os.environ[name] for name in WITHHELD - {"TURSO_DATABASE_URL"} if name in os.environ]


def _is_ours(name: str) -> bool:
    return name in WITHHELD or name.startswith(_SETTINGS)


KEPT = {1: 4 << 20, 2: 64 << 10}  # bytes that are kept of the end of stdout (1) and of stderr (2)
GRACE = 0.2  # seconds that a group has to end after a signal, or that pipes have to close after the command has exited
# This shell is the command's parent and leads the group. SIGUSR1 tells it that our process has died; it ends the group.
_LEADER = """trap 'trap "" TERM; kill 0; sleep 0.2; kill -9 0' USR1; "$@" & wait $!"""
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_prctl = ctypes.PyDLL(None).prctl if sys.platform == "linux" else None  # too late to load after a fork


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a command: its exit code, the end of its output, and whether `out` is all of stdout."""

    code: int
    out: str
    err: str
    whole: bool


class _Child(asyncio.SubprocessProtocol):
    """Keeps the end of a child's output, and notices its exit even if other processes hold its pipes open."""

    def __init__(self) -> None:
        self.output = {1: bytearray(), 2: bytearray()}
        self.exited = asyncio.Event()
        self.silent = asyncio.Event()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.output[fd] += data
        del self.output[fd][: -KEPT[fd]]

    def process_exited(self) -> None:
        self.exited.set()

    def connection_lost(self, _: Exception | None) -> None:
        self.silent.set()

    async def wait_until_silent(self) -> None:
        """Wait until the child has exited and all its pipes are closed, for at most GRACE seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                await self.silent.wait()

    def answer(self, code: int | None) -> Answer:
        out, err = (output.decode(errors="backslashreplace") for output in self.output.values())
        return Answer(-1 if code is None else code, out, err, whole=len(self.output[1]) < KEPT[1])


_Spawned = tuple[asyncio.SubprocessTransport, _Child]


async def run(command: list[str], environment: dict[str, str]) -> Answer:
    """Run a command until it exits, and return its result. Raise Problem if it cannot be started.

    Whether the command exits or the call is cancelled, no process of the command's group is left behind.
    """
    spawning = asyncio.create_task(_spawn(command, environment))  # a task, so that a cancellation cannot lose the child
    try:
        transport, child = await asyncio.shield(spawning)
        await child.exited.wait()
        await child.wait_until_silent()
    finally:
        await _end(spawning)
    return child.answer(transport.get_returncode())


async def _spawn(command: list[str], environment: dict[str, str]) -> _Spawned:
    loop = asyncio.get_running_loop()
    try:
        return await loop.subprocess_exec(
            _Child, "/bin/sh", "-c", _LEADER, "sh", *command, stdin=asyncio.subprocess.DEVNULL,
            env=environment, start_new_session=True, preexec_fn=dies_with_parent(signal.SIGUSR1),
        )  # fmt: skip
    except OSError as error:
        raise Problem(
            code="program-missing",
            operation="running",
            subject=command[0],
            cause=error.strerror or repr(error),
            remedy="Check that this program is installed and can be run.",
        ) from error


def end_all(unwanted: Callable[[list[str]], bool]) -> None:
    """Kill the process group of every process of this user whose command line is `unwanted`, except our own group."""
    for each in psutil.process_iter(["cmdline"]):
        with suppress(ProcessLookupError, PermissionError):
            if unwanted(each.info["cmdline"] or []) and (group := os.getpgid(each.pid)) != os.getpgrp():
                os.killpg(group, signal.SIGKILL)


def dies_with_parent(number: int) -> Callable[[], None] | None:
    """Return a function that makes a child get the signal `number` when this process dies.

    The child must call it between fork and exec. Return None if the platform has no such feature.
    """
    return partial(_notice_death_of, os.getpid(), number) if _prctl else None


def _notice_death_of(parent: int, number: int) -> None:
    if _prctl:
        _prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os._exit(1)


async def _end(spawning: asyncio.Task[_Spawned]) -> None:
    """End the whole group: send SIGTERM first, then SIGKILL.

    This takes at most 2 * GRACE seconds, and no time if no process is left. Another cancellation only shortens the
    waits, because each signal is sent before the wait that may be cut short.
    """
    transport, child = await spawning
    with closing(transport):
        try:
            await _signal(signal.SIGTERM, transport.get_pid(), child)
        finally:
            await _signal(signal.SIGKILL, transport.get_pid(), child)


async def _signal(number: int, group: int, child: _Child) -> None:
    with suppress(ProcessLookupError, PermissionError):  # macOS reports EPERM if only zombies are left
        os.killpg(group, number)
        await child.wait_until_silent()
