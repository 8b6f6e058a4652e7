"""One run at a time: a row in the production database, with a lease and a fencing token."""

import asyncio
import getpass
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from steps.support.engine.budget import preflight
from steps.support.engine.step import NeedsHuman, Refused
from steps.support.gateways.turso import Holder, Turso
from steps.support.problem import Problem
from steps.support.retry import insist

RELEASE = 2.0  # seconds that giving the lock back may take; the lease ends by itself


def operator() -> tuple[str, str]:
    """Give who runs this, and on which host."""
    with suppress(OSError, KeyError):
        return getpass.getuser(), socket.gethostname()
    return "unknown", socket.gethostname()


@asynccontextmanager
async def locked(turso: Turso, run: str, lease: float, warn: Callable[[str], None]) -> AsyncIterator[None]:
    """Hold the lock while the block runs, `lease` seconds at first.

    Raises Refused, naming who holds it, on which host, since when and in which run. When the block ends with
    NeedsHuman the lock is kept until its lease ends: nobody should release on top of what is not put back.
    """
    try:
        holder = await _taken(turso, run, lease)
        yield
    except NeedsHuman:
        warn(f"the lock is kept until {holder.expires} UTC or a little later, when its lease ends")
        raise
    except BaseException:
        await _give_back(turso, run, warn)
        raise
    await _give_back(turso, run, warn)


async def _taken(turso: Turso, run: str, lease: float) -> Holder:
    who, host = operator()
    async with preflight():
        holder = await insist(lambda: turso.lock(run, who, host, lease))
    if holder is None or holder.run != run:
        raise refusal(holder)
    return holder


async def refuse_if_locked(turso: Turso) -> None:
    """Raise Refused when a run holds the lock; takes nothing."""
    if holder := await turso.holder():
        raise refusal(holder)


async def _give_back(turso: Turso, run: str, warn: Callable[[str], None]) -> None:
    try:
        async with asyncio.timeout(RELEASE):
            await turso.unlock(run)
    except (Problem, TimeoutError) as error:
        warn(f"the lock was not given back ({error or 'no answer'}); its lease ends by itself")


def refusal(holder: Holder | None) -> Refused:
    """Say who holds the lock."""
    if holder is None:
        return Refused("taking", "the lock", "the row that was written is not there", "Run again.")
    held = f"run {holder.run} of {holder.who} on {holder.host} holds it since {holder.since} UTC"
    return Refused("taking", "the lock", held, f"Wait for that run, or until {holder.expires} UTC when its lease ends.")
