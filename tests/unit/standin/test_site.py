"""The stand-in for the app: it answers as the live code can, on the database as it is."""

import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from steps.support.core.errors import Problem
from steps.support.gateways.database.hrana import Hrana
from steps.support.sql.statement import Statement
from steps.support.standin.faults import Faults, Kind
from steps.support.standin.servers import serve
from steps.support.standin.site import CONTRACT, Site

pytestmark = pytest.mark.anyio

PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # everything here is plain HTTP: no authorities need loading
VISITOR, CRON = "c00kie", "s3cret"  # credentials of the two
COOKIE = {"Cookie": f"auth-token={VISITOR}"}
BEARER = {"Authorization": f"Bearer {CRON}"}
TIME = 1756518360  # 2025-08-30 01:46:00 UTC

SCHEMA = (
    "CREATE TABLE systems (id INTEGER PRIMARY KEY, system_number TEXT, display_name TEXT)",
    "CREATE TABLE readings (system_id INTEGER, inverter_time, received_time, solar_w, UNIQUE (system_id, inverter_time))",
    "CREATE TABLE polling_status (system_id INTEGER PRIMARY KEY, last_success_time INTEGER, total_polls INTEGER)",
)
ROWS = (
    "INSERT INTO systems VALUES (1, '1001', 'Shed'), (4, '1004', NULL)",
    f"INSERT INTO readings VALUES (1, {TIME}, {TIME + 3}, 2100), (4, {TIME}, {TIME}, 0)",
    f"INSERT INTO polling_status VALUES (1, {TIME + 3}, 7), (4, {TIME}, 7)",
)
OLD = """
-- the system's own row; then what a poll writes
SELECT id, system_number, display_name FROM systems ORDER BY id;
/* the newest */ SELECT system_id, inverter_time, received_time, solar_w FROM readings ORDER BY inverter_time DESC, system_id;
WITH one AS (SELECT min(id) AS id FROM systems)
SELECT last_success_time, total_polls FROM polling_status JOIN one ON id = system_id;
INSERT INTO readings SELECT id, unixepoch(), unixepoch(), 1500 FROM systems;
UPDATE polling_status SET last_success_time = unixepoch(), total_polls = total_polls + 1;
"""
NEW = OLD.replace(
    "SELECT id, system_number, display_name FROM systems ORDER BY id;",
    """-- either
SELECT id, vendor_type, vendor_site_id, display_name FROM systems ORDER BY id;
-- or
SELECT id, system_number, display_name FROM systems ORDER BY id;
-- end""",
)
MIGRATION = (
    "ALTER TABLE systems RENAME COLUMN system_number TO vendor_site_id",
    "ALTER TABLE systems ADD COLUMN vendor_type TEXT NOT NULL DEFAULT 'enphase'",
)
COMMITS = {"old": OLD, "new": NEW}


class Live:
    """What the public host serves."""

    sha: str | None = "old"


async def _code(sha: str) -> str:
    if sha not in COMMITS:
        raise Problem(
            code="stand-ins",
            operation="reading",
            subject=f"{CONTRACT} of {sha}",
            cause="there is none",
            remedy="Commit one.",
        )
    return COMMITS[sha]


@asynccontextmanager
async def _site(server: str, faults: Faults | None = None) -> AsyncIterator[tuple[httpx.AsyncClient, Hrana, Live]]:
    async with aclosing(Hrana(server, None)) as database:
        await _run(database, *SCHEMA, *ROWS)
        live = Live()
        site = Site(lambda: live.sha, _code, database, faults or Faults(), auth_token=VISITOR, cron_secret=CRON)
        async with serve(site.application()) as url, httpx.AsyncClient(verify=PLAIN, base_url=url) as client:
            yield client, database, live


async def _run(database: Hrana, *statements: str) -> None:
    await database.transaction([Statement(sql) for sql in statements])


async def _data(client: httpx.AsyncClient) -> tuple[int, dict[str, Any]]:
    answer = await client.get("/api/data", headers=COOKIE)
    assert answer.headers["Content-Type"].startswith("application/json")
    return answer.status_code, answer.json()


async def _poll(client: httpx.AsyncClient) -> tuple[int, dict[str, Any]]:
    answer = await client.get("/api/cron/minutely", headers=BEARER)
    return answer.status_code, answer.json()


async def _count(database: Hrana) -> Any:
    return (await database.query(Statement("SELECT count(*) FROM readings"))).scalar


async def test_data_shows_the_latest_reading(server: str) -> None:
    """The first rows that the code reads appear with the app's names and times."""
    async with _site(server) as (client, database, _):
        status, body = await _data(client)
        assert await _count(database) == 2
    assert (status, body["success"], body["vendorType"], body["vendorSiteId"]) == (200, True, "select.live", "1001")
    assert (body["displayName"], body["latest"]["power"]["solarW"]) == ("Shed", 2100)
    assert body["inverterTime"] == body["latest"]["timestamp"] == "2025-08-30T01:46:00+00:00"
    assert (body["receivedTime"], body["polling"]["totalPolls"]) == ("2025-08-30T01:46:03+00:00", 7)
    assert (body["polling"]["lastSuccessTime"], body["polling"]["lastErrorTime"]) == (body["receivedTime"], None)


async def test_previous_code_cannot_serve_the_new_schema(server: str) -> None:
    """A missing column is a 500 on every request, without a reason."""
    async with _site(server) as (client, database, _):
        await _run(database, *MIGRATION)
        assert await _data(client) == (500, {"success": False, "error": "Internal server error"})
        assert await _poll(client) == (500, {"success": False, "error": "Internal server error"})
        assert await _count(database) == 2


async def test_code_with_alternatives_serves_either_schema(server: str) -> None:
    """The new code reads the old schema as well as the new one."""
    async with _site(server) as (client, database, live):
        live.sha = "new"
        _, before = await _data(client)
        await _run(database, *MIGRATION)
        status, after = await _data(client)
    assert (before["vendorType"], before["vendorSiteId"]) == ("select.live", "1001")
    assert (status, after["vendorType"], after["vendorSiteId"]) == (200, "enphase", "1001")


async def test_poll_writes_and_reports_every_system(server: str) -> None:
    """One result per system; readings and polling status are in the database, and in /api/data."""
    async with _site(server) as (client, database, _):
        status, body = await _poll(client)
        assert await _count(database) == 4
        _, shown = await _data(client)
    assert (status, body["success"], body["count"]) == (200, True, 2)
    assert body["results"] == [{"system": 1, "success": True}, {"system": 4, "success": True}]
    assert shown["polling"]["totalPolls"] == 8
    age = datetime.fromisoformat(body["timestamp"]) - datetime.fromisoformat(shown["inverterTime"])
    assert timedelta(seconds=-1) <= age < timedelta(minutes=1)


async def test_duplicate_reading_is_an_error_of_its_system(server: str) -> None:
    """A reading that exists already: 200, and an error for each system, whatever alternatives there are."""
    async with _site(server) as (client, database, live):
        COMMITS["twice"] = NEW.replace("unixepoch(), unixepoch(), 1500", f"{TIME}, {TIME}, 1500")
        live.sha = "twice"
        status, body = await _poll(client)
        assert await _count(database) == 2
    assert (status, body["success"], [each["success"] for each in body["results"]]) == (200, True, [False, False])
    assert "UNIQUE constraint failed: readings." in body["results"][0]["error"]


async def test_without_systems_there_is_nothing_to_poll(server: str) -> None:
    """200 and success with a message that says so, and no data to show."""
    async with _site(server) as (client, database, _):
        await _run(database, "DELETE FROM readings", "DELETE FROM systems")
        assert await _poll(client) == (200, {"success": True, "message": "No systems to poll", "count": 0})
        status, body = await _data(client)
    assert (status, body["success"], body["error"]) == (503, False, "No data available yet.")


async def test_text_in_a_time_column_breaks_the_code(server: str) -> None:
    """To the app, text in a time column is an invalid date."""
    async with _site(server) as (client, database, _):
        await _run(database, "UPDATE readings SET inverter_time = '2025-08-30 01:46:00' WHERE system_id = 1")
        assert (await _data(client))[0] == 500


async def test_unauthorized_requests_are_refused(server: str) -> None:
    """401 in JSON without the cookie or the secret, or with wrong ones; and nothing is written."""
    async with _site(server) as (client, database, _):
        asked = [
            await client.get(path, headers=headers)
            for path, headers in [
                ("/api/data", {}),
                ("/api/data", {"Cookie": "auth-token=other"}),
                ("/api/cron/minutely", {}),
                ("/api/cron/minutely", {"Authorization": "Bearer other"}),
            ]
        ]
        assert await _count(database) == 2
    assert [(each.status_code, each.json()["error"]) for each in asked] == [(401, "Unauthorized")] * 4


async def test_missing_deployment_or_contract(server: str) -> None:
    """Without a deployment 404, with code that has no contract 500."""
    async with _site(server) as (client, _, live):
        live.sha = None
        assert (await client.get("/api/data", headers=COOKIE)).status_code == 404
        live.sha = "gone"
        assert (await _data(client))[0] == 500


async def test_fail_and_lost_of_the_health_checks(server: str) -> None:
    """fail: 500 and nothing done. lost: the poll has written, its answer is reset."""
    faults = Faults()
    async with _site(server, faults) as (client, database, _):
        faults.arm("health_checks", "fail")
        assert (await _poll(client))[0] == 500
        assert await _count(database) == 2
        faults.arm("health_checks", "lost")
        with pytest.raises(httpx.ReadError):
            await _poll(client)
        assert await _count(database) == 4


@pytest.mark.parametrize("kind", ["fail", "hang", "lost"])
async def test_faults_of_other_steps_change_nothing(server: str, kind: Kind) -> None:
    """The stand-in works while another step is broken."""
    faults = Faults()
    faults.arm("turso_migration", kind)
    async with _site(server, faults) as (client, _, _):
        assert (await _data(client))[0] == 200
