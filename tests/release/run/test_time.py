"""Time limits as the run enforces them before and during the release."""

from dataclasses import replace

import pytest

from tests.support.virtual.production import VirtualProduction

pytestmark = pytest.mark.anyio


async def test_release_that_does_not_fit_is_refused_before_the_lock(production: VirtualProduction) -> None:
    """A transaction that took too long in the rehearsal is refused before the lock, with both figures."""
    production.proof = replace(production.proof, seconds={**production.proof.seconds, "migrate": 10.0})
    ending = await production.release()
    assert (ending.code, ending.report["verdict"]) == (3, "refused"), ending.report
    assert "turso_migration will take 70.0 s, and 15 s are allowed" in ending.report["cause"]
    assert await production.sql("SELECT count(*) FROM sqlite_schema WHERE name = '_orchestrate_lock'") == [(0,)]


async def test_step_that_cannot_end_in_time_is_not_begun(production: VirtualProduction) -> None:
    """After slow steps, the migration does not begin if it could not end before the reserve for the rollback."""
    production.proof = replace(production.proof, seconds={**production.proof.seconds, "migrate": 1.0})
    production.world.platform.build_seconds = 13.0  # no earlier build took that long
    ending = await production.release(budget="total = 40\nreserve = 24", limits="vercel_deployment = 16")
    assert (ending.code, ending.report["verdict"]) == (1, "rolled_back"), ending.report
    assert "turso_migration was not begun: it takes 7 s" in ending.report["cause"]
    assert not [event for event in ending.events if (event["event"], event.get("step")) == ("begun", "turso_migration")]
