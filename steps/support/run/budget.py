"""Time as scopes: Budget (what was agreed) -> Window (the clock runs) -> Reserve (going back).

All figures are seconds on the event loop's clock. Nothing below the run loop knows of any of this.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from steps.support.core.deadline import deadline_known, listening, waited_for
from steps.support.core.errors import Failed, Refused
from steps.support.run.step import Plan, ReversibleStep, Step, reversible

PREFLIGHT = 60.0  # seconds for a look; the clock of the run has not started then
OVERSLEPT = 1.0  # waking later than this after the forward time means the machine was suspended


@dataclass(frozen=True, slots=True)
class Budget:
    """What a run may take: `total` seconds, of which `reserve` are kept for going back, and a ceiling for each step.

    `then`: what it may take from the first step on that users may notice, where preparing has a budget of its own.
    `looks`: what a step's look may take, before the clock, where that is not the usual minute.
    """

    total: float
    reserve: float
    limits: Mapping[str, float]
    then: "Budget | None" = None
    looks: Mapping[str, float] = field(default_factory=dict)

    def preflight_seconds(self, step: str) -> float:
        """Seconds that this step's look may take."""
        return self.looks.get(step, PREFLIGHT)

    def start(self) -> "ForwardDeadline":
        """Start the clock."""
        return ForwardDeadline(self, _now())

    def after(self, step: Step[Any]) -> "Budget | None":
        """Give the budget that takes over when this step is due: the first that does more than prepare has its own."""
        return None if isinstance(step, ReversibleStep) and step.prepares else self.then

    @property
    def longest(self) -> float:
        """Seconds that a run can take."""
        return self.total + (self.then.longest if self.then else 0.0)


@dataclass(frozen=True, slots=True)
class ForwardDeadline:
    """The running clock on the way forward."""

    budget: Budget
    started: float

    @property
    def used(self) -> float:
        """Seconds since the clock started."""
        return _now() - self.started

    @property
    def forward_end(self) -> float:
        """When the way forward ends and only going back is left."""
        return self.started + self.budget.total - self.budget.reserve

    def limit(self, step: str) -> float:
        """Seconds that this step may take if it begins now: its ceiling, cut to the forward time left."""
        return max(0.0, min(self.budget.limits[step], self.forward_end - _now()))

    def admit(self, step: Step[Any], expected: float) -> None:
        """Raise Failed when a change would not end before the forward time does, going by the seconds it will take."""
        left = self.forward_end - _now()
        if isinstance(step, ReversibleStep) and left < expected:
            cause = f"it takes {expected:.0f} s and {max(left, 0):.1f} s are left"
            raise Failed(step.name, "was not begun", cause, _LATE)

    @asynccontextmanager
    async def scope(self, step: str) -> AsyncIterator[None]:
        """End the block when the step's time is up. Raises Failed, saying which limit it met."""
        limit = self.limit(step)
        cut = limit < self.budget.limits[step]
        why = "the forward time of the whole run ended" if cut else f"not done within its {limit:g} s"
        async with _until(_now() + limit, step, why):
            yield

    def begin_rollback(self) -> "RollbackDeadline":
        """Begin going back. The end is settled here, once."""
        now = _now()
        overslept = now > self.forward_end + OVERSLEPT
        end = now + self.budget.reserve if overslept else self.started + self.budget.total
        return RollbackDeadline(self.budget.reserve, end, overslept)


@dataclass(frozen=True, slots=True)
class RollbackDeadline:
    """The time for going back: it ends at `end`; each undo has its own ceiling, a share of `seconds`."""

    seconds: float
    end: float
    suspended: bool

    def renewed_after_suspend(self) -> "RollbackDeadline | None":
        """Give a new one where the machine was suspended past the end of this: nothing awake gets there."""
        now = _now()
        return (
            RollbackDeadline(self.seconds, now + self.seconds, suspended=True) if now > self.end + OVERSLEPT else None
        )

    def limit(self, change: ReversibleStep[Any]) -> float:
        """Seconds that this undo may take if it begins now."""
        return max(0.0, min(change.rollback_share * self.seconds, self.end - _now()))

    @asynccontextmanager
    async def scope(self, change: ReversibleStep[Any]) -> AsyncIterator[None]:
        """End the block when this undo's time is up. Raises Failed."""
        limit = self.limit(change)
        async with _until(_now() + limit, change.name, f"not put back within {limit:.1f} s"):
            yield


@asynccontextmanager
async def preflight_deadline(seconds: float = PREFLIGHT) -> AsyncIterator[None]:
    """End the block, which looks and touches nothing, when it takes too long. Raises Refused."""
    with listening():
        try:
            async with _ending(_now() + seconds) as scope:
                yield
        except TimeoutError:
            if not scope.expired():
                raise
            cause = f"not done after {seconds:.0f} s{_last()}"
            raise Refused("looking", "at production", cause, "Find out who is slow.") from None


@asynccontextmanager
async def _until(end: float, step: str, why: str) -> AsyncIterator[None]:
    with listening():
        try:
            async with _ending(end) as scope:
                yield
        except TimeoutError:
            if not scope.expired():
                raise
            raise Failed(step, "ran out of time", why + _last(), _LATE) from None


@asynccontextmanager
async def _ending(at: float) -> AsyncIterator[asyncio.Timeout]:
    async with asyncio.timeout_at(at) as scope:
        with deadline_known(at):
            yield scope


def _last() -> str:
    """Say what was waited for when the time was up."""
    return f"; last: {heard}" if (heard := waited_for()) else ""


def _now() -> float:
    return asyncio.get_running_loop().time()


_LATE = "The report says how long each step took; find the slow one before trying again."


SLOW = "Make it faster, divide the change, or allow more: [budget] and [limits] in the settings."


@dataclass(frozen=True, slots=True)
class Forecast:
    """Seconds that each step will take, by its name, and those that putting all of it back will take."""

    steps: Mapping[str, float]
    rollback: Mapping[str, float]

    @property
    def seconds(self) -> float:
        """Seconds of the way forward."""
        return sum(self.steps.values())

    @property
    def rollback_seconds(self) -> float:
        """Seconds of the way back, from the last step."""
        return sum(self.rollback.values())


def forecast(plan: Plan) -> Forecast:
    """Ask each step what it expects."""
    rollback = {each.name: each.step.expects_rollback(each.observed) for each in reversible(plan)}
    return Forecast({each.name: each.step.expected_seconds(each.observed) for each in plan}, rollback)


def refuse_unfitting(plan: Plan, what: Forecast, budget: Budget) -> None:
    """Raise Refused where a step, the way forward or the way back will not fit into its time."""
    if causes := [*_too_slow(plan, what, budget)]:
        raise Refused("forecasting", "the release", "; ".join(causes), SLOW)


def _too_slow(plan: Plan, what: Forecast, budget: Budget) -> Iterator[str]:
    together = 0.0
    for step in (each.step for each in plan):
        if follows := budget.after(step):
            budget, together = follows, 0.0
        limit, forward = budget.limits[step.name], budget.total - budget.reserve
        together += what.steps[step.name]
        if what.steps[step.name] > limit:
            yield f"{step.name} will take {what.steps[step.name]:.1f} s, and {limit:g} s are allowed"
        if together > forward >= together - what.steps[step.name]:
            yield f"up to {step.name} it will take {together:.1f} s, and {forward:g} s are there before going back"
        if isinstance(step, ReversibleStep) and what.rollback[step.name] > (
            ceiling := step.rollback_share * budget.reserve
        ):
            yield f"undoing {step.name} will take {what.rollback[step.name]:.1f} s, and {ceiling:g} s are kept for it"
    if what.rollback_seconds > budget.reserve:
        yield f"going back will take {what.rollback_seconds:.1f} s, and {budget.reserve:g} s are kept for it"
