"""A local file read like a server's database at one moment."""

from dataclasses import dataclass

import apsw

from steps.support.gateways.database.protocol import Rows
from steps.support.proof.copy.threads import in_thread
from steps.support.sql.statement import Statement, Value


@dataclass(slots=True)
class LocalMoment:
    """A file that is not written to, read in another thread; `received`: as of a server's answer."""

    connection: apsw.Connection
    address: str
    received: int = 1

    async def rows(self, statement: Statement) -> Rows:
        """Run one statement that only reads, and return its rows. Raise apsw.Error."""
        values = await in_thread(lambda: self._rows(statement), self.connection.interrupt)
        self.received = max(1, len(str(values[0][0]))) if values else 1
        return Rows(values=values)

    async def close(self) -> None:
        """Do nothing: the file is closed where it was opened."""

    def _rows(self, statement: Statement) -> tuple[tuple[Value, ...], ...]:
        return tuple(self.connection.execute(statement.sql, statement.args))
