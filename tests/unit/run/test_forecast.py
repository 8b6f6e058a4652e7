"""The forecast: which releases do not fit into their time, and what may begin while the clock runs."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import pytest

from steps.support.core.errors import Failed, Refused
from steps.support.run.budget import PREFLIGHT, SLOW, Budget, Forecast, forecast, refuse_unfitting
from steps.support.run.release import Gateways
from steps.support.run.step import Done, Plan, PlannedStep, ReversibleStep, Step
from tests.support.virtual.loop import run

LIMITS = {"push": 20.0, "build": 60.0, "migrate": 30.0, "switch": 25.0, "check": 40.0}
BUDGET = Budget(100.0, 30.0, LIMITS)  # 70 s forward


@dataclass(frozen=True)
class Expected:
    """What a step observed: the seconds that it and its rollback will take."""

    apply: float = 1.0
    undo: float = 1.0


@dataclass(frozen=True, eq=False)
class _Check(Step[Expected]):
    name: str  # type: ignore[misc]

    async def preflight(self, gateways: Gateways) -> Expected:
        return Expected()

    async def apply(self, gateways: Gateways, observed: Expected) -> Done:
        return Done("looked")

    def plan(self, observed: Expected) -> str:
        return "check"

    def expected_seconds(self, observed: Expected) -> float:
        return observed.apply


@dataclass(frozen=True, eq=False)
class _Change(ReversibleStep[Expected]):
    name: str  # type: ignore[misc]
    rollback_share: float = 0.5  # type: ignore[misc]

    async def preflight(self, gateways: Gateways) -> Expected:
        return Expected()

    async def apply(self, gateways: Gateways, observed: Expected) -> Done:
        return Done("done")

    def plan(self, observed: Expected) -> str:
        return "change"

    def rollback_plan(self, observed: Expected) -> str:
        return "change back"

    async def rollback(self, gateways: Gateways, observed: Expected) -> Done:
        return Done("put back")

    async def verify_rollback(self, gateways: Gateways, observed: Expected) -> str:
        return ""

    async def superseded_by(self, gateways: Gateways, observed: Expected) -> str:
        return ""

    def expected_seconds(self, observed: Expected) -> float:
        return observed.apply

    def expects_rollback(self, observed: Expected) -> float:
        return observed.undo


@dataclass(frozen=True, eq=False)
class _Preparing(_Change):
    prepares: ClassVar[bool] = True


class _Plain(_Change):
    """A change that does not state its expected time."""

    expected_seconds = Step.expected_seconds
    expects_rollback = ReversibleStep.expects_rollback


PUSH, BUILD, MIGRATE, SWITCH, CHECK = _Change("push"), _Change("build"), _Change("migrate", 0.4), _Change("switch"), _Check("check")  # fmt: skip
ALL = (PUSH, BUILD, MIGRATE, SWITCH, CHECK)
AHEAD = (_Preparing("push"), _Preparing("build"), MIGRATE, SWITCH, CHECK)
LATE = Budget(630.0, 30.0, {**LIMITS, "build": 600.0}, BUDGET)  # what only prepares has 600 s of its own


def _planned(steps: Sequence[Step[Any]], observed: Mapping[str, Any] | None = None) -> Plan:
    return [PlannedStep(step, (observed or {}).get(step.name)) for step in steps]


def _refusal(steps: Plan, what: Forecast, budget: Budget) -> list[str]:
    """Return the causes for which a release is refused; none if it fits."""
    try:
        refuse_unfitting(steps, what, budget)
    except Refused as refused:
        return refused.cause.split("; ")
    return []


@pytest.mark.parametrize(
    ("steps", "budget", "seconds", "undo", "causes"),
    [
        pytest.param(ALL, BUDGET, {}, {}, [], id="all of it fits"),
        pytest.param((), BUDGET, {}, {}, [], id="there is nothing to do"),
        pytest.param(ALL, BUDGET, {"push": 10, "build": 40, "migrate": 10, "switch": 5, "check": 5}, {}, [], id="to the second"),
        pytest.param(ALL, BUDGET, {"push": 20, "migrate": 30}, {"migrate": 12, "push": 15}, [], id="each to its limit"),
        pytest.param(ALL, BUDGET, {"migrate": 30.04}, {}, ["migrate will take 30.0 s, and 30 s are allowed"], id="a step over its limit"),
        pytest.param(ALL, BUDGET, {"push": 21, "check": 41.26}, {}, ["push will take 21.0 s, and 20 s are allowed", "check will take 41.3 s, and 40 s are allowed"], id="two steps over theirs"),
        pytest.param(ALL, BUDGET, {"build": 75}, {}, ["build will take 75.0 s, and 60 s are allowed", "up to build it will take 76.0 s, and 70 s are allowed before a rollback"], id="a step over its limit and over all that is there"),
        pytest.param(ALL, BUDGET, {"push": 21, "build": 40, "migrate": 10}, {}, ["push will take 21.0 s, and 20 s are allowed", "up to migrate it will take 71.0 s, and 70 s are allowed before a rollback"], id="a step over its limit, and all of them too long later"),
        pytest.param(ALL, BUDGET, {"push": 71, "build": 61}, {}, ["push will take 71.0 s, and 20 s are allowed", "up to push it will take 71.0 s, and 70 s are allowed before a rollback", "build will take 61.0 s, and 60 s are allowed"], id="two steps over their limits, together said once"),
        pytest.param(ALL, BUDGET, {"build": 60, "migrate": 15, "switch": 20, "check": 30}, {}, ["up to migrate it will take 76.0 s, and 70 s are allowed before a rollback"], id="together too long, said once"),
        pytest.param(ALL, BUDGET, {"build": 50, "check": 20}, {}, ["up to check it will take 73.0 s, and 70 s are allowed before a rollback"], id="a check that is too late"),
        pytest.param(ALL, BUDGET, {}, {"migrate": 12.5}, ["rolling back migrate will take 12.5 s, and 12 s are reserved for it"], id="an undo over its share"),
        pytest.param(ALL, BUDGET, {"migrate": 31}, {"migrate": 13}, ["migrate will take 31.0 s, and 30 s are allowed", "rolling back migrate will take 13.0 s, and 12 s are reserved for it"], id="there and back"),
        pytest.param(ALL, BUDGET, {}, {"push": 10, "build": 10, "migrate": 10, "switch": 0.5}, ["the rollback will take 30.5 s, and 30 s are reserved for it"], id="all rollbacks over the reserve"),
        pytest.param((PUSH, CHECK), BUDGET, {}, {"push": 16}, ["rolling back push will take 16.0 s, and 15 s are reserved for it"], id="only what is planned is asked about"),
        pytest.param(AHEAD, LATE, {"build": 500, "migrate": 20, "switch": 20, "check": 30}, {}, [], id="a long build before the clock"),
        pytest.param(ALL, LATE, {"build": 61}, {}, ["build will take 61.0 s, and 60 s are allowed"], id="one that users may notice"),
        pytest.param(AHEAD, LATE, {"build": 601}, {}, ["build will take 601.0 s, and 600 s are allowed", "up to build it will take 602.0 s, and 600 s are allowed before a rollback"], id="a build over its own time"),
        pytest.param(AHEAD, LATE, {"push": 15, "build": 590}, {}, ["up to build it will take 605.0 s, and 600 s are allowed before a rollback"], id="preparing takes too long"),
        pytest.param(AHEAD, LATE, {"build": 590, "migrate": 25, "switch": 20, "check": 30}, {}, ["up to check it will take 75.0 s, and 70 s are allowed before a rollback"], id="what follows takes too long"),
        pytest.param(AHEAD, LATE, {"push": 19, "build": 590, "migrate": 25, "switch": 20, "check": 30}, {}, ["up to build it will take 609.0 s, and 600 s are allowed before a rollback", "up to check it will take 75.0 s, and 70 s are allowed before a rollback"], id="both take too long, each said once"),
        pytest.param(AHEAD, LATE, {"migrate": 31}, {"migrate": 12.5}, ["migrate will take 31.0 s, and 30 s are allowed", "rolling back migrate will take 12.5 s, and 12 s are reserved for it"], id="limits of what follows"),
    ],
)  # fmt: skip
def test_release_that_does_not_fit_is_refused(
    steps: tuple[Step[Any], ...], budget: Budget, seconds: dict[str, float], undo: dict[str, float], causes: list[str]
) -> None:
    """Every reason is named with both figures; a step without an estimate counts as one second."""
    observed = {step.name: Expected(seconds.get(step.name, 1.0), undo.get(step.name, 1.0)) for step in steps}
    assert _refusal(_planned(steps, observed), forecast(_planned(steps, observed)), budget) == causes


def test_refusal_names_the_settings_for_more_time() -> None:
    """Nothing was touched, and the remedy names the settings that allow more time."""
    with pytest.raises(Refused, match="forecasting the release: push will take") as refused:
        refuse_unfitting(_planned((PUSH,)), Forecast({"push": 21.0}, {"push": 1.0}), BUDGET)
    assert refused.value.remedy == SLOW
    assert "[limits]" in SLOW


def test_each_step_estimates_from_what_it_observed() -> None:
    """Checks have no rollback, and a step without an estimate counts as one second."""
    plain = _Plain("switch")
    observed = {"push": Expected(2.5, 3.5), "check": Expected(7.0), "switch": Expected(99.0, 99.0)}
    found = forecast(_planned((PUSH, plain, CHECK), observed))
    assert found.steps == {"push": 2.5, "switch": 1.0, "check": 7.0}
    assert found.rollback == {"push": 3.5, "switch": 1.0}
    assert (found.seconds, found.rollback_seconds) == (10.5, 4.5)


def test_forecast_of_no_steps_is_empty() -> None:
    """A forecast of no steps is empty."""
    assert forecast(()) == Forecast({}, {})
    assert (forecast(()).seconds, forecast(()).rollback_seconds) == (0, 0)


def test_preflight_has_a_minute_unless_configured() -> None:
    """Only steps that are named in the limits have their own time for preflight."""
    budget = Budget(100.0, 30.0, LIMITS, preflights={"migrate": 660.0})
    assert [budget.preflight_seconds(name) for name in ("migrate", "push", "unheard of")] == [
        660.0,
        PREFLIGHT,
        PREFLIGHT,
    ]
    assert Budget(100.0, 30.0, LIMITS).preflight_seconds("migrate") == PREFLIGHT == 60.0


@pytest.mark.parametrize(
    ("step", "spent", "expected", "left"),
    [
        (PUSH, 0.0, 70.0, None),
        (PUSH, 0.0, 70.1, "and 70.0 s are left"),
        (PUSH, 60.0, 10.0, None),
        (PUSH, 60.5, 10.0, "and 9.5 s are left"),
        (PUSH, 75.0, 1.0, "and 0.0 s are left"),
        (PUSH, 70.0, 0.0, None),
        (CHECK, 75.0, 40.0, None),
        (_Preparing("build"), 60.5, 10.0, "and 9.5 s are left"),
    ],
)
def test_change_begins_only_if_it_can_end_in_time(
    step: Step[Expected], spent: float, expected: float, left: str | None
) -> None:
    """Its expected time must fit into the remaining forward time; a check may begin at any time."""

    async def admitted() -> None:
        window = BUDGET.start()
        await asyncio.sleep(spent)
        with pytest.raises(Failed, match=left) if left else nullcontext():
            window.admit(step, expected)

    run(admitted())


def test_second_budget_takes_over_at_the_first_visible_step() -> None:
    """A preparing step is not followed by another budget, nor is a budget that has no second one."""
    assert [LATE.after(step) for step in AHEAD] == [None, None, BUDGET, BUDGET, BUDGET]
    assert [BUDGET.after(step) for step in AHEAD] == [None] * len(AHEAD)
    assert (LATE.longest, BUDGET.longest) == (730.0, 100.0)
    assert cast("Budget", LATE.then).then is None
