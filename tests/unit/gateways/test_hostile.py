"""Garbage, floods and traps: each becomes one of the three answers, within the bound, at every gateway."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, get_args, get_type_hints

import httpx
import pytest

from steps.support.core.errors import Rejected, Unknown
from steps.support.gateways.database import hrana_stream, hrana_wire
from steps.support.gateways.database.hrana import Hrana
from steps.support.gateways.database.hrana_stream import moment
from steps.support.gateways.database.pages import file_pages, text_pages
from steps.support.gateways.http import MOST
from steps.support.gateways.site import Request, Site
from steps.support.gateways.vercel import Deployment, Project, RollingRelease, Vercel
from steps.support.operations.health import Comparison, ask_once
from steps.support.run.release import HealthCheck
from steps.support.sql.statement import Statement
from tests.support.servers.hostile_peer import (
    Pieces,
    answer,
    document,
    endless,
    head,
    packed,
    packed_twice,
    peer,
)
from tests.support.servers.vercel_project import PLAIN

pytestmark = pytest.mark.anyio

SECRET = "s3cr3t-of-this-test"  # noqa: S105 - it opens nothing
SCOPE = 5.0  # seconds for a call; all but the endless ones need a small part of it
MOST_WORDS = 1500  # characters
SELECT = Statement("SELECT 1", name="the question")
INSERT = Statement("INSERT INTO t VALUES (1)", name="the insert")
HEALTH = HealthCheck(
    "data",
    Request("/api/data", headers={"Authorization": f"Bearer {SECRET}"}),
    ("status == `200`", "body.ok == `true`", "length(body.results) >= length(baseline.results)", "body == baseline"),
    writes=False,
)

Ask = Callable[[str], Awaitable[Any]]


def _of_vercel(ask: Callable[[Vercel], Awaitable[Any]]) -> Ask:
    async def call(url: str) -> Any:
        headers = {"Authorization": f"Bearer {SECRET}"}
        async with httpx.AsyncClient(verify=PLAIN, base_url=url, headers=headers) as client:
            return await ask(Vercel(client, "prj_1", None, "liveone.example"))

    return call


def _of_hrana(ask: Callable[[Hrana], Awaitable[Any]]) -> Ask:
    async def call(url: str) -> Any:
        async with httpx.AsyncClient(verify=PLAIN) as client:
            return await ask(Hrana(url, SECRET, client))

    return call


async def _read(pieces: AsyncIterator[bytes]) -> None:
    last = b""
    async for piece in pieces:
        last = piece
    if not last.endswith(b"COMMIT;\n"):
        raise Unknown(
            code="connection",
            operation="reading",
            subject="a dump",
            cause="it does not end with COMMIT;",
            remedy="Look.",
        )  # as the loader does


async def _text_pages(url: str) -> None:
    async with moment(url, SECRET) as stream:
        await _read(text_pages(stream))


async def _file_pages(url: str) -> None:
    async with moment(url, SECRET) as stream:
        async for _ in file_pages(stream):
            pass


async def _visited(url: str) -> str:
    async with httpx.AsyncClient(verify=PLAIN, base_url=url) as client:
        return (await ask_once(Site(client), HEALTH, Comparison({"results": []}, "2026-01-01T00:00:00Z"))).wrong


VERCEL: dict[str, Ask] = {
    "user": _of_vercel(Vercel.user),
    "project": _of_vercel(Vercel.project),
    "deployment": _of_vercel(lambda vercel: vercel.deployment("dpl_1")),
    "production_deployments": _of_vercel(Vercel.production_deployments),
    "served": _of_vercel(Vercel.served),
    "is_live": _of_vercel(lambda vercel: vercel.is_live("dpl_1")),
    "production_variables": _of_vercel(Vercel.production_variables),
    "rolling_release": _of_vercel(Vercel.rolling_release),
    "build_errors": _of_vercel(lambda vercel: vercel.build_errors("dpl_1")),
}
HRANA: dict[str, Ask] = {
    "query": _of_hrana(lambda database: database.query(SELECT)),
    "transaction": _of_hrana(lambda database: database.transaction([INSERT])),
    "trials": _of_hrana(lambda database: database.trials([[INSERT]])),
    "parse": _of_hrana(lambda database: database.parse([SELECT])),
    "text pages": _text_pages,
    "file pages": _file_pages,
}
GATEWAYS = VERCEL | HRANA
DEEP = "[" * 200_000
HUGE = "9" * 5000

GARBAGE: dict[str, Pieces] = {
    "nothing at all": lambda: iter([]),
    "empty body": answer(""),
    "web page": answer("<!DOCTYPE html><html>Sign in</html>", kind="text/html"),
    "web page that says it is JSON": answer("<!DOCTYPE html>"),
    "a list": answer("[]"),
    "a list of numbers": answer("[1]"),
    "a number": answer("7"),
    "null": answer("null"),
    "a text": answer('"results"'),
    "no keys": answer("{}"),
    "NaN": answer("NaN"),
    "NaN everywhere": answer('{"results": NaN, "deployments": NaN, "deploymentId": NaN, "user": NaN, "envs": NaN}'),
    "deep": answer(DEEP),
    "deep and whole": answer(DEEP + "]" * 200_000),
    "deep under a key": answer('{"results": ' + DEEP),
    "deep and just readable": answer('{"message": ' + "[" * 900 + "]" * 900 + "}"),
    "a huge number": answer(HUGE),
    "a huge number under a key": answer('{"results": %s, "created": %s}' % (HUGE, HUGE)),  # noqa: UP031 - braces
    "not UTF-8": answer(b'{"id": "\xff\xfe\xfa"'),
    "UTF-16": answer('{"error": "x"}'.encode("utf-16")),
    "UTF-16 cut in the middle": answer('{"error": "x"}'.encode("utf-16")[:-1]),
    "lone surrogates": answer('{"error": {"message": "\\ud800"}, "message": "\\ud800"}'),
    "the same key twice": answer('{"results": [], "results": 5, "id": "a", "id": 7}'),
    "binary": answer(bytes(range(256)), kind="application/octet-stream"),
    "a content type of control characters": answer("{}", kind="\x0b\x1b[31m"),
    "a character set that unpacks": answer(b"x\x9c", kind="text/plain; charset=zlib_codec"),
    "half of what was promised": lambda: iter([head(Content_Length="1000"), b'{"results": [']),
    "no HTTP": lambda: iter([b"SSH-2.0-OpenSSH_9.2\r\n"]),
    "a status line of garbage": lambda: iter([b"HTTP/1.1 \xff\xfe 200\r\n\r\n"]),
    "a status of 999": answer("{}", "999 What"),
    "a header without end": endless(b"X" * 65536, b"HTTP/1.1 200 OK\r\nX-Long: "),
    "headers without end": endless(b"X-Another: one\r\n" * 4096, b"HTTP/1.1 200 OK\r\n"),
    "a length that is none": answer("", Content_Length="many"),
    "two lengths": lambda: iter([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 9\r\n\r\n{}"]),
    "a chunk of garbage": lambda: iter([head(Transfer_Encoding="chunked"), b"zz\r\n{}\r\n"]),
    "a gigabyte that is announced": endless(b" " * 65536, head(Content_Length=str(1 << 30))),
    "a gigabyte without a word": endless(b" " * 65536),
    "a gigabyte of one text": endless(b"x" * 65536, head() + b'{"results": "'),
    "a gigabyte packed": packed(),
    "a gigabyte packed twice": packed_twice(),
    "packed and damaged": answer(b"no gzip at all", Content_Encoding="gzip"),
    "packed and cut": answer(b"\x1f\x8b\x08\x00", Content_Encoding="gzip"),
    "packed in another way": answer(b"{}", Content_Encoding="br"),
    "an error without end": endless(b"x" * 65536, head("500 No")),
    "an error of garbage": answer(b"\xff\x1b[2J\0", "500 No", "text/plain"),
    "an error in a character set that unpacks": answer(b"zz", "500 No", "text/plain; charset=hex_codec"),
    "an error in no character set": answer(b"zz", "500 No", "text/plain; charset=undefined"),
    "an error that is deep": answer(DEEP, "500 No"),
    "an error of a list": answer("[[1], 2]", "500 No"),
    "an error whose words are no text": answer('{"error": {"message": [1], "code": {"a": 1}}}', "500 No"),
    "a pause without end": answer("{}", "503 Later", Retry_After="9" * 400),
    "a pause until a year that is none": answer("{}", "503 Later", Retry_After="Mon, 01 Jan 0001 00:00:00 -0000"),
    "a pause that is not a number": answer('{"error": {"limit": {"resetMs": NaN}}}', "503 Later"),
    "a pause that is huge": answer('{"error": {"limit": {"resetMs": 1e999}}}', "503 Later"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lower the database's bound to that of the others: what is tested is that there is a bound."""
    for module in (hrana_wire, hrana_stream):
        monkeypatch.setattr(module, "MOST", MOST)


@pytest.fixture
def peak() -> Iterator[Callable[[], int]]:
    """Return the most memory in use at once since the test began."""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()


def _answers_all_the_same(name: str, gateway: str) -> bool:
    """Return True for peers whose answer is valid anyway: a build's log may be empty."""
    return (name, gateway) in {("a list", "build_errors"), ("no keys", "build_errors")}


@pytest.mark.parametrize(("name", "pieces"), GARBAGE.items(), ids=GARBAGE)
async def test_garbage_is_unknown(name: str, pieces: Pieces) -> None:
    """Garbage in place of an answer leaves open what was done, and raises nothing else, at any gateway."""
    asking = {gateway: ask for gateway, ask in GATEWAYS.items() if not _answers_all_the_same(name, gateway)}
    async with peer(pieces) as there, asyncio.timeout(SCOPE * len(asking)):
        for gateway, ask in asking.items():
            with pytest.raises(Unknown) as caught:
                await ask(there.url)
            assert SECRET not in str(caught.value), gateway
            assert len(str(caught.value)) < MOST_WORDS, gateway


@pytest.mark.parametrize("pieces", GARBAGE.values(), ids=GARBAGE)
async def test_garbage_is_not_healthy(pieces: Pieces) -> None:
    """If the site sends garbage of any kind, the check says in one line what is wrong."""
    async with peer(pieces) as there, asyncio.timeout(SCOPE):
        wrong = await _visited(there.url)
    assert wrong.startswith("/api/data ")
    assert SECRET not in wrong
    assert len(wrong) < MOST_WORDS


@pytest.mark.parametrize("pieces", GARBAGE.values(), ids=GARBAGE)
async def test_garbage_is_not_a_refusal(pieces: Pieces) -> None:
    """A request to change something was accepted, or it is unknown; garbage never means that it was not done."""
    ask = _of_vercel(lambda vercel: vercel.promote("dpl_1"))
    async with peer(pieces) as there, asyncio.timeout(SCOPE):
        try:
            await ask(there.url)
        except Unknown as error:
            assert len(str(error)) < MOST_WORDS  # noqa: PT017 - it may also go well


GIGABYTES = {name: pieces for name, pieces in GARBAGE.items() if "gigabyte" in name or "without end" in name}


@pytest.mark.parametrize("pieces", GIGABYTES.values(), ids=GIGABYTES)
@pytest.mark.parametrize("gateway", ["project", "query", "file pages", "site"])
async def test_endless_answers_are_not_held_in_memory(pieces: Pieces, gateway: str, peak: Callable[[], int]) -> None:
    """No more of an endless answer is in memory than the bound and its copies, compressed or not."""
    async with peer(pieces) as there, asyncio.timeout(SCOPE):
        with suppress(Unknown):
            await (GATEWAYS | {"site": _visited})[gateway](there.url)
    assert peak() < 4 * MOST


def _dripping(opening: bytes) -> Callable[[], AsyncIterator[bytes]]:
    async def pieces() -> AsyncIterator[bytes]:
        yield opening
        while True:
            await asyncio.sleep(0.01)
            yield b" " if opening else b""

    return pieces


ENDLESS = {
    "silence": b"",
    "half a status line": b"HTTP/1.1",
    "headers that drip": b"HTTP/1.1 200 OK\r\nX-Slow:",
    "a body that drips": head(),
    "an error that drips": head("500 No"),
}


@pytest.mark.parametrize("opening", ENDLESS.values(), ids=ENDLESS)
async def test_scope_of_the_caller_ends_every_call(opening: bytes) -> None:
    """An endless answer, byte by byte, holds no call at any gateway beyond its caller's time."""
    async with peer(_dripping(opening)) as there:
        for ask in (*GATEWAYS.values(), _visited):
            began = asyncio.get_running_loop().time()
            with suppress(TimeoutError, Unknown):
                async with asyncio.timeout(0.05):
                    await ask(there.url)
            assert asyncio.get_running_loop().time() - began < 1


REDIRECTS = [
    (301, "/moved"),
    (302, "http://{there}/moved"),
    (303, "//{there}/x"),
    (307, "{here}/v3/pipeline"),
    (308, ""),
]
BAD_PLACES = ["http://[::1", "http://x:99999999/", "http://\xff/", "\x1b]0;x\x07", "javascript:alert(1)", "//"]


@pytest.mark.parametrize(("status", "location"), [*REDIRECTS, *((302, place) for place in BAD_PLACES)], ids=repr)
async def test_redirects_are_not_followed(status: int, location: str) -> None:
    """Neither an endless loop nor another host is followed: no second request, and no key arrives elsewhere."""
    async with peer(document({})) as elsewhere, peer(lambda: iter([sent])) as there:
        place = location.format(there=elsewhere.url.removeprefix("http://"), here=there.url)
        sent = head(f"{status} Moved", Content_Length="0") + b""
        sent = sent.replace(b"\r\n\r\n", f"\r\nLocation: {place}\r\n\r\n".encode("latin-1"))
        for name, ask in (GATEWAYS | {"site": _visited}).items():
            there.heads.clear()
            with suppress(Rejected, Unknown):
                told = await ask(there.url)
                assert name == "rolling_release" or "redirects" in told or "no answer" in told, name
            assert len(there.heads) == 1, name
        assert not elsewhere.heads


async def test_stream_does_not_continue_on_another_host() -> None:
    """A database that names another host for the rest of a stream is refused: the token would go there."""
    rows = {"cols": [], "rows": [], "affected_row_count": 0}
    result = {"type": "ok", "response": {"type": "execute", "result": rows}}
    async with peer(document({"baton": None, "base_url": None, "results": [result]})) as elsewhere:
        named = {"baton": "b", "base_url": elsewhere.url, "results": [result]}
        async with peer(document(named)) as there:
            with pytest.raises(Unknown, match="continues on another host"):
                await _text_pages(there.url)
        assert not elsewhere.heads


PROJECT = {
    "id": "prj_1",
    "name": "liveone",
    "autoAssignCustomDomains": True,
    "targets": {"production": {"id": "dpl_1"}},
    "lastAliasRequest": {"type": "promote", "toDeploymentId": "dpl_1", "jobStatus": "succeeded"},
    "crons": {"disabledAt": 1},
}
DEPLOYMENT = {
    "id": "dpl_1",
    "uid": "dpl_1",
    "projectId": "prj_1",
    "target": "production",
    "meta": {"githubCommitSha": "a" * 40},
    "gitSource": {"sha": "a" * 40},
    "readyState": "READY",
    "url": "liveone-1.vercel.app",
    "errorMessage": "",
    "createdAt": 1,
    "buildingAt": 2,
    "ready": 3,
    "aliasError": {"message": "no"},
}
TEXT, NUMBER = {"type": "text", "value": "x"}, {"type": "integer", "value": "7"}
RESULT = {"cols": [{"name": "a"}, {"name": "b"}], "rows": [[TEXT, NUMBER]], "affected_row_count": 0}
SIZE = {
    "cols": [{"name": "a"}, {"name": "b"}],
    "rows": [[NUMBER, {"type": "integer", "value": "4096"}]],
    "affected_row_count": 0,
}
SHAPES: dict[str, Any] = {
    "user": {"user": {"username": "someone"}},
    "project": PROJECT,
    "deployment": DEPLOYMENT,
    "production_deployments": {"deployments": [DEPLOYMENT, {**DEPLOYMENT, "uid": "dpl_2"}]},
    "served": {"deploymentId": "dpl_1"},
    "production_variables": {"envs": [{"key": "A", "target": ["production"]}], "pagination": {"next": None}},
    "rolling_release": {"rollingRelease": {"state": "ACTIVE", "queuedDeploymentId": "dpl_3"}},
    "build_errors": [{"text": "one"}, {"payload": {"text": "two"}}],
    "query": {"baton": None, "results": [{"type": "ok", "response": {"type": "execute", "result": RESULT}}]},
    "text pages": {"baton": None, "results": [{"type": "ok", "response": {"type": "execute", "result": RESULT}}]},
    "file pages": {"baton": None, "results": [{"type": "ok", "response": {"type": "execute", "result": SIZE}}]},
}
ODD: list[Any] = [None, True, 1.5, 10**400, float("inf"), float("nan"), "\x1b[2J", [], {"a": {}}]


def _mutated(value: Any) -> Iterator[Any]:
    """Return the value with one part of it, at any depth, replaced by something odd, or removed."""
    yield from ODD
    if isinstance(value, dict):
        for key, inner in value.items():
            rest = {other: kept for other, kept in value.items() if other != key}
            yield rest
            yield from ({**rest, key: odd} for odd in _mutated(inner))
    if isinstance(value, list):
        for place, inner in enumerate(value):
            yield from ([*value[:place], odd, *value[place + 1 :]] for odd in _mutated(inner))


def _fits(value: Any, kind: Any) -> bool:
    """Return True if a value is of its declared type, at every depth."""
    if isinstance(kind, UnionType):
        return any(_fits(value, each) for each in get_args(kind))
    if is_dataclass(value) and isinstance(value, kind):
        hints = get_type_hints(type(value))
        return all(_fits(getattr(value, field.name), hints[field.name]) for field in fields(value))
    if arguments := get_args(kind):
        return isinstance(value, kind.__origin__) and all(_fits(each, arguments[0]) for each in value)
    if kind is NoneType:
        return value is None
    return type(value) is kind or (kind is float and type(value) is int)


MEANT: dict[str, Any] = {
    "user": str,
    "project": Project,
    "deployment": Deployment,
    "production_deployments": list[Deployment],
    "served": str | None,
    "production_variables": set[str],
    "rolling_release": RollingRelease | None,
    "build_errors": str,
}


@pytest.mark.parametrize("gateway", SHAPES)
async def test_values_of_wrong_types_are_not_passed_on(gateway: str) -> None:
    """With any part of an answer replaced by something odd it is read as its declared type, or refused."""
    told = SHAPES[gateway]

    def telling() -> Iterator[bytes]:
        yield from document(told)()

    async with peer(telling) as there:
        for told in _mutated(SHAPES[gateway]):
            try:
                answered = await GATEWAYS[gateway](there.url)
            except (Unknown, Rejected):
                continue
            if gateway in MEANT:
                assert _fits(answered, MEANT[gateway]), told
            else:
                assert gateway in ("query", "text pages"), told


@pytest.mark.parametrize("odd", ["../x", "a/b", "a?b=c", "a#b", "", "x'; touch y; '", "x\ny", "\x1b[2J", "%2e%2e", "ü"])
@pytest.mark.parametrize("gateway", ["project", "deployment", "served", "rolling_release", "production_deployments"])
async def test_ids_are_plain(gateway: str, odd: str) -> None:
    """Parts of paths, and of commands that an operator may paste, contain no special characters."""

    def changed(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: odd if key in ID_KEYS else changed(inner) for key, inner in value.items()}
        return [changed(inner) for inner in value] if isinstance(value, list) else value

    async with peer(document(changed(SHAPES[gateway]))) as there:
        try:
            said = await GATEWAYS[gateway](there.url)
        except Unknown:
            return
    assert (said, odd) in ((None, ""), (RollingRelease(None), ""))


ID_KEYS = {"id", "uid", "deploymentId", "toDeploymentId", "queuedDeploymentId"}
