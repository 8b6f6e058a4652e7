"""Measure how long a transaction holds the app's own writers back, and whether they can write again afterwards.

Measured on sqld 0.24.32 with its default options and three writers: after the COMMIT of a transaction that wrote much,
the server copies its write-ahead log into the database file. A race with the waiting writers may then leave the server
unable to give out the write lock again: reads work, but every write times out until the server is restarted. Bytes
matter more than time. Among transactions that recreated a table, this happened to 21 of 65 with 90 MB (half of these 21
took less than a second), 5 of 65 with 45 MB, 3 of 100 with 27 MB, 1 of 100 with 18 MB, and none of 65 with 9 MB. It
never happened to transactions that wrote almost nothing in 3.9 s, to 50 that ended with ROLLBACK, or to 25 with 90 MB
and a single writer. On a busy machine, 1 of 25 with 7 MB stalled all writers for 5.1 s, after which they could write.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from heapq import nlargest
from pathlib import Path
from typing import Protocol, TypeVar

from steps.support.core.errors import Problem
from steps.support.core.limits import STEALS
from steps.support.core.text import counted
from steps.support.gateways import marker
from steps.support.gateways.database.protocol import Database
from steps.support.gateways.turso import Cost
from steps.support.proof.config import LockLimits
from steps.support.proof.rehearsal.server import Running, checkpoint
from steps.support.proof.result import LockUse
from steps.support.sql.findings import Finding

PAUSE = 0.02  # seconds between two writes of one writer
PATIENCE = 8.0  # seconds until a writer counts as locked out; measured stalls of sqld 0.24.32 end after 5.1 s, or never
MOMENT = 1.0  # seconds in which current writes may finish when the writers are stopped
TICK = 0.005  # seconds between two checks of the writers


class Writers:
    """Writers that write at the same time as a transaction, into a table of the tool's own that nothing else reads.

    `refused`: how many of their writes were rejected. `longest`: the seconds of their slowest write. `locked_out`:
    whether the server stopped accepting writes.
    """

    def __init__(self, database: Database, many: int) -> None:
        self.refused, self.longest, self.locked_out = 0, 0.0, False
        self._database, self._ended = database, False
        self._through = [-1.0] * many  # by writer, when its last successful write began
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start all writers, and wait until each of them has written once."""
        if self._through:
            await self._database.transaction(marker.WRITERS)
        self._tasks = [asyncio.ensure_future(self._writing(number)) for number in range(len(self._through))]
        await self.get_through()

    async def get_through(self) -> None:
        """Wait until each writer has written once more; set `locked_out` if one cannot within PATIENCE seconds."""
        since = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(PATIENCE):
                while any(began < since for began in self._through):
                    await asyncio.sleep(TICK)
        except TimeoutError:
            self.locked_out = True

    async def stop(self) -> None:
        """Let each writer finish its current write, then cancel the writers; cancel them at once if locked out."""
        self._ended = True
        if self._tasks and not self.locked_out:
            await asyncio.wait(self._tasks, timeout=MOMENT)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _writing(self, number: int) -> None:
        while not self._ended:
            began = asyncio.get_running_loop().time()
            try:
                await self._database.query(marker.written_by(number))
                self._through[number] = began
            except Problem:
                self.refused += 1
            self.longest = max(self.longest, asyncio.get_running_loop().time() - began)
            await asyncio.sleep(PAUSE)


@asynccontextmanager
async def writing(database: Database, many: int) -> AsyncIterator[Writers]:
    """Run writers during a block, and check that each can write after the block. Raise what the block raises."""
    writers, failed = Writers(database, many), None
    try:
        await writers.start()
        try:
            yield writers
        except Problem as problem:
            failed = problem
        await writers.get_through()
    finally:
        await writers.stop()
    if failed:
        raise failed


RULE = "write-lock"
WRITERS = 3
LOOKS = 0.02  # seconds between two readings of the log's size
SHOWN = 5  # statements that a finding names, at most
SMALLEST = 0.005  # seconds; a finding names no statement that took less
STOP_OTHERS = "stop all other writers and say so: vercel.pause_crons = true and turso.sole_writer = true"
WAYS = (
    "Divide the change; or let the app or earlier releases fill the rows in small parts beforehand, so that this change"
    f" writes little; or {STOP_OTHERS}."
)


class Committed(Protocol):
    """The result of a committed transaction."""

    @property
    def costs(self) -> tuple[Cost, ...]:
        """Return, for each statement, the seconds that it took and the rows that it changed."""


Done = TypeVar("Done", bound=Committed)


async def measure(
    running: Running,
    script: str,
    allowed: LockLimits,
    work: Callable[[], Awaitable[Done]],
    note: Callable[[LockUse], None],
) -> Done:
    """Run a transaction while others write, pass the measurement to `note`, and return the result of the transaction.

    `work` runs the transaction of `script`; raise what it raises. If a writer takes over the lock, or the transaction
    does not end, the transaction runs once more without writers. If the server accepts no write afterwards, restart the
    engine and go on.
    """
    many = 0 if allowed.sole_writer or running.engine.binary is None else WRITERS
    began = asyncio.get_running_loop().time()
    try:
        done, lock_use = await _measured(running, script, allowed, work, many)
    except _NoAnswer:
        await running.restart()
    except Problem:
        if not many or asyncio.get_running_loop().time() - began < STEALS:
            raise
    else:
        note(lock_use)
        return done
    took = asyncio.get_running_loop().time() - began
    try:
        done, alone = await _measured(running, script, allowed, work, 0)
    except Problem:
        note(LockUse(script, took, None, (), allowed, stolen=True))
        raise
    note(replace(alone, stolen=True))
    return done


def lock_findings(found: LockUse, ways: str = WAYS) -> Iterator[Finding]:
    """Yield a finding if a transaction would hold other writers back too long. No waiver can accept it."""
    if causes := [*_too_much(found)]:
        largest = "; ".join(map(_in_words, found.costs))
        cause = f"{'; '.join(causes)}. Largest first: {largest}" if largest else "; ".join(causes)
        yield Finding(found.script, cause, ways, rule=RULE, final=True)


def _in_words(cost: Cost) -> str:
    return f"{cost.name}: {cost.seconds:.2f} s" + (f", {counted(cost.rows, 'row')}" if cost.rows else "")


class _NoAnswer(Exception):  # noqa: N818 - not an error: the transaction runs again without writers
    """A transaction did not end while others wrote."""


def _too_much(found: LockUse) -> Iterator[str]:
    allowed = found.allowed
    if allowed.sole_writer:
        if found.seconds > STEALS:
            seconds = f"it holds the write lock for {found.seconds:.2f} s"
            yield f"{seconds}, and after {STEALS:g} s a writer may take over the lock"
        return
    if found.stolen:
        yield f"after {STEALS:g} s a waiting writer may take over the lock, and the transaction is rolled back"
    if found.seconds > allowed.seconds:
        yield f"it holds writers back for {found.seconds:.2f} s, and limits.lock is {allowed.seconds:g} s"
    if (found.bytes or 0) > allowed.bytes:
        written, most = (f"{count / 1e6:,.1f} MB" for count in (found.bytes or 0, allowed.bytes))
        yield f"it writes {written}, and limits.lock_bytes is {most}: afterwards a server may accept no writes"
    if found.locked_out:
        yield f"afterwards the server accepted no write for {PATIENCE:g} s, and had to be restarted"


async def _measured(
    running: Running, script: str, allowed: LockLimits, work: Callable[[], Awaitable[Done]], many: int
) -> tuple[Done, LockUse]:
    if running.log:
        await asyncio.to_thread(checkpoint, running.file)  # so that the log grows only by this transaction
    met: Writers | None = None
    try:
        async with writing(running.database, many) as met, _watched(running.log) as growth:
            began = asyncio.get_running_loop().time()
            done = await (_answered(work()) if many else work())
            seconds = round(asyncio.get_running_loop().time() - began, 4)
    finally:
        if met and met.locked_out:
            await running.restart()
    written = growth.bytes if running.log else None
    costs = _largest(done.costs, seconds)
    return done, LockUse(script, seconds, written, costs, allowed, met.refused, round(met.longest, 4), met.locked_out)


async def _answered(work: Awaitable[Done]) -> Done:
    """Return the result of a transaction. Raise _NoAnswer if it does not end within 2 * STEALS seconds."""
    try:
        async with asyncio.timeout(2 * STEALS) as scope:
            return await work
    except TimeoutError:
        if not scope.expired():
            raise
        raise _NoAnswer from None


def _largest(costs: Sequence[Cost], seconds: float) -> tuple[Cost, ...]:
    """Return the SHOWN largest costs. Time that no statement took is listed as the cost of BEGIN and COMMIT.

    `seconds`: the duration of the whole transaction.
    """
    rest = Cost("BEGIN and COMMIT", round(max(0.0, seconds - sum(each.seconds for each in costs)), 4), 0)
    known = [each for each in (*costs, rest) if each.seconds >= SMALLEST] if any(each.seconds for each in costs) else []
    return tuple(nlargest(SHOWN, known, key=lambda each: each.seconds))


class _Growth:
    """The number of bytes by which a log grew while `_watched` was watching the log."""

    def __init__(self, log: Path | None) -> None:
        self._log = log
        self._least = self._most = self._size()

    @property
    def bytes(self) -> int:
        return self._most - self._least

    def read_size(self) -> None:
        self._most = max(self._most, self._size())

    def _size(self) -> int:
        return self._log.stat().st_size if self._log and self._log.exists() else 0


@asynccontextmanager
async def _watched(log: Path | None) -> AsyncIterator[_Growth]:
    """Watch the size of a log during a block, because after the commit a server may empty the log at any moment."""
    growth = _Growth(log)

    async def watch() -> None:
        while True:
            growth.read_size()
            await asyncio.sleep(LOOKS)

    task = asyncio.ensure_future(watch())
    try:
        yield growth
    finally:
        growth.read_size()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
