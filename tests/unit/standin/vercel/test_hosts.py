"""The host of one deployment, over real sockets: its own code answers there, to authorized requests."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import httpx
import pytest

from steps.support.gateways.database.hrana import Hrana
from steps.support.standin.faults import Faults
from steps.support.standin.servers import serve
from steps.support.standin.site import Site
from steps.support.standin.vercel.hosts import BYPASS, SKEW, routed
from steps.support.standin.vercel.quirks import Protection, Quirks, Stickiness
from tests.support.servers.vercel_project import ALIAS, BUILD, NEW, OLD, PLAIN, Project, project

pytestmark = pytest.mark.anyio

SECRET = "o" * 32
COOKIE = {"Cookie": "auth-token=c00kie"}
OWN_HOST = {"Host": "liveone-2-standin.vercel.app"}
NAMES = {
    OLD: "SELECT 'old' AS display_name, 1 AS inverter_time;",
    NEW: "SELECT 'new' AS display_name, 1 AS inverter_time;",
}


async def _code(sha: str) -> str:
    return NAMES[sha]


@asynccontextmanager
async def _site(server: str, quirks: Quirks, bypass: str = "") -> AsyncIterator[tuple[Project, httpx.AsyncClient]]:
    """Serve a project on which OLD is live and NEW is about to be staged."""
    made = project(auto_assign=False, quirks=quirks, bypass=bypass)
    made.platform.pushed(NEW, "main", "a change")
    async with aclosing(Hrana(server, None)) as database:
        site = Site(made.platform.live_sha, _code, database, Faults(), auth_token="c00kie", cron_secret="s3cret")  # noqa: S106 - worth nothing
        async with serve(site.application(routed(made.platform))) as url:
            async with httpx.AsyncClient(verify=PLAIN, base_url=url, headers=COOKIE) as client:
                yield made, client


async def test_each_host_serves_its_own_code(server: str) -> None:
    """The public host serves the live code; a deployment's own host that deployment, once it is READY."""
    async with _site(server, Quirks()) as (made, client):
        building = await client.get("/api/data", headers=OWN_HOST)
        made.pass_time(BUILD)
        own, public = await client.get("/api/data", headers=OWN_HOST), await client.get("/api/data")
        other = await client.get("/api/data", headers={"Host": "liveone-9-standin.vercel.app"})
    assert [building.status_code, other.status_code] == [404, 404]
    assert (building.text, other.text) == ("DEPLOYMENT_NOT_READY\n", "DEPLOYMENT_NOT_FOUND\n")
    assert (own.json()["displayName"], public.json()["displayName"]) == ("new", "old")


@pytest.mark.parametrize(
    ("protection", "status"), [(Protection.OFF, 200), (Protection.LOGIN, 302), (Protection.DENIED, 401)]
)
async def test_protected_hosts_are_open_to_the_bypass_only(server: str, protection: Protection, status: int) -> None:
    """Without the right secret a request is redirected; with it, as header or in the query, it is served."""
    async with _site(server, Quirks(protection=protection), SECRET) as (made, client):
        made.pass_time(BUILD)
        without = await client.get("/api/data", headers=OWN_HOST)
        wrong = await client.get("/api/data", headers={**OWN_HOST, BYPASS: "other"})
        said = await client.get("/api/data", headers={**OWN_HOST, BYPASS: SECRET})
        asked = await client.get("/api/data", headers=OWN_HOST, params={BYPASS: SECRET})
        public = await client.get("/api/data")
    assert [without.status_code, wrong.status_code] == [status, status]
    assert [each.json()["displayName"] for each in (said, asked, public)] == ["new", "new", "old"]
    login = without.headers.get("Location", "").startswith("https://vercel.com/sso-api")
    assert login == (protection is Protection.LOGIN)


async def test_empty_secret_opens_nothing(server: str) -> None:
    """An empty secret is not a secret."""
    async with _site(server, Quirks(protection=Protection.DENIED)) as (made, client):
        made.pass_time(BUILD)
        assert (await client.get("/api/data", headers={**OWN_HOST, BYPASS: ""})).status_code == 401


async def _named(client: httpx.AsyncClient, **headers: str) -> str:
    """Ask the public host; return the name of the code that answers."""
    return str((await client.get("/api/data", headers=headers)).json()["displayName"])


def _switch(made: Project) -> None:
    made.pass_time(BUILD)
    made.platform.move("promote", "dpl_2")
    made.pass_time(ALIAS)


async def test_skew_protection_follows_its_cookie(server: str) -> None:
    """An answer's cookie leads back to its deployment, after the switch too; new visitors get the live code."""
    async with _site(server, Quirks(stickiness=Stickiness.COOKIE)) as (made, client):
        first = (await client.get("/api/data")).cookies[SKEW]
        client.cookies.clear()
        _switch(made)
        kept = await _named(client, Cookie=f"auth-token=c00kie; {SKEW}={first}")
        stranger = await _named(client)
        client.cookies.clear()
        unknown = await _named(client, Cookie=f"auth-token=c00kie; {SKEW}=dpl_9")
    assert (first, kept, stranger, unknown) == ("dpl_1", "old", "new", "new")


async def test_connection_stays_with_its_deployment(server: str) -> None:
    """Behind such a load balancer only a new connection sees the switch."""
    async with _site(server, Quirks(stickiness=Stickiness.CONNECTION)) as (made, client):
        before = await _named(client)
        _switch(made)
        kept, fresh = await _named(client, Connection="close"), await _named(client)
    assert (before, kept, fresh) == ("old", "old", "new")
