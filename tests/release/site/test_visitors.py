"""Visitors, twenty a second, during a release: none is refused because of the schema or the switch."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count, pairwise

import httpx
import pytest

from steps.support.standin.world import TOKEN
from tests.support.production.base import FAILING, LOST, READING, AnyProduction

pytestmark = pytest.mark.anyio

EVERY = 0.05  # seconds between the beginnings of two requests
PAUSE = 0.5  # seconds between two requests, at most: shorter than what must not go unnoticed
PATIENCE = 20.0  # seconds
MOST = 20  # requests that may be open at a time
BUILD = 1.1  # seconds; it is live most of a second before the tool looks, while what the old code still answers ends
NAME = "Roof and shed"


@dataclass
class Visits:
    """What was wrong with each answer, empty for nothing; when each request began; and the seconds of all of it."""

    wrong: list[str] = field(default_factory=list)
    began: list[float] = field(default_factory=list)
    seconds: float = 0.0


@asynccontextmanager
async def _visited(production: AnyProduction) -> AsyncIterator[Visits]:
    """Run visitors that ask for data meanwhile; at the end of the block the last of them has an answer."""
    await production.sql(f"UPDATE systems SET display_name = '{NAME}'")
    now, visits = asyncio.get_running_loop().time, Visits()
    async with production.visitor(Cookie=f"auth-token={TOKEN}") as client:
        client.timeout = httpx.Timeout(PATIENCE)
        begun, coming = now(), asyncio.ensure_future(_come(client, visits))
        try:
            yield visits
        finally:
            coming.cancel()
            visits.seconds = now() - begun
            with suppress(asyncio.CancelledError):
                await coming


async def _come(client: httpx.AsyncClient, visits: Visits) -> None:
    """Ask at fixed times, however long the answers take; at the end wait for those that are due.

    If the machine is too slow for so many, some are left out: an overloaded site proves nothing.
    """
    now, begun, open_ = asyncio.get_running_loop().time, asyncio.get_running_loop().time(), set[asyncio.Task[None]]()
    try:
        for number in count(1):
            if len(open_) < MOST:
                open_.add(visit := asyncio.ensure_future(_visit(client, visits)))
                visit.add_done_callback(open_.discard)
            await asyncio.sleep(begun + number * EVERY - now())
    finally:
        await asyncio.gather(*open_)


async def _visit(client: httpx.AsyncClient, visits: Visits) -> None:
    visits.began.append(asyncio.get_running_loop().time())
    try:
        visits.wrong.append(_wrong(await client.get("/api/data")))
    except httpx.HTTPError as error:
        visits.wrong.append(repr(error))


def _wrong(answer: httpx.Response) -> str:
    """Return what is wrong with an answer."""
    if answer.status_code != httpx.codes.OK:
        return f"{answer.status_code}: {answer.text[:200]}"
    body = answer.json()
    latest = body["latest"] or {"timestamp": None, "power": {}}
    if not latest["timestamp"] or latest["power"]["solarW"] is None:
        return f"no reading: {latest}"
    return "" if body["displayName"] == NAME else f"another name: {body['displayName']}"


async def _unnoticed(production: AnyProduction, health: str, code: int, *, staged: bool) -> None:
    platform = production.world.platform
    platform.auto_assign, platform.build_seconds = not staged, BUILD
    async with _visited(production) as visits:
        ending = await production.release(health=health, limits="")
    assert ending.code == code, ending.report
    assert code == 0 or LOST in ending.report["cause"]
    assert ending.steps()["turso_migration"] == "done"
    assert [wrong for wrong in visits.wrong if wrong] == []
    assert len(visits.wrong) == len(visits.began)
    assert max(after - before for before, after in pairwise(visits.began)) < PAUSE
    assert visits.seconds > ending.report["budget"]["used_seconds"]


ENDINGS = pytest.mark.parametrize(("health", "code"), [(READING, 0), (FAILING, 1)], ids=["arriving", "going back"])


@ENDINGS
@pytest.mark.on("process", large=True)
@pytest.mark.alone  # beside other tests it would only measure the machine
async def test_no_visitor_is_refused_with_auto_assign_on(production: AnyProduction, health: str, code: int) -> None:
    """Switch, migration of 20,160 readings and rollback: every answer is 200, with its reading and name."""
    await _unnoticed(production, health, code, staged=False)


@ENDINGS
async def test_no_visitor_is_refused_with_staged_builds(production: AnyProduction, health: str, code: int) -> None:
    """Every answer is 200 with staged builds, too."""
    await _unnoticed(production, health, code, staged=True)
