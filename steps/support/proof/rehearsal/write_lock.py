"""Measure what a transaction demands of the app's own writers: how long they wait, and whether they can go on.

Measured on sqld 0.24.32 with its default options, beside three writers: after the COMMIT of a transaction that wrote
much, the server copies its write-ahead log into the database file, and a race with the waiting writers may leave it
unable to give out the write lock ever again. Reads work, but every write times out until the server is restarted.
Bytes matter more than time: of transactions that recreated a table, 21 of 65 ended this way at 90 MB, half of them in
less than a second; 5 of 65 at 45 MB, 3 of 100 at 27 MB, 1 of 100 at 18 MB, none of 65 at 9 MB. None did that wrote
almost nothing for 3.9 s, none of 50 that ended in ROLLBACK, and none of 25 of 90 MB beside a single writer.
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
from steps.support.gateways import marker
from steps.support.gateways.database.protocol import Database
from steps.support.gateways.turso import Cost
from steps.support.proof.config import LockLimits
from steps.support.proof.rehearsal.server import Running, checkpoint
from steps.support.proof.result import LockUse
from steps.support.sql.findings import Finding

PAUSE = 0.02  # seconds between two writes of one writer
PATIENCE = 4.0  # seconds: sqld 0.24.32 recovers from a stall after 5 s, from a lost write lock never
MOMENT = 1.0  # seconds for writes that are under way when the writers are stopped
TICK = 0.005  # seconds


class Writers:
    """Writers beside a transaction: `refused` writes, seconds of the `longest`, and whether they end up `locked_out`.

    They write into a table of the tool's own, which no comparison and no assertion of a change reads.
    """

    def __init__(self, database: Database, many: int) -> None:
        self.refused, self.longest, self.locked_out = 0, 0.0, False
        self._database, self._ended = database, False
        self._through = [-1.0] * many  # when the last write of each that succeeded began
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start all writers, and wait until each has written once."""
        if self._through:
            await self._database.transaction(marker.WRITERS)
        self._tasks = [asyncio.ensure_future(self._writing(number)) for number in range(len(self._through))]
        await self.get_through()

    async def get_through(self) -> None:
        """Wait until each has written once more; set `locked_out` if they cannot within PATIENCE seconds."""
        since = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(PATIENCE):
                while any(began < since for began in self._through):
                    await asyncio.sleep(TICK)
        except TimeoutError:
            self.locked_out = True

    async def stop(self) -> None:
        """Let each writer finish its current write, unless they are locked out, then cancel them."""
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
    """Run writers beside the block, and check that each gets through after it."""
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
SHOWN = 5  # statements: the most that are named
SMALLEST = 0.005  # seconds: less than that is shown as nothing
STOP_OTHERS = "stop all other writers and say so: vercel.pause_crons = true and turso.sole_writer = true"
WAYS = (
    "Divide the change; or back-fill beforehand in chunks, by the app or in earlier releases, so that little is left to"
    f" write here; or {STOP_OTHERS}."
)


class Committed(Protocol):
    """The result of a committed transaction."""

    @property
    def costs(self) -> tuple[Cost, ...]:
        """Return the seconds and rows of each statement."""


Done = TypeVar("Done", bound=Committed)


async def measure(
    running: Running,
    script: str,
    allowed: LockLimits,
    work: Callable[[], Awaitable[Done]],
    note: Callable[[LockUse], None],
) -> Done:
    """Run a transaction beside writers, and note what it demands of them. Raise what `work` raises.

    If a writer takes over the lock, or the transaction does not end, it runs once more without writers. If no writer
    gets through afterwards, the engine is restarted, and the rehearsal goes on.
    """
    many = 0 if allowed.sole_writer or running.engine.binary is None else WRITERS
    began = asyncio.get_running_loop().time()
    try:
        done, asked = await _measured(running, script, allowed, work, many)
    except _NoAnswer:
        await running.restart()
    except Problem:
        if not many or asyncio.get_running_loop().time() - began < STEALS:
            raise
    else:
        note(asked)
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
    """Yield a finding if other writers would be blocked too long. No waiver accepts it, because others would suffer."""
    if causes := [*_too_much(found)]:
        largest = "; ".join(map(_in_words, found.costs))
        cause = f"{'; '.join(causes)}. Largest first: {largest}" if largest else "; ".join(causes)
        yield Finding(found.script, cause, ways, rule=RULE, final=True)


def _in_words(cost: Cost) -> str:
    return f"{cost.name}: {cost.seconds:.2f} s" + (f", {cost.rows:,} rows" if cost.rows else "")


class _NoAnswer(Exception):  # noqa: N818 - not an error: its result is found out in another way
    """A transaction beside writers did not end."""


def _too_much(found: LockUse) -> Iterator[str]:
    allowed = found.allowed
    if allowed.sole_writer:
        if found.seconds > STEALS:
            yield f"it holds the write lock for {found.seconds:.2f} s, and a writer may take it over after {STEALS:g} s"
        return
    if found.stolen:
        yield f"after {STEALS:g} s a waiting writer may take over the lock, and the transaction is rolled back"
    if found.seconds > allowed.seconds:
        yield f"it holds writers back for {found.seconds:.2f} s, and limits.lock is {allowed.seconds:g} s"
    if (found.bytes or 0) > allowed.bytes:
        written, most = (f"{count / 1e6:,.1f} MB" for count in (found.bytes or 0, allowed.bytes))
        yield f"it writes {written}, and limits.lock_bytes is {most}: a server may accept no more writes after that"
    if found.locked_out:
        yield f"the server accepted no write for {PATIENCE:g} s after it, and had to be restarted"


async def _measured(
    running: Running, script: str, allowed: LockLimits, work: Callable[[], Awaitable[Done]], many: int
) -> tuple[Done, LockUse]:
    if running.log:
        await asyncio.to_thread(checkpoint, running.file)  # so that the log holds only what follows
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
    """Wait for a transaction. Raise _NoAnswer after 2 * STEALS seconds, by when the server must have ended it."""
    try:
        async with asyncio.timeout(2 * STEALS) as scope:
            return await work
    except TimeoutError:
        if not scope.expired():
            raise
        raise _NoAnswer from None


def _largest(costs: Sequence[Cost], seconds: float) -> tuple[Cost, ...]:
    """Return the largest costs; time that the statements do not account for went into BEGIN and COMMIT."""
    rest = Cost("BEGIN and COMMIT", round(max(0.0, seconds - sum(each.seconds for each in costs)), 4), 0)
    known = [each for each in (*costs, rest) if each.seconds >= SMALLEST] if any(each.seconds for each in costs) else []
    return tuple(nlargest(SHOWN, known, key=lambda each: each.seconds))


class _Growth:
    """The growth of a log while it is watched."""

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
    """Watch a log's size while the block runs: after the commit, a server may empty it at any moment."""
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
