"""A staged deployment, asked by the tool's own gateway at the stand-in's host for it, protected or not."""

from contextlib import aclosing

import httpx
import pytest

from steps.support.gateways.database.hrana import Hrana
from steps.support.gateways.site import Request, Site
from steps.support.operations.health import ask_once
from steps.support.run.release import HealthCheck
from steps.support.standin import site as standin
from steps.support.standin.faults import Faults
from steps.support.standin.servers import serve
from steps.support.standin.vercel.hosts import routed
from steps.support.standin.vercel.quirks import Protection, Quirks
from tests.support.servers.vercel_project import BUILD, NEW, OLD, PLAIN, project

pytestmark = pytest.mark.anyio

SECRET = "o" * 32
STAGED = "liveone-2-standin.vercel.app"
NAMES = {
    OLD: "SELECT 'old' AS display_name, 1 AS inverter_time;",
    NEW: "SELECT 'new' AS display_name, 1 AS inverter_time;",
}
CHECK = HealthCheck(
    "data", Request("/api/data", headers={"Cookie": "auth-token=c00kie"}), ("status == `200`", "body.latest")
)


async def _code(sha: str) -> str:
    return NAMES[sha]


@pytest.mark.parametrize(
    ("protection", "bypass", "name", "wrong"),
    [
        (Protection.OFF, None, "new", ""),
        (Protection.DENIED, SECRET, "new", ""),
        (Protection.LOGIN, SECRET, "new", ""),
        (Protection.DENIED, None, None, "answered 401: the site does not accept its key, or a deployment protection"),
        (
            Protection.DENIED,
            "other",
            None,
            "answered 401: the site does not accept its key, or a deployment protection",
        ),
        (
            Protection.LOGIN,
            None,
            None,
            "answered 302: it redirects to vercel.com: Deployment Protection wants a login at Vercel",
        ),
    ],
)
async def test_staged_deployment_answers_with_its_own_code(
    server: str, protection: Protection, bypass: str | None, name: str | None, wrong: str
) -> None:
    """Its own code answers requests with the secret, if one is needed; the public host keeps the previous code."""
    made = project(auto_assign=False, quirks=Quirks(protection=protection), bypass=SECRET)
    made.platform.pushed(NEW, "main", "a change")
    made.pass_time(BUILD)
    async with aclosing(Hrana(server, None)) as database:
        keys = {"auth_token": "c00kie", "cron_secret": "s3cret"}
        served = standin.Site(made.platform.live_sha, _code, database, Faults(), **keys)
        async with serve(served.application(routed(made.platform))) as url:
            async with httpx.AsyncClient(verify=PLAIN, base_url=url) as client:
                site = Site(client, bypass)
                staged = await ask_once(site, CHECK, host=STAGED)
                public = await ask_once(site, CHECK)
    assert public.answer
    assert (public.answer.body["displayName"], public.wrong) == ("old", "")
    assert staged.answer
    assert (staged.answer.body and staged.answer.body["displayName"]) == name
    assert (wrong in staged.wrong) if wrong else not staged.wrong
