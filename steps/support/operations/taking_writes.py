"""Whether the database still takes writes, once a transaction of the change is committed.

A server may answer every question and never give out the write lock again; only a write shows it.
"""

import asyncio

from steps.support.core.deadline import time_left, waited_for, waiting_for
from steps.support.core.errors import Failed, Rejected
from steps.support.core.retry import retry
from steps.support.gateways.turso import Turso

WITHIN = 6.0  # seconds for all tries together: sqld comes round from a stall after 5 s (measured on 0.24.32)
TRY = 2.0  # seconds for one: the next goes out on a stream of its own
SPARE = 0.2  # seconds before our own time ends: what is said then is more use than that it has ended
WRITE = "a write after the commit"
RESTART = "Start the database server again, or have its provider do it; then settle this run: runbook.md#no-writes."


async def refuse_locked_out(turso: Turso, run: str) -> None:
    """Write something small, on a stream of its own. Raises Failed if the database takes no writes."""
    within = min(WITHIN, max(SPARE, time_left() - SPARE))
    waiting_for(WRITE)
    try:
        async with asyncio.timeout(within) as scope:
            await retry(turso.write, run, every=SPARE, patience=TRY)
    except TimeoutError:
        if not scope.expired():
            raise
        cause = f"it answers questions and takes no writes: none came through within {within:.1f} s{_last()}"
        raise Failed("writing after the commit to", turso.address, cause, RESTART) from None
    except Rejected as error:
        raise Failed.because(error) from None


def _last() -> str:
    return f" (last: {heard})" if (heard := waited_for()) not in ("", WRITE) else ""
