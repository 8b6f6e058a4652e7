"""Allow only one run at a time, by a row in the production database with a lease and a fencing token."""

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
    """Return the name of the user who runs this tool, and the name of the host."""
    with suppress(OSError, KeyError):
        return getpass.getuser(), socket.gethostname()
    return "unknown", socket.gethostname()


@asynccontextmanager
async def locked(turso: Turso, claim: Claim, warn: Callable[[str], None]) -> AsyncIterator[None]:
    """Hold the lock while the block runs, but for no longer than the claimed seconds.

    Raise Refused if another run holds it; the message names that run, who runs it, on which host, and since when. If
    the block raises NeedsHuman, keep the lock until its lease ends, so that no release is made on top of an incomplete
    rollback.
    """
    try:
        holder = await _take(turso, claim)
        yield
    except NeedsHuman:
        warn(f"the lock is kept until its lease ends, at {holder.expires} UTC or a little later")
        raise
    except BaseException:
        await _release(turso, claim, warn)
        raise
    await _release(turso, claim, warn)


def claim(run: str, seconds: float) -> Claim:
    """Return a claim on the lock for a run of this operator. The lease lasts `seconds`."""
    return Claim(run, *operator(), seconds)


async def _take(turso: Turso, claim: Claim) -> Holder:
    async with preflight_deadline():
        taken, holder = await retry(turso.lock, claim)
    if not taken or holder is None:
        raise refusal(holder)
    return holder


async def refuse_if_locked(turso: Turso) -> None:
    """Raise Refused if a run holds the lock. Do not take the lock."""
    if holder := await turso.holder():
        raise refusal(holder)


async def _release(turso: Turso, claim: Claim, warn: Callable[[str], None]) -> None:
    try:
        async with asyncio.timeout(LOCK_RELEASED + 2 * turso.round_trip):
            await turso.unlock(claim.run, claim.who)
    except (Problem, TimeoutError) as error:
        warn(f"the lock was not released ({error or 'no answer'}); its lease will expire")


def refusal(holder: Holder | None) -> Refused:
    """Return the error for a lock that cannot be taken. It names the holder, unless the lock is free again."""
    if holder is None:
        return Refused(
            code="lock-held",
            operation="taking",
            subject="the lock",
            cause="another run took it after the preflight, and released it",
            remedy="Run again.",
        )
    held = f"run {holder.run} of {holder.who} on {holder.host} has held it since {holder.since} UTC"
    return Refused(
        code="lock-held",
        operation="taking",
        subject="the lock",
        cause=held,
        remedy=f"Wait for that run, or until {holder.expires} UTC when its lease ends.",
    )
