"""The client of Vercel's API, over real sockets: what it asks, and how it reads answers."""

import asyncio
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from time import time
from typing import Any

import httpx
import pytest
from aiohttp import web

from steps.support.core.errors import Busy, NotSent, Problem, Rejected, Unknown
from steps.support.gateways.vercel import Deferred, Deployment, RollingRelease, Vercel
from steps.support.standin.servers import serve
from steps.support.standin.vercel.quirks import Answer, Build, Listing, Quirks, Trouble
from steps.support.standin.vercel.state import Variable
from tests.support.servers.vercel_project import ALIAS, BUILD, NEW, NEWER, OLD, PLAIN, TOKEN, Project, api, project

pytestmark = pytest.mark.anyio

HOST = "127.0.0.1"
TEAM_ID, TEAM_SLUG = "team_liveone", "liveone-team"

Ask = Callable[[Vercel], Awaitable[Any]]
READ_OR_WRITE = pytest.mark.parametrize(
    "ask", [Vercel.project, lambda vercel: vercel.promote("dpl_2")], ids=["read", "write"]
)


@asynccontextmanager
async def _client(served: Project, name: str = "liveone", team: str | None = None) -> AsyncIterator[Vercel]:
    """Serve the stand-in, and return the tool's own client of it."""
    async with api(served) as client:
        yield Vercel(client, name, team, HOST)


@asynccontextmanager
async def _scripted(*answers: Any, project_id: str = "prj_1") -> AsyncIterator[tuple[Vercel, list[httpx.URL]]]:
    """Serve these answers, one after the other; return a client, and its requests."""
    left, asked = list(answers), list[httpx.URL]()

    async def answered(request: web.Request) -> web.Response:
        asked.append(httpx.URL(str(request.url)))
        answer = left.pop(0)
        return answer if isinstance(answer, web.Response) else web.json_response(answer)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answered)
    async with serve(app) as url, httpx.AsyncClient(verify=PLAIN, base_url=url) as client:
        yield Vercel(client, project_id, None, HOST), asked


def _staged(**differing: Any) -> Project:
    made = project(auto_assign=False, **differing)
    made.platform.pushed(NEW, "main", "a change")
    made.pass_time(BUILD)
    return made


EVERYTHING: list[Ask] = [
    Vercel.user,
    Vercel.project,
    Vercel.rolling_release,
    Vercel.production_variables,
    Vercel.served,
    lambda vercel: vercel.deployment("dpl_2"),
    lambda vercel: vercel.production_deployments(NEW),
    lambda vercel: vercel.build_errors("dpl_2"),
    lambda vercel: vercel.is_live("dpl_2"),
    lambda vercel: vercel.set_crons(False),
    lambda vercel: vercel.set_auto_assign(False),
    lambda vercel: vercel.promote("dpl_2"),
]


@pytest.mark.parametrize("name", ["liveone", "prj_standin"])
@pytest.mark.parametrize("team", [None, TEAM_ID, TEAM_SLUG])
async def test_every_request_names_team_and_project(name: str, team: str | None) -> None:
    """A team is given by its id or its slug, a project by its id or its name, in every request."""
    async with _client(_staged(team=team), name, team) as vercel:
        for ask in EVERYTHING:
            await ask(vercel)


@pytest.mark.parametrize(("team", "query"), [(TEAM_ID, {"teamId": TEAM_ID}), (TEAM_SLUG, {"slug": TEAM_SLUG})])
async def test_team_id_and_slug_use_separate_parameters(team: str, query: dict[str, str]) -> None:
    """An id is sent as teamId, anything else as slug; never both."""
    seen: list[dict[str, str]] = []

    def answered(request: httpx.Request) -> httpx.Response:
        seen.append({name: request.url.params[name] for name in ("teamId", "slug") if name in request.url.params})
        return httpx.Response(200, stream=httpx.ByteStream(b'{"user": {"username": "somebody"}}'))

    async with httpx.AsyncClient(base_url="https://vercel.example", transport=httpx.MockTransport(answered)) as client:
        await Vercel(client, "liveone", team, HOST).user()
        await Vercel(client, "liveone", team, HOST).cancel("dpl_1")
    assert seen == [query, query]


@pytest.mark.parametrize("team", [None, "team_of_others", "others"])
async def test_project_of_another_team_is_refused(team: str | None) -> None:
    """The wrong team, or none, is a refusal that says which settings to check."""
    async with _client(project(team=TEAM_ID), team=team) as vercel:
        with pytest.raises(Rejected, match=r"404: not_found .*vercel\.team"):
            await vercel.project()


async def test_rejected_token_is_refused_without_showing_it() -> None:
    """The refusal names the variable that holds the token, and not the token."""
    async with api(project(), OLD) as client:
        with pytest.raises(Rejected, match=r"403: forbidden .*VERCEL_TOKEN") as refused:
            await Vercel(client, "liveone", None, HOST).project()
    assert OLD not in str(refused.value)


async def test_refused_connection_is_not_sent() -> None:
    """Where no connection comes about, nothing was sent."""
    async with httpx.AsyncClient(verify=PLAIN, base_url="http://127.0.0.1:9") as client:
        with pytest.raises(NotSent):
            await Vercel(client, "liveone", None, HOST).project()


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (Answer.PAYMENT_REQUIRED, Rejected, "402: payment_required This is not included"),
        (Answer.GONE, Rejected, "410: gone"),
        (Answer.UNPROCESSABLE, Rejected, "422: unprocessable_entity"),
        (Answer.MISSPELT, Rejected, "400: bad_request Invalid request."),
        (Answer.CONFLICT, Busy, "409: conflict Another promotion"),
        (Answer.LIMITED, Busy, "429: rate_limited Too many requests.; it asks to wait 30 s"),
        (Answer.LIMITED_UNTIL, Busy, "429: rate_limited"),
        (Answer.ERROR, Unknown, "500: internal_server_error"),
        (Answer.ERROR_IN_TEXT, Unknown, "500: A server error has occurred"),
        (Answer.RESET, Unknown, "reset"),
        (Answer.LOST, Unknown, "reset"),
    ],
)
@READ_OR_WRITE
async def test_each_form_of_no_is_recognised(ask: Ask, answer: Answer, kind: type[Problem], words: str) -> None:
    """No, not now and no answer are told apart, and the platform's words are passed on."""
    async with _client(_staged(quirks=Quirks(troubles=(Trouble(answer, seconds=30),))), "prj_standin") as vercel:
        with pytest.raises(kind) as refused:
            await ask(vercel)
    assert type(refused.value) is kind
    assert words in str(refused.value)
    assert TOKEN not in str(refused.value)


@READ_OR_WRITE
async def test_web_page_is_unknown(ask: Ask) -> None:
    """A page with 200 from anything in front of the API is no reading, and no proof that a request was accepted."""
    async with _client(_staged(quirks=Quirks(troubles=(Trouble(Answer.HTML),))), "prj_standin") as vercel:
        with pytest.raises(Unknown):
            await ask(vercel)


@pytest.mark.parametrize("answer", [None, [], "yes", {}, {"id": "prj_1"}, {"error": {"code": "not_found"}}])
async def test_unknown_json_is_not_a_project(answer: Any) -> None:
    """JSON that is not a project is not read as one."""
    async with _scripted(answer) as (vercel, _):
        with pytest.raises(Unknown, match="unknown format"):
            await vercel.project()


def _refused(status: int, reset: float = 0.0, **headers: str) -> web.Response:
    limit = {"limit": {"resetMs": reset * 1000}} if reset else {}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.json_response({"error": {"code": "busy", "message": "Not now.", **limit}}, status=status, headers=named)


@pytest.mark.parametrize("status", [409, 429, 500, 503])
@pytest.mark.parametrize(
    ("headers", "after"),
    [
        (lambda _: {}, 0),
        (lambda _: {"Retry_After": "7"}, 7),
        (lambda now: {"Retry_After": formatdate(now + 7, usegmt=True)}, 7),
        (lambda now: {"Retry_After": formatdate(now - 593), "Date": formatdate(now - 600, usegmt=True)}, 7),
        (lambda now: {"reset": now + 7}, 7),
    ],
    ids=["none", "seconds", "date", "date of a clock that is behind", "reset"],
)
async def test_requested_pause_is_passed_on(
    status: int, headers: Callable[[float], dict[str, Any]], after: float
) -> None:
    """In seconds, as a date or in the body: not now and no answer say how long to wait."""
    async with _scripted(_refused(status, **headers(time()))) as (vercel, _):
        with pytest.raises(Problem) as refused:
            await vercel.promote("dpl_2")
    assert isinstance(refused.value, Busy if status < 500 else Unknown)
    assert refused.value.after == pytest.approx(after, abs=1.1)  # a date has whole seconds only


async def test_rate_limits_of_the_stand_in_ask_for_a_pause() -> None:
    """Both of its forms are understood."""
    troubles = (Trouble(Answer.LIMITED, times=1, seconds=30), Trouble(Answer.LIMITED_UNTIL, seconds=30))
    async with _client(project(quirks=Quirks(troubles=troubles))) as vercel:
        for _ in troubles:
            with pytest.raises(Busy) as refused:
                await vercel.project()
            assert refused.value.after == pytest.approx(30, abs=1.1)


ROW = {
    "uid": "dpl_9",
    "url": "liveone-9.vercel.app",
    "target": "production",
    "state": "BOGUS",
    "created": 1767225600000,
    "meta": {"githubCommitSha": NEW, "githubDeployment": "1"},
    "aliasAssigned": None,
    "brandNew": {"of": ["a", "later", "version"]},
}
ONE = Deployment(
    "dpl_9", None, NEW, "production", "BOGUS", "liveone-9.vercel.app", "", 1767225600000, None, False, False, ""
)


@pytest.mark.parametrize(
    "row",
    [
        ROW,
        {**ROW, "readyState": "BOGUS", "state": "OLD", "createdAt": ROW["created"], "aliasError": None},
        {**ROW, "meta": {}, "gitSource": {"type": "github", "sha": NEW}},
        {**ROW, "meta": {"gitCommitSha": NEW}, "gitSource": None},
        {**ROW, "buildingAt": 1767225605000, "ready": None, "errorMessage": None, "readyStateReason": ""},
    ],
)
async def test_every_spelling_of_a_deployment_is_read(row: dict[str, Any]) -> None:
    """List item and single deployment mean the same; unknown fields are ignored, unknown states kept."""
    single = {**row, "id": row["uid"], "uid": None}
    async with _scripted({"deployments": [row], "pagination": None}, single) as (vercel, _):
        assert [await vercel.production_deployments(NEW), [await vercel.deployment("dpl_9")]] == [[ONE], [ONE]]


@pytest.mark.parametrize(
    "build", [Build(), Build("ERROR"), Build("BLOCKED", reason="The author has no access."), Build("BOGUS")], ids=str
)
async def test_list_and_single_deployment_agree(build: Build) -> None:
    """The stand-in's two forms of a build are read as the same deployment, with its duration once done."""
    async with _client(_staged(quirks=Quirks(pushes=(build,)))) as vercel:
        (listed,) = await vercel.production_deployments(NEW)
        assert listed == await vercel.deployment("dpl_2")
        seconds = pytest.approx(BUILD * 0.9, abs=0.01) if build.ending == "READY" else None
        assert (listed.state, listed.build_seconds) == (build.ending, seconds)


@pytest.mark.parametrize("listing", Listing)
async def test_ignored_filter_is_applied_here(listing: Listing) -> None:
    """Only deployments of the requested commit are returned, whatever the platform answers."""
    made = _staged(quirks=Quirks(listing=listing))
    made.platform.pushed(NEWER, "main", "another")
    async with _client(made) as vercel:
        found = {sha: [each.id for each in await vercel.production_deployments(sha)] for sha in (OLD, NEW, NEWER)}
        assert found == {OLD: ["dpl_1"], NEW: ["dpl_2"], NEWER: ["dpl_3"]}
        assert await vercel.production_deployments("d" * 40) == []
        assert [each.id for each in await vercel.production_deployments()] == ["dpl_3", "dpl_2", "dpl_1"]


@pytest.mark.parametrize(
    "other",
    [{"target": None}, {"target": "staging"}, {"projectId": "prj_2"}, {"meta": {"githubCommitSha": NEW[:8]}}],
    ids=str,
)
async def test_foreign_rows_are_left_out(other: dict[str, Any]) -> None:
    """A preview, another project of the repository and an abbreviated commit are not ours, although the sha is."""
    ours = {**ROW, "projectId": "prj_1"}
    rows = [{**ours, **other, "uid": "dpl_10"}, ours]
    async with _scripted({"deployments": rows}) as (vercel, _):
        assert [each.id for each in await vercel.production_deployments(NEW)] == ["dpl_9"]


@pytest.mark.parametrize("listed", [False, True])
async def test_alias_is_read_as_object_or_list(listed: bool) -> None:  # noqa: FBT001 - a column of the table
    """An alias comes as an object or in a list; one that points nowhere serves no deployment."""
    rows: list[dict[str, Any]] = [{"alias": HOST, "deploymentId": "dpl_2"}, {"alias": HOST, "deploymentId": None}]
    async with _scripted(*([row] if listed else row for row in rows)) as (vercel, asked):
        assert [await vercel.served(), await vercel.served()] == ["dpl_2", None]
    assert {url.path for url in asked} == {f"/v4/aliases/{HOST}"}


PROJECT = {"id": "prj_1", "name": "liveone"}
MOVE = {"type": "rollback", "toDeploymentId": "dpl_1", "jobStatus": "succeeded", "requestedAt": 1}
PRODUCTION = {"production": {"id": "dpl_1"}}


@pytest.mark.parametrize(
    ("shown", "meaning"),
    [
        ({}, {"auto_assign": None, "production_id": None, "crons": None, "moving_to": None, "is_rolled_back": False}),
        ({"targets": None, "lastAliasRequest": None, "crons": None}, {"production_id": None, "crons": None}),
        ({"targets": {"production": None}}, {"production_id": None}),
        ({"targets": PRODUCTION, "autoAssignCustomDomains": True}, {"production_id": "dpl_1", "auto_assign": True}),
        ({"autoAssignCustomDomains": None}, {"auto_assign": None}),
        ({"autoAssignCustomDomains": False}, {"auto_assign": False}),
        ({"autoAssignCustomDomains": "yes"}, {"auto_assign": None}),
        ({"crons": {"disabledAt": None, "enabledAt": 1}}, {"crons": True}),
        ({"crons": {"disabledAt": 2}}, {"crons": False}),
        ({"lastAliasRequest": {**MOVE, "jobStatus": "in-progress"}}, {"moving_to": None}),
        ({"lastAliasRequest": {**MOVE, "jobStatus": "pending", "requestedAt": 4102444800000}}, {"moving_to": "dpl_1"}),
        ({"lastAliasRequest": {**MOVE, "jobStatus": "pending", "requestedAt": None}}, {"moving_to": "dpl_1"}),
        ({"link": {"type": "gitlab", "productionBranch": "release"}}, {"branch": "release"}),
        ({"link": None, "rollingRelease": None}, {"branch": "", "is_gradual": False}),
        ({"rollingRelease": {"target": "production"}}, {"is_gradual": True}),
        ({"rollingRelease": {"target": "production", "stages": [{"targetPercentage": 100}]}}, {"is_gradual": False}),
        ({"rollingRelease": {"stages": [{"targetPercentage": 5}, {"targetPercentage": 100}]}}, {"is_gradual": True}),
        ({"lastAliasRequest": {**MOVE, "jobStatus": "brand-new"}}, {"moving_to": None}),
        ({"lastAliasRequest": {}}, {"moving_to": None}),
        ({"lastAliasRequest": MOVE, "targets": PRODUCTION}, {"moving_to": None, "is_rolled_back": True}),
        ({"lastAliasRequest": {**MOVE, "type": "promote"}, "targets": PRODUCTION}, {"is_rolled_back": False}),
        ({"lastAliasRequest": {**MOVE, "toDeploymentId": "dpl_2"}, "targets": PRODUCTION}, {"is_rolled_back": False}),
        (
            {"lastAliasRequest": MOVE, "targets": PRODUCTION, "autoAssignCustomDomains": True},
            {"is_rolled_back": False},
        ),
    ],
)
async def test_missing_project_fields_are_unknown(shown: dict[str, Any], meaning: dict[str, Any]) -> None:
    """What is absent or odd is read as unknown, never as on."""
    async with _scripted({**PROJECT, **shown}) as (vercel, _):
        read = await vercel.project()
    assert {name: getattr(read, name) for name in meaning} == meaning


def _page(following: int | None, *rows: dict[str, Any]) -> dict[str, Any]:
    return {"envs": list(rows), "pagination": {"count": len(rows), "next": following, "prev": None}}


async def test_all_pages_of_variables_are_read() -> None:
    """Every page is read; only production's names are returned, and no values are requested."""
    pages = [
        _page(5, {"key": "ONE", "target": ["production"]}, {"key": "TWO", "target": ["preview", "development"]}),
        _page(3, {"key": "THREE", "target": "production"}, {"key": "FOUR"}),
        _page(None, {"key": "TWO", "target": ["preview", "production"], "value": {"never": "looked at"}}),
    ]
    async with _scripted(*pages) as (vercel, asked):
        assert await vercel.production_variables() == {"ONE", "TWO", "THREE"}
    assert [url.params.get("until") for url in asked] == [None, "5", "3"]
    assert not any("decrypt" in url.params for url in asked)


async def test_endless_pages_are_stopped() -> None:
    """A platform that always has another page is not asked forever."""
    async with _scripted(*[_page(1, {"key": "ONE", "target": ["production"]})] * 50) as (vercel, asked):
        assert await vercel.production_variables() == {"ONE"}
    assert len(asked) < 50


async def test_variables_of_the_stand_in() -> None:
    """Only production's variables are returned, whatever the platform sends."""
    env = ("CRON_SECRET", Variable("ONLY_PREVIEW", ("preview",)), Variable("BOTH", ("preview", "production")))
    async with _client(project(env=env)) as vercel:
        assert await vercel.production_variables() == {"CRON_SECRET", "BOTH"}


@pytest.mark.parametrize(
    ("answer", "release"),
    [
        ({"rollingRelease": None}, None),
        ({"rollingRelease": {"state": "ACTIVE", "queuedDeploymentId": None}}, RollingRelease(None)),
        ({"rollingRelease": {"state": "ACTIVE", "queuedDeploymentId": "dpl_2"}}, RollingRelease("dpl_2")),
        ({"rollingRelease": {"state": "COMPLETE", "queuedDeploymentId": None}}, None),
        ({"rollingRelease": {"state": "ABORTED"}}, None),
        (_refused(402), None),
        (_refused(403), None),
        (_refused(404), None),
    ],
    ids=["none", "active", "active with one queued", "complete", "aborted", "402", "403", "404"],
)
async def test_rolling_release_is_read(answer: Any, release: RollingRelease | None) -> None:
    """A finished one counts as none, and a plan without the feature answers no."""
    async with _scripted(answer) as (vercel, asked):
        assert await vercel.rolling_release() == release
    assert (asked[0].path, asked[0].params["state"]) == ("/v1/projects/prj_1/rolling-release", "ACTIVE")


@pytest.mark.parametrize(("answer", "kind"), [(_refused(500), Unknown), (_refused(429), Busy), ({}, Unknown)])
async def test_unknown_rolling_release_is_not_none(answer: Any, kind: type[Problem]) -> None:
    """No answer is not read as none."""
    async with _scripted(answer) as (vercel, _):
        with pytest.raises(kind):
            await vercel.rolling_release()


async def test_promote_queued_behind_a_rolling_release_is_not_done() -> None:
    """202 is neither yes nor no: it will be done when that release has ended."""
    made = _staged(quirks=Quirks(rolling=True))
    async with _client(made) as vercel:
        with pytest.raises(Deferred, match="behind a rolling release"):
            await vercel.promote("dpl_2")
        assert await vercel.rolling_release() == RollingRelease("dpl_2")
        made.pass_time(ALIAS)
        assert not await vercel.is_live("dpl_2")


async def test_promote_and_rollback_move_production() -> None:
    """Requested at once, done a little later; the project shows it, and is pinned after the rollback."""
    made, told = _staged(), []
    async with _client(made) as vercel:
        for move, target in ((vercel.promote, "dpl_2"), (vercel.roll_back, "dpl_1")):
            await move(target)
            before = await vercel.project()
            made.pass_time(ALIAS)
            after = await vercel.project()
            told.append((before.moving_to, await vercel.is_live(target), after.auto_assign, after.is_rolled_back))
    assert told == [("dpl_2", True, True, False), ("dpl_1", True, False, True)]


async def test_only_an_unfinished_build_can_be_cancelled() -> None:
    """A build under way is stopped; one that has ended cannot be, and says so."""
    made = project()
    made.platform.pushed(NEW, "main", "a change")
    async with _client(made) as vercel:
        await vercel.cancel("dpl_2")
        assert (await vercel.deployment("dpl_2")).state == "CANCELED"
        with pytest.raises(Rejected, match="CANCELED can't be canceled"):
            await vercel.cancel("dpl_2")


@pytest.mark.parametrize("payload", [False, True])
async def test_build_log_ends_with_its_last_lines(payload: bool) -> None:  # noqa: FBT001 - a column of the table
    """Its last lines, in order, of events in either form; events without a text are skipped."""
    texts = [{"type": "stdout", "text": f"line {number}"} for number in range(9)]
    events: list[dict[str, Any]] = [{"type": "delimiter"}, *texts, {"type": "exit", "payload": None}]
    shown = [{"type": "any", "payload": each} for each in events] if payload else events
    async with _scripted(shown) as (vercel, _):
        assert await vercel.build_errors("dpl_2", lines=3) == "line 6\nline 7\nline 8"


async def test_crons_are_switched_off_and_on() -> None:
    """Off and on again, and the project says so."""
    async with _client(project()) as vercel:
        seen = [(await vercel.project()).crons]
        for on in (False, True):
            await vercel.set_crons(on)
            seen.append((await vercel.project()).crons)
    assert seen == [True, False, True]


async def _shell(command: str, **environment: str) -> int | None:
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env={"PATH": "/usr/bin:/bin", **environment}
    )
    await process.communicate()
    return process.returncode


@pytest.mark.parametrize("name", ["liveone", "prj_standin"])
@pytest.mark.parametrize("team", [None, TEAM_ID, TEAM_SLUG])
async def test_the_commands_for_the_operator_work(name: str, team: str | None) -> None:
    """Run by a shell with the token in its environment, they unpin the project and switch its crons on."""
    made = project(team=team, auto_assign=False, crons=False)
    async with _client(made, name, team) as vercel:
        await vercel.project()
        for command in (vercel.unpin_command, vercel.resume_crons_command):
            assert TOKEN not in command
            assert await _shell(command, VERCEL_TOKEN="another")  # noqa: S106 - a wrong token is the case
            assert (made.platform.auto_assign, made.platform.crons) != (True, True)
            assert await _shell(command, VERCEL_TOKEN=TOKEN) == 0
    assert (made.platform.auto_assign, made.platform.crons) == (True, True)


@pytest.mark.parametrize(
    ("command", "state"), [("unpin_command", (True, False)), ("resume_crons_command", (False, True))]
)
async def test_each_command_changes_one_thing(command: str, state: tuple[bool, bool]) -> None:
    """One does not change the crons, the other does not change the pin."""
    made = project(auto_assign=False, crons=False)
    async with _client(made) as vercel:
        await vercel.project()
        assert await _shell(getattr(vercel, command), VERCEL_TOKEN=TOKEN) == 0
    assert (made.platform.auto_assign, made.platform.crons) == state
