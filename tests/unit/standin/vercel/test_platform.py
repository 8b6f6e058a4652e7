"""The stand-in for Vercel, over real sockets: what happens to a push, and what is served."""

import asyncio

import httpx
import pytest

from steps.support.core.events import event_of
from steps.support.standin.faults import Faults, Kind
from steps.support.standin.vercel.platform import Platform
from tests.support.servers.vercel_project import (
    ALIAS,
    BUILD,
    NEW,
    NEWER,
    OLD,
    TOKEN,
    api,
    deployment,
    last_move,
    served,
    target,
)
from tests.support.servers.vercel_project import project as _project

pytestmark = pytest.mark.anyio


async def _job(client: httpx.AsyncClient) -> str | None:
    shown = await last_move(client)
    return shown["jobStatus"] if shown else None


async def _live(client: httpx.AsyncClient) -> str:
    live = await target(client)
    assert live == await served(client)
    return live


async def test_push_is_built_and_goes_live_automatically() -> None:
    """QUEUED, BUILDING, READY and not yet live, then promoted: target and alias are ours."""
    project = _project()
    project.platform.pushed(NEW, "main", "a change")
    async with api(project) as client:
        seen = []
        for seconds in (0, BUILD / 2, BUILD / 2, ALIAS):
            project.pass_time(seconds)
            seen.append((await deployment(client, "dpl_2"), await _live(client)))
    assert [deployment["readyState"] for deployment, _ in seen] == ["QUEUED", "BUILDING", "READY", "READY"]
    assert [live for _, live in seen] == ["dpl_1", "dpl_1", "dpl_1", "dpl_2"]
    ready, live = seen[2][0], seen[3][0]
    assert (ready["readySubstate"], ready["aliasAssigned"], ready["alias"]) == ("STAGED", False, [])
    assert (live["readySubstate"], live["aliasAssigned"], live["alias"]) == ("PROMOTED", True, ["127.0.0.1:80"])
    assert live["meta"]["githubCommitSha"] == live["gitSource"]["sha"] == project.platform.live_sha() == NEW


async def test_times_are_when_things_were_due() -> None:
    """A late read sees when it happened, in milliseconds of the wall clock."""
    project = _project()
    project.platform.pushed(NEW, "main", "a change")
    project.pass_time(BUILD + ALIAS + 100)
    async with api(project) as client:
        shown = await deployment(client, "dpl_2")
    assert abs(shown["ready"] - shown["createdAt"] - BUILD * 1000) < 1000
    assert abs(shown["aliasAssignedAt"] - shown["ready"] - ALIAS * 1000) < 1000


async def test_push_to_a_pinned_project_is_staged_until_promoted() -> None:
    """With auto-assign off nothing goes live; promoting moves target and alias, and unpins the project."""
    project = _project(auto_assign=False)
    project.platform.pushed(NEW, "main", "a change")
    project.pass_time(BUILD + ALIAS)
    async with api(project) as client:
        assert (await _live(client), await _job(client)) == ("dpl_1", None)
        answer = await client.post("/v10/projects/prj_standin/promote/dpl_2", json={})
        assert (answer.status_code, answer.content) == (201, b"")
        seen = []
        for seconds in (0, ALIAS / 2, ALIAS / 2):
            project.pass_time(seconds)
            seen.append((await _job(client), await _live(client)))
        shown = (await client.get("/v9/projects/liveone")).json()
    assert seen == [("pending", "dpl_1"), ("in-progress", "dpl_1"), ("succeeded", "dpl_2")]
    request = shown["lastAliasRequest"]
    assert (request["type"], request["fromDeploymentId"], request["toDeploymentId"]) == ("promote", "dpl_1", "dpl_2")
    assert shown["autoAssignCustomDomains"] is True


@pytest.mark.parametrize("version", ["v1", "v9"])
async def test_rolling_back_moves_the_alias_and_pins_the_project(version: str) -> None:
    """A rollback makes the former deployment live again; the next push stays staged."""
    project = _project()
    project.platform.pushed(NEW, "main", "a change")
    project.pass_time(BUILD + ALIAS)
    async with api(project) as client:
        rows = (await client.get("/v6/deployments")).json()["deployments"]
        assert [row["isRollbackCandidate"] for row in rows] == [False, True]
        answer = await client.post(f"/{version}/projects/liveone/rollback/dpl_1", json={})
        assert (answer.status_code, answer.content) == (201, b"")
        project.pass_time(ALIAS)
        assert (await _job(client), await _live(client)) == ("succeeded", "dpl_1")
        project.platform.pushed(NEWER, "main", "another")
        project.pass_time(BUILD + ALIAS)
        assert (await deployment(client, "dpl_3"))["readySubstate"] == "STAGED"
        assert (await _live(client), project.platform.live_sha()) == ("dpl_1", OLD)


async def test_only_one_move_at_a_time() -> None:
    """A second move is a conflict while one is in progress; so is a move to the current deployment."""
    project = _project(auto_assign=False)
    project.platform.pushed(NEW, "main", "a change")
    project.pass_time(BUILD)
    async with api(project) as client:
        answers = [await client.post("/v10/projects/liveone/promote/dpl_2") for _ in range(2)]
        project.pass_time(ALIAS)
        answers.append(await client.post("/v10/projects/liveone/promote/dpl_2"))
        assert await _live(client) == "dpl_2"
    assert [each.status_code for each in answers] == [201, 409, 409]
    assert answers[1].json()["error"]["code"] == "conflict"


async def test_only_servable_deployments_are_move_targets() -> None:
    """An unbuilt deployment cannot be promoted; one that never served cannot be rolled back to."""
    project = _project(auto_assign=False)
    project.platform.pushed(NEW, "main", "a change")
    async with api(project) as client:
        unbuilt = await client.post("/v10/projects/liveone/promote/dpl_2")
        project.pass_time(BUILD)
        unserved = await client.post("/v1/projects/liveone/rollback/dpl_2")
        missing = await client.post("/v1/projects/liveone/rollback/dpl_9")
        assert await _job(client) is None
    assert [unbuilt.status_code, unserved.status_code, missing.status_code] == [400, 422, 404]


async def test_only_an_unfinished_build_can_be_cancelled() -> None:
    """A cancelled build never becomes READY; cancelling READY is an error."""
    project = _project()
    project.platform.pushed(NEW, "main", "a change")
    async with api(project) as client:
        cancelled = (await client.patch("/v12/deployments/dpl_2/cancel")).json()
        project.pass_time(BUILD + ALIAS)
        after = await deployment(client, "dpl_2")
        assert (cancelled["readyState"], after["status"], await _live(client)) == ("CANCELED", "CANCELED", "dpl_1")
        assert (await client.patch("/v12/deployments/dpl_1/cancel")).status_code == 400


@pytest.mark.parametrize("ending", ["ERROR", "CANCELED", "BLOCKED", "BOGUS"])
async def test_build_ends_as_configured(ending: str) -> None:
    """A commit's build ends as the test says, and production does not move."""
    project = _project(builds={NEW: ending})
    project.platform.pushed(NEW, "main", "a change")
    project.pass_time(BUILD + ALIAS)
    async with api(project) as client:
        assert (await deployment(client, "dpl_2"))["readyState"] == ending
        assert await _live(client) == "dpl_1"


async def test_push_without_a_deployment() -> None:
    """A commit whose configured end is None never shows up, without any error."""
    project = _project(builds={NEW: None})
    assert project.platform.pushed(NEW, "main", "a change") is None
    project.pass_time(BUILD + ALIAS)
    async with api(project) as client:
        assert (await client.get("/v7/deployments", params={"sha": NEW})).json()["deployments"] == []


@pytest.mark.parametrize("version", ["v6", "v7"])
async def test_lists_are_filtered_and_paged(version: str) -> None:
    """Newest first, filtered by commit, state and target, and paged by `until`."""
    project = _project(auto_assign=False)
    for sha in (NEW, NEW, NEWER):
        project.platform.pushed(sha, "main", "a change")
    async with api(project) as client:

        async def ids(**query: str | int) -> list[str]:
            rows = (await client.get(f"/{version}/deployments", params=query)).json()["deployments"]
            return [row["uid"] for row in rows]

        assert await ids(projectId="prj_standin", target="production") == ["dpl_4", "dpl_3", "dpl_2", "dpl_1"]
        assert await ids(sha=NEW) == ["dpl_3", "dpl_2"]
        assert await ids(state="READY,ERROR") == ["dpl_1"]
        assert await ids(target="preview") == []
        first = (await client.get(f"/{version}/deployments", params={"limit": 3})).json()
        assert first["pagination"]["count"] == 3
        assert await ids(until=first["pagination"]["next"]) == ["dpl_1"]
        assert (await client.get(f"/{version}/deployments", params={"limit": "x"})).status_code == 400


async def test_deployment_is_found_by_either_host() -> None:
    """The public domain finds the live deployment, not the one just pushed."""
    project = _project()
    pushed = project.platform.pushed(NEW, "main", "a change")
    assert pushed
    async with api(project) as client:
        assert (await deployment(client, pushed.url))["id"] == pushed.id
        assert (await deployment(client, "127.0.0.1:80"))["id"] == "dpl_1"


async def test_patch_changes_only_auto_assign() -> None:
    """PATCH stores autoAssignCustomDomains; any other key is a bad request."""
    project = _project()
    async with api(project) as client:
        changed = await client.patch("/v9/projects/liveone", json={"autoAssignCustomDomains": False})
        wrong = await client.patch("/v9/projects/liveone", json={"autoAssignCustomDomains": True, "name": "x"})
    assert (changed.status_code, changed.json()["autoAssignCustomDomains"]) == (200, False)
    assert (wrong.status_code, project.platform.auto_assign) == (400, False)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"autoAssignCustomDomains": 1}'])
async def test_nonsensical_body_is_a_bad_request(body: bytes) -> None:
    """For any body, the answer has the shape of an error."""
    async with api(_project()) as client:
        answer = await client.patch("/v9/projects/liveone", content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")


async def test_tokens_and_scopes_are_checked() -> None:
    """No token 401, a wrong one 403, another project or team 404, all in the documented shape."""
    project = _project(team="team_1")
    path, team = "/v9/projects/liveone", {"teamId": "team_1"}
    answers = []
    for token in ("", "wrong"):
        async with api(project, token) as client:
            answers.append(await client.get(path, params=team))
    async with api(project) as client:
        answers += [await client.get(path), await client.get("/v9/projects/other", params=team)]
        answers += [await client.get("/v7/deployments", params={**team, "projectId": "prj_other"})]
        answers += [await client.get("/v4/aliases/example.com", params=team)]
        answers += [await client.get("/nothing", params=team), await client.post(path, params=team)]
        assert (await client.get(path, params={"slug": "team_1"})).status_code == 200
        assert (await client.get("/v2/user")).json()["user"]["username"]
    assert [each.status_code for each in answers] == [401, 403, 404, 404, 404, 404, 404, 405]
    assert {each.json()["error"]["code"] for each in answers} == {"forbidden", "not_found", "method_unknown"}


async def test_variables_are_listed_without_their_values() -> None:
    """Names and targets are there, values are not; there is no rolling release."""
    async with api(_project(env=("CRON_SECRET",))) as client:
        rows = (await client.get("/v10/projects/liveone/env")).json()["envs"]
        release = (await client.get("/v1/projects/liveone/rolling-release")).json()
    assert [(row["key"], row["target"], row["value"]) for row in rows] == [("CRON_SECRET", ["production"], "")]
    assert release == {"rollingRelease": None}


def _during(step: str, kind: Kind) -> Faults:
    faults = Faults(step, kind)
    faults(event_of({"event": "begun", "step": step}))
    return faults


async def test_fail_of_the_deployment_ends_the_build_in_error_with_a_log() -> None:
    """The build's log gives the reason, and production does not move."""
    project = _project(_during("vercel_deployment", "fail"))
    project.platform.pushed(NEW, "main", "a change")
    project.pass_time(BUILD + ALIAS)
    async with api(project) as client:
        broken = await deployment(client, "dpl_2")
        log = (await client.get("/v3/deployments/dpl_2/events")).json()
        assert (broken["readyState"], await _live(client)) == ("ERROR", "dpl_1")
    assert broken["errorMessage"] == log[-1]["text"] == 'Error: Command "next build" exited with 1'


async def test_quick_build_does_not_escape_a_fault_ahead() -> None:
    """A build that ends before the step begins gets the fault; the next one, after it, is good."""
    faults = Faults("vercel_deployment", "fail")
    project = _project(faults)
    project.platform.pushed(NEW, "main", "a change")
    project.pass_time(BUILD)
    assert project.platform.find("dpl_2").state == "ERROR"
    for event in ("begun", "failed"):
        faults(event_of({"event": event, "refused": False, "step": "vercel_deployment"}))
    project.platform.pushed(NEWER, "main", "another")
    project.pass_time(BUILD)
    assert project.platform.find("dpl_3").state == "READY"


async def test_hang_of_the_deployment_never_ends_the_build() -> None:
    """The API answers, the build continues forever, even after the step, and can be cancelled."""
    faults = _during("vercel_deployment", "hang")
    project = _project(faults)
    project.platform.pushed(NEW, "main", "a change")
    project.pass_time(BUILD / 2)
    faults(event_of({"event": "failed", "refused": False, "step": "vercel_deployment"}))
    project.pass_time(100 * BUILD)
    async with api(project) as client:
        assert (await deployment(client, "dpl_2"))["readyState"] == "BUILDING"
        assert (await client.patch("/v12/deployments/dpl_2/cancel")).json()["readyState"] == "CANCELED"


@pytest.mark.parametrize("step", ["vercel_deployment", "activation"])
async def test_lost_answers_are_lost_after_the_effect(step: str) -> None:
    """The connection is reset, but the promotion has begun."""
    faults = Faults()
    project = _project(faults, auto_assign=False)
    project.platform.pushed(NEW, "main", "a change")
    project.pass_time(BUILD)
    async with api(project) as client:
        faults.arm(step, "lost")
        with pytest.raises(httpx.ReadError):
            await client.post("/v10/projects/liveone/promote/dpl_2")
        faults.disarm()
        project.pass_time(ALIAS)
        assert (await _job(client), await _live(client)) == ("succeeded", "dpl_2")


async def test_fail_of_the_activation_refuses_to_promote() -> None:
    """Promote is a conflict and nothing moves; reads work."""
    faults = Faults()
    project = _project(faults, auto_assign=False)
    project.platform.pushed(NEW, "main", "a change")
    project.pass_time(BUILD)
    async with api(project) as client:
        faults.arm("activation", "fail")
        refused = await client.post("/v10/projects/liveone/promote/dpl_2")
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conflict")
        project.pass_time(ALIAS)
        assert (await _job(client), await _live(client)) == (None, "dpl_1")


async def test_fail_of_the_activation_with_auto_assign_on() -> None:
    """Asking for the alias is a server error."""
    async with api(_project(_during("activation", "fail"))) as client:
        assert (await client.get("/v4/aliases/127.0.0.1")).status_code == 500
        assert (await client.get("/v9/projects/liveone")).status_code == 200


async def test_hang_of_the_activation_answers_nothing() -> None:
    """Every request hangs while it lasts, and has no effect."""
    project = _project(faults := _during("activation", "hang"))
    async with api(project) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await client.patch("/v9/projects/liveone", json={"autoAssignCustomDomains": False})
        faults(event_of({"event": "failed", "refused": False, "step": "activation"}))
        assert (await client.get("/v9/projects/liveone")).json()["autoAssignCustomDomains"] is True


async def test_default_clock_is_the_event_loop() -> None:
    """A real build takes real time, and not much more."""
    platform = Platform("127.0.0.1", Faults(), TOKEN, build_seconds=0.05, alias_seconds=0.05)
    platform.pushed(NEW, "main", "a change")
    assert platform.live_sha() is None
    async with asyncio.timeout(5):
        while platform.live_sha() != NEW:
            await asyncio.sleep(0.01)
    assert platform.find("dpl_1").substate == "PROMOTED"
