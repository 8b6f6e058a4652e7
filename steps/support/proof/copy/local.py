"""Read a local file in the same way as a server's database at one moment."""

from dataclasses import dataclass

import apsw

from steps.support.gateways.database.protocol import Rows
from steps.support.proof.copy.threads import in_thread
from steps.support.sql.statement import Statement, Value


@dataclass(slots=True)
class LocalMoment:
    """A local file that nothing writes to, read in another thread. `received`: the size of the last answer in bytes."""

    connection: apsw.Connection
    address: str
    received: int = 1

    async def rows(self, statement: Statement) -> Rows:
        """Run one statement that only reads, and return its rows. Raise apsw.Error if it fails."""
        values = await in_thread(lambda: self._rows(statement), self.connection.interrupt)
        self.received = max(1, len(str(values[0][0]))) if values else 1
        return Rows(values=values)

    async def close(self) -> None:
        """Do nothing, because the caller who opened the file also closes it."""

    def _rows(self, statement: Statement) -> tuple[tuple[Value, ...], ...]:
        return tuple(self.connection.execute(statement.sql, statement.args))
