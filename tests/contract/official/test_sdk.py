"""The official SDK, which checks every answer against its schema, judges the stand-in in all the states it goes through."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from steps.support.standin.servers import serve
from steps.support.standin.vercel.api import application
from steps.support.standin.vercel.platform import Platform
from steps.support.standin.vercel.quirks import NEVER_ITS_TURN, SKIPPED, Aliasing, Build, Moving, Origin, Quirks
from steps.support.standin.vercel.state import Checks, Variable
from tests.contract.official.clients import TEAM, Call, sdk
from tests.support.servers.vercel_project import ALIAS, BUILD, NEW, TOKEN, Clock, project

pytestmark = pytest.mark.anyio

HOST = "liveone.vercel.app"
SCOPE = {"teamId": TEAM}
OURS = {"projectId": "prj_standin", **SCOPE}
READS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("userGetAuthUser", {}),
    ("teamsGetTeam", SCOPE),
    ("projectsGetProject", {"idOrName": "liveone", **SCOPE}),
    ("projectsFilterProjectEnvs", {"idOrName": "liveone", **SCOPE}),
    ("projectsListPromoteAliases", OURS),
    ("rollingReleaseGetRollingRelease", {"idOrName": "liveone", **SCOPE}),
    ("aliasesGetAlias", {"idOrAlias": HOST, **SCOPE}),
    ("aliasesListDeploymentAliases", {"id": "dpl_2", **SCOPE}),
    ("deploymentsGetDeployments", {**OURS, "target": "production", "sha": NEW, "limit": 20}),
    ("deploymentsGetDeployment", {"idOrUrl": "dpl_1", **SCOPE}),
    ("deploymentsGetDeployment", {"idOrUrl": "dpl_2", **SCOPE}),
    ("checksV2ListDeploymentCheckRuns", {"deploymentId": "dpl_2", **SCOPE}),
    ("authenticationGetAuthToken", {"tokenId": "current"}),
    ("environmentListSharedEnvVariable", {"projectId": "prj_standin", **SCOPE}),
    ("deploymentsGetDeploymentEvents", {"idOrUrl": "dpl_2", "limit": -1, "follow": 0, "builds": 1, **SCOPE}),
)


@asynccontextmanager
async def _project(packages: Path, **differing: Any) -> AsyncIterator[tuple[Platform, Clock, Call]]:
    """Serve a team's project on which OLD is live and NEW was pushed."""
    env = ("CRON_SECRET", Variable("CRON_SECRET", ("preview", "development"), "encrypted"))
    made = project(host=HOST, team=TEAM, env=env, **differing)
    made.platform.pushed(NEW, "main", "a change")
    async with serve(application(made.platform)) as url, sdk(packages, url, TOKEN) as call:
        yield made.platform, made.clock, call


async def _all_valid(call: Call) -> dict[str, Any]:
    """Read everything there is to read; give what was refused."""
    answers = {(name, *asked.values()): await call(name, **asked) for name, asked in READS}
    return {str(key): answer for key, answer in answers.items() if "error" in answer}


async def _state(call: Call) -> tuple[str, str | None, str | None]:
    ours = (await call("deploymentsGetDeployment", idOrUrl="dpl_2", **SCOPE))["value"]
    served = (await call("aliasesGetAlias", idOrAlias=HOST, **SCOPE))["value"]
    return ours["readyState"], ours.get("readySubstate"), served["deploymentId"]


async def test_every_read_validates_from_the_push_to_the_rollback(packages: Path) -> None:
    """Queued, building, staged, promoted in three steps and rolled back: at each, whatever the SDK asks for is valid."""
    seen, refused = [], []
    async with _project(packages, auto_assign=False) as (_, clock, call):

        async def look(seconds: float) -> None:
            clock.now += seconds
            refused.append(await _all_valid(call))
            seen.append(await _state(call))

        for seconds in (0, BUILD / 2, BUILD / 2):
            await look(seconds)
        assert await call("projectsRequestPromote", deploymentId="dpl_2", **OURS) == {"value": None}
        for seconds in (0, ALIAS / 2, ALIAS / 2):
            await look(seconds)
        assert await call("projectsRequestRollback", deploymentId="dpl_1", **OURS) == {"value": None}
        await look(ALIAS)
    assert refused == [{}] * 7
    assert [state for state, _, _ in seen] == ["QUEUED", "BUILDING", "READY", "READY", "READY", "READY", "READY"]
    assert [substate for _, substate, _ in seen] == [None, None, "STAGED", "STAGED", "STAGED", "PROMOTED", "PROMOTED"]
    assert [served for _, _, served in seen] == ["dpl_1"] * 5 + ["dpl_2", "dpl_1"]


async def test_writes_validate_and_have_their_effect(packages: Path) -> None:
    """A build is cancelled, the project is pinned; the answers are those that the SDK expects."""
    async with _project(packages) as (platform, _, call):
        canceled = await call("deploymentsCancelDeployment", id="dpl_2", **SCOPE)
        pinned = await call(
            "projectsUpdateProject",
            idOrName="liveone",
            requestBody={"autoAssignCustomDomains": False},
            **SCOPE,
        )
        assert await _all_valid(call) == {}
    assert (canceled["value"]["readyState"], platform.find("dpl_2").state) == ("CANCELED", "CANCELED")
    assert (pinned["value"]["autoAssignCustomDomains"], platform.auto_assign) == (False, False)


@pytest.mark.parametrize(
    ("quirks", "state"),
    [
        (Quirks(pushes=(Build("ERROR"),)), "ERROR"),
        (Quirks(pushes=(Build("BLOCKED", reason="The author has no access."),)), "BLOCKED"),
        (Quirks(pushes=(SKIPPED,)), "CANCELED"),
        (Quirks(pushes=(NEVER_ITS_TURN,)), "QUEUED"),
        (Quirks(aliasing=Aliasing.FAILS), "READY"),
    ],
    ids=["error", "blocked", "skipped", "queued", "alias"],
)
async def test_pushes_that_do_not_go_live_are_valid_too(packages: Path, quirks: Quirks, state: str) -> None:
    """Every read validates after a push that came to nothing."""
    async with _project(packages, quirks=quirks) as (_, clock, call):
        clock.now += BUILD
        assert await _all_valid(call) == {}
        clock.now += ALIAS
        assert await _state(call) == (state, "STAGED" if state == "READY" else None, "dpl_1")


@pytest.mark.parametrize(
    "quirks",
    [Quirks(rolling=True), Quirks(moving=Moving.FAILED), Quirks(moving=Moving.STALE)],
    ids=["rolling", "failed", "stale"],
)
async def test_promotes_that_do_not_arrive_are_valid_too(packages: Path, quirks: Quirks) -> None:
    """A rolling release, a failed and an older move are shown in valid forms."""
    async with _project(packages, auto_assign=False, quirks=quirks) as (_, clock, call):
        clock.now += BUILD
        assert await call("projectsRequestPromote", deploymentId="dpl_2", **OURS) == {"value": None}
        clock.now += ALIAS
        assert await _all_valid(call) == {}


@pytest.mark.parametrize(
    "quirks",
    [
        Quirks(origin=Origin.GITLAB),
        Quirks(origin=Origin.BITBUCKET),
        Quirks(origin=Origin.CLI, branch="", pushes=(Build(held=True),)),
        Quirks(gradual=True, token_lasts=60.0),
        Quirks(redirect="www.liveone.example"),
        Quirks(branch="release"),
        Quirks(pushes=(Build(checks=Checks(("E2E",), 3, "failed")),)),
    ],
    ids=["gitlab", "bitbucket", "cli", "gradual", "redirect", "preview", "checks"],
)
async def test_set_ups_of_teams_are_valid_too(packages: Path, quirks: Quirks) -> None:
    """Other Git providers, the CLI, checks, and settings that the tool refuses are shown in valid forms."""
    async with _project(packages, quirks=quirks) as (platform, clock, call):
        platform.shared_env = ("FLAGS",)
        for seconds in (0, BUILD, ALIAS, BUILD):
            clock.now += seconds
            assert await _all_valid(call) == {}


async def test_a_state_that_does_not_exist_is_rejected(packages: Path) -> None:
    """Control: the SDK does check, and it is the state that it rejects, in a list as well as alone."""
    async with _project(packages, builds={NEW: "BOGUS"}) as (_, clock, call):
        clock.now += BUILD
        refused = await _all_valid(call)
    assert {name.split("'")[1] for name in refused} == {"deploymentsGetDeployments", "deploymentsGetDeployment"}
    assert all("BOGUS" in answer["message"] for answer in refused.values())


async def test_refusals_are_understood(packages: Path) -> None:
    """404 and 409 reach the SDK's caller with their status."""
    async with _project(packages) as (_, _, call):
        missing = await call("deploymentsGetDeployment", idOrUrl="dpl_9", **SCOPE)
        current = await call("projectsRequestRollback", deploymentId="dpl_1", **OURS)
    assert (missing["status"], current["status"]) == (404, 409)
