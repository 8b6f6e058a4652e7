"""Faults: when they are armed, and what each kind does to a request."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from aiohttp import web

from steps.support.core.events import event_of
from steps.support.standin.faults import Faults, Kind, faulty
from steps.support.standin.servers import serve


def test_fault_lasts_as_long_as_its_step() -> None:
    """The step's beginning arms it, the step's end disarms it, other steps do not change it."""
    faults = Faults("activation", "fail")
    kinds = []
    for event, step in [("begun", "git_push"), ("begun", "activation"), ("done", "activation")]:
        faults(event_of({"event": event, "refused": False, "step": step}))
        kinds.append(faults.kind_for("git_push", "activation"))
    assert kinds == [None, "fail", None]


@pytest.mark.parametrize("over", ["done", "failed", "undo_begun"])
def test_any_end_of_a_step_disarms_its_fault(over: str) -> None:
    """Success, failure and the beginning of a rollback all disarm."""
    faults = Faults("git_push", "hang")
    faults(event_of({"event": "begun", "step": "git_push"}))
    faults(event_of({"event": over, "refused": False, "step": "git_push"}))
    assert faults.kind_for("git_push") is None


def test_fault_affects_only_the_stand_in_of_its_step() -> None:
    """A stand-in that serves other steps behaves normally."""
    faults = Faults()
    faults.arm("git_push", "hang")
    assert (faults.kind_for("activation"), faults.kind_for("git_push")) == (None, "hang")
    faults.disarm()
    assert faults.kind_for("git_push") is None


def test_fault_is_ahead_until_its_step_ends() -> None:
    """A planned fault is ahead before its step begins, present during it, and behind after it."""
    faults = Faults("activation", "lost")
    ahead = [faults.ahead_for("activation")]
    for event in ("begun", "failed"):
        faults(event_of({"event": event, "refused": False, "step": "activation"}))
        ahead.append(faults.ahead_for("activation"))
    assert ahead == ["lost", "lost", None]


def test_event_without_a_step_changes_no_fault() -> None:
    """Events of the whole run arm nothing and break nothing."""
    faults = Faults("activation", "fail")
    faults(event_of({"event": "begun"}))
    assert faults.kind_for("activation") is None


def test_unknown_kind_is_refused() -> None:
    """A misspelt kind is not accepted as a fault that never occurs."""
    with pytest.raises(ValueError, match="hung"):
        Faults("git_push", "hung")  # type: ignore[arg-type]


PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # everything here is plain HTTP: no authorities need loading


@asynccontextmanager
async def _counter(faults: Faults) -> AsyncIterator[tuple[httpx.AsyncClient, list[str]]]:
    """Serve a handler that records its requests, broken by faults of git_push; /spared is exempt."""
    asked: list[str] = []

    async def note(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(text="noted")

    def refusal(request: web.Request) -> web.Response | None:
        return None if request.path == "/honest" else web.Response(status=418)

    def exempt(request: web.Request, _kind: Kind) -> bool:
        return request.path == "/spared"

    app = web.Application(middlewares=[faulty(faults, ("git_push",), refusal, exempt)])
    app.router.add_get("/{path}", note)
    async with serve(app) as url, httpx.AsyncClient(verify=PLAIN, base_url=url) as client:
        yield client, asked


@pytest.mark.anyio
async def test_without_a_fault_requests_are_answered() -> None:
    """With nothing armed the handler's own answer is returned."""
    async with _counter(Faults()) as (client, asked):
        assert (await client.get("/x")).text == "noted"
        assert asked == ["/x"]


@pytest.mark.anyio
async def test_fail_refuses_and_does_nothing() -> None:
    """The stand-in's own refusal is returned, unless it has none for this request."""
    faults = Faults()
    faults.arm("git_push", "fail")
    async with _counter(faults) as (client, asked):
        assert (await client.get("/x")).status_code == 418
        assert (await client.get("/honest")).status_code == 200
        assert asked == ["/honest"]


@pytest.mark.anyio
async def test_lost_handles_the_request_and_resets_the_connection() -> None:
    """The handler has run, the client reads nothing but a reset."""
    faults = Faults()
    faults.arm("git_push", "lost")
    async with _counter(faults) as (client, asked):
        with pytest.raises(httpx.ReadError):
            await client.get("/x")
        assert asked == ["/x"]


@pytest.mark.anyio
async def test_hang_never_answers_and_does_nothing() -> None:
    """Only the client's own timeout ends it; an exempt request is answered meanwhile."""
    faults = Faults()
    faults.arm("git_push", "hang")
    async with _counter(faults) as (client, asked):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await client.get("/x")
        assert (await client.get("/spared")).text == "noted"
        assert asked == ["/spared"]
