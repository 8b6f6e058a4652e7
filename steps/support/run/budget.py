"""The time of a run: Budget (the agreed time), ForwardDeadline (for applying steps), RollbackDeadline (the reserve).

All times are in seconds on the event loop's clock. The layers below the run know nothing of these limits.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from steps.support.core.deadline import deadline_known, listening, waited_for
from steps.support.core.errors import Failed, Refused, Stalled
from steps.support.run.step import Plan, ReversibleStep, Step, reversible

PREFLIGHT = 60.0  # seconds for one preflight, before the clock of the run starts
SUSPENDED = 1.0  # seconds; a task that wakes up this long after a deadline shows that the machine was suspended
SPARE = 0.1  # seconds before the end of the reserve at which verifying ends
VERIFYING = 1 / 15  # the part of the reserve in which nothing is rolled back again, so that it can be verified


@dataclass(frozen=True, slots=True)
class Budget:
    """The seconds that a run may take.

    `total`: for all of it. `reserve`: for the rollback, as the last part of the total. `limits`: for each step, by
    name. `preflights`: for the preflight of a step, by name, if it is not the usual minute. `then`: the budget that
    starts with the first step that users may notice, if the steps before it have a budget of their own; otherwise None.
    """

    total: float
    reserve: float
    limits: Mapping[str, float]
    then: "Budget | None" = None
    preflights: Mapping[str, float] = field(default_factory=dict)

    def preflight_seconds(self, step: str) -> float:
        """Return the seconds that this step's preflight may take."""
        return self.preflights.get(step, PREFLIGHT)

    def start(self) -> "ForwardDeadline":
        """Start the clock, and return the deadline for applying the steps."""
        return ForwardDeadline(self, _now())

    def after(self, step: Step[Any]) -> "Budget | None":
        """Return the budget that starts with this step, or None if the current budget goes on."""
        return None if isinstance(step, ReversibleStep) and step.prepares else self.then

    @property
    def longest(self) -> float:
        """Return the most seconds that a whole run can take."""
        return self.total + (self.then.longest if self.then else 0.0)


@dataclass(frozen=True, slots=True)
class ForwardDeadline:
    """The clock that runs while steps are applied."""

    budget: Budget
    started: float

    @property
    def used(self) -> float:
        """Return the seconds since the clock started."""
        return _now() - self.started

    @property
    def forward_end(self) -> float:
        """Return the time at which no more steps are applied, because only the reserve is left."""
        return self.started + self.budget.total - self.budget.reserve

    def limit(self, step: str) -> float:
        """Return the seconds that this step may take from now: its limit, or the forward time left if shorter."""
        return max(0.0, min(self.budget.limits[step], self.forward_end - _now()))

    def admit(self, step: Step[Any], expected: float) -> None:
        """Raise Failed if a step that changes the world would end after the forward time.

        `expected`: the seconds that the step will take.
        """
        left = self.forward_end - _now()
        if isinstance(step, ReversibleStep) and left < expected:
            cause = f"it takes {expected:.0f} s and {max(left, 0):.1f} s are left"
            raise Failed(code="step-timeout", operation=step.name, subject="was not begun", cause=cause, remedy=_LATE)

    @asynccontextmanager
    async def scope(self, step: str) -> AsyncIterator[None]:
        """Raise Failed, which names the limit, if the block does not end within the step's time."""
        limit = self.limit(step)
        cut = limit < self.budget.limits[step]
        why = "the forward time of the whole run ended" if cut else f"not done within its {limit:g} s"
        async with _until(_now() + limit, step, why):
            yield

    def begin_rollback(self) -> "RollbackDeadline":
        """Return the deadline of the rollback, which is the end of the budget.

        If the machine was suspended past the forward time, the rollback gets the whole reserve from now.
        """
        now = _now()
        suspended = now > self.forward_end + SUSPENDED
        end = now + self.budget.reserve if suspended else self.started + self.budget.total
        return RollbackDeadline(self.budget.reserve, end, now, suspended)


@dataclass(frozen=True, slots=True)
class RollbackDeadline:
    """The time for the rollback.

    `seconds`: the reserve; the rollback of each step may take a share. `end`: when the time ends. `began`: when it
    began. `suspended`: whether the machine was suspended.
    """

    seconds: float
    end: float
    began: float
    suspended: bool

    def renewed_after_suspend(self) -> "RollbackDeadline | None":
        """Return a new deadline if the machine was suspended past the end of this one, otherwise None.

        A machine that was not suspended never gets past that end.
        """
        now = _now()
        return (
            RollbackDeadline(self.seconds, now + self.seconds, now, suspended=True)
            if now > self.end + SUSPENDED
            else None
        )

    def limit(self, change: ReversibleStep[Any]) -> float:
        """Return the seconds that the rollback of this step may take from now."""
        return max(0.0, min(change.rollback_share * self.seconds, self.end - _now()))

    def limit_again(self, steps: int) -> float:
        """Return the seconds for one more try of a step if so many steps share what the others left of the reserve."""
        end = min(self.end, self.began + self.seconds) - VERIFYING * self.seconds
        return max(0.0, (end - _now()) / steps)

    def limit_verifying(self, change: ReversibleStep[Any]) -> float:
        """Return the seconds that verifying the rollback of this step may take from now."""
        return max(0.0, min(self.limit(change), self.end - SPARE - _now()))

    @asynccontextmanager
    async def scope(self, change: ReversibleStep[Any], limit: float | None = None) -> AsyncIterator[None]:
        """Raise Stalled if the block does not end within `limit` seconds, or within the share of this step."""
        limit = self.limit(change) if limit is None else limit
        async with _until(_now() + limit, change.name, f"not rolled back within {limit:.1f} s"):
            yield


@asynccontextmanager
async def preflight_deadline(seconds: float = PREFLIGHT) -> AsyncIterator[None]:
    """Raise Refused if the block, which only reads, does not end within `seconds`."""
    with listening():
        try:
            async with _ending(_now() + seconds) as scope:
                yield
        except TimeoutError:
            if not scope.expired():
                raise
            cause = f"not done after {seconds:.0f} s{_last()}"
            raise Refused(
                code="preflight-timeout",
                operation="reading",
                subject="production",
                cause=cause,
                remedy="Check which service is slow to respond.",
            ) from None


@asynccontextmanager
async def _until(end: float, step: str, why: str) -> AsyncIterator[None]:
    with listening():
        try:
            async with _ending(end) as scope:
                yield
        except TimeoutError:
            if not scope.expired():
                raise
            raise Stalled(
                code="step-timeout", operation=step, subject="ran out of time", cause=why + _last(), remedy=_LATE
            ) from None


@asynccontextmanager
async def _ending(at: float) -> AsyncIterator[asyncio.Timeout]:
    async with asyncio.timeout_at(at) as scope:
        with deadline_known(at):
            yield scope


def _last() -> str:
    """Return what the block was waiting for when its time ended, as the end of a message; empty if it is not known."""
    return f"; last: {waiting}" if (waiting := waited_for()) else ""


def _now() -> float:
    return asyncio.get_running_loop().time()


_LATE = "The report says how long each step took: find the slow one before you release again."


SLOW = "Make it faster, divide the change, or allow more time: [budget] and [limits] in the settings."


@dataclass(frozen=True, slots=True)
class Forecast:
    """The seconds that each step, and its rollback, will take, by the name of the step."""

    steps: Mapping[str, float]
    rollback: Mapping[str, float]

    @property
    def seconds(self) -> float:
        """Return the seconds that all steps together will take."""
        return sum(self.steps.values())

    @property
    def rollback_seconds(self) -> float:
        """Return the seconds that rolling back all of the steps will take."""
        return sum(self.rollback.values())


def forecast(plan: Plan) -> Forecast:
    """Return how long each step, and its rollback, is expected to take."""
    rollback = {each.name: each.step.expects_rollback(each.observed) for each in reversible(plan)}
    return Forecast({each.name: each.step.expected_seconds(each.observed) for each in plan}, rollback)


def refuse_unfitting(plan: Plan, expected: Forecast, budget: Budget) -> None:
    """Raise Refused if a step, all steps together or the rollback would not fit into their time."""
    if causes := [*_too_slow(plan, expected, budget)]:
        raise Refused(
            code="forecast-too-long",
            operation="forecasting",
            subject="the release",
            cause="; ".join(causes),
            remedy=SLOW,
        )


def _too_slow(plan: Plan, expected: Forecast, budget: Budget) -> Iterator[str]:
    together = 0.0
    for step in (each.step for each in plan):
        if next_budget := budget.after(step):
            budget, together = next_budget, 0.0
        limit, forward = budget.limits[step.name], budget.total - budget.reserve
        together += expected.steps[step.name]
        if expected.steps[step.name] > limit:
            yield f"{step.name} will take {expected.steps[step.name]:.1f} s, and {limit:g} s are allowed"
        if together > forward >= together - expected.steps[step.name]:
            yield f"up to {step.name} it will take {together:.1f} s, and {forward:g} s are allowed before a rollback"
        if isinstance(step, ReversibleStep):
            share, seconds = step.rollback_share * budget.reserve, expected.rollback[step.name]
            if seconds > share:
                yield f"rolling back {step.name} will take {seconds:.1f} s, and {share:g} s are reserved for it"
    if expected.rollback_seconds > budget.reserve:
        yield f"the rollback will take {expected.rollback_seconds:.1f} s, and {budget.reserve:g} s are reserved for it"
