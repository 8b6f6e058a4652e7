"""A release's demands on the platform: crons off meanwhile, required variables, a clock that starts late."""

import pytest

from steps.support.standin.vercel.quirks import Answer, Trouble
from steps.support.standin.vercel.state import Variable
from tests.support.production.base import FAILING, AnyProduction, Event

pytestmark = pytest.mark.anyio

PAUSING = "pause_crons = true"


def _vercel(production: AnyProduction, *lines: str) -> str:
    return "\n".join(['project = "liveone"', f'api = "{production.world.api_url}"', *lines])


@pytest.mark.parametrize(("health", "code"), [("", 0), (FAILING, 1)], ids=["arriving", "going back"])
@pytest.mark.on("virtual", "process")
async def test_crons_are_off_meanwhile_and_on_again_afterwards(
    production: AnyProduction, health: str, code: int
) -> None:
    """Crons are off before the first commit is pushed, and on when the run has ended, well or not."""
    platform, seen = production.world.platform, list[bool]()

    async def react(event: Event) -> None:
        if event["event"] == "begun" and event["step"] != "pause_crons":
            seen.append(platform.crons)

    extra = {"health": health} if health else {}
    ending = await production.release(react=react, vercel=_vercel(production, PAUSING), **extra)
    assert (ending.code, platform.crons) == (code, True), ending.report
    assert seen == [False] * 6
    assert next(iter(ending.steps())) == "pause_crons"
    assert list(ending.steps("undo").items())[-1] == ("pause_crons", "done")


async def test_crons_that_were_off_stay_off(production: AnyProduction) -> None:
    """Crons that were off before the release are not switched on."""
    production.world.platform.switch_crons(on=False)
    ending = await production.release(vercel=_vercel(production, PAUSING))
    assert (ending.code, production.world.platform.crons) == (0, False), ending.report


async def test_crons_that_cannot_be_switched_on_need_a_human(production: AnyProduction) -> None:
    """A release that arrived and left the crons off says so, with the command that switches them on."""
    platform = production.world.platform

    async def react(event: Event) -> None:
        if event["event"] == "begun" and event["step"] == "health_checks":
            platform.quirks = type(platform.quirks)(troubles=(Trouble(Answer.UNPROCESSABLE, r"PATCH .*/crons"),))

    ending = await production.release(react=react, vercel=_vercel(production, PAUSING))
    assert (ending.code, ending.report["verdict"], platform.crons) == (4, "needs_human", False)
    assert "the crons are off; to switch them on: curl" in ending.report["remains"][0]
    assert ending.steps()["health_checks"] == "done"


async def test_run_is_refused_if_crons_cannot_be_paused(production: AnyProduction) -> None:
    """If switching the crons is refused, nothing else is begun."""
    platform = production.world.platform
    platform.quirks = type(platform.quirks)(troubles=(Trouble(Answer.UNPROCESSABLE, r"PATCH .*/crons"),))
    before = await production.state()
    ending = await production.release(vercel=_vercel(production, PAUSING))
    assert (ending.code, platform.crons) == (3, True), ending.report
    assert await production.state() == before


async def test_run_is_refused_if_production_lacks_a_variable(production: AnyProduction) -> None:
    """Each missing name is reported; a variable that only previews get is missing too."""
    production.world.platform.env = ("CRON_SECRET", Variable("CLERK_SECRET_KEY", ("preview", "development")))
    wanted = 'required_env = ["CRON_SECRET", "CLERK_SECRET_KEY", "TURSO_AUTH_TOKEN"]'
    ending = await production.release(vercel=_vercel(production, wanted))
    assert ending.code == 3
    assert "production has no CLERK_SECRET_KEY, TURSO_AUTH_TOKEN" in ending.report["cause"]


LIVE = 'starts = "live"\ntotal = 13\nreserve = 5\nbuild = 60'


async def test_long_staged_build_costs_no_budget(production: AnyProduction) -> None:
    """With a clock that starts after the build, a build may take longer than the whole budget."""
    platform = production.world.platform
    platform.auto_assign, platform.build_seconds = False, 14.0
    ending = await production.release(budget=LIVE)
    assert (ending.code, ending.report["verdict"]) == (0, "deployed"), ending.report
    built = next(step for step in ending.report["steps"] if step["name"] == "vercel_deployment")
    assert built["seconds"] > 12 > ending.report["budget"]["used_seconds"]


async def test_late_clock_needs_staged_builds(production: AnyProduction) -> None:
    """If builds go live automatically, the clock cannot start after the build: refused, with the remedy."""
    ending = await production.release(budget=LIVE)
    assert ending.code == 3
    assert 'auto-assign is on, but budget.starts is "live"' in ending.report["cause"]
    assert "Switch auto-assign" in ending.report["next_action"]


async def test_auto_assign_off_by_rollback_differs_from_off_by_choice(production: AnyProduction) -> None:
    """After our rollback the plan names the reason, the report how to unpin, and a release stays pinned."""
    platform = production.world.platform
    first = await production.release(health=FAILING)
    assert first.code == 1
    assert "autoAssignCustomDomains" in first.report["unpin"]
    await production.bring_back()
    second = await production.release()
    assert second.code == 0, second.report
    plan = next(step["plan"] for step in second.report["plan"] if step["name"] == "vercel_deployment")
    assert "auto-assign is off since production was rolled back to dpl_1" in plan
    assert (platform.auto_assign, second.report["unpin"]) == (False, first.report["unpin"])
