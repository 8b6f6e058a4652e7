"""A connection that the server keeps between requests. All reads inside its transaction see the same moment."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import httpx

from steps.support.core.errors import Problem
from steps.support.gateways.database import hrana_wire
from steps.support.gateways.database.hrana_wire import (
    MOST,
    NEW,
    OLD,
    Answer,
    NoSuchPath,
    member,
    results,
    rows_of,
    statement_json,
)
from steps.support.gateways.database.protocol import Rows
from steps.support.gateways.http import LIVENESS, SHOWN, client_for, exchange
from steps.support.sql.statement import Statement

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_TOO_LARGE = ("RESPONSE_TOO_LARGE", "SQLITE_TOOBIG")


class TooLarge(Problem):
    """The rows do not fit into one answer. The transaction goes on."""


class Stream:
    """One stream of the server at `address`. If 10 s pass without a request, the server ends it and its transaction."""

    def __init__(self, client: httpx.AsyncClient, address: str, token: str | None) -> None:
        self.address = address
        self.received = 0  # bytes of the last answer
        self._client = client
        # compressing costs a server ten times what sending costs it over loopback
        encoding = "identity" if httpx.URL(address).host in _LOOPBACK else "gzip"
        self._headers = {"Accept-Encoding": encoding} | ({"Authorization": f"Bearer {token}"} if token else {})
        self._base = address
        self._version = NEW
        self._baton: str | None = None

    async def rows(self, statement: Statement) -> Rows:
        """Run one statement and return its rows. Raise TooLarge, or the errors of every transport."""
        request: dict[str, Any] = {"type": "execute", "stmt": statement_json(statement)}
        try:
            return await self._ask(request, statement)
        except NoSuchPath:
            if self._baton or self._version == OLD:
                raise
            self._version = OLD
        return await self._ask(request, statement)

    async def close(self) -> None:
        """End the stream on the server."""
        await self._post({"type": "close"})

    async def _ask(self, request: dict[str, Any], statement: Statement) -> Rows:
        return self._read(*await self._post(request), statement)

    async def _post(self, request: dict[str, Any]) -> tuple[Answer, str]:
        url = f"{self._base}/v{self._version}/pipeline"
        body = {"baton": self._baton, "requests": [request]}
        response = await exchange(
            self._client,
            "POST",
            url,
            peer="the database",
            most=MOST,
            json=body,
            headers=self._headers,
            timeout=LIVENESS,
        )
        return Answer(response.status_code, response.headers.get("content-type", ""), response.content), url

    def _read(self, answer: Answer, url: str, statement: Statement) -> Rows:
        if answer.status != HTTPStatus.OK:
            results(answer, url, 1)
        document = answer.document
        with hrana_wire.reading(self.address):
            (result,) = document["results"]
            self._baton = member(str, document["baton"]) if document["baton"] else None
            self._base = self._same_host(member(str, document.get("base_url") or self._base))
            self.received = len(answer.body)
            if result["type"] == "error":
                raise _failed(result["error"], statement, self.address)
            return rows_of(result["response"]["result"])

    def _same_host(self, base: str) -> str:
        """Return the base URL of the next request. Raise Unknown if it is on another host: it would get the token."""
        try:
            following, own = httpx.URL(base), httpx.URL(self.address)
        except httpx.InvalidURL as error:
            raise ValueError(str(error)) from None
        if (following.scheme, following.host, following.port) != (own.scheme, own.host, own.port):
            raise hrana_wire.unreadable(self.address, cause=f"it continues on another host, {following.host[:SHOWN]}")
        return base


def _failed(error: dict[str, Any], statement: Statement, address: str) -> Problem:
    if error.get("code") in _TOO_LARGE:
        cause = f"{statement.name}: more than an answer may hold ({error['code']})"
        return TooLarge(
            code="copy-failed",
            operation="reading",
            subject=address,
            cause=cause,
            remedy="If a single row is too large, shorten it on the server.",
        )
    return hrana_wire.failed(error, statement, address)


@asynccontextmanager
async def moment(address: str, token: str | None) -> AsyncIterator[Stream]:
    """Open the database at `address` as of one moment; a read-only token is enough.

    After 10 s without a read the server ends the moment. Raise NotSent, Rejected or Unknown as a transport does.
    """
    async with client_for(address) as client:
        stream = Stream(client, address, token)
        await stream.rows(Statement("BEGIN"))
        yield stream
