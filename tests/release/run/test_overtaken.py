"""Others change production while a release arrives: the change is noticed and named, and left alone."""

import pytest

from tests.support.production.base import Event
from tests.support.virtual.production import VirtualProduction

pytestmark = pytest.mark.anyio


async def test_push_during_the_last_step_is_named(production: VirtualProduction) -> None:
    """The release still arrives; the report names the commit that someone put on top of it."""

    async def react(event: Event) -> None:
        if (event["event"], event.get("step")) == ("begun", "health_checks"):
            await production.overtake()

    ending = await production.release(react=react)
    assert (ending.code, ending.report["verdict"]) == (0, "deployed"), ending.report
    assert any("main is at" in text and "other" in text for text in ending.report["warnings"])


async def test_deployment_during_the_last_step_is_named(production: VirtualProduction) -> None:
    """A foreign deployment that went live is named by its id."""

    async def react(event: Event) -> None:
        if (event["event"], event.get("step")) == ("done", "health_checks"):
            production.world.platform.deployed("e" * 40, "main", "Somebody's")

    ending = await production.release(react=react)
    assert (ending.code, ending.report["verdict"]) == (0, "deployed"), ending.report
    assert any("production is dpl_3" in text for text in ending.report["warnings"])


async def test_undisturbed_release_has_no_warning(production: VirtualProduction) -> None:
    """A release without changes by others has no warning."""
    assert (await production.release()).report["warnings"] == []
