"""The official SDK, which checks every answer against its schema, judges the stand-in in all the states it goes through."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from steps.support.standin.agenda import Agenda
from steps.support.standin.faults import Faults
from steps.support.standin.servers import serve
from steps.support.standin.vercel import Platform
from steps.support.standin.vercel_api import application
from steps.support.standin.vercel_quirks import Moving, Quirks
from steps.support.standin.vercel_state import Variable
from tests.standin.official.clients import TEAM, TOKEN, Call, sdk

pytestmark = pytest.mark.anyio

OLD, NEW = "a" * 40, "b" * 40
BUILD, ALIAS = 10.0, 2.0  # seconds of the clock that the test moves
HOST = "liveone.vercel.app"
SCOPE = {"teamId": TEAM}
OURS = {"projectId": "prj_standin", **SCOPE}
READS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("user.getAuthUser", {}),
    ("teams.getTeam", SCOPE),
    ("projects.getProject", {"idOrName": "liveone", **SCOPE}),
    ("projects.filterProjectEnvs", {"idOrName": "liveone", **SCOPE}),
    ("projects.listPromoteAliases", OURS),
    ("rollingRelease.getRollingRelease", {"idOrName": "liveone", **SCOPE}),
    ("aliases.getAlias", {"idOrAlias": HOST, **SCOPE}),
    ("aliases.listDeploymentAliases", {"id": "dpl_2", **SCOPE}),
    ("deployments.getDeployments", {**OURS, "target": "production", "sha": NEW, "limit": 20}),
    ("deployments.getDeployment", {"idOrUrl": "dpl_1", **SCOPE}),
    ("deployments.getDeployment", {"idOrUrl": "dpl_2", **SCOPE}),
    ("deployments.getDeploymentEvents", {"idOrUrl": "dpl_2", "limit": -1, "follow": 0, "builds": 1, **SCOPE}),
)


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Give its seconds."""
        return self.now


@asynccontextmanager
async def _project(packages: Path, **differing: Any) -> AsyncIterator[tuple[Platform, Clock, Call]]:
    """Serve a project on which OLD is live and NEW was pushed."""
    clock = Clock()
    env = ("CRON_SECRET", Variable("CRON_SECRET", ("preview", "development"), "encrypted"))
    terms = {"build_seconds": BUILD, "alias_seconds": ALIAS, "team": TEAM, "env": env, **differing}
    platform = Platform(HOST, Faults(), TOKEN, agenda=Agenda(clock), **terms)
    platform.deployed(OLD, "main", "as it was")
    platform.pushed(NEW, "main", "a change")
    async with serve(application(platform)) as url, sdk(packages, url) as call:
        yield platform, clock, call


async def _all_valid(call: Call) -> dict[str, Any]:
    """Read everything there is to read; give what was refused."""
    answers = {(name, *asked.values()): await call(name, **asked) for name, asked in READS}
    return {str(key): answer for key, answer in answers.items() if "error" in answer}


async def _state(call: Call) -> tuple[str, str | None, str | None]:
    ours = (await call("deployments.getDeployment", idOrUrl="dpl_2", **SCOPE))["value"]
    served = (await call("aliases.getAlias", idOrAlias=HOST, **SCOPE))["value"]
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
        assert await call("projects.requestPromote", deploymentId="dpl_2", **OURS) == {"value": None}
        for seconds in (0, ALIAS / 2, ALIAS / 2):
            await look(seconds)
        assert await call("projects.requestRollback", deploymentId="dpl_1", **OURS) == {"value": None}
        await look(ALIAS)
    assert refused == [{}] * 7
    assert [state for state, _, _ in seen] == ["QUEUED", "BUILDING", "READY", "READY", "READY", "READY", "READY"]
    assert [substate for _, substate, _ in seen] == [None, None, "STAGED", "STAGED", "STAGED", "PROMOTED", "PROMOTED"]
    assert [served for _, _, served in seen] == ["dpl_1"] * 5 + ["dpl_2", "dpl_1"]


async def test_writes_validate_and_have_their_effect(packages: Path) -> None:
    """A build is cancelled, the project is pinned; the answers are those that the SDK expects."""
    async with _project(packages) as (platform, _, call):
        canceled = await call("deployments.cancelDeployment", id="dpl_2", **SCOPE)
        pinned = await call(
            "projects.updateProject",
            idOrName="liveone",
            requestBody={"autoAssignCustomDomains": False},
            **SCOPE,
        )
        assert await _all_valid(call) == {}
    assert (canceled["value"]["readyState"], platform.find("dpl_2").state) == ("CANCELED", "CANCELED")
    assert (pinned["value"]["autoAssignCustomDomains"], platform.auto_assign) == (False, False)


@pytest.mark.parametrize("ending", ["ERROR", "CANCELED", "BLOCKED"])
async def test_builds_that_end_otherwise_are_valid_too(packages: Path, ending: str) -> None:
    """Every read validates after a build that came to nothing."""
    async with _project(packages, builds={NEW: ending}) as (_, clock, call):
        clock.now += BUILD
        assert await _all_valid(call) == {}
        assert (await _state(call))[0] == ending


@pytest.mark.parametrize(
    "quirks", [Quirks(rolling=True), Quirks(moving=Moving.FAILED), Quirks(moving=Moving.STALE)], ids=str
)
async def test_what_is_nasty_is_valid_all_the_same(packages: Path, quirks: Quirks) -> None:
    """A rolling release, a failed and an older move are shown in valid forms."""
    async with _project(packages, auto_assign=False, quirks=quirks) as (_, clock, call):
        clock.now += BUILD
        assert await call("projects.requestPromote", deploymentId="dpl_2", **OURS) == {"value": None}
        clock.now += ALIAS
        assert await _all_valid(call) == {}


async def test_a_state_that_does_not_exist_is_rejected(packages: Path) -> None:
    """Control: the SDK does check, and it is the state that it rejects, in a list as well as alone."""
    async with _project(packages, builds={NEW: "BOGUS"}) as (_, clock, call):
        clock.now += BUILD
        refused = await _all_valid(call)
    assert {name.split("'")[1] for name in refused} == {"deployments.getDeployments", "deployments.getDeployment"}
    assert all("BOGUS" in answer["message"] for answer in refused.values())


async def test_refusals_are_understood(packages: Path) -> None:
    """404 and 409 reach the SDK's caller with their status."""
    async with _project(packages) as (_, _, call):
        missing = await call("deployments.getDeployment", idOrUrl="dpl_9", **SCOPE)
        current = await call("projects.requestRollback", deploymentId="dpl_1", **OURS)
    assert (missing["status"], current["status"]) == (404, 409)
