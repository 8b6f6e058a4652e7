"""A person at a real terminal: the question, and a terminal that disappears."""

import asyncio
import fcntl
import os
import pty
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pyte
import pytest

from tests.support.production.base import FAILING, ROOT
from tests.support.production.process import Production

pytestmark = [pytest.mark.anyio, pytest.mark.on("process")]


@asynccontextmanager
async def _at_a_terminal(
    production: Production, **extra: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, "_Terminal"]]:
    """Run a release as the session leader of its own terminal; return the process and the terminal."""
    config = production.configure(**extra)
    master, slave = pty.openpty()

    def lead() -> None:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

    environment = {**production.environment, "TERM": "xterm-256color"}
    command = [sys.executable, str(ROOT / "orchestrate.py"), "--prod", "--config", str(config)]
    process = await asyncio.create_subprocess_exec(
        *command, stdin=slave, stdout=slave, stderr=slave, env=environment, preexec_fn=lead
    )
    os.close(slave)
    try:
        yield process, _Terminal(master)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


class _Terminal:
    """The other end of a terminal of 80 columns, as the person sitting there sees it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._screen = pyte.Screen(80, 300)
        self._stream = pyte.ByteStream(self._screen)

    async def until(self, words: str) -> list[str]:
        """Read until a line shows these words; return all lines."""
        loop = asyncio.get_running_loop()
        while not any(words in line for line in self._screen.display):
            self._stream.feed(await loop.run_in_executor(None, os.read, self.number, 4096))
        return [line.rstrip() for line in self._screen.display]

    def type(self, keys: bytes) -> None:
        """Type the text."""
        os.write(self.number, keys)

    def close(self) -> None:
        """Close the terminal."""
        os.close(self.number)


async def test_enter_starts_the_release(production: Production) -> None:
    """The plan is shown, one bare Enter is asked for, and then the release starts."""
    async with _at_a_terminal(production) as (process, terminal):
        assert "4 turso_migration     about 1 s, at most 15 s" in await terminal.until("Press Enter to go ahead")
        terminal.type(b"\n")
        shown = await terminal.until("see       runbook.md#deployed")
        assert [line.split()[:2] for line in shown if line.startswith("health_checks")] == [["health_checks", "done"]]
        assert any(line.startswith("schema    the new one") for line in shown)
        assert await process.wait() == 0
    terminal.close()


@pytest.mark.parametrize(
    ("typed", "code"), [(b"\x04", 3), (b"no\n", 3), (b"\x03", 130)], ids=["end of input", "a word", "Ctrl-C"]
)
async def test_anything_but_enter_changes_nothing(production: Production, typed: bytes, code: int) -> None:
    """Only a bare Enter is a yes."""
    before = await production.state()
    async with _at_a_terminal(production) as (process, terminal):
        await terminal.until("Press Enter to go ahead")
        terminal.type(typed)
        await terminal.until("REFUSED")
        assert await process.wait() == code
    terminal.close()
    assert await production.state() == before


async def test_lost_terminal_rolls_everything_back(production: Production) -> None:
    """If the terminal is lost during a release, everything is rolled back though no one can read the messages."""
    before = await production.state()
    async with _at_a_terminal(production, health=FAILING, limits="vercel_deployment = 20") as (process, terminal):
        await terminal.until("Press Enter to go ahead")
        terminal.type(b"\n")
        await terminal.until("vercel_deployment  running")
        terminal.close()
        assert await process.wait() == 130
    (report,) = (production.folder / "runs").glob("*/report.json")
    assert '"rolled_back"' in report.read_text()
    assert await production.state() == before


async def test_early_enter_is_not_an_answer(production: Production) -> None:
    """An Enter pressed during preflight does not answer the question, and nothing is pushed until it is answered."""
    before = await production.state()
    async with _at_a_terminal(production) as (process, terminal):
        terminal.type(b"\n\n")
        await terminal.until("Press Enter to go ahead")
        await asyncio.sleep(1)
        assert process.returncode is None
        terminal.type(b"\x04")
        await terminal.until("REFUSED")
        assert await process.wait() == 3
    terminal.close()
    assert await production.state() == before
