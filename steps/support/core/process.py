"""A command in a process group of its own, which ends when its caller does, grandchildren and all; no time limit.

However a call ends, by cancellation too, every process of the group has been ended within 0.4 s. A command gets enough
of our own environment to work, and no key.
"""

import asyncio
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

# Whatever may hold a key; the settings, too, may have one written into a header.
WITHHELD = frozenset({
    "VERCEL_TOKEN", "VERCEL_AUTOMATION_BYPASS_SECRET", "TURSO_AUTH_TOKEN", "TURSO_DATABASE_URL", "CRON_SECRET",
    "SITE_AUTH_TOKEN", "NOTIFY_URLS",
})  # fmt: skip
_SETTINGS = "ORCHESTRATE_"


def child_environment() -> dict[str, str]:
    """Give our environment without our keys; programs are found on the absolute part of PATH alone."""
    passed_on = {name: value for name, value in os.environ.items() if not _is_ours(name.upper())}
    return {**passed_on, "PATH": search_path()}


def search_path() -> str:
    """Give PATH without its relative entries: what lies in the current directory is never what is meant."""
    entries = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(entry for entry in entries if PurePath(entry).is_absolute())


def find_program(program: str) -> str | None:
    """Give the path of a program, None where there is none."""
    return shutil.which(program, path=search_path())


def secrets_in_environment() -> list[str]:
    """Give the keys that our environment holds, for whoever hides them."""
    return [os.environ[name] for name in WITHHELD - {"TURSO_DATABASE_URL"} if name in os.environ]


def _is_ours(name: str) -> bool:
    return name in WITHHELD or name.startswith(_SETTINGS)


KEPT = {1: 4 << 20, 2: 64 << 10}  # bytes of stdout and of stderr that are kept: the last ones
GRACE = 0.2  # seconds that a group gets to end after a signal, and pipes to run dry once it has exited
# Leads the group, as the parent of the command. SIGUSR1 says that we have died: then everybody in it ends with us.
_LEADER = """trap 'trap "" TERM; kill 0; sleep 0.2; kill -9 0' USR1; "$@" & wait $!"""
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_prctl = ctypes.PyDLL(None).prctl if sys.platform == "linux" else None  # looked up here: after a fork is too late


@dataclass(frozen=True, slots=True)
class Answer:
    """How a command ended: its exit code, the last of what it said, and whether stdout is whole."""

    code: int
    out: str
    err: str
    whole: bool


class _Child(asyncio.SubprocessProtocol):
    """Keeps the last of what a child says, and knows of its exit even while others hold its pipes."""

    def __init__(self) -> None:
        self.said = {1: bytearray(), 2: bytearray()}
        self.exited = asyncio.Event()
        self.silent = asyncio.Event()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.said[fd] += data
        del self.said[fd][: -KEPT[fd]]

    def process_exited(self) -> None:
        self.exited.set()

    def connection_lost(self, _: Exception | None) -> None:
        self.silent.set()

    async def fallen_silent(self) -> None:
        """Wait until it has exited and nobody holds its pipes, for GRACE at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                await self.silent.wait()

    def answer(self, code: int | None) -> Answer:
        out, err = (said.decode(errors="backslashreplace") for said in self.said.values())
        return Answer(-1 if code is None else code, out, err, whole=len(self.said[1]) < KEPT[1])


_Spawned = tuple[asyncio.SubprocessTransport, _Child]


async def run(command: list[str], environment: dict[str, str]) -> Answer:
    """Run a command to its end, or until cancelled; either way nobody of its group is left behind."""
    spawning = asyncio.create_task(
        _spawn(command, environment)
    )  # a task, so that being cancelled cannot lose the child
    try:
        transport, child = await asyncio.shield(spawning)
        await child.exited.wait()
        await child.fallen_silent()
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
        raise Problem("running", command[0], error.strerror or repr(error), "See to this machine first.") from error


def end_all(unwanted: Callable[[list[str]], bool]) -> None:
    """End the group of every process of this user's whose command line is unwanted; our own is left alone."""
    for each in psutil.process_iter(["cmdline"]):
        with suppress(ProcessLookupError, PermissionError):
            if unwanted(each.info["cmdline"] or []) and (group := os.getpgid(each.pid)) != os.getpgrp():
                os.killpg(group, signal.SIGKILL)


def dies_with_parent(number: int) -> Callable[[], None] | None:
    """Give what a child calls between fork and exec to be sent this signal when we die, if there is such a thing."""
    return partial(_notice_death_of, os.getpid(), number) if _prctl else None


def _notice_death_of(parent: int, number: int) -> None:
    if _prctl:
        _prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os._exit(1)


async def _end(spawning: asyncio.Task[_Spawned]) -> None:
    """End the whole group: asked first, then forced. Takes 2 * GRACE at most, and no time where nobody is left.

    Another cancellation only shortens the waits: each signal is sent before the wait that it may cut short.
    """
    transport, child = await spawning
    with closing(transport):
        try:
            await _signal(signal.SIGTERM, transport.get_pid(), child)
        finally:
            await _signal(signal.SIGKILL, transport.get_pid(), child)


async def _signal(number: int, group: int, child: _Child) -> None:
    with suppress(ProcessLookupError, PermissionError):  # macOS says EPERM where only zombies are left
        os.killpg(group, number)
        await child.fallen_silent()
