"""A release in a situation on the platform, and a check that what the tool says at the end is true of it."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from steps.support.standin.agenda import Agenda, loop_clock
from steps.support.standin.vercel.platform import Platform
from steps.support.standin.vercel.state import State
from tests.release.platform.situations import BYPASS, LIVE, Auto, Situation, Whose
from tests.support.production.base import FAILING, READING, AnyProduction, Event, RunResult
from tests.support.production.base import State as Before

HOUR = 3600.0  # seconds
TOTAL = 60.0  # seconds


class Ahead:
    """The platform's clock, which can be moved forward."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """Return its seconds."""
        return loop_clock() + self.seconds


@dataclass(frozen=True, slots=True)
class Seen:
    """The platform's state at some moment."""

    serves: Whose
    target: Whose
    auto: bool
    coming: bool


@dataclass(frozen=True, slots=True)
class Watched:
    """The platform, and what is needed to tell whose a deployment is."""

    platform: Platform
    head: str
    row: Situation

    def whose(self, identifier: str | None) -> Whose:
        """Return whose a deployment is."""
        each = self.platform.find(identifier or "")
        if each.id == LIVE:
            return Whose.OLD
        if each.sha == self.head:
            return Whose.OURS
        return Whose.RESTORING if each.subject.startswith("Roll back to ") else Whose.OTHER

    def seen(self) -> Seen:
        """Return the platform's current state."""
        platform = self.platform
        platform.catch_up()
        whose = self.whose(platform.served), self.whose(platform.production)
        return Seen(*whose, platform.auto_assign, any(self._coming()))

    def _coming(self) -> Iterator[bool]:
        """Return for each deployment of ours whether the platform may still make it live."""
        platform = self.platform
        moving = platform.job.target if platform.job and platform.job.under_way else None
        for each in platform.known:
            if each.sha == self.head and each.aliased is None:
                ended = each.state in (State.ERROR, State.CANCELED, "BLOCKED", "DELETED")
                yield each.id in (moving, platform.queued) or (platform.auto_assign and not ended)


async def hold(production: AnyProduction, row: Situation) -> None:
    """Release in a situation, and check the end against what it must be, then and an hour later."""
    platform, clock = production.world.platform, Ahead()
    platform.agenda = Agenda(clock)
    _prepare(platform, row)
    _pass(platform, clock, 60)
    if not row.since:
        await _begin(production, row)
    before, auto = await production.state(), platform.auto_assign
    watched = Watched(platform, await production.head(), row)
    ending = await _released(production, row)
    seen, untrue = watched.seen(), _untrue(watched, ending.report)
    assert (ending.report["verdict"], ending.code) == (row.end.verdict, row.end.code), _told(ending)
    auto = auto if row.end.auto is None else row.end.auto
    assert seen == Seen(row.end.serves, row.end.target, auto, row.end.coming), (seen, ending.report["undo"])
    _is_back(before, await production.state(), ending)
    _pass(platform, clock, HOUR)
    assert watched.seen().serves == row.end.later
    assert row.end.cause in (ending.report["cause"] or "")
    assert row.end.remains in "; ".join(ending.report["remains"])
    assert bool(ending.report["remains"]) == (row.end.verdict == "needs_human")
    assert untrue == []
    assert (ending.report["budget"]["used_seconds"] or 0) < TOTAL
    assert ending.said == ""


def _told(ending: RunResult) -> dict[str, Any]:
    """Return the part of a report that shows why a run ended otherwise."""
    return {key: ending.report[key] for key in ("cause", "remains", "undo", "steps")}


def _prepare(platform: Platform, row: Situation) -> None:
    """Set up the project as it is before anything goes wrong."""
    platform.build_seconds, platform.alias_seconds = row.seconds
    platform.bypass = BYPASS
    if row.auto is Auto.PINNED:
        platform.deployed("f" * 40, "main", "Regretted")
        platform.move("rollback", LIVE)
    platform.auto_assign = row.auto is Auto.ON


def _pass(platform: Platform, clock: Ahead, seconds: float) -> None:
    clock.seconds += seconds
    platform.catch_up()


async def _begin(production: AnyProduction, row: Situation) -> None:
    """Make things go wrong from now on."""
    production.world.platform.quirks = replace(row.quirks, pushes=(row.build, row.restoring))
    if row.somebody:
        await row.somebody(production)


async def _released(production: AnyProduction, row: Situation) -> RunResult:
    async def react(event: Event) -> None:
        if row.since and row.since in (event["event"], event["step"] if event["event"] == "begun" else ""):
            await _begin(production, row)

    if row.since:
        production.world.platform.quirks = replace(production.world.platform.quirks, pushes=(row.build, row.restoring))
    if row.key:
        production.settings = {"VERCEL_AUTOMATION_BYPASS_SECRET": row.key}
    limits = f"vercel_deployment = {row.limit}\nactivation = {row.limit}\nhealth_checks = 10"
    health = FAILING if row.late else READING
    return await production.release(
        react=react, limits=limits, budget=f"total = {TOTAL}\nreserve = {row.reserve}", health=health
    )


def _is_back(before: Before, after: Before, ending: RunResult) -> None:
    """Check what is rolled back, or reported so, against the state before."""
    undone = [name for name, status in ending.steps("undo").items() if status == "done"]
    if ending.report["verdict"] in ("rolled_back", "refused"):
        assert after == before
    if "turso_migration" in undone:
        assert (after.schema, after.rows) == (before.schema, before.rows)
    if "git_push" in undone:
        assert after.tree == before.tree
    if ending.code == 0:
        assert after.schema != before.schema
        assert after.tree != before.tree


def _untrue(watched: Watched, report: dict[str, Any]) -> list[str]:
    """Return every statement of the report about the platform that is false."""
    parts = [part["detail"] for part in report["undo"] or report["steps"] if part["status"] == "done"]
    plans = [step["plan"] for step in report["plan"]]
    text = "\n".join([*parts, *plans, *report["remains"], report["cause"] or "", f"unpin {report['unpin']}"])
    said = [(found, holds) for words, holds in SAYINGS.items() for found in re.finditer(words, text)]
    return [found[0] for found, holds in said if not holds(watched, *found.groups())]


def _lives(watched: Watched, *identifiers: str) -> bool:
    return {watched.platform.served, watched.platform.production} == set(identifiers)


def _is_unpinned_so(watched: Watched) -> bool:
    """Return True if a rollback keeps new builds from going live, and not a setting."""
    return watched.row.auto is not Auto.OFF and not watched.platform.auto_assign


def _is_not_pinned_by_us(watched: Watched) -> bool:
    ours = watched.row.auto is Auto.ON and watched.row.somebody is None and watched.row.end.verdict == "rolled_back"
    return watched.platform.auto_assign or not ours


SAYINGS: dict[str, Callable[..., bool]] = {  # what a report may say, and how to check it
    "then goes live by itself": lambda watched: watched.row.auto is Auto.ON,
    "staged: auto-assign is off;|although auto-assign was off": lambda watched: watched.row.auto is not Auto.ON,
    "auto-assign is off since production was rolled back": lambda watched: watched.row.auto is Auto.PINNED,
    "the project is pinned|auto-assign stays off": lambda watched: not watched.platform.auto_assign,
    "auto-assign is on, and was off": lambda watched: watched.platform.auto_assign,
    "unpin curl": _is_unpinned_so,
    "unpin None": _is_not_pinned_by_us,
    r"(dpl_\d+) is live": _lives,
    r"production is (\S+) and \S+ serves (\S+), not": lambda watched, *ends: (
        (watched.platform.production, watched.platform.served) == ends
    ),
    r"(dpl_\d+) \(\w+\) of this run may still go live": lambda watched, _: watched.seen().coming,
    r"(dpl_\d+) stays on the platform, staged": lambda watched, each: watched.platform.find(each).state == State.READY,
    r"its build (dpl_\d+) is cancelled": lambda watched, each: watched.platform.find(each).state == State.CANCELED,
}
