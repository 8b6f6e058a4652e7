"""Visitors who are kept on the old deployment: what counts is the answer to a new visitor."""

from pathlib import Path
from typing import Any

import pytest

from steps.support.standin.site import Trouble
from steps.support.standin.vercel.quirks import Quirks, Stickiness
from steps.support.standin.world import TOKEN
from tests.release.site.site_health import BUDGET, POLL
from tests.support.production.base import AnyProduction
from tests.support.production.changes import code_alone
from tests.support.servers.site_troubles import server_error
from tests.support.virtual.production import VirtualProduction

pytestmark = pytest.mark.anyio

STICKY = pytest.mark.parametrize("stickiness", [Stickiness.COOKIE, Stickiness.CONNECTION])


async def _released(production: AnyProduction, folder: Path, stickiness: Stickiness) -> dict[str, Any]:
    """Release code that answers 500 to new visitors, while earlier ones stay on the old code, which answers 200."""
    production.sql_folder = code_alone(folder)
    production.world.platform.quirks = Quirks(stickiness=stickiness)
    production.world.site.troubles = (Trouble(server_error, "/api/cron", code=await production.head()),)
    return (await production.release(health=POLL, budget=BUDGET)).report


@STICKY
@pytest.mark.on("virtual", "process")
async def test_code_that_fails_for_strangers_is_rolled_back(
    production: AnyProduction, tmp_path: Path, stickiness: Stickiness
) -> None:
    """Skew Protection or a load balancer keeps the tool on the old code; after the switch it asks as a new visitor."""
    report = await _released(production, tmp_path / "sql", stickiness)
    assert (report["exit_code"], report["verdict"]) == (1, "rolled_back"), report
    assert "/api/cron/minutely answered 500" in report["cause"]
    assert production.world.platform.served == "dpl_1"
    async with production.visitor(Authorization=f"Bearer {TOKEN}") as visitor:
        assert (await visitor.get("/api/cron/minutely")).status_code == 200


@STICKY
async def test_downtime_is_what_strangers_see(
    production: VirtualProduction, tmp_path: Path, stickiness: Stickiness
) -> None:
    """The requests that measure downtime come from new visitors too: they see the new code fail."""
    downtime = (await _released(production, tmp_path / "sql", stickiness))["downtime"]
    assert downtime["refused"].get("500", 0) > 0
    assert downtime["observed_seconds"] > 0
