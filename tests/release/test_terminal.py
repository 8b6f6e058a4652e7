"""A person at a real terminal: the question, and a terminal that goes away."""

import asyncio
import fcntl
import os
import pty
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.release.conftest import FAILING, ROOT, Production

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def _at_a_terminal(production: Production, **extra: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """Run a release at a terminal of its own, as its session's leader; gives the process and the terminal."""
    config = production.configure(**extra)
    master, slave = pty.openpty()

    def lead() -> None:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

    command = [sys.executable, str(ROOT / "orchestrate.py"), "--prod", "--config", str(config)]
    process = await asyncio.create_subprocess_exec(
        *command, stdin=slave, stdout=slave, stderr=slave, env=production.environment, preexec_fn=lead
    )
    os.close(slave)
    try:
        yield process, master
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _read_until(terminal: int, words: str) -> str:
    """Read the terminal until it shows these words."""
    loop, shown = asyncio.get_running_loop(), ""
    while words not in shown:
        shown += (await loop.run_in_executor(None, os.read, terminal, 4096)).decode(errors="replace")
    return shown


async def test_enter_releases(production: Production) -> None:
    """The plan is shown, one bare Enter is asked for, and then it goes."""
    async with _at_a_terminal(production) as (process, terminal):
        assert "turso_migration" in await _read_until(terminal, "Enter goes ahead")
        os.write(terminal, b"\n")
        await _read_until(terminal, "DEPLOYED")
        assert await process.wait() == 0
    os.close(terminal)


@pytest.mark.parametrize(
    ("typed", "code"), [(b"\x04", 3), (b"no\n", 3), (b"\x03", 130)], ids=["end of input", "a word", "Ctrl-C"]
)
async def test_anything_else_leaves_everything_as_it_is(production: Production, typed: bytes, code: int) -> None:
    """Only a bare Enter is a yes."""
    before = await production.state()
    async with _at_a_terminal(production) as (process, terminal):
        await _read_until(terminal, "Enter goes ahead")
        os.write(terminal, typed)
        await _read_until(terminal, "REFUSED")
        assert await process.wait() == code
    os.close(terminal)
    assert await production.state() == before


async def test_a_terminal_that_goes_away_has_everything_put_back(production: Production) -> None:
    """A lost connection in the middle of a release: nobody can read what is said, and everything goes back all the same."""
    before = await production.state()
    async with _at_a_terminal(production, health=FAILING, limits="vercel_deployment = 20") as (process, terminal):
        await _read_until(terminal, "Enter goes ahead")
        os.write(terminal, b"\n")
        await _read_until(terminal, "vercel_deployment  at most")
        os.close(terminal)
        assert await process.wait() == 130
    (report,) = (production.folder / "runs").glob("*/report.json")
    assert '"rolled_back"' in report.read_text()
    assert await production.state() == before
