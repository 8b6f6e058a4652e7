"""Vercel's API in trouble, for a while or permanently: each run ends in time, and reports what is not known."""

import pytest

from steps.support.operations.build import POLL
from steps.support.standin.vercel.quirks import Aliasing, Answer, Moving, Quirks, Trouble
from tests.release.platform.api_troubles import (
    BUDGET,
    LONG,
    SHORT,
    STEP,
    Row,
    in_time,
    not_known,
    passes,
    released,
    since,
    stays,
)
from tests.support.production.base import FAILING, AnyProduction, RunResult
from tests.support.virtual.production import VirtualProduction

pytestmark = pytest.mark.anyio


def _seconds(ending: RunResult, step: str) -> float:
    return float(next(row["seconds"] for row in ending.report["steps"] if row["name"] == step))


@pytest.mark.on("virtual", "process")
async def test_passing_resets_only_delay_the_release(production: AnyProduction) -> None:
    """Connections that are reset a few times delay a release and do not end it."""
    await passes(production, Row(Answer.RESET, staged=True, times=3))


@pytest.mark.on("virtual", "process")
async def test_permanent_dripping_rolls_back_git_and_reports_the_unknown(production: AnyProduction) -> None:
    """If answers never end, git is rolled back, the database was not touched, and the report names what is unknown."""
    await stays(production, Row(Answer.DRIP, staged=False))


PROMOTE = "POST .*/promote/"
PASSING = [
    Row(Answer.HANG, staged=False, times=1),
    Row(Answer.DRIP, staged=True, times=1),
    Row(Answer.ERROR, staged=False, times=3),
    Row(Answer.HTML, staged=False, times=3),
    Row(Answer.HANG, staged=True, where=PROMOTE, times=1),
    Row(Answer.DRIP, staged=True, where=PROMOTE, times=1),
    Row(Answer.LIMITED, staged=True, where=PROMOTE, times=2),
    Row(Answer.ERROR, staged=True, where=PROMOTE, times=2),
    Row(Answer.HTML, staged=True, where=PROMOTE, times=1),
    Row(Answer.RESET, staged=True, where=PROMOTE, times=2),
    Row(Answer.LOST, staged=True, where=PROMOTE, times=1),
]


@pytest.mark.parametrize("row", PASSING, ids=str)
async def test_passing_trouble_only_delays_the_release(production: VirtualProduction, row: Row) -> None:
    """A few failed requests, reads or the promote itself, delay a release and do not end it."""
    await passes(production, row)


@pytest.mark.parametrize(("staged", "seconds"), [(False, 6), (True, 6.75)], ids=["auto-assign", "staged"])
async def test_requested_pause_is_respected(
    production: VirtualProduction,
    staged: bool,  # noqa: FBT001 - a column
    seconds: float,
) -> None:
    """If the platform asks for a pause of two seconds, the next request comes after two, and not before."""
    row = Row(Answer.LIMITED, staged, times=3, seconds=2.0)
    ending = await released(production, row, limits=LONG)
    assert ending.code == 0, ending.report
    assert _seconds(ending, STEP[staged]) == seconds


@pytest.mark.parametrize("staged", [False, True], ids=["auto-assign", "staged"])
async def test_pause_that_does_not_fit_ends_the_step_at_once(production: VirtualProduction, staged: bool) -> None:  # noqa: FBT001 - a column
    """Asked to wait ten minutes, the run does not wait for the limit: it rolls back at once, and gives the reason."""
    row, before = Row(Answer.LIMITED, staged, seconds=600.0), await production.state()
    ending = await released(production, row, limits="vercel_deployment = 12\nactivation = 12")
    assert "it asks to wait 600 s" in ending.report["cause"]
    assert _seconds(ending, STEP[staged]) == 0
    await not_known(production, ending, row, before.tree)


LASTING = [
    Row(Answer.HANG, staged=True),
    Row(Answer.LIMITED, staged=False),
    Row(Answer.ERROR, staged=False),
    Row(Answer.HTML, staged=False),
    Row(Answer.RESET, staged=True),
]


@pytest.mark.parametrize("row", LASTING, ids=str)
async def test_permanent_trouble_rolls_back_git_and_reports_the_unknown(
    production: VirtualProduction, row: Row
) -> None:
    """Git is rolled back, the database was not touched, and the report says what of the platform is unknown."""
    await stays(production, row)


@pytest.mark.parametrize("row", [Row(Answer.HANG, staged=False), Row(Answer.ERROR, staged=True)], ids=str)
async def test_permanent_trouble_after_the_migration_rolls_back_database_and_git(
    production: VirtualProduction, row: Row
) -> None:
    """Without the platform, database and git are rolled back, and both are verified."""
    platform, before = production.world.platform, await production.state()
    platform.auto_assign, platform.build_seconds = not row.staged, 0.5
    react = since(production, "health_checks", Quirks(troubles=(row.trouble,)))
    ending = await production.release(react=react, budget=BUDGET, limits=SHORT, health=FAILING)
    in_time(ending)
    assert ending.steps("undo")["turso_migration"] == "done"
    await not_known(production, ending, row, before.tree)
    after = await production.state()
    assert (after.schema, after.rows) == (before.schema, before.rows)
    assert not any(each.startswith("turso_migration") for each in ending.report["remains"]), ending.report


NEVER = [
    pytest.param(False, Quirks(aliasing=Aliasing.STAYS), 1, id="stays, auto-assign"),
    pytest.param(False, Quirks(aliasing=Aliasing.UNASSIGNED), 4, id="unassigned, auto-assign"),
    pytest.param(True, Quirks(moving=Moving.ENDLESS), 4, id="endless, staged"),
]


@pytest.mark.parametrize(("staged", "quirks", "code"), NEVER)
async def test_alias_that_never_moves_is_rolled_back(
    production: VirtualProduction,
    staged: bool,  # noqa: FBT001 - a column
    quirks: Quirks,
    code: int,
) -> None:
    """A deployment that is not live in time is rolled back; a move that the platform may still make needs a human."""
    platform, before = production.world.platform, await production.state()
    platform.auto_assign, platform.build_seconds = not staged, 0.5
    react = since(production, STEP[staged], quirks)
    ending = await production.release(react=react, budget=BUDGET, limits=SHORT)
    in_time(ending)
    assert ending.code == code, ending.report
    assert "serves dpl_1" in ending.report["cause"]
    assert bool(ending.report["remains"]) == (code == 4)
    assert await production.state() == before


async def test_slow_alias_is_waited_for(production: VirtualProduction) -> None:
    """Built is not live: the seconds between the two are waited for."""
    production.world.platform.alias_seconds = 2.5
    ending = await production.release(budget=BUDGET, limits=LONG)
    in_time(ending)
    assert ending.code == 0, ending.report
    assert 1.5 + 2.5 <= _seconds(ending, "vercel_deployment") < 1.5 + 2.5 + POLL


@pytest.mark.parametrize("answer", [Answer.RESET, Answer.ERROR], ids=str)
async def test_preflight_survives_one_failure_each(production: VirtualProduction, answer: Answer) -> None:
    """One failed request in each preflight does not prevent the plan."""
    kinds = ("/v2/user", "/v4/aliases/", "/v6/deployments", "/rolling-release")
    production.world.platform.quirks = Quirks(troubles=tuple(Trouble(answer, kind, 1) for kind in kinds))
    ending = await production.release("--dry-run")
    assert (ending.code, ending.report["verdict"]) == (0, "rehearsed"), ending.report


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (Trouble(Answer.RESET), "the connection was reset"),
        (Trouble(Answer.ERROR), "it answered 500: internal_server_error"),
        (Trouble(Answer.HTML, "/v9/projects/"), "its answer has an unknown format"),
        (Trouble(Answer.LIMITED, "/v4/aliases/", seconds=600.0), "it asks to wait 600 s"),
    ],
)
async def test_permanent_trouble_in_preflight_refuses_the_run(
    production: VirtualProduction, trouble: Trouble, words: str
) -> None:
    """After a few tries the run is refused with the platform's last answer, and nothing was touched."""
    before = await production.state()
    production.world.platform.quirks = Quirks(troubles=(trouble,))
    ending = await production.release()
    assert (ending.code, ending.report["verdict"]) == (3, "refused"), ending.report
    assert words in ending.report["cause"]
    assert ending.report["budget"]["used_seconds"] is None
    production.world.platform.quirks = Quirks()
    assert await production.state() == before
