"""Each way in which the stand-in site answers badly, over real sockets: to which requests, and how often."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import httpx
import pytest

from steps.support.gateways.database.hrana import Hrana
from steps.support.sql.statement import Statement
from steps.support.standin.faults import Faults, Way, cut, drip, hang, lost
from steps.support.standin.servers import serve
from steps.support.standin.site import Site, Trouble
from steps.support.standin.vercel.hosts import routed
from tests.support.servers.site_troubles import (
    failed_system,
    login,
    no_latest,
    no_systems,
    not_found,
    server_error,
    unauthorized,
    web_page,
)
from tests.support.servers.vercel_project import BUILD, NEW, OLD, PLAIN, project

pytestmark = pytest.mark.anyio

DATA, CRON = "/api/data", "/api/cron/minutely"
KEYS = {"Cookie": "auth-token=c00kie", "Authorization": "Bearer s3cret"}
STAGED = {"Host": "liveone-2-standin.vercel.app"}
CODE = """
SELECT 1 AS id, '1001' AS vendor_site_id, 'Shed' AS display_name, 1 AS inverter_time, '2025-08-29' AS day
UNION ALL SELECT 4, '1004', 'Roof', 1, '2025-08-29';
INSERT INTO polls VALUES (1);
"""


async def _code(_sha: str) -> str:
    return CODE


@asynccontextmanager
async def _site(server: str, *troubles: Trouble) -> AsyncIterator[tuple[Site, httpx.AsyncClient, Hrana]]:
    """Serve a project on which OLD is live and NEW is staged, with these troubles."""
    made = project(auto_assign=False)
    made.platform.pushed(NEW, "main", "a change")
    made.pass_time(BUILD)
    async with aclosing(Hrana(server, None)) as database:
        await database.transaction([Statement("CREATE TABLE polls (one)")])
        site = Site(made.platform.live_sha, _code, database, Faults(), auth_token="c00kie", cron_secret="s3cret")  # noqa: S106 - worth nothing
        site.troubles = troubles
        async with serve(site.application(routed(made.platform))) as url:
            async with httpx.AsyncClient(verify=PLAIN, base_url=url, headers=KEYS) as client:
                yield site, client, database


async def _polls(database: Hrana) -> Any:
    return (await database.query(Statement("SELECT count(*) FROM polls"))).scalar


@pytest.mark.parametrize(
    ("way", "status", "kind"),
    [
        (server_error, 500, "application/json"),
        (web_page, 200, "text/html"),
        (login, 307, ""),
        (unauthorized, 401, "application/json"),
        (not_found, 404, "text/html"),
    ],
)
async def test_wrong_status_and_type(server: str, way: Way, status: int, kind: str) -> None:
    """The status and the type are wrong; nothing is done, and the other endpoint works."""
    async with _site(server, Trouble(way, CRON)) as (_, client, database):
        answer, other = await client.get(CRON), await client.get(DATA)
        assert await _polls(database) == 0
    assert (answer.status_code, answer.headers.get("Content-Type", "").partition(";")[0]) == (status, kind)
    assert ("Location" in answer.headers) == (way is login)
    assert other.status_code == 200


async def test_body_without_the_essential_part(server: str) -> None:
    """No reading, no system, a system that was not polled: 200 each time, and the rest as usual."""
    async with _site(server) as (site, client, database):
        well = (await client.get(DATA)).json()
        site.troubles = (Trouble(no_latest, DATA), Trouble(no_systems, CRON, 1), Trouble(failed_system, CRON))
        data, none, one = [(await client.get(path)) for path in (DATA, CRON, CRON)]
        assert await _polls(database) == 1
    assert well["latest"]
    assert well["historical"]["yesterday"]
    assert (data.status_code, data.json()) == (200, {**well, "latest": None, "historical": None})
    assert (none.status_code, none.json()["message"], none.json()["count"]) == (200, "No systems to poll", 0)
    assert (one.status_code, one.json()["success"], one.json()["count"]) == (200, True, 2)
    assert [each["success"] for each in one.json()["results"]] == [False, True]


@pytest.mark.parametrize("way", [hang, drip])
async def test_endless_answer(server: str, way: Way) -> None:
    """No complete answer comes in the time of many."""
    async with _site(server, Trouble(way)) as (_, client, _database):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await client.get(DATA)


@pytest.mark.parametrize(("way", "polls"), [(cut, 0), (lost, 1)])
async def test_connection_reset_before_or_after_the_poll(server: str, way: Way, polls: int) -> None:
    """The reset comes before the poll, or after it."""
    async with _site(server, Trouble(way)) as (_, client, database):
        with pytest.raises(httpx.ReadError):
            await client.get(CRON)
        assert await _polls(database) == polls


@pytest.mark.parametrize(("code", "live", "staged"), [(None, 500, 500), (OLD, 500, 200), (NEW, 200, 500)])
async def test_trouble_of_one_commit(server: str, code: str | None, live: int, staged: int) -> None:
    """A fault of one commit shows wherever that commit answers, live or not."""
    async with _site(server, Trouble(server_error, code=code)) as (_, client, _database):
        answers = [await client.get(DATA), await client.get(DATA, headers=STAGED)]
    assert [each.status_code for each in answers] == [live, staged]


async def test_trouble_ends(server: str) -> None:
    """It ends after its number of requests, or when it is removed."""
    async with _site(server, Trouble(server_error, times=2)) as (site, client, _):
        assert [(await client.get(DATA)).status_code for _ in range(3)] == [500, 500, 200]
        site.troubles = (Trouble(server_error),)
        assert (await client.get(DATA)).status_code == 500
        site.troubles = ()
        assert (await client.get(DATA)).status_code == 200
