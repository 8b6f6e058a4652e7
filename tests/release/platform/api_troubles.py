"""The platform's API in trouble from some moment of a release on, and how the release must end."""

import re
from dataclasses import dataclass

from steps.support.standin.vercel.quirks import Answer, Quirks, Trouble
from tests.support.production.base import AnyProduction, Event, Reaction, RunResult

TOTAL = 30.0  # seconds
BUDGET = f"total = {TOTAL:.0f}\nreserve = 16"
LONG = "vercel_deployment = 11\nactivation = 11"
SHORT = "vercel_deployment = 3\nactivation = 2\nhealth_checks = 4"
STEP = {False: "vercel_deployment", True: "activation"}  # the step that switches production; true: builds are staged


@dataclass(frozen=True, slots=True)
class Row:
    """What goes wrong from the step that switches production on: for which requests, and how often."""

    answer: Answer
    staged: bool
    where: str = ""
    times: int | None = None
    seconds: float = 1.0

    @property
    def trouble(self) -> Trouble:
        """Return the trouble in the form that the stand-in takes."""
        return Trouble(self.answer, self.where, self.times, self.seconds)

    def __str__(self) -> str:
        """Return its name."""
        often = "for good" if self.times is None else f"{self.times} times"
        return f"{self.where or 'all'}: {self.answer}, {often}, {'staged' if self.staged else 'auto-assign'}"


def since(production: AnyProduction, step: str, quirks: Quirks) -> Reaction:
    """Put the platform in trouble from the moment that the step begins."""

    async def react(event: Event) -> None:
        if event["event"] == "begun" and event["step"] == step:
            production.world.platform.quirks = quirks

    return react


def in_time(ending: RunResult) -> None:
    """Check that a run kept within its budget, and reported no defect."""
    assert ending.report["budget"]["used_seconds"] < TOTAL, ending.report
    assert ending.said == ""


async def released(production: AnyProduction, row: Row, **extra: str) -> RunResult:
    """Release while the row's trouble lasts."""
    platform = production.world.platform
    platform.auto_assign, platform.build_seconds = not row.staged, 0.5
    react = since(production, STEP[row.staged], Quirks(troubles=(row.trouble,)))
    ending = await production.release(react=react, budget=BUDGET, **extra)
    in_time(ending)
    return ending


async def passes(production: AnyProduction, row: Row) -> None:
    """Check that a few failed requests delay a release and do not end it."""
    ending = await released(production, row, limits=LONG)
    assert (ending.code, ending.report["verdict"]) == (0, "deployed"), ending.report
    assert production.world.platform.live_sha() == await production.head()
    waits = [event["on"] for event in ending.events if event["event"] == "waiting"]
    assert [what for what in waits if re.search("Vercel|an answer", what)], waits


async def stays(production: AnyProduction, row: Row) -> None:
    """Check that git and database are rolled back if the platform cannot be asked, and that the report says so."""
    before = await production.state()
    ending = await released(production, row, limits=SHORT)
    await not_known(production, ending, row, before.tree)
    after = await production.state()
    assert (after.schema, after.rows) == (before.schema, before.rows)


async def not_known(production: AnyProduction, ending: RunResult, row: Row, tree: str) -> None:
    """Check that a run reports what is unknown while the platform cannot be asked."""
    assert (ending.code, ending.report["verdict"]) == (4, "needs_human"), ending.report
    undo, owner = ending.steps("undo"), STEP[row.staged]
    assert (undo[owner], undo["git_push"]) == ("failed", "done"), ending.report["undo"]
    remains = ending.report["remains"]
    assert any(f"{owner}: not known whether it is rolled back" in each for each in remains), remains
    assert not any(each.startswith("git_push") for each in remains), remains
    assert await production.tree() == tree
