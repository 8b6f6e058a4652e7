"""Run the tool in a process of its own, forked from a process that has already imported the tool.

The imports would take a large part of a short run, including those that the tool makes only when they are needed. The
process runs orchestrate.py as an operator starts it, with the same arguments, environment and folder, and with its own
pipes.
"""

import asyncio
import multiprocessing
import os
import runpy
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

TOOL = Path(__file__).parents[4] / "orchestrate.py"
LATE = ("steps.support.console.report.page", "steps.support.proof.lint.parser", "httpcore", "anyio._backends._asyncio")
LONGEST = 1 << 24  # the most bytes of one line that the tool prints

_FORKING = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload([TOOL.stem, *LATE])


@dataclass(frozen=True, slots=True)
class ToolProcess:
    """The tool's process and its output. `pace`: the pipe that lets the tool go on after each event, or None."""

    process: ForkServerProcess
    stdout: asyncio.StreamReader
    stderr: asyncio.StreamReader
    pace: Connection | None = None

    @property
    def pid(self) -> int:
        """Return the process id."""
        return int(self.process.pid or 0)

    def go_on(self) -> None:
        """Let the tool go on, if it waits after each event."""
        if self.pace:
            with suppress(OSError):  # the tool has ended
                self.pace.send_bytes(b".")

    def send_signal(self, number: int) -> None:
        """Send a signal to the process, if it is still running."""
        if self.process.exitcode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def wait(self) -> int:
        """Wait for the process to end. Return the exit code, or the negative number of the signal that ended it."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self.process.sentinel, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self.process.sentinel)
        self.process.join()
        return int(self.process.exitcode or 0)


@asynccontextmanager
async def start_tool(
    words: Sequence[str], environment: Mapping[str, str], folder: Path, *, paced: bool = False
) -> AsyncIterator[ToolProcess]:
    """Start the tool, and kill it if it is still running when the block ends.

    If `paced`, the tool waits for `go_on` after each event that it reports. So the drill can break something before the
    tool does anything more, even on a slow machine.
    """
    pipes = [_FORKING.Pipe(duplex=False) for _ in range(2)]
    waits, pace = _FORKING.Pipe(duplex=False) if paced else (None, None)
    ends = (write for _, write in pipes)
    process = _FORKING.Process(target=_become, args=(tuple(words), dict(environment), str(folder), waits, *ends))
    process.start()
    for end in (*(write for _, write in pipes), *([waits] if waits else [])):
        end.close()
    stdout, stderr = [await _reading(read) for read, _ in pipes]
    running = ToolProcess(process, stdout, stderr, pace)
    try:
        yield running
    finally:
        running.send_signal(signal.SIGKILL)
        await running.wait()
        process.close()
        if pace:
            pace.close()


async def _reading(pipe: Connection) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=LONGEST)
    file = os.fdopen(os.dup(pipe.fileno()), "rb", buffering=0)
    pipe.close()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), file)
    return reader


def _become(
    words: Sequence[str], environment: Mapping[str, str], folder: str, waits: Connection | None, *pipes: Connection
) -> None:
    """Turn this process into the tool, which prints into the pipes: first stdout, then stderr."""
    for number, pipe in enumerate(pipes, start=1):
        os.dup2(pipe.fileno(), number)
        pipe.close()
    sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = [str(TOOL), *words]
    if waits:
        _keep_pace(waits)
    runpy.run_path(str(TOOL), run_name="__main__")


def _keep_pace(waits: Connection) -> None:
    """Make the tool wait after each event that it reports, until the other end of the pipe lets it go on."""
    from steps.support.console.screen import screen_for  # noqa: PLC0415 - only the forked process needs it
    from steps.support.run import session  # noqa: PLC0415 - only the forked process needs it

    @contextmanager
    def paced(*args: Any, **options: Any) -> Iterator[Callable[[Any, Any], None]]:
        with screen_for(*args, **options) as tell:

            def tell_and_wait(event: Any, run: Any) -> None:
                tell(event, run)
                with suppress(EOFError, OSError):  # the process at the other end is gone
                    waits.recv_bytes()

            yield tell_and_wait

    vars(session)["screen_for"] = paced
