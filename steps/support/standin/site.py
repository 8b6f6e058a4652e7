"""The two endpoints of the app. They answer as the live code would, according to its contract with the database.

The queries that the code of a commit runs are in the file `contract.sql` of that commit.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from steps.support.core.errors import Problem
from steps.support.gateways.database.protocol import Database, Rows, StatementFailed
from steps.support.sql.contract import Block, read_contract
from steps.support.sql.statement import Statement, Value
from steps.support.sql.tokens import first_word
from steps.support.standin.faults import Faults, Way, faulty, troubled
from steps.support.standin.servers import Background
from steps.support.standin.site_body import BROKEN, UNAUTHORIZED, InvalidTimeError, data, no_data, polled

CONTRACT = "contract.sql"
ASKED = web.RequestKey("asked", str)  # the commit that answers, if it is not the live one
SITE = {"vendor_site_id", "system_number"}  # a row with one of these columns comes from the table systems
COLLISION = "UNIQUE constraint failed: readings."

Wanted = Callable[[Statement], bool]


@dataclass(frozen=True, slots=True)
class Trouble:
    """One way to answer the first `times` requests badly, or all of them if `times` is None.

    `where`: a regular expression that is searched for in "METHOD /path". `code`: the commit whose answers are bad, or
    None for any commit.
    """

    way: Way
    where: str = ""
    times: int | None = None
    code: str | None = None


class Site:
    """Serves /api/data and /api/cron/minutely.

    `live`: returns the commit that the public host serves. `code`: returns the text of a commit's contract. `database`:
    gets the queries directly, without the proxy. `troubles`: the present faults, which may be replaced at any time.
    """

    def __init__(  # noqa: PLR0913 - what the site's code would find in its environment
        self,
        live: Callable[[], str | None],
        code: Callable[[str], Awaitable[str]],
        database: Database,
        faults: Faults,
        *,
        auth_token: str,
        cron_secret: str,
    ) -> None:
        self._live = live
        self._code = code
        self._database = database
        self._faults = faults
        self._auth_token = auth_token
        self._cron_secret = cron_secret
        self.troubles: tuple[Trouble, ...] = ()

    def application(self, *outer: Middleware) -> web.Application:
        """Build the HTTP application of the site.

        The middlewares `outer` decide first which requests are answered, and as which commit (ASKED).
        """
        background = Background()
        broken = faulty(self._faults, ("health_checks",), _broken)
        troubles = troubled(self._troubles_of, lambda trouble: trouble.way)
        app = web.Application(middlewares=[broken, *outer, troubles, background.carried_out, _guarded])
        app.cleanup_ctx.append(background.running)
        app.add_routes([web.get("/api/data", self._data), web.get("/api/cron/minutely", self._cron)])
        return app

    async def _data(self, request: web.Request) -> web.Response:
        if request.cookies.get("auth-token") != self._auth_token:
            return web.json_response(UNAUTHORIZED, status=401)
        first_rows: dict[str, Value] = {}
        for block in await self._contract(request):
            for rows in await self._run_block(block, _reads):
                first_rows.update(rows.records[0] if rows.values else {})
        if first_rows.get("inverter_time") is None:
            return web.json_response(no_data(first_rows), status=503)
        return web.json_response(data(first_rows))

    async def _cron(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {self._cron_secret}":
            return web.json_response(UNAUTHORIZED, status=401)
        results: list[Rows] = []
        outcome: Mapping[str, Any] = {"success": True}
        try:
            for block in await self._contract(request):
                results += await self._run_block(block, _anything)
        except _CollisionError as collision:
            outcome = {"success": False, "error": str(collision)}
        return web.json_response(polled(_systems(results), outcome))

    def _troubles_of(self, request: web.Request) -> list[Trouble]:
        return [each for each in self.troubles if each.code in (None, self._sha(request))]

    def _sha(self, request: web.Request) -> str | None:
        return request.get(ASKED) or self._live()

    async def _contract(self, request: web.Request) -> tuple[Block, ...]:
        sha = self._sha(request)
        if sha is None:
            raise web.HTTPNotFound(text="DEPLOYMENT_NOT_FOUND\n")
        return _blocks(await self._code(sha))

    async def _run_block(self, block: Block, wanted: Wanted) -> list[Rows]:
        """Run the first alternative that succeeds, like code that catches its own error and tries another query.

        The first alternative is tried again at the end, because the schema may change between two attempts.
        """
        tries = block.alternatives if len(block.alternatives) == 1 else (*block.alternatives, block.alternatives[0])
        *others, last = ([each for each in alternative if wanted(each)] for alternative in tries)
        for alternative in others:
            with suppress(StatementFailed):
                return [await self._query(statement) for statement in alternative]
        return [await self._query(statement) for statement in last]

    async def _query(self, statement: Statement) -> Rows:
        try:
            return await self._database.query(statement)
        except StatementFailed as failed:
            if COLLISION in failed.message:
                raise _CollisionError(failed.message) from None
            raise


class _CollisionError(Exception):
    """A reading of this minute already exists."""


@lru_cache(maxsize=16)
def _blocks(text: str) -> tuple[Block, ...]:
    """Parse a contract. The result is cached, because the same code answers many requests."""
    return read_contract(text, CONTRACT)


def _reads(statement: Statement) -> bool:
    return first_word(statement.sql) in ("SELECT", "WITH")


def _anything(_statement: Statement) -> bool:
    return True


def _systems(results: Iterable[Rows]) -> list[Value]:
    """Return the ids of the systems that were listed, without repeating any."""
    listed = (record for rows in results if not SITE.isdisjoint(rows.columns) for record in rows.records)
    return list(dict.fromkeys(record.get("id") for record in listed))


@web.middleware
async def _guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except (Problem, InvalidTimeError):
        return _broken(request)


def _broken(_request: web.Request) -> web.Response:
    return web.json_response(BROKEN, status=500)
