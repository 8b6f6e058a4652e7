"""Each deviation of the stand-in platform, over real sockets: what a client sees, and where production ends up."""

from typing import Any

import httpx
import pytest

from steps.support.standin.vercel.quirks import (
    IGNORED,
    NEVER_ITS_TURN,
    NO_DEPLOYMENT,
    SKIPPED,
    SUPERSEDED,
    Aliasing,
    Build,
    Listing,
    Moving,
    Quirks,
)
from steps.support.standin.vercel.state import Variable
from tests.support.servers.vercel_project import (
    ALIAS,
    BUILD,
    NEW,
    NEWER,
    OLD,
    Project,
    api,
    deployment,
    last_move,
    project,
    served,
)
from tests.support.servers.vercel_project import target as production

pytestmark = pytest.mark.anyio


def _pushed(quirks: Quirks, **differing: Any) -> Project:
    made = project(quirks=quirks, **differing)
    made.platform.pushed(NEW, "main", "a change")
    return made


def _staged(quirks: Quirks) -> Project:
    made = _pushed(quirks, auto_assign=False)
    made.pass_time(BUILD)
    return made


async def _listed(client: httpx.AsyncClient, **query: str) -> list[str]:
    return [row["uid"] for row in (await client.get("/v7/deployments", params=query)).json()["deployments"]]


@pytest.mark.parametrize(
    ("listing", "rows"),
    [
        (Listing.HONEST, ["dpl_2"]),
        (Listing.UNFILTERED, ["dpl_3", "dpl_2", "dpl_1"]),
        (Listing.OLD_FIRST, ["dpl_1", "dpl_3", "dpl_2"]),
    ],
)
async def test_list_of_one_commit(listing: Listing, rows: list[str]) -> None:
    """The list holds that commit, everything, or everything with the live one first."""
    made = _pushed(Quirks(listing=listing))
    made.platform.pushed(NEWER, "main", "another")
    async with api(made) as client:
        assert await _listed(client, sha=NEW, target="production") == rows


@pytest.mark.parametrize(
    ("build", "state", "shown"),
    [
        (Build(), "READY", {"buildSkipped": False, "isInConcurrentBuildsQueue": False}),
        (Build("ERROR"), "ERROR", {"errorCode": "BUILD_FAILED"}),
        (Build("CANCELED"), "CANCELED", {}),
        (
            Build("BLOCKED", reason="The author has no access."),
            "BLOCKED",
            {"readyStateReason": "The author has no access."},
        ),
        (Build("BOGUS"), "BOGUS", {"status": "BOGUS"}),
        (SKIPPED, "CANCELED", {"buildSkipped": False, "errorMessage": IGNORED}),
        (NEVER_ITS_TURN, "QUEUED", {"isInConcurrentBuildsQueue": True}),
        (Build(queued=BUILD / 2), "BUILDING", {"isInConcurrentBuildsQueue": False}),
        (SUPERSEDED, "CANCELED", {"isInConcurrentBuildsQueue": False}),
    ],
    ids=str,
)
async def test_state_after_a_build(build: Build, state: str, shown: dict[str, Any]) -> None:
    """After the time of a normal build, the push is in this state and gives the reason; only READY goes live."""
    made = _pushed(Quirks(pushes=(build,)))
    made.pass_time(BUILD)
    async with api(made) as client:
        ours = await deployment(client, "dpl_2")
        made.pass_time(ALIAS)
        live = await production(client)
    assert (ours["readyState"], {name: ours[name] for name in shown}) == (state, shown)
    assert (live == "dpl_2") == (state == "READY")


async def test_push_behind_other_builds_is_queued() -> None:
    """It is queued for the configured time, then it is built and goes live."""
    made = _pushed(Quirks(pushes=(Build(queued=5 * BUILD),)))
    made.pass_time(5 * BUILD)
    async with api(made) as client:
        before = await deployment(client, "dpl_2")
        made.pass_time(BUILD + ALIAS)
        assert (before["readyState"], await served(client)) == ("QUEUED", "dpl_2")


async def test_only_the_first_pushes_deviate() -> None:
    """The push after the configured ones is normal, and a commit's own end has precedence."""
    made = project(quirks=Quirks(pushes=(NO_DEPLOYMENT, Build("ERROR"))), builds={OLD: "BLOCKED"})
    assert made.platform.pushed(NEW, "main", "a change") is None
    for sha in (OLD, NEWER):
        made.platform.pushed(sha, "main", "another")
    made.pass_time(BUILD)
    async with api(made) as client:
        assert await _listed(client, sha=NEW) == []
        states = [(await deployment(client, each))["readyState"] for each in ("dpl_2", "dpl_3")]
    assert states == ["BLOCKED", "READY"]


async def test_later_push_cancels_a_queued_build() -> None:
    """Ours is never built, and says so; the foreign commit, which contains ours, goes live."""
    made = _pushed(Quirks(pushes=(SUPERSEDED,)))
    made.pass_time(BUILD + ALIAS)
    async with api(made) as client:
        ours, others = await deployment(client, "dpl_2"), await deployment(client, "dpl_3")
        assert await served(client) == "dpl_3"
    assert (ours["readyState"], "newer commit" in ours["readyStateReason"]) == ("CANCELED", True)
    assert others["meta"]["githubCommitSha"] not in (OLD, NEW)
    assert made.platform.live_sha() == NEW


async def test_foreign_deployment_appears_during_the_run() -> None:
    """Ours goes live, then the foreign one does."""
    made = _pushed(Quirks(pushes=(Build(followed=BUILD / 2),)))
    async with api(made) as client:
        seen = []
        for seconds in (BUILD + ALIAS, BUILD / 2):
            made.pass_time(seconds)
            seen.append((await served(client), len(await _listed(client))))
    assert seen == [("dpl_2", 3), ("dpl_3", 3)]


@pytest.mark.parametrize(
    ("aliasing", "ends", "assigned", "error"),
    [
        (Aliasing.MOVES, ("dpl_2", "dpl_2"), True, None),
        (Aliasing.UNASSIGNED, ("dpl_1", "dpl_1"), False, None),
        (
            Aliasing.FAILS,
            ("dpl_1", "dpl_1"),
            False,
            {"code": "alias_error", "message": "The alias could not be assigned."},
        ),
        (Aliasing.STAYS, ("dpl_2", "dpl_1"), True, None),
        (Aliasing.ASTRAY, ("dpl_2", "dpl_3"), True, None),
    ],
)
async def test_aliases_of_a_push(
    aliasing: Aliasing, ends: tuple[str, str], *, assigned: bool, error: dict[str, str] | None
) -> None:
    """After READY, target and alias go where the platform has them go."""
    made = project()
    made.platform.quirks = Quirks(aliasing=aliasing)
    made.platform.pushed(NEW, "main", "a change")
    made.pass_time(BUILD + ALIAS)
    async with api(made) as client:
        ours = await deployment(client, "dpl_2")
        assert (await production(client), await served(client)) == ends
        rows = (await client.get("/v2/deployments/dpl_2/aliases")).json()["aliases"]
    assert (ours["readyState"], ours["aliasAssigned"], ours["aliasError"]) == ("READY", assigned, error)
    assert (rows != []) == (ends[1] == "dpl_2")


async def test_alias_can_be_wrong_from_the_start() -> None:
    """The public host serves another deployment of the code that is the production target."""
    made = project(quirks=Quirks(aliasing=Aliasing.ASTRAY))
    async with api(made) as client:
        assert (await production(client), await served(client)) == ("dpl_1", "dpl_2")
        assert (await deployment(client, "dpl_2"))["meta"]["githubCommitSha"] == made.platform.live_sha() == OLD


@pytest.mark.parametrize("kind", ["promote", "rollback"])
@pytest.mark.parametrize(
    ("moving", "status", "moves"),
    [
        (Moving.DONE, "succeeded", True),
        (Moving.UNRECORDED, None, True),
        (Moving.STALE, "succeeded", True),
        (Moving.SKEWED, "succeeded", True),
        (Moving.SKIPPED, "skipped", False),
        (Moving.FAILED, "failed", False),
        (Moving.ENDLESS, "in-progress", False),
    ],
)
async def test_result_of_a_move(kind: str, moving: Moving, status: str | None, *, moves: bool) -> None:
    """201, then the project reports this, and production has moved or not."""
    made, source, target = (_staged(Quirks()), "dpl_1", "dpl_2") if kind == "promote" else (_live(), "dpl_2", "dpl_1")
    made.platform.quirks = Quirks(moving=moving)
    async with api(made) as client:
        version = "v10" if kind == "promote" else "v1"
        assert (await client.post(f"/{version}/projects/liveone/{kind}/{target}", json={})).status_code == 201
        made.pass_time(100 * ALIAS)
        shown = await last_move(client)
        assert (shown["jobStatus"] if shown else None) == status
        assert await production(client) == await served(client) == (target if moves else source)


def _live() -> Project:
    made = _pushed(Quirks())
    made.pass_time(BUILD + ALIAS)
    return made


@pytest.mark.parametrize(("moving", "late"), [(Moving.STALE, False), (Moving.SKEWED, False), (Moving.DONE, True)])
async def test_old_or_skewed_move_is_recognised_by_its_time(moving: Moving, *, late: bool) -> None:
    """Only a normal move has a time at or after the request; others differ by minutes or by a whole build."""
    made = _live()
    made.platform.quirks = Quirks(moving=moving)
    async with api(made) as client:
        requested = made.platform.agenda.milliseconds(made.clock.now)
        await client.post("/v1/projects/liveone/rollback/dpl_1")
        made.pass_time(ALIAS)
        shown = await last_move(client)
    assert shown
    assert (shown["type"], shown["toDeploymentId"], shown["requestedAt"] >= requested) == ("rollback", "dpl_1", late)


@pytest.mark.parametrize(
    ("moving", "seconds", "status"),
    [
        (Moving.DONE, 0, "pending"),
        (Moving.DONE, ALIAS / 2, "in-progress"),
        (Moving.DONE, ALIAS, "completed"),
        (Moving.FAILED, ALIAS, "failed"),
    ],
)
async def test_aliases_of_a_move_come_in_both_forms(moving: Moving, seconds: float, status: str) -> None:
    """Flat in v1 and nested in v9; `failedOnly` omits those that did not fail; the other kind gets nothing."""
    made = _staged(Quirks(moving=moving))
    async with api(made) as client:

        async def told(version: str, kind: str = "promote", **query: str) -> dict[str, Any]:
            answer = await client.get(f"/{version}/projects/liveone/{kind}/aliases", params=query)
            body: dict[str, Any] = answer.json()
            return body

        assert await told("v1") == {}
        await client.post("/v10/projects/liveone/promote/dpl_2")
        made.pass_time(seconds)
        flat, nested, failed = await told("v1"), await told("v9"), await told("v9", failedOnly="true")
        assert await told("v1", "rollback") == {}
    assert [(row["alias"], row["status"]) for row in flat["aliases"]] == [("127.0.0.1:80", status)]
    assert [row["alias"]["deploymentId"] for row in nested["aliases"]] == ["dpl_2"]
    assert failed["aliases"] == (nested["aliases"] if status == "failed" else [])


async def test_promote_is_queued_behind_a_rolling_release() -> None:
    """202, nothing moves, and the active release names what waits for it."""
    made = _staged(Quirks(rolling=True))
    async with api(made) as client:
        assert (await client.post("/v10/projects/liveone/promote/dpl_2")).status_code == 202
        made.pass_time(ALIAS)
        release = (await client.get("/v1/projects/liveone/rolling-release")).json()["rollingRelease"]
        assert (await last_move(client), await served(client)) == (None, "dpl_1")
    assert (release["state"], release["queuedDeploymentId"]) == ("ACTIVE", "dpl_2")


@pytest.mark.parametrize("unpins", [True, False])
async def test_promote_unpins_if_configured(*, unpins: bool) -> None:
    """A promote switches auto-assign on, or does not change it; a rollback switches it off either way."""
    made = _staged(Quirks(promote_unpins=unpins))
    seen = []
    async with api(made) as client:
        for path in ("/v10/projects/liveone/promote/dpl_2", "/v9/projects/liveone/rollback/dpl_1"):
            await client.post(path)
            made.pass_time(ALIAS)
            seen.append((await client.get("/v9/projects/liveone")).json()["autoAssignCustomDomains"])
    assert seen == [unpins, False]


async def test_pinned_key_can_be_absent() -> None:
    """The key is absent, not null."""
    async with api(project(quirks=Quirks(shows_auto_assign=False))) as client:
        assert "autoAssignCustomDomains" not in (await client.get("/v9/projects/liveone")).json()


async def test_crons_are_switched_off_and_on() -> None:
    """The switch answers with the project, whose `disabledAt` is set while they are off."""
    made = project()
    async with api(made) as client:

        async def switched(body: dict[str, Any]) -> httpx.Response:
            return await client.patch("/v1/projects/liveone/crons", json=body)

        off = (await switched({"enabled": False})).json()["crons"]
        assert (await client.get("/v9/projects/liveone")).json()["crons"] == off
        on = (await switched({"enabled": True})).json()["crons"]
        wrong = [(await switched(body)).status_code for body in ({}, {"enabled": 1}, {"enabled": True, "x": 1})]
    assert (off["disabledAt"], on["disabledAt"], wrong) == (off["updatedAt"], None, [400, 400, 400])


async def test_crons_may_be_off_from_the_start() -> None:
    """A project whose crons are off says since when."""
    async with api(project(crons=False)) as client:
        assert (await client.get("/v9/projects/liveone")).json()["crons"]["disabledAt"] > 0


async def test_variables_of_other_environments_are_listed_too() -> None:
    """Filtering by one environment returns every row; each says where it applies."""
    made = project(env=("A", Variable("B", ("preview", "development"), "plain")))
    async with api(made) as client:
        rows = (await client.get("/v10/projects/liveone/env?target=production")).json()["envs"]
    assert [(row["key"], row["type"], row["target"]) for row in rows] == [
        ("A", "sensitive", ["production"]),
        ("B", "plain", ["preview", "development"]),
    ]


async def test_team_is_visible_to_its_members() -> None:
    """Either spelling of its path works; a project without a team has none."""
    async with api(project(team="team_1")) as client:
        shown = [(await client.get(path)).json()["id"] for path in ("/teams/team_1", "/v2/teams/team_1")]
        assert (await client.get("/teams/team_2")).status_code == 404
    async with api(project()) as client:
        assert (await client.get("/teams/team_1")).status_code == 404
    assert shown == ["team_1", "team_1"]


async def test_rollback_during_an_alias_move_is_refused() -> None:
    """READY and about to go live, ours is not stopped by a rollback to the live one: 409, then ours is live."""
    made = _pushed(Quirks())
    made.pass_time(BUILD)
    async with api(made) as client:
        assert (await client.post("/v1/projects/liveone/rollback/dpl_1")).status_code == 409
        made.pass_time(ALIAS)
        assert await served(client) == "dpl_2"


async def test_push_to_a_pinned_project_stays_staged() -> None:
    """However much time passes, the old one is live and ours is STAGED."""
    made = _staged(Quirks())
    made.pass_time(100 * BUILD)
    async with api(made) as client:
        assert ((await deployment(client, "dpl_2"))["readySubstate"], await served(client)) == ("STAGED", "dpl_1")


@pytest.mark.parametrize(("asked", "rows"), [("true", ["dpl_1"]), ("false", ["dpl_2"])])
async def test_rollback_candidates_can_be_listed(asked: str, rows: list[str]) -> None:
    """The list is of deployments that were live and are not now, or of the rest."""
    async with api(_live()) as client:
        assert await _listed(client, rollbackCandidate=asked, branch="main") == rows
        assert await _listed(client, branch="other") == []
