"""An unhealthy site: after the change it is rolled back, before the change refused, and a single failure forgiven."""

from dataclasses import replace

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler

from steps.support.standin.faults import Way, cut, drip, hang
from steps.support.standin.site import Trouble
from steps.support.standin.world import TOKEN
from tests.release.site.site_health import BUDGET, DATA, data_goes_wrong, once_checked, put_back
from tests.support.production.base import BUILT_IN, AnyProduction, RunResult, State
from tests.support.servers.site_troubles import (
    failed_system,
    login,
    no_latest,
    no_systems,
    not_found,
    server_error,
    unauthorized,
    web_page,
)
from tests.support.virtual.production import VirtualProduction

pytestmark = pytest.mark.anyio

# Downtime is measured by the first check, so a single failure of the second happens in the check itself.
DOOR = '[[health]]\nname = "door"\npath = "/api/cron/minutely"\nexpect = ["status == `401`"]\n'
WRITTEN = {"readings", "readings_agg_5m", "polling_status", "sqlite_sequence"}  # by the cron, which preflight calls too
KEY, MEND = "Set the key that this check sends", "Fix the check or the site first."


def _but_for_polls(state: State) -> State:
    return replace(state, rows={name: rows for name, rows in state.rows.items() if name not in WRITTEN})


@pytest.mark.on("virtual", "process")
@pytest.mark.parametrize(
    ("way", "words"),
    [
        (drip, ["not done within its 2 s", "/api/data has not answered"]),
        (cut, ["/api/data gave no answer: the connection was reset"]),
    ],
    ids=["drips", "is cut"],
)
async def test_unreadable_data_after_the_migration_is_rolled_back(
    production: AnyProduction, way: Way, words: list[str]
) -> None:
    """Everything is rolled back while answers cannot be read to their end, and the cause says what came of them."""
    await data_goes_wrong(production, way, words)


@pytest.mark.parametrize(
    ("way", "words"),
    [
        (hang, ["not done within its 2 s", "/api/data has not answered"]),
        (server_error, ["/api/data answered 500 application/json, not status == `200`"]),
        (web_page, ["/api/data answered 200 text/html, which is not JSON"]),
        (login, ["/api/data answered 307: it redirects to accounts.liveone.example"]),
        (unauthorized, ["/api/data answered 401: the site does not accept its key"]),
        (not_found, ["/api/data answered 404: there is no such route, or the site does not accept its key"]),
        (no_latest, ["/api/data answered 200 application/json, not body.latest"]),
    ],
)
async def test_bad_data_after_the_migration_is_rolled_back(
    production: VirtualProduction, way: Way, words: list[str]
) -> None:
    """Everything is rolled back while the site stays bad, and the cause contains what the site answered."""
    await data_goes_wrong(production, way, words)


@pytest.mark.parametrize(
    ("way", "words"),
    [
        (no_systems, ["cron: ", "not body.message != 'No systems to poll'", "length(body.results)", "data: ", "is_fresh"]),
        (failed_system, ["cron: ", "not length(body.results[?success == `false`]) == `0`", "data: 6 of 6 as expected"]),
        (unauthorized, ["cron: /api/cron/minutely answered 401: the site does not accept its key", "data: ", "is_fresh"]),
        (cut, ["cron: /api/cron/minutely gave no answer: the connection was reset", "data: ", "is_fresh"]),
        (hang, ["not done within its 9 s", "/api/cron/minutely has not answered"]),
    ],
)  # fmt: skip
async def test_bad_cron_after_the_migration_is_rolled_back(
    production: VirtualProduction, way: Way, words: list[str]
) -> None:
    """A 200 that polled nothing, or only a part, is not healthy; the other check's result is reported, too."""
    before = await production.state()
    react = once_checked(production, Trouble(way, "/api/cron"))
    ending = await production.release(react=react, health=BUILT_IN, limits="health_checks = 9", budget=BUDGET)
    put_back(ending, words)
    assert _but_for_polls(await production.state()) == _but_for_polls(before)


async def test_broken_new_code_is_rolled_back(production: VirtualProduction) -> None:
    """If only the new code is broken, the previous code answers visitors again."""
    before = await production.state()
    head = await production.head()
    production.world.site.troubles = (Trouble(server_error, "/api/data", code=head),)
    ending = await production.release(health=DATA, budget=BUDGET)
    assert (ending.code, ending.report["verdict"]) == (1, "rolled_back"), ending.report
    assert "/api/data answered 500" in ending.report["cause"]
    assert await production.state() == before
    async with production.visitor(**_key()) as visitor:
        assert (await visitor.get("/api/data")).status_code == 200


def _key() -> dict[str, str]:
    return {"Cookie": f"auth-token={TOKEN}"}


@pytest.mark.parametrize(
    ("way", "words"),
    [
        (server_error, ["/api/data answered 500", MEND]),
        (web_page, ["which is not JSON", MEND]),
        (no_latest, ["not body.latest", MEND]),
        (cut, ["/api/data gave no answer: the connection was reset", MEND]),
        (login, ["it redirects to accounts.liveone.example", KEY]),
        (unauthorized, ["/api/data answered 401: the site does not accept its key", KEY]),
        (not_found, ["/api/data answered 404: there is no such route", KEY]),
    ],
)
async def test_unhealthy_site_is_refused_before_the_change(
    production: VirtualProduction, way: Way, words: list[str]
) -> None:
    """An unhealthy site is refused: a wrong key is told apart from bad health, and nothing is touched."""
    before = await production.state()
    production.world.site.troubles = (Trouble(way, "/api/data"),)
    _refused(await production.release(health=DATA), ["failed before anything changed", *words])
    assert await production.state() == before


async def test_refusal_names_every_failing_check(production: VirtualProduction) -> None:
    """One refusal names every check that fails, and every remedy."""
    production.world.site.troubles = (Trouble(unauthorized, "/api/cron"), Trouble(web_page, "/api/data"))
    ending = await production.release(health=BUILT_IN)
    _refused(ending, ["cron, data", "/api/cron/minutely answered 401", "/api/data answered 200 text/html", KEY, MEND])


def _refused(ending: RunResult, words: list[str]) -> None:
    assert (ending.code, ending.report["verdict"]) == (3, "refused"), ending.report
    for word in words:
        assert word in f"{ending.report['cause']} {ending.report['next_action']}"


@pytest.mark.parametrize("way", [server_error, cut, web_page, unauthorized, no_latest])
async def test_one_bad_answer_is_forgiven(production: VirtualProduction, way: Way) -> None:
    """A check that fails once, and is good before and after, does not stop the release."""
    met: list[str] = []

    async def once(request: web.Request, handler: Handler) -> web.StreamResponse:
        met.append(request.path)
        return await way(request, handler)

    react = once_checked(production, Trouble(once, "/api/data", times=1))
    ending = await production.release(react=react, health=DOOR + DATA)
    assert (ending.code, ending.report["verdict"], met) == (0, "deployed", ["/api/data"]), ending.report
    said = next(step["detail"] for step in ending.report["steps"] if step["name"] == "health_checks")
    assert "door: 1 of 1 as expected" in said
    assert "data: 3 of 3 as expected" in said
