"""Vercel's API in trouble, for a while or for good: each run ends in time, and says what is not known."""

import re
from dataclasses import dataclass

import pytest

from steps.support.standin.vercel_quirks import Aliasing, Moving, Quirks
from steps.support.standin.vercel_troubles import Answer, Trouble
from tests.release.conftest import FAILING, Ending, Event, Production, Reaction

pytestmark = pytest.mark.anyio

TOTAL = 30.0  # seconds
BUDGET = f"total = {TOTAL:.0f}\nreserve = 16"
LONG = "vercel_deployment = 11\nactivation = 11"
SHORT = "vercel_deployment = 3\nactivation = 2\nhealth_checks = 4"
STEP = {False: "vercel_deployment", True: "activation"}  # the one that has production's switch; true: builds are staged


@dataclass(frozen=True, slots=True)
class Row:
    """What goes wrong when the step with production's switch begins: with which requests, and how often."""

    answer: Answer
    staged: bool
    where: str = ""
    times: int | None = None
    seconds: float = 1.0

    @property
    def trouble(self) -> Trouble:
        """Give it as the stand-in takes it."""
        return Trouble(self.answer, self.where, self.times, self.seconds)

    def __str__(self) -> str:
        """Name it."""
        often = "for good" if self.times is None else f"{self.times} times"
        return f"{self.where or 'all'}: {self.answer}, {often}, {'staged' if self.staged else 'auto-assign'}"


def _since(production: Production, step: str, quirks: Quirks) -> Reaction:
    """Have the platform be so from the moment that the step begins."""

    async def react(event: Event) -> None:
        if event["event"] == "begun" and event["step"] == step:
            production.world.platform.quirks = quirks

    return react


def _seconds(ending: Ending, step: str) -> float:
    return float(next(row["seconds"] for row in ending.report["steps"] if row["name"] == step))


def _in_time(ending: Ending) -> None:
    assert ending.report["budget"]["used_seconds"] < TOTAL, ending.report
    assert ending.said == ""


async def _released(production: Production, row: Row, **extra: str) -> Ending:
    platform = production.world.platform
    platform.auto_assign, platform.build_seconds = not row.staged, 0.5
    react = _since(production, STEP[row.staged], Quirks(troubles=(row.trouble,)))
    ending = await production.release(react=react, budget=BUDGET, **extra)
    _in_time(ending)
    return ending


PROMOTE = "POST .*/promote/"
PASSING = [
    Row(Answer.HANG, staged=False, times=1),
    Row(Answer.DRIP, staged=True, times=1),
    Row(Answer.ERROR, staged=False, times=3),
    Row(Answer.HTML, staged=False, times=3),
    Row(Answer.RESET, staged=True, times=3),
    Row(Answer.HANG, staged=True, where=PROMOTE, times=1),
    Row(Answer.DRIP, staged=True, where=PROMOTE, times=1),
    Row(Answer.LIMITED, staged=True, where=PROMOTE, times=2),
    Row(Answer.ERROR, staged=True, where=PROMOTE, times=2),
    Row(Answer.HTML, staged=True, where=PROMOTE, times=1),
    Row(Answer.RESET, staged=True, where=PROMOTE, times=2),
    Row(Answer.LOST, staged=True, where=PROMOTE, times=1),
]


@pytest.mark.parametrize("row", PASSING, ids=str)
async def test_trouble_that_passes(production: Production, row: Row) -> None:
    """A few requests that come to nothing, reads or the promote itself, delay a release and do not end it."""
    ending = await _released(production, row, limits=LONG)
    assert (ending.code, ending.report["verdict"]) == (0, "deployed"), ending.report
    head = await production.git("rev-parse", "HEAD", where=production.world.checkout)
    assert production.world.platform.live_sha() == head
    waits = [event["on"] for event in ending.events if event["event"] == "waiting"]
    assert [what for what in waits if re.search("Vercel|an answer", what)], waits


@pytest.mark.parametrize("staged", [False, True], ids=["auto-assign", "staged"])
async def test_a_pause_of_a_second_is_given(production: Production, staged: bool) -> None:  # noqa: FBT001 - a column
    """Whoever asks for a second is asked again after one, and not before."""
    row = Row(Answer.LIMITED, staged, times=3)
    ending = await _released(production, row, limits=LONG)
    assert ending.code == 0, ending.report
    assert _seconds(ending, STEP[staged]) > 3


@pytest.mark.parametrize("staged", [False, True], ids=["auto-assign", "staged"])
async def test_a_pause_that_does_not_fit_ends_it_at_once(production: Production, staged: bool) -> None:  # noqa: FBT001 - a column
    """Asked to wait ten minutes, nobody waits for the limit first: it turns back, and says why."""
    row, before = Row(Answer.LIMITED, staged, seconds=600.0), await production.state()
    ending = await _released(production, row, limits="vercel_deployment = 12\nactivation = 12")
    assert "it asks to wait 600 s" in ending.report["cause"]
    assert _seconds(ending, STEP[staged]) < 4
    await _not_known(production, ending, row, before.tree)


LASTING = [
    Row(Answer.HANG, staged=True),
    Row(Answer.DRIP, staged=False),
    Row(Answer.LIMITED, staged=False),
    Row(Answer.ERROR, staged=False),
    Row(Answer.HTML, staged=False),
    Row(Answer.RESET, staged=True),
]


@pytest.mark.parametrize("row", LASTING, ids=str)
async def test_trouble_that_stays(production: Production, row: Row) -> None:
    """Where the platform cannot be put back either, git is, the database was not touched, and the report says what is not known."""
    before = await production.state()
    ending = await _released(production, row, limits=SHORT)
    await _not_known(production, ending, row, before.tree)
    after = await production.state()
    assert (after.schema, after.rows) == (before.schema, before.rows)


async def _not_known(production: Production, ending: Ending, row: Row, tree: str) -> None:
    """Hold a run against what it must say where nobody can ask the platform."""
    assert (ending.code, ending.report["verdict"]) == (4, "needs_human"), ending.report
    undo, owner = ending.steps("undo"), STEP[row.staged]
    assert (undo[owner], undo["git_push"]) == ("failed", "done"), ending.report["undo"]
    remains = ending.report["remains"]
    assert any(f"{owner}: not known whether it is put back" in each for each in remains), remains
    assert not any(each.startswith("git_push") for each in remains), remains
    assert await production.git("rev-parse", "main^{tree}") == tree


@pytest.mark.parametrize("row", [Row(Answer.HANG, staged=False), Row(Answer.ERROR, staged=True)], ids=str)
async def test_trouble_that_stays_after_the_migration(production: Production, row: Row) -> None:
    """A release that must go back and meets no platform has the database and git of before, and knows that it has."""
    platform, before = production.world.platform, await production.state()
    platform.auto_assign, platform.build_seconds = not row.staged, 0.5
    react = _since(production, "health_checks", Quirks(troubles=(row.trouble,)))
    ending = await production.release(react=react, budget=BUDGET, limits=SHORT, health=FAILING)
    _in_time(ending)
    assert ending.steps("undo")["turso_migration"] == "done"
    await _not_known(production, ending, row, before.tree)
    after = await production.state()
    assert (after.schema, after.rows) == (before.schema, before.rows)
    assert not any(each.startswith("turso_migration") for each in ending.report["remains"]), ending.report


NEVER = [
    pytest.param(False, Quirks(aliasing=Aliasing.STAYS), 1, id="stays, auto-assign"),
    pytest.param(False, Quirks(aliasing=Aliasing.UNASSIGNED), 4, id="unassigned, auto-assign"),
    pytest.param(True, Quirks(moving=Moving.ENDLESS), 4, id="endless, staged"),
]


@pytest.mark.parametrize(("staged", "quirks", "code"), NEVER)
async def test_an_alias_that_never_moves(production: Production, staged: bool, quirks: Quirks, code: int) -> None:  # noqa: FBT001 - a column
    """A deployment that does not go live in time is put back; what the platform may yet do of itself needs a human."""
    platform, before = production.world.platform, await production.state()
    platform.auto_assign, platform.build_seconds = not staged, 0.5
    react = _since(production, STEP[staged], quirks)
    ending = await production.release(react=react, budget=BUDGET, limits=SHORT)
    _in_time(ending)
    assert ending.code == code, ending.report
    assert "serves dpl_1" in ending.report["cause"]
    assert bool(ending.report["remains"]) == (code == 4)
    assert await production.state() == before


async def test_an_alias_that_takes_its_time(production: Production) -> None:
    """Built is not live: whatever seconds lie between the two are waited for."""
    production.world.platform.alias_seconds = 2.5
    ending = await production.release(budget=BUDGET, limits=LONG)
    _in_time(ending)
    assert ending.code == 0, ending.report
    assert _seconds(ending, "vercel_deployment") > 1.5 + 2.5


@pytest.mark.parametrize("answer", [Answer.RESET, Answer.ERROR], ids=str)
async def test_a_look_that_meets_trouble_once_goes_on(production: Production, answer: Answer) -> None:
    """One slip in each look, and the plan is there all the same."""
    kinds = ("/v2/user", "/v4/aliases/", "/v6/deployments", "/rolling-release")
    production.world.platform.quirks = Quirks(troubles=tuple(Trouble(answer, kind, 1) for kind in kinds))
    ending = await production.release("--dry-run")
    assert (ending.code, ending.report["verdict"]) == (0, "rehearsed"), ending.report


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (Trouble(Answer.RESET), "the connection was reset"),
        (Trouble(Answer.ERROR), "it answered 500: internal_server_error"),
        (Trouble(Answer.HTML, "/v9/projects/"), "its answer is of no known form"),
        (Trouble(Answer.LIMITED, "/v4/aliases/", seconds=600.0), "it asks to wait 600 s"),
    ],
)
async def test_a_look_that_meets_trouble_for_good_refuses_the_run(
    production: Production, trouble: Trouble, words: str
) -> None:
    """After a few tries the run is refused, with what the platform said last, and nothing was touched."""
    before = await production.state()
    production.world.platform.quirks = Quirks(troubles=(trouble,))
    ending = await production.release()
    assert (ending.code, ending.report["verdict"]) == (3, "refused"), ending.report
    assert words in ending.report["cause"]
    assert ending.report["budget"]["used_seconds"] is None
    production.world.platform.quirks = Quirks()
    assert await production.state() == before
