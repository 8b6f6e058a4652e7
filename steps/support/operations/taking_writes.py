"""Check that the database still accepts writes after a transaction of the change was committed.

A server may answer every query and yet never release the write lock. Only a write shows that.
"""

import asyncio

from steps.support.core.deadline import time_left, waited_for, waiting_for
from steps.support.core.errors import Failed, Rejected
from steps.support.core.limits import WRITE_TRIED
from steps.support.core.retry import retry
from steps.support.gateways.turso import Turso

WITHIN = 6.0  # seconds for all tries together: sqld recovers from a stall after 5 s (measured on 0.24.32)
SPARE = 0.2  # seconds left before the caller's deadline, because this error says more than a timeout
WRITE = "a write after the commit"
RESTART = "Restart the database server, or ask its provider to; then resolve this run: runbook.md#no-writes."


async def refuse_locked_out(turso: Turso, run: str) -> None:
    """Write something small on a stream of its own. Raise Failed if the database accepts no write."""
    link = 2 * turso.round_trip
    within = min(WITHIN + link, max(SPARE, time_left() - SPARE))
    waiting_for(WRITE)
    try:
        async with asyncio.timeout(within) as scope:
            await retry(turso.write, run, every=SPARE, patience=WRITE_TRIED + link)
    except TimeoutError:
        if not scope.expired():
            raise
        cause = f"it answers queries but takes no writes: none succeeded within {within:.1f} s{_last()}"
        raise Failed(
            code="no-writes",
            operation="writing after the commit to",
            subject=turso.address,
            cause=cause,
            remedy=RESTART,
        ) from None
    except Rejected as error:
        raise Failed.because(error) from None


def _last() -> str:
    return f" (last: {error})" if (error := waited_for()) not in ("", WRITE) else ""
