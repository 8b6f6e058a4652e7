"""What a transaction of a change asks of the app's own writers: how long they wait, and whether they can go on.

Measured on sqld 0.24.32 with its default options, beside three writers: after the COMMIT of a transaction that wrote
much, the server copies its write-ahead log into the database file, and a race with the writers that waited may leave
it without ever giving out the write lock again. Reads work, every write times out, until the server is started again.
Bytes decide, more than time: of transactions that made a table anew, 21 of 65 ended so at 90 MB, half of them in less
than a second; 5 of 65 at 45 MB, 3 of 100 at 27 MB, 1 of 100 at 18 MB, none of 65 at 9 MB. None did that wrote almost
nothing for 3.9 s, none of 50 that ended in ROLLBACK, none of 25 of 90 MB beside a single writer.
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
from steps.support.proof.result import LockUse
from steps.support.proof.server import Running, checkpoint
from steps.support.sql.findings import Finding

PAUSE = 0.02  # seconds between two writes of one writer
PATIENCE = 4.0  # seconds: sqld 0.24.32 comes round from a stall after 5 s, and from being locked up never
MOMENT = 1.0  # seconds for writes that are under way when they are to end
TICK = 0.005  # seconds


class Writers:
    """What writers met: `refused` writes, the seconds of the `longest`, and whether they are `locked_out` afterwards.

    They write into a table of the tool's own, so that no comparison and no assertion of a change sees them.
    """

    def __init__(self, database: Database, many: int) -> None:
        self.refused, self.longest, self.locked_out = 0, 0.0, False
        self._database, self._ended = database, False
        self._through = [-1.0] * many  # when the last write of each that succeeded began
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Have all of them at work."""
        if self._through:
            await self._database.transaction(marker.WRITERS)
        self._tasks = [asyncio.ensure_future(self._writing(number)) for number in range(len(self._through))]
        await self.get_through()

    async def get_through(self) -> None:
        """Wait until each has written once more; note it if they cannot."""
        since = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(PATIENCE):
                while any(began < since for began in self._through):
                    await asyncio.sleep(TICK)
        except TimeoutError:
            self.locked_out = True

    async def stop(self) -> None:
        """Let each end the write that it is at, unless nothing will come of it."""
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
    """Have so many writers at work while the block runs, and see that each gets through after it."""
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
LOOKS = 0.02  # seconds between two looks at the log
SHOWN = 5  # statements that are named
SMALLEST = 0.005  # seconds: less than that is shown as nothing
STOP_OTHERS = "stop all other writers and say so: vercel.pause_crons = true and turso.sole_writer = true"
WAYS = (
    "Divide the change; or back-fill beforehand in chunks, by the app or in earlier releases, so that little is left to"
    f" write here; or {STOP_OTHERS}."
)


class Committed(Protocol):
    """What comes of a transaction that was committed."""

    @property
    def costs(self) -> tuple[Cost, ...]:
        """What each of its statements took."""


Done = TypeVar("Done", bound=Committed)


async def measure(
    running: Running,
    script: str,
    allowed: LockLimits,
    work: Callable[[], Awaitable[Done]],
    note: Callable[[LockUse], None],
) -> Done:
    """Run a transaction beside writers, and note what it asks of them. Raises what `work` raises.

    If a writer takes the lock over, or nothing comes of it for long, the transaction runs once more with nobody beside
    it. If no writer gets through afterwards, the engine is started again: what works on it goes on.
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
    """Object to what other writers cannot bear. No reason accepts it: it is not its author who would be locked out."""
    if causes := [*_too_much(found)]:
        largest = "; ".join(map(_told, found.costs))
        cause = f"{'; '.join(causes)}. Largest first: {largest}" if largest else "; ".join(causes)
        yield Finding(found.script, cause, ways, rule=RULE, final=True)


def _told(cost: Cost) -> str:
    return f"{cost.name}: {cost.seconds:.2f} s" + (f", {cost.rows:,} rows" if cost.rows else "")


class _NoAnswer(Exception):  # noqa: N818 - no error: what it would have said is found out otherwise
    """A transaction beside writers did not end."""


def _too_much(found: LockUse) -> Iterator[str]:
    allowed = found.allowed
    if allowed.sole_writer:
        if found.seconds > STEALS:
            yield f"it holds the write lock for {found.seconds:.2f} s, and a writer may take it over after {STEALS:g} s"
        return
    if found.stolen:
        yield f"after {STEALS:g} s a writer that waits may take the lock over, and all of it is rolled back"
    if found.seconds > allowed.seconds:
        yield f"it holds writers back for {found.seconds:.2f} s, and limits.lock is {allowed.seconds:g} s"
    if (found.bytes or 0) > allowed.bytes:
        much, most = (f"{count / 1e6:,.1f} MB" for count in (found.bytes or 0, allowed.bytes))
        yield f"it writes {much}, and limits.lock_bytes is {most}: a server may take no more writes after that"
    if found.locked_out:
        yield f"the server took no write for {PATIENCE:g} s after it, and was started again"


async def _measured(
    running: Running, script: str, allowed: LockLimits, work: Callable[[], Awaitable[Done]], many: int
) -> tuple[Done, LockUse]:
    if running.log:
        await asyncio.to_thread(checkpoint, running.file)  # so that the log holds nothing but what follows
    met: Writers | None = None
    try:
        async with writing(running.database, many) as met, _watched(running.log) as growth:
            began = asyncio.get_running_loop().time()
            done = await (_answered(work()) if many else work())
            seconds = round(asyncio.get_running_loop().time() - began, 4)
    finally:
        if met and met.locked_out:
            await running.restart()
    much = growth.bytes if running.log else None
    costs = _largest(done.costs, seconds)
    return done, LockUse(script, seconds, much, costs, allowed, met.refused, round(met.longest, 4), met.locked_out)


async def _answered(work: Awaitable[Done]) -> Done:
    """Wait for what a server must have ended by now, one way or the other, as long as somebody waits for its lock."""
    try:
        async with asyncio.timeout(2 * STEALS) as scope:
            return await work
    except TimeoutError:
        if not scope.expired():
            raise
        raise _NoAnswer from None


def _largest(costs: Sequence[Cost], seconds: float) -> tuple[Cost, ...]:
    """Return the largest; what the statements do not account for went into BEGIN and COMMIT."""
    rest = Cost("BEGIN and COMMIT", round(max(0.0, seconds - sum(each.seconds for each in costs)), 4), 0)
    known = [each for each in (*costs, rest) if each.seconds >= SMALLEST] if any(each.seconds for each in costs) else []
    return tuple(nlargest(SHOWN, known, key=lambda each: each.seconds))


class _Growth:
    """How far a log grew while it was looked at."""

    def __init__(self, log: Path | None) -> None:
        self._log = log
        self._least = self._most = self._size()

    @property
    def bytes(self) -> int:
        return self._most - self._least

    def look(self) -> None:
        self._most = max(self._most, self._size())

    def _size(self) -> int:
        return self._log.stat().st_size if self._log and self._log.exists() else 0


@asynccontextmanager
async def _watched(log: Path | None) -> AsyncIterator[_Growth]:
    """Look at a log while the block runs: once it is committed, a server may empty it at any moment."""
    growth = _Growth(log)

    async def looking() -> None:
        while True:
            growth.look()
            await asyncio.sleep(LOOKS)

    task = asyncio.ensure_future(looking())
    try:
        yield growth
    finally:
        growth.look()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
