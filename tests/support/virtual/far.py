"""A database in memory that is far away: each request takes a while, and reads are answered by a replica that lags."""

import asyncio
from collections.abc import Sequence
from contextlib import closing

from steps.support.gateways.database.protocol import Rows
from steps.support.sql.statement import Statement
from steps.support.standin.faults import Faults
from tests.support.virtual.database import MemoryDatabase, MemoryStore, reads


class FarDatabase(MemoryDatabase):
    """Takes `latency` seconds for each request. What a read sees is `lag` seconds old; writes reach the primary."""

    def __init__(self, store: MemoryStore, faults: Faults, *, latency: float = 0.0, lag: float = 0.0) -> None:
        super().__init__(store, faults)
        self._latency, self._lag = latency, lag
        self._before: list[tuple[float, bytes]] = []  # when something was written, and the content before that

    async def query(self, statement: Statement) -> Rows:
        """Run one statement on its own; see Database."""
        await asyncio.sleep(self._latency)
        if not reads(statement.sql):
            self._note()
            return await super().query(statement)
        since = asyncio.get_running_loop().time() - self._lag
        old = next((content for at, content in self._before if at > since), None)
        if old is None:
            return await super().query(statement)
        with closing(MemoryStore(self._store.clock)) as replica:
            replica.restore(old)
            return await MemoryDatabase(replica).query(statement)

    async def transaction(self, statements: Sequence[Statement]) -> tuple[Rows, ...]:
        """Run all statements as one transaction on the primary; see Database."""
        await asyncio.sleep(self._latency)
        self._note()
        return await super().transaction(statements)

    async def trials(self, several: Sequence[Sequence[Statement]], *, keep: bool = False) -> tuple[str | None, ...]:
        """Run groups of statements on the primary; see Database."""
        await asyncio.sleep(self._latency)
        return await super().trials(several, keep=keep)

    async def parse(self, statements: Sequence[Statement]) -> tuple[str | None, ...]:
        """Let the engine explain statements; see Database."""
        await asyncio.sleep(self._latency)
        return await super().parse(statements)

    def _note(self) -> None:
        if self._lag:
            self._before.append((asyncio.get_running_loop().time(), self._store.snapshot()))
