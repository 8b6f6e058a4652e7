"""Visitors, twenty a second, while a release goes on: nobody is refused by the schema or by the switch."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count

import httpx
import pytest

from steps.support.standin.world import TOKEN
from tests.release.conftest import FAILING, LOST, READING, Production

pytestmark = [pytest.mark.anyio, pytest.mark.alone]  # beside others they would only tell how much a machine bears

EVERY = 0.05  # seconds between the beginnings of two requests
MADE = 0.9  # of the requests that were intended, at the least
PATIENCE = 20.0  # seconds
MOST = 20  # requests that may be open at a time
BUILD = 1.1  # seconds; it is live most of a second before the tool looks, while what the old code still answers ends
NAME = "Roof and shed"


@dataclass
class Visits:
    """What was wrong with each answer, empty for nothing, and the seconds in which the visitors came."""

    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0


@asynccontextmanager
async def _visited(production: Production) -> AsyncIterator[Visits]:
    """Have visitors ask for data meanwhile; at the end of the block the last of them has an answer."""
    await production.sql(f"UPDATE systems SET display_name = '{NAME}'")
    now, visits, headers = asyncio.get_running_loop().time, Visits(), {"Cookie": f"auth-token={TOKEN}"}
    async with httpx.AsyncClient(base_url=production.world.site_url, headers=headers, timeout=PATIENCE) as client:
        begun, coming = now(), asyncio.ensure_future(_come(client, visits))
        try:
            yield visits
        finally:
            coming.cancel()
            visits.seconds = now() - begun
            with suppress(asyncio.CancelledError):
                await coming


async def _come(client: httpx.AsyncClient, visits: Visits) -> None:
    """Ask on a grid of time, however long the answers take; in the end wait for those that are due.

    Where a machine is too slow for so many, some stay away: nobody learns anything from a site that is run down.
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
    try:
        visits.wrong.append(_wrong(await client.get("/api/data")))
    except httpx.HTTPError as error:
        visits.wrong.append(repr(error))


def _wrong(answer: httpx.Response) -> str:
    """Say what is wrong with an answer."""
    if answer.status_code != httpx.codes.OK:
        return f"{answer.status_code}: {answer.text[:200]}"
    body = answer.json()
    latest = body["latest"] or {"timestamp": None, "power": {}}
    if not latest["timestamp"] or latest["power"]["solarW"] is None:
        return f"no reading: {latest}"
    return "" if body["displayName"] == NAME else f"another name: {body['displayName']}"


async def _unnoticed(production: Production, health: str, code: int, *, staged: bool) -> None:
    platform = production.world.platform
    platform.auto_assign, platform.build_seconds = not staged, BUILD
    async with _visited(production) as visits:
        ending = await production.release(health=health, limits="")
    assert ending.code == code, ending.report
    assert code == 0 or LOST in ending.report["cause"]
    assert ending.steps()["turso_migration"] == "done"
    assert [wrong for wrong in visits.wrong if wrong] == []
    assert len(visits.wrong) >= MADE * visits.seconds / EVERY
    assert visits.seconds > ending.report["budget"]["used_seconds"]


ENDINGS = pytest.mark.parametrize(("health", "code"), [(READING, 0), (FAILING, 1)], ids=["arriving", "going back"])


@ENDINGS
async def test_nobody_is_refused_where_a_build_goes_live_by_itself(
    large_production: Production, health: str, code: int
) -> None:
    """Switch, migration of 20,160 readings and, in the end, going back: every answer is 200, with its reading and name."""
    await _unnoticed(large_production, health, code, staged=False)


@ENDINGS
async def test_nobody_is_refused_where_a_build_is_promoted(production: Production, health: str, code: int) -> None:
    """The same with staged builds."""
    await _unnoticed(production, health, code, staged=True)
