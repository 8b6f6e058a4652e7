"""Hrana over HTTP: the meaning of each kind of answer, and of each way of getting none."""

import asyncio
import base64
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from steps.support.core.errors import Busy, NotSent, Problem, Rejected, Unknown
from steps.support.gateways.database import hrana_wire
from steps.support.gateways.database.connect import connect
from steps.support.gateways.database.hrana import Hrana
from steps.support.gateways.database.protocol import StatementFailed
from steps.support.proof.rehearsal import sqld
from steps.support.sql.statement import Statement
from steps.support.standin.servers import serve

pytestmark = pytest.mark.anyio

SELECT = Statement("SELECT 1", name="the question")
INSERT = Statement("INSERT INTO t VALUES (1)", name="the insert")
HTML = b"<!DOCTYPE html><html><body>Sign in to the network</body></html>"
JSON = "application/json"
TLS = ssl.create_default_context()  # made once: reading the certificates takes longer than most of these tests


@asynccontextmanager
async def opened(url: str, token: str | None = None) -> AsyncIterator[Hrana]:
    """Open the gateway on a URL and close it again."""
    async with httpx.AsyncClient(verify=TLS) as client:
        yield Hrana(url, token, client)


@asynccontextmanager
async def answering(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[Hrana]:
    """Open the gateway on a server whose every answer comes from `handler`."""
    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/{path:.*}", handler)
    async with serve(app) as url, opened(url) as database:
        yield database


def always(
    status: int, content_type: str, body: bytes, headers: dict[str, str] | None = None
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return the same answer to everything."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, body=body, headers={"Content-Type": content_type, **(headers or {})})

    return answer


def document(**fields: Any) -> bytes:
    """Write a JSON object."""
    return json.dumps(fields).encode()


def batch_answer(done: Sequence[Any], errors: Sequence[Any]) -> bytes:
    """Write the answer to a batch as a server does."""
    result = {"step_results": done, "step_errors": errors, "replication_index": "4"}
    ok = {"type": "ok", "response": {"type": "batch", "result": result}}
    return document(baton=None, base_url=None, results=[ok, {"type": "ok", "response": {"type": "close"}}])


CLOUD = document(message="SQLite error: database is on fire", code="SQLITE_FIRE")
ANSWERS = {
    "200 message and code": (200, JSON, CLOUD, Unknown, "database is on fire, SQLITE_FIRE"),
    "200 error": (200, JSON, document(error="something internal"), Unknown, "something internal"),
    "200 web page": (200, "text/html", HTML, Unknown, "a web page"),
    "200 cut JSON": (
        200,
        JSON,
        b'{"baton":null,"results":[{"type":"ok","resp',
        Unknown,
        "not the answer of a libSQL server",
    ),
    "200 empty": (200, JSON, b"", Unknown, "no text"),
    "200 not an object": (200, JSON, b"[]", Unknown, "not the answer of a libSQL server"),
    "200 no results": (200, JSON, document(results=[]), Unknown, "not the answer of a libSQL server"),
    "200 strange results": (200, JSON, document(results=[7, 8, 9, 10]), Unknown, "its format is unknown"),
    "400 text": (400, "text/plain", b"Cannot deserialize", Rejected, "bug in the tool"),
    "400 message and code": (400, JSON, CLOUD, Unknown, "database is on fire"),
    "400 not parsed": (400, JSON, document(message="near SELEC", code="SQL_PARSE_ERROR"), Rejected, "near SELEC"),
    "401": (401, JSON, document(error="Unauthorized: expired"), Rejected, "token is missing, expired.+Unauthorized"),
    "403": (403, JSON, document(error="Forbidden: write"), Rejected, "may be read-only.+Forbidden: write"),
    "404 JSON": (404, JSON, document(error='route not found: ["v3"]'), Rejected, "no libSQL server.+route not found"),
    "404 web page": (404, "text/html", HTML, Rejected, "no libSQL server at this address"),
    "408": (408, "text/plain", b"timed out", Unknown, "HTTP 408"),
    "413": (413, "text/plain", b"too large", Rejected, "larger than the server accepts"),
    "429": (429, "text/plain", b"slow down", Busy, "refuses more requests"),
    "500 text": (500, "text/plain", b"oh no", Unknown, "HTTP 500: oh no"),
    "500 JSON": (500, JSON, document(error="invalid utf-8 sequence"), Unknown, "invalid utf-8 sequence"),
    "502 web page": (502, "text/html", HTML, Unknown, "HTTP 502: a web page"),
    "520 of a proxy": (520, "text/plain", b"", Unknown, "HTTP 520"),
}


CALLS: tuple[Callable[[Hrana], Awaitable[Any]], ...] = (
    lambda database: database.query(SELECT),
    lambda database: database.transaction([INSERT]),
    lambda database: database.parse([SELECT]),
)


@pytest.mark.parametrize(("status", "content_type", "body", "meaning", "words"), ANSWERS.values(), ids=ANSWERS)
async def test_each_unexpected_answer_has_its_meaning(
    status: int, content_type: str, body: bytes, meaning: type[Problem], words: str
) -> None:
    """An answer outside the protocol is a refusal only if nothing can have been run, and keeps its words."""
    async with answering(always(status, content_type, body)) as database:
        for call in CALLS:
            with pytest.raises(meaning, match=words) as caught:
                await call(database)
            assert isinstance(caught.value, Unknown) == (meaning is Unknown)


async def test_redirect_is_not_followed() -> None:
    """A redirect is reported as a wrong address, and no second request goes to its target."""
    seen: list[str] = []

    async def redirect(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    async with answering(redirect) as database:
        with pytest.raises(Rejected, match="redirects to another address"):
            await database.query(SELECT)
    assert seen == ["/v3/pipeline"]


async def test_refused_connection_is_not_sent() -> None:
    """If nothing listens nothing was sent."""
    async with opened(f"http://127.0.0.1:{sqld.free_port()}") as database:
        with pytest.raises(NotSent, match="ConnectError"):
            await database.transaction([INSERT])


Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def _raw(peer: Peer) -> AsyncIterator[Hrana]:
    """Open the gateway on a server that is no HTTP server; the client closes first, then the server."""
    served: list[asyncio.Task[None]] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(asyncio.current_task())  # type: ignore[arg-type] # a handler runs in a task
        with suppress(ConnectionError):
            await peer(reader, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        async with opened(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as database:
            yield database
        await asyncio.gather(*served)


async def _closes(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")


async def _drips(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def _stays_silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    while await reader.read(2**16):
        pass


async def test_accepted_and_closed_is_unknown() -> None:
    """A connection that ends without an answer leaves open whether it was done."""
    async with _raw(_closes) as database:
        with pytest.raises(Unknown, match="Server disconnected"):
            await database.transaction([INSERT])


@pytest.mark.parametrize("peer", [_drips, _stays_silent])
async def test_scope_of_the_caller_ends_a_silent_call(peer: Peer) -> None:
    """Neither silence nor an endless answer holds a call beyond the caller's scope."""
    async with _raw(peer) as database:
        begun = time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await database.transaction([INSERT])
        assert time.monotonic() - begun < 10


async def test_endless_answer_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer beyond the bound is abandoned, and proves nothing about what was done."""
    monkeypatch.setattr(hrana_wire, "MOST", 1000)
    async with answering(always(200, JSON, b" " * 2000)) as database:
        with pytest.raises(Unknown, match="larger than 1000 bytes"):
            await database.transaction([INSERT])


async def _forwarded(request: web.Request, url: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=url) as client:
        return await client.post(request.path, content=await request.read())


async def test_lost_answer_after_the_commit_is_unknown(server: str) -> None:
    """When the answer is dropped on its way back the gateway claims nothing, and the row is there."""

    async def drop(request: web.Request) -> web.Response:
        answer = await _forwarded(request, server)
        assert answer.status_code == 200
        if request.transport:
            request.transport.close()
        return web.Response()

    async with opened(server) as direct, answering(drop) as database:
        await direct.query(Statement("CREATE TABLE t (id INTEGER PRIMARY KEY)"))
        with pytest.raises(Unknown):
            await database.transaction([INSERT])
        assert (await direct.query(Statement("SELECT count(*) FROM t"))).scalar == 1


async def test_truncated_answer_after_the_commit_is_unknown(server: str) -> None:
    """When half of the answer arrives the gateway claims nothing, and the row is there."""

    async def cut(request: web.Request) -> web.Response:
        answer = await _forwarded(request, server)
        return web.Response(body=answer.content[: len(answer.content) // 2], content_type=JSON)

    async with opened(server) as direct, answering(cut) as database:
        await direct.query(Statement("CREATE TABLE t (id INTEGER PRIMARY KEY)"))
        with pytest.raises(Unknown):
            await database.transaction([INSERT])
        assert (await direct.query(Statement("SELECT count(*) FROM t"))).scalar == 1


DONE = {"cols": [], "rows": [], "affected_row_count": 1, "last_insert_rowid": "1"}
TIMED_OUT = {"message": "Transaction timed out", "code": "TRANSACTION_TIMEOUT"}
ALL_TIMED_OUT = batch_answer([DONE, DONE, DONE, None, None, None], [None, None, None, TIMED_OUT, TIMED_OUT, TIMED_OUT])
ROLLBACK_FAILED = batch_answer([DONE, DONE, DONE, DONE, DONE, None], [None, None, None, None, None, TIMED_OUT])
FOREIGN_KEYS_ON = batch_answer(
    [DONE, DONE, None, None, None, DONE],
    [None, None, {"message": "bad JSON path: 'foreign keys are still on'", "code": "SQLITE_UNKNOWN"}, None, None, None],
)
COMMIT_FAILED = batch_answer(
    [DONE, DONE, DONE, DONE, None, None],
    [None, None, None, None, {"message": "disk I/O error", "code": "SQLITE_IOERR"}, None],
)


async def test_lost_write_lock_is_a_clean_failure() -> None:
    """If every step from one on has TRANSACTION_TIMEOUT, that step is named, with the meaning of the error."""
    async with answering(always(200, JSON, ALL_TIMED_OUT)) as database:
        with pytest.raises(StatementFailed, match=r"the insert.+another writer.+TRANSACTION_TIMEOUT") as failed:
            await database.transaction([INSERT])
    assert failed.value.statement == INSERT


async def test_only_the_answer_of_commit_counts() -> None:
    """With COMMIT's result the transaction is committed, whatever happened to the ROLLBACK after it."""
    async with answering(always(200, JSON, ROLLBACK_FAILED)) as database:
        assert [rows.changed for rows in await database.transaction([INSERT])] == [1]


@pytest.mark.parametrize(
    ("body", "words"),
    [(FOREIGN_KEYS_ON, "reading back that foreign keys are off"), (COMMIT_FAILED, "committing.+disk I/O error")],
)
async def test_failure_around_the_statements_is_named(body: bytes, words: str) -> None:
    """Failures of the surrounding steps are told apart from those of the statements."""
    async with answering(always(200, JSON, body)) as database:
        with pytest.raises(StatementFailed, match=words):
            await database.transaction([INSERT])


@pytest.mark.parametrize(
    "body",
    [
        batch_answer([DONE, DONE, DONE, DONE, None, None], [None] * 6),
        batch_answer([DONE, DONE, DONE, DONE, DONE], [None] * 5),
        batch_answer([DONE, DONE, DONE, None, DONE, None], [None] * 6),
        batch_answer([DONE, DONE, DONE, {**DONE, "cols": [{"name": "x"}], "rows": [[{"type": "date"}]]}, DONE, None], [None] * 6),
        document(results=[{"type": "ok", "response": {"type": "batch"}}, {}]),
    ],
    ids=["not committed, no error", "a step missing", "committed past a gap", "unknown value", "no result"],
)  # fmt: skip
async def test_contradictory_answer_is_unknown(body: bytes) -> None:
    """An answer with missing or nonsensical steps is read neither as a yes nor as a no."""
    async with answering(always(200, JSON, body)) as database:
        with pytest.raises(Unknown):
            await database.transaction([INSERT])


async def test_statement_refused_by_turso_cloud_has_its_reason() -> None:
    """A pragma that only Turso Cloud refuses comes with the reason: refused alone, Unknown in a batch."""
    refusal = {"type": "error", "error": {"message": "user_version is read-only", "code": "SQLITE_AUTH"}}
    pragma = Statement("PRAGMA user_version = 1")
    async with answering(always(200, JSON, document(results=[refusal, {}]))) as database:
        with pytest.raises(StatementFailed, match="user_version is read-only") as failed:
            await database.query(pragma)
        assert failed.value.statement == pragma
        with pytest.raises(Unknown, match="user_version is read-only"):
            await database.transaction([pragma])


async def test_unparsed_batch_names_no_statement(server: str) -> None:
    """If the server cannot parse one of several statements nothing is run, and the message is the parser's."""
    async with opened(server) as database:
        script = [Statement("CREATE TABLE t (x)"), Statement("SELEC 1"), INSERT]
        with pytest.raises(StatementFailed, match=r"one of 3 statements.+SELEC.+SQL_PARSE_ERROR"):
            await database.transaction(script)
        assert (await database.query(Statement("SELECT count(*) FROM sqlite_schema"))).scalar == 0


async def test_response_too_large_is_unknown(server: str) -> None:
    """The server answers RESPONSE_TOO_LARGE to an insert that it committed, so it is Unknown, not refused."""
    big = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 12) "
    async with opened(server) as database:
        await database.query(Statement("CREATE TABLE t (x)"))
        with pytest.raises(Unknown, match="RESPONSE_TOO_LARGE"):
            await database.query(Statement(f"INSERT INTO t {big} SELECT randomblob(1000000) FROM n RETURNING x"))
        assert (await database.query(Statement("SELECT count(*) FROM t"))).scalar == 12


async def test_parsing_finds_what_only_the_server_refuses(server: str) -> None:
    """Statements that the engine knows and the server does not run are found without running anything."""
    async with opened(server) as database:
        refused = ["VACUUM", "CREATE TEMP TABLE x (y)", "ATTACH 'x' AS y", "ANALYZE", "PRAGMA journal_mode = wal"]
        taken = ["ALTER TABLE t ALTER COLUMN x TO x TEXT", "SELECT 1 -- fine", "CREATE VIEW v AS SELECT 1"]
        await database.query(Statement("CREATE TABLE t (x)"))
        errors = await database.parse([Statement(sql) for sql in (*refused, *taken)])
    assert [bool(error) for error in errors] == [True] * len(refused) + [False] * len(taken)
    assert "unsupported statement: VACUUM" in str(errors[0])


async def test_open_transaction_is_checked_at_every_step(server: str) -> None:
    """A COMMIT that reaches the server among the steps stops all later ones, and is not a clean failure."""
    script = [Statement("INSERT INTO t VALUES (1)"), Statement("COMMIT"), Statement("INSERT INTO t VALUES (2)")]
    async with opened(server) as database, httpx.AsyncClient() as client:
        await database.query(Statement("CREATE TABLE t (x)"))
        (answer,) = await hrana_wire.post(client, f"{server}/v3/pipeline", None, [hrana_wire.transaction(script, 3)])
        with pytest.raises(Unknown, match="nothing failed"):
            hrana_wire.transaction_result(answer["response"]["result"], script, server)
        assert (await database.query(Statement("SELECT group_concat(x) FROM t"))).scalar == "1"


@pytest.mark.parametrize(("sql", "last"), [("INSERT INTO t VALUES (1)", "COMMIT"), ("SELECT x FROM none", "ROLLBACK")])
async def test_batch_ends_with_exactly_one_of_commit_and_rollback(server: str, sql: str, last: str) -> None:
    """Exactly one of COMMIT and ROLLBACK is run, so that no lock outlives the batch."""
    async with opened(server) as database, httpx.AsyncClient(verify=TLS) as client:
        await database.query(Statement("CREATE TABLE t (x)"))
        batch = hrana_wire.transaction([Statement(sql)], 3)
        (answer,) = await hrana_wire.post(client, f"{server}/v3/pipeline", None, [batch])
    result = answer["response"]["result"]
    ran = [
        step["stmt"]["sql"] for step, done in zip(batch["batch"]["steps"], result["step_results"], strict=True) if done
    ]
    assert [sql for sql in ran if sql in {"COMMIT", "ROLLBACK"}] == [last]
    assert result["step_errors"][-1] is None


class OldServer:
    """A real server restricted to version 2 of the protocol; it records its requests."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.asked: list[str] = []
        self.bodies: list[bytes] = []

    async def answer(self, request: web.Request) -> web.Response:
        """Answer 404 to version 3 and forward the rest."""
        self.asked.append(request.path)
        if request.path.startswith("/v3"):
            return web.json_response({"error": "route not found"}, status=404)
        self.bodies.append(await request.read())
        answer = await _forwarded(request, self._url)
        return web.Response(status=answer.status_code, body=answer.content, content_type=JSON)


async def test_older_protocol_is_used_and_remembered(server: str) -> None:
    """If version 3 is unknown, version 2 carries the same batch without is_autocommit, from then on."""
    old = OldServer(server)
    async with answering(old.answer) as database:
        await database.transaction([Statement("CREATE TABLE t (id INTEGER PRIMARY KEY)"), INSERT])
        with pytest.raises(StatementFailed, match=r"the insert.+UNIQUE"):
            await database.transaction([Statement("INSERT INTO t VALUES (2)"), INSERT])
        assert (await database.query(Statement("SELECT group_concat(id) FROM t"))).scalar == "1"
        assert await database.parse([Statement("SELEC"), Statement("SELECT ?"), SELECT]) != (None, None, None)
    assert old.asked == ["/v3/pipeline"] + ["/v2/pipeline"] * 4
    assert not any(b"is_autocommit" in body for body in old.bodies)


async def test_missing_protocol_is_not_remembered() -> None:
    """A server that knows no version is asked for the newest again next time."""
    seen: list[str] = []

    async def unknown(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.Response(status=404)

    async with answering(unknown) as database:
        for _ in range(2):
            with pytest.raises(Rejected, match="no libSQL server"):
                await database.query(SELECT)
    assert seen == ["/v3/pipeline", "/v2/pipeline"] * 2


def _token(key: Ed25519PrivateKey, **claims: Any) -> str:
    parts = [json.dumps(part).encode() for part in ({"alg": "EdDSA", "typ": "JWT"}, claims)]
    signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    return (signed + b"." + base64.urlsafe_b64encode(key.sign(signed)).rstrip(b"=")).decode()


@pytest.fixture
async def guarded(sqld_binary: Path, tmp_path: Path) -> AsyncIterator[tuple[str, Ed25519PrivateKey]]:
    """Return a server that requires tokens, with a table t, and the key that signs them."""
    key = Ed25519PrivateKey.generate()
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (file := tmp_path / "key.pem").write_bytes(pem)
    async with sqld.serve(sqld_binary, tmp_path / "sqld", "--auth-jwt-key-file", str(file)) as url:
        async with opened(url, _token(key, a="rw")) as database:
            await database.query(Statement("CREATE TABLE t (x)"))
        yield url, key


async def test_token_is_accepted(guarded: tuple[str, Ed25519PrivateKey]) -> None:
    """With a full token the server accepts a transaction."""
    url, key = guarded
    async with opened(url, _token(key, a="rw")) as database:
        assert (await database.transaction([INSERT, Statement("SELECT count(*) FROM t")]))[1].scalar == 1


async def test_read_only_token_is_recognised_before_writing(guarded: tuple[str, Ed25519PrivateKey]) -> None:
    """A read-only token is recognised by the server's refusal, before anything was written."""
    url, key = guarded
    async with opened(url, _token(key, a="ro")) as database:
        assert (await database.query(Statement("SELECT count(*) FROM t"))).scalar == 0
        with pytest.raises(Rejected, match="it may be read-only"):
            await database.transaction([INSERT])
        assert (await database.query(Statement("SELECT count(*) FROM t"))).scalar == 0


@pytest.mark.parametrize("claims", [None, {"a": "rw", "exp": 1}], ids=["missing", "expired"])
async def test_bad_token_is_reported_but_not_shown(
    guarded: tuple[str, Ed25519PrivateKey], claims: dict[str, Any] | None
) -> None:
    """A missing or expired token is refused as such, and no error repeats it."""
    url, key = guarded
    token = _token(key, **claims) if claims else None
    async with opened(url, token) as database:
        with pytest.raises(Rejected, match="token is missing, expired") as refused:
            await database.query(SELECT)
    assert token is None or token not in str(refused.value)


async def test_token_is_sent_in_the_header_only() -> None:
    """The token is in the Authorization header and nowhere else; without a token there is no header."""
    seen: list[tuple[str | None, str, bytes]] = []

    async def note(request: web.Request) -> web.Response:
        seen.append((request.headers.get("Authorization"), str(request.url), await request.read()))
        return web.Response(status=500)

    app = web.Application()
    app.router.add_post("/{path:.*}", note)
    async with serve(app) as url:
        for token in ("s3cret", None):
            async with opened(url, token) as database:
                with pytest.raises(Unknown):
                    await database.query(SELECT)
    assert [header for header, _, _ in seen] == ["Bearer s3cret", None]
    assert not any("s3cret" in target or b"s3cret" in body for _, target, body in seen)


@pytest.mark.parametrize("token", ["two words", "line\nbreak", "geheimnißvoll"])
def test_unsendable_token_is_refused_without_showing_it(token: str) -> None:
    """A token that no header can carry is refused at once, by an error that does not repeat it."""
    with pytest.raises(Problem, match="characters that no token has") as refused:
        Hrana("https://database.example", token)
    assert token not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("libsql://db-org.turso.io", "https://db-org.turso.io"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ("https://user:pass@host.example/base/?authToken=x", "https://host.example/base"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
async def test_address_is_the_url_without_secrets(url: str, address: str) -> None:
    """A libsql URL becomes https, and user, password and query are left out of the address."""
    async with opened(url) as database:
        assert database.address == address


async def test_given_client_stays_open(server: str) -> None:
    """Closing the gateway does not close a client that was passed in."""
    async with httpx.AsyncClient() as client:
        await Hrana(server, None, client).aclose()
        assert (await Hrana(server, None, client).query(SELECT)).scalar == 1


@pytest.mark.parametrize("url", ["", "ws://host", "wss://host", "postgres://host/db", "db.sqlite", "https://"])
def test_unknown_url_schemes_are_refused(url: str) -> None:
    """A URL that no transport carries is refused, with the list of those that one does."""
    with pytest.raises(Problem, match="Use libsql, https, http or file"):
        connect(url, None)


@pytest.mark.parametrize("url", ["libsql://host?authToken=s3cret", "https://user:s3cret@host"])
def test_url_with_a_secret_is_refused_without_showing_it(url: str) -> None:
    """A token in the URL is refused rather than dropped, and the error does not repeat it."""
    with pytest.raises(Problem, match="more than an address") as refused:
        connect(url, None)
    assert "s3cret" not in str(refused.value)


async def test_each_scheme_has_its_transport(tmp_path: Path) -> None:
    """Servers are reached over HTTP, files are opened, and a missing file is not created."""
    async with aclosing(connect("libsql://host", None)) as database:
        assert isinstance(database, Hrana)
    with pytest.raises(NotSent, match="no such file"):
        connect(f"file:{tmp_path}/missing.db", None)
    with pytest.raises(NotSent, match="no such file"):  # the first try has not created it either
        connect(f"file:{tmp_path}/missing.db", None)


WORK = Statement(
    "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 1000000) SELECT count(*) FROM n"
)
MORE_THAN_FITS = 100  # times that work, on any machine; steps after the fifth second never run


async def test_stolen_lock_rolls_back_the_transaction(server: str) -> None:
    """After 5 seconds a waiting writer takes the lock: the slow transaction fails whole, and the write stands."""
    async with opened(server) as database, opened(server) as other:
        await database.query(Statement("CREATE TABLE t (x)"))
        slow = [INSERT, *[WORK] * MORE_THAN_FITS, Statement("INSERT INTO t VALUES (2)")]
        running = asyncio.create_task(database.transaction(slow))
        while not running.done():
            await other.transaction([Statement("INSERT INTO t VALUES (3)")])
        with pytest.raises(StatementFailed, match=r"another writer.+TRANSACTION_TIMEOUT"):
            await running
        assert (await other.query(Statement("SELECT group_concat(DISTINCT x) FROM t"))).scalar == "3"


@pytest.mark.parametrize("figure", ["soon", -1, 1e999, 10**400, None, [1], {}])
async def test_strange_duration_does_not_make_an_answer_unreadable(figure: Any) -> None:
    """A statement's duration is only shown: a commit whose answer has nonsense there is a commit."""
    made = {"cols": [], "rows": [], "affected_row_count": 1, "query_duration_ms": figure, "rows_written": figure}
    body = batch_answer([made, made, made, made, made, None], [None] * 6)
    async with answering(always(200, JSON, body)) as database:
        (rows,) = await database.transaction([INSERT])
    assert (rows.changed, rows.seconds, rows.written) == (1, 0, 0)
