"""One run at a time: a row in the production database, with a lease and a fencing token."""

import asyncio
import getpass
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from steps.support.core.errors import NeedsHuman, Problem, Refused
from steps.support.core.limits import LOCK_RELEASED
from steps.support.core.retry import retry
from steps.support.gateways.marker import Claim
from steps.support.gateways.turso import Holder, Turso
from steps.support.run.budget import preflight_deadline


def operator() -> tuple[str, str]:
    """Give who runs this, and on which host."""
    with suppress(OSError, KeyError):
        return getpass.getuser(), socket.gethostname()
    return "unknown", socket.gethostname()


@asynccontextmanager
async def locked(turso: Turso, claim: Claim, warn: Callable[[str], None]) -> AsyncIterator[None]:
    """Hold the lock while the block runs, for as long as is claimed at first.

    Raises Refused, naming who holds it, on which host, since when and in which run. When the block ends with
    NeedsHuman the lock is kept until its lease ends: nobody should release on top of what is not put back.
    """
    try:
        holder = await _taken(turso, claim)
        yield
    except NeedsHuman:
        warn(f"the lock is kept until {holder.expires} UTC or a little later, when its lease ends")
        raise
    except BaseException:
        await _give_back(turso, claim, warn)
        raise
    await _give_back(turso, claim, warn)


def claim(run: str, seconds: float) -> Claim:
    """Claim the lock for a run of the operator's own."""
    return Claim(run, *operator(), seconds)


async def _taken(turso: Turso, claim: Claim) -> Holder:
    async with preflight_deadline():
        taken, holder = await retry(turso.lock, claim)
    if not taken or holder is None:
        raise refusal(holder)
    return holder


async def refuse_if_locked(turso: Turso) -> None:
    """Raise Refused when a run holds the lock; takes nothing."""
    if holder := await turso.holder():
        raise refusal(holder)


async def _give_back(turso: Turso, claim: Claim, warn: Callable[[str], None]) -> None:
    try:
        async with asyncio.timeout(LOCK_RELEASED):
            await turso.unlock(claim.run, claim.who)
    except (Problem, TimeoutError) as error:
        warn(f"the lock was not given back ({error or 'no answer'}); its lease ends by itself")


def refusal(holder: Holder | None) -> Refused:
    """Say who holds the lock."""
    if holder is None:
        return Refused("taking", "the lock", "somebody had it since this run looked, and gave it back", "Run again.")
    held = f"run {holder.run} of {holder.who} on {holder.host} holds it since {holder.since} UTC"
    return Refused("taking", "the lock", held, f"Wait for that run, or until {holder.expires} UTC when its lease ends.")
