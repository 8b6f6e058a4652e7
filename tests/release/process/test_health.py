"""An unhealthy site, over real connections, the tool a process."""

from pathlib import Path

import pytest

from steps.support.standin.faults import Way, cut, drip
from steps.support.standin.site_troubles import Trouble, server_error
from steps.support.standin.vercel.quirks import Quirks, Stickiness
from tests.release.site.site_health import BUDGET, POLL, data_goes_wrong
from tests.support.production.changes import code_alone
from tests.support.production.process import Production

pytestmark = [pytest.mark.anyio, pytest.mark.on("process")]


@pytest.mark.parametrize(
    ("way", "words"),
    [
        (drip, ["not done within its 2 s", "/api/data has not answered"]),
        (cut, ["/api/data gave no answer: the connection was reset"]),
    ],
)
async def test_bad_data_after_the_migration_is_rolled_back(production: Production, way: Way, words: list[str]) -> None:
    """Everything is rolled back while the site stays bad, and the cause contains what it answered."""
    await data_goes_wrong(production, way, words)


@pytest.mark.parametrize("stickiness", [Stickiness.COOKIE, Stickiness.CONNECTION])
async def test_code_that_fails_for_strangers_is_rolled_back(
    production: Production, tmp_path: Path, stickiness: Stickiness
) -> None:
    """Skew Protection or a load balancer keeps earlier visitors on the old code; a new visitor gets 500."""
    production.sql_folder = code_alone(tmp_path / "sql")
    production.world.platform.quirks = Quirks(stickiness=stickiness)
    production.world.site.troubles = (Trouble(server_error, "/api/cron", code=await production.head()),)
    ending = await production.release(health=POLL, budget=BUDGET)
    assert (ending.code, ending.report["verdict"]) == (1, "rolled_back"), ending.report
    assert "/api/cron/minutely answered 500" in ending.report["cause"]
    assert production.world.platform.served == "dpl_1"
