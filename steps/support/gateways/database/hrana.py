"""A libSQL server over HTTP. A transaction is one request, so a lost request or answer cannot leave it half done."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx

from steps.support.core.addresses import is_loopback
from steps.support.core.errors import Problem
from steps.support.gateways.database import hrana_parse, hrana_wire
from steps.support.gateways.database.hrana_stream import moment
from steps.support.gateways.database.hrana_wire import NEW, OLD, NoSuchPath, post, rows_of, statement_json
from steps.support.gateways.database.protocol import Moment, Rows, admit, admit_values
from steps.support.gateways.http import client_for
from steps.support.sql.statement import Statement

CHUNK = 250  # statements parsed per request

Requests = Callable[[int], list[Any]]


class Hrana:
    """A database that speaks the pipeline protocol, version 3, or version 2 if the server does not know version 3.

    `url`: an http, https or libsql URL; libsql means https. `client`: a client that the caller will close; if it is
    None, a client is opened here.
    """

    def __init__(self, url: str, token: str | None, client: httpx.AsyncClient | None = None) -> None:
        self._address = _address(url)
        self._token = _checked_token(token, self._address)
        self._client = client or client_for(self._address)
        self._owned = client is None
        self._version = NEW

    @property
    def address(self) -> str:
        """The database's address: scheme, host, port and path."""
        return self._address

    async def query(self, statement: Statement) -> Rows:
        """Run one statement on its own. Foreign keys are as set on the server, which is usually on."""
        admit_values(statement, self._address)
        (result,) = await self._ask(lambda _: [{"type": "execute", "stmt": statement_json(statement)}])
        with hrana_wire.reading(self._address):
            return rows_of(self._response(result, statement)["result"])

    async def transaction(self, statements: Sequence[Statement]) -> tuple[Rows, ...]:
        """Run statements as one transaction with foreign keys off; all take effect, or none does. See Database.

        If the server cannot parse a statement, it does not report which one.
        """
        admit(statements, self._address)
        (result,) = await self._ask(lambda version: [hrana_wire.transaction(statements, version)])
        with hrana_wire.reading(self._address):
            if result["type"] == "error":
                raise hrana_wire.refused(result["error"], _any_of(statements), self._address)
            return hrana_wire.transaction_result(result["response"]["result"], statements, self._address)

    async def trials(self, several: Sequence[Sequence[Statement]], *, keep: bool = False) -> tuple[str | None, ...]:
        """Run groups of statements as transactions with the engine's own settings; see Database."""
        for statements in several:
            admit(statements, self._address)
        requests = [hrana_wire.trial(statements, keep=keep) for statements in several]
        results = await self._ask(lambda _: requests)
        with hrana_wire.reading(self._address):
            return tuple(self._trial_error(*pair) for pair in zip(results, several, strict=True))

    async def parse(self, statements: Sequence[Statement]) -> tuple[str | None, ...]:
        """Return each statement's syntax error, or None, without running it; see Database."""
        for statement in statements:
            admit_values(statement, self._address)
        errors: list[str | None] = []
        for start in range(0, len(statements), CHUNK):
            errors += await self._parse(statements[start : start + CHUNK])
        return tuple(errors)

    def moment(self) -> AbstractAsyncContextManager[Moment]:
        """Return the way to read the whole database at one moment; see Database."""
        return moment(self._address, self._token)

    async def aclose(self) -> None:
        """Close the connections that this object opened."""
        if self._owned:
            await self._client.aclose()

    async def _parse(self, statements: Sequence[Statement]) -> list[str | None]:
        requests = hrana_parse.requests(statements)
        results = await self._ask(lambda _: requests)
        with hrana_wire.reading(self._address):
            return hrana_parse.verdicts(results, statements, self._address)

    async def _ask(self, requests: Requests) -> list[Any]:
        """Send what `requests` builds for the server's version of the protocol, and return the results.

        If the server does not serve this version's URL, it has run nothing, and the older version is tried.
        """
        try:
            return await self._post(self._version, requests)
        except NoSuchPath:
            if self._version == OLD:
                raise
        results = await self._post(OLD, requests)
        self._version = OLD
        return results

    async def _post(self, version: int, requests: Requests) -> list[Any]:
        return await post(self._client, f"{self._address}/v{version}/pipeline", self._token, requests(version))

    def _trial_error(self, result: Mapping[str, Any], statements: Sequence[Statement]) -> str | None:
        if result["type"] == "error":
            failed = _any_of(statements)
            cause = hrana_wire.refused(result["error"], failed, self._address).cause
            return f"{failed.name}: {cause}".removeprefix(": ")
        return hrana_wire.trial_result(result["response"]["result"], statements)

    def _response(self, result: Mapping[str, Any], statement: Statement) -> Mapping[str, Any]:
        if result["type"] == "error":
            raise hrana_wire.failed(result["error"], statement, self._address)
        return dict(result["response"])


def _any_of(statements: Sequence[Statement]) -> Statement:
    several = Statement("", name=f"one of {len(statements)} statements (the server does not say which)")
    return statements[0] if len(statements) == 1 else several


def _address(url: str) -> str:
    """Return a URL without the parts that may be secret: user, password and query."""
    parts = httpx.URL(url)
    scheme = "https" if parts.scheme == "libsql" else parts.scheme
    port = f":{parts.port}" if parts.port else ""
    host = f"[{parts.host}]" if ":" in parts.host else parts.host
    return f"{scheme}://{host}{port}{parts.path}".rstrip("/")


def _checked_token(token: str | None, address: str) -> str | None:
    parts = httpx.URL(address)
    if token and parts.scheme != "https" and not is_loopback(parts.host):
        raise Problem(
            code="database-access",
            operation="connecting to",
            subject="the database",
            cause=f"the token would be sent unencrypted to {parts.host}",
            remedy="Use libsql:// or https:// in its URL.",
        )
    if token and not (token.isascii() and token.isprintable() and " " not in token):
        raise Problem(
            code="database-access",
            operation="reading",
            subject="the database token",
            cause="it contains characters that no token has",
            remedy="Copy it again.",
        )
    return token
