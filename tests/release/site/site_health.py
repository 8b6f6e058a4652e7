"""A site that is unhealthy from the health checks on, and how the release must end."""

from steps.support.standin.faults import Way
from steps.support.standin.site import Trouble
from tests.support.production.base import AnyProduction, Event, Reaction, RunResult

COOKIE = '{ Cookie = "auth-token=$SITE_AUTH_TOKEN" }'
EXPECT = '["status == `200`", "body.error == `null`", "body.latest"]'
DATA = f'[[health]]\nname = "data"\npath = "/api/data"\nheaders = {COOKIE}\nexpect = {EXPECT}\n'
POLL = """[[health]]
name = "poll"
path = "/api/cron/minutely"
headers = { Authorization = "Bearer $CRON_SECRET" }
expect = ["status == `200`"]
"""  # no cookie of its own, which could hide one that the tool sends
BUDGET = "total = 40\nreserve = 20"


def once_checked(production: AnyProduction, *troubles: Trouble) -> Reaction:
    """Make the site go wrong as soon as the health checks begin, and stay wrong."""

    async def react(event: Event) -> None:
        if event["event"] == "begun" and event["step"] == "health_checks":
            production.world.site.troubles = troubles

    return react


def put_back(ending: RunResult, words: list[str]) -> None:
    """Check that a run was rolled back in time, for a cause that contains these words."""
    assert (ending.code, ending.report["verdict"]) == (1, "rolled_back"), ending.report
    assert ending.steps()["health_checks"] == "failed"
    assert ending.report["budget"]["used_seconds"] < 40
    for word in words:
        assert word in ending.report["cause"]


async def data_goes_wrong(production: AnyProduction, way: Way, words: list[str]) -> None:
    """Check that everything is rolled back while the site stays bad, and that the cause contains its answer."""
    before = await production.state()
    react = once_checked(production, Trouble(way, "/api/data"))
    ending = await production.release(react=react, health=DATA, limits="health_checks = 2", budget=BUDGET)
    put_back(ending, words)
    assert await production.state() == before
