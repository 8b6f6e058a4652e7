"""A server's database at one moment: everything that is read inside one transaction."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from steps.support.gateways.database.hrana_stream import Stream
from steps.support.gateways.http import client_for
from steps.support.sql.statement import Statement


@asynccontextmanager
async def moment(address: str, token: str | None) -> AsyncIterator[Stream]:
    """Open the database at `address` as of one moment; a read-only token is enough.

    After 10 s without a read the server ends the moment. Raise NotSent, Rejected or Unknown as a transport does.
    """
    async with client_for(address) as client:
        stream = Stream(client, address, token)
        await stream.rows(Statement("BEGIN"))
        yield stream
