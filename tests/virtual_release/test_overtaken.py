"""Others change production while a release arrives: it is noticed and named, and theirs is left alone."""

import pytest

from tests.world.production import Event
from tests.world.virtual import VirtualProduction

pytestmark = pytest.mark.anyio


async def test_a_push_during_the_last_step_is_named(production: VirtualProduction) -> None:
    """The release has arrived all the same; the report names the commit that somebody put on top of it."""

    async def react(event: Event) -> None:
        if (event["event"], event.get("step")) == ("begun", "health_checks"):
            await production.overtake()

    ending = await production.release(react=react)
    assert (ending.code, ending.report["verdict"]) == (0, "deployed"), ending.report
    assert any("main is at" in text and "other" in text for text in ending.report["warnings"])


async def test_a_deployment_during_the_last_step_is_named(production: VirtualProduction) -> None:
    """A deployment of somebody else that went live is named by its id."""

    async def react(event: Event) -> None:
        if (event["event"], event.get("step")) == ("done", "health_checks"):
            production.world.platform.deployed("e" * 40, "main", "Somebody's")

    ending = await production.release(react=react)
    assert (ending.code, ending.report["verdict"]) == (0, "deployed"), ending.report
    assert any("production is dpl_3" in text for text in ending.report["warnings"])


async def test_nothing_is_said_where_nobody_came(production: VirtualProduction) -> None:
    """A release that nobody disturbed has no warning."""
    assert (await production.release()).report["warnings"] == []
