"""Writers beside a transaction, as the app's are: each on streams of its own, one small row after the other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from steps.support.gateways import ledger
from steps.support.gateways.database import Database
from steps.support.problem import Problem

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
            await self._database.transaction(ledger.WRITERS)
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
                await self._database.query(ledger.written_by(number))
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
