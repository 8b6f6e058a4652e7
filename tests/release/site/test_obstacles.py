"""What stands between a visitor and the app: it is named, with what to do, and ends a release only if it stays."""

from collections.abc import Sequence

import pytest

from steps.support.console.summary import downtime_words
from steps.support.standin.faults import Way
from steps.support.standin.site import Trouble
from steps.support.standin.vercel.quirks import Protection, Quirks
from tests.release.site.site_health import BUDGET, DATA, POLL, once_checked, put_back
from tests.support.production.base import BUILT_IN
from tests.support.servers.site_troubles import (
    cached,
    cached_over_error,
    challenge,
    limited,
    login,
    other_address,
    protected,
    server_error,
    starting,
)
from tests.support.virtual.production import VirtualProduction

pytestmark = pytest.mark.anyio

LONG = "health_checks = 20"  # visits ask the first check, POLL, so what answers /api/data meets the check alone
CACHE = "the CDN's cache (HIT, 33 s old)"


@pytest.mark.parametrize(
    ("way", "times"), [(challenge, 8), (limited, 4), (starting, 20)], ids=["firewall", "rate limit", "cold start"]
)
async def test_obstacle_that_goes_away_ends_no_release(production: VirtualProduction, way: Way, times: int) -> None:
    """A check is asked again for seconds while the firewall, a limit or a cold start answers, and the release arrives."""
    react = once_checked(production, Trouble(way, "/api/data", times=times))
    ending = await production.release(react=react, health=POLL + DATA, limits=LONG)
    assert (ending.code, ending.report["verdict"]) == (0, "deployed"), ending.report
    assert "data: 3 of 3 as expected" in _detail(ending.report["steps"])


STAYING = [
    (challenge, ["the firewall challenges visitors (Security Checkpoint)", "In the project's Firewall, let the checks through"]),
    (limited, ["too many requests, and asks to wait 3 s", "In the rate limit, let the checks through"]),
    (starting, ["no function of the app answered: it starts", "If it stays, read the deployment's logs"]),
]  # fmt: skip


@pytest.mark.parametrize(("way", "words"), STAYING, ids=["firewall", "rate limit", "cold start"])
async def test_obstacle_that_stays_is_named(production: VirtualProduction, way: Way, words: Sequence[str]) -> None:
    """If it stays until the limit ends, all is rolled back, and the cause names it and what to do."""
    before = await production.state()
    react = once_checked(production, Trouble(way, "/api/data"))
    ending = await production.release(react=react, health=DATA, limits="health_checks = 6", budget=BUDGET)
    put_back(ending, ["not done within its 6 s", *words])
    assert await production.state() == before


@pytest.mark.parametrize(
    ("way", "words"),
    [
        *STAYING,
        (protected, ["Deployment Protection wants a login at Vercel", "Let the public address through"]),
        (login, ["it redirects to accounts.liveone.example: a login", "Set the key that this check sends"]),
        (other_address, ["the site has another address", "Set `site` to the address that serves it: https://www."]),
        (
            cached_over_error,
            ["/api/data answered 500", f"{CACHE} still answers as expected", "Fix the check or the site"],
        ),
    ],
)
async def test_obstacle_before_the_change_is_refused_by_name(
    production: VirtualProduction, way: Way, words: Sequence[str]
) -> None:
    """Before anything has changed, an obstacle that stays for ten seconds is refused, with what helps against it."""
    before = await production.state()
    production.world.site.troubles = (Trouble(way, "/api/data"),)
    ending = await production.release(health=DATA)
    assert (ending.code, ending.report["verdict"]) == (3, "refused"), ending.report
    for word in words:
        assert word in f"{ending.report['cause']} {ending.report['next_action']}"
    assert await production.state() == before


async def test_what_only_a_cache_answers_wrongly_is_told(production: VirtualProduction) -> None:
    """The app's own answer counts, and the release arrives; what the cache still says is told beside it."""
    react = once_checked(production, Trouble(cached, "/api/data"))
    ending = await production.release(react=react, health=POLL + DATA)
    assert (ending.code, ending.report["verdict"]) == (0, "deployed"), ending.report
    assert f"({CACHE} still answers wrongly: /api/data answered 500" in _detail(ending.report["steps"])


async def test_cache_over_broken_code_is_rolled_back(production: VirtualProduction) -> None:
    """An answer out of a cache proves nothing: the code behind it fails, and all is rolled back."""
    react = once_checked(production, Trouble(cached_over_error, "/api/data"))
    ending = await production.release(react=react, health=DATA, budget=BUDGET)
    put_back(ending, ["/api/data answered 500", f"{CACHE} still answers as expected"])


async def test_wrong_answers_end_a_release_after_two_seconds(production: VirtualProduction) -> None:
    """A 500 of the new code is proof two seconds later, long before the limit of the checks ends."""
    react = once_checked(production, Trouble(server_error, "/api/data"))
    ending = await production.release(react=react, health=DATA, limits=LONG, budget="total = 90\nreserve = 30")
    checked = next(step for step in ending.report["steps"] if step["name"] == "health_checks")
    assert (ending.code, ending.report["verdict"]) == (1, "rolled_back"), ending.report
    assert 2 <= checked["seconds"] < 4


async def test_limited_visits_are_told_and_decide_nothing(production: VirtualProduction) -> None:
    """A site that limits the visits arrives with no downtime, and the summary says how many tell nothing."""
    react = once_checked(production, Trouble(limited, "/api/cron", times=3))
    ending = await production.release(react=react, health=POLL + DATA, limits=LONG)
    downtime = ending.report["downtime"]
    assert (ending.code, downtime["failed_probes"], downtime["observed_seconds"]) == (0, 0, 0.0), ending.report
    assert downtime["answers"]["429 (the site limits the probes)"] in (1, 2)
    assert "more were limited by the site, and tell nothing" in downtime_words(downtime)


async def test_no_visits_are_made_if_none_are_wanted(production: VirtualProduction) -> None:
    """With a probe_rate of 0 the release arrives, and its downtime is not measured."""
    production.settings = {"ORCHESTRATE_PROBE_RATE": "0"}
    ending = await production.release(health=DATA)
    assert (ending.code, ending.report["downtime"]) == (0, None), ending.report


async def test_protected_deployment_is_named_in_preflight(production: VirtualProduction) -> None:
    """If deployments want a login and no bypass is set, a staged release is refused with the setting that helps."""
    production.world.platform.auto_assign = False
    production.world.platform.quirks = Quirks(protection=Protection.LOGIN)
    ending = await production.release(health=DATA)
    assert (ending.code, ending.report["verdict"]) == (3, "refused"), ending.report
    assert "VERCEL_AUTOMATION_BYPASS_SECRET" in ending.report["next_action"]


async def test_writing_check_is_repeated_only_before_the_app(production: VirtualProduction) -> None:
    """A check that writes is sent again if the firewall kept it from the app, and is not otherwise."""
    react = once_checked(production, Trouble(challenge, "/api/cron", times=2))
    ending = await production.release(react=react, health=BUILT_IN, limits=LONG)
    assert (ending.code, ending.report["verdict"]) == (0, "deployed"), ending.report


def _detail(steps: Sequence[dict[str, str]]) -> str:
    return next(step["detail"] for step in steps if step["name"] == "health_checks")
