"""The step protocol: preflight before the clock starts, apply while it runs, and roll back what was applied.

A step keeps no state. `preflight` returns a frozen dataclass of plain values. `apply` and `rollback` get only that, and
read everything else from the world.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from steps.support.core.errors import Refused

if TYPE_CHECKING:  # only for types, so that code that just keeps time need not import the gateways
    from steps.support.run.release import Gateways, Release

FOLLOW_UPS = "follow_ups"  # the fact of a Done that lists what a person has to do later

Observed = TypeVar("Observed")


@dataclass(frozen=True, slots=True)
class Done:
    """The result of a step that succeeded. `detail`: one line for the operator. `facts`: what the report keeps.

    A rollback whose facts have `follow_ups` restored production, and left something that is not production for a
    person. Each follow-up has `what` is left, and the `commands` that deal with it.
    """

    detail: str
    facts: Mapping[str, Any] = field(default_factory=dict)


class Step(ABC, Generic[Observed]):
    """One step of a release. It first reads, and later acts."""

    name: ClassVar[str]

    @abstractmethod
    async def preflight(self, gateways: "Gateways") -> Observed:
        """Read what the step needs to know. Change nothing. Raise Refused, with a remedy, if the step cannot run."""

    @abstractmethod
    async def apply(self, gateways: "Gateways", observed: Observed) -> Done:
        """Carry out the step, and return when it is done. Raise Failed, or Refused if certainly nothing was begun."""

    @abstractmethod
    def plan(self, observed: Observed) -> str:
        """Return, in words for the plan, what applying the step will do."""

    def settle(self, release: "Release", observed: Observed) -> "Release":  # noqa: ARG002
        """Return the release, updated with what this step's preflight found: the proof, or an unsafe order."""
        return release

    def expected_seconds(self, observed: Observed) -> float:  # noqa: ARG002
        """Return the estimated seconds that applying the step will take."""
        return 1.0

    def facts(self, observed: Observed) -> Mapping[str, Any]:  # noqa: ARG002
        """Return what the report keeps of the observation."""
        return {}


class ReversibleStep(Step[Observed]):
    """A step that changes the world, and that must therefore have a rollback.

    `triggers`: whether it sets off the later steps that are `triggered`, which then count as begun with it. `prepares`:
    whether users of the site do not notice it, if builds are staged. `temporary`: whether it is rolled back at the end
    of a successful release, too. `rollback_share`: the part of the reserve that its rollback may take. `writes`: what
    it changes, in words for the plan.
    """

    triggers: ClassVar[bool] = False
    triggered: ClassVar[bool] = False
    prepares: ClassVar[bool] = False
    temporary: ClassVar[bool] = False
    rollback_share: ClassVar[float]
    writes: ClassVar[str]

    @property
    def blocks_earlier_rollbacks(self) -> bool:
        """Return True if earlier steps may be rolled back only after this one. If its rollback fails, they are left."""
        return False

    @abstractmethod
    def rollback_plan(self, observed: Observed) -> str:
        """Return, in words for the plan, what rolling back will do."""

    @abstractmethod
    async def rollback(self, gateways: "Gateways", observed: Observed) -> Done:
        """Roll back what `apply` did. Raise Failed if that is impossible.

        It must read the world first, and must be safe to repeat.
        """

    @abstractmethod
    async def verify_rollback(self, gateways: "Gateways", observed: Observed) -> str:
        """Return what is left of `apply`, or an empty string if all is as preflight observed it. Change nothing."""

    def expects_rollback(self, observed: Observed) -> float:  # noqa: ARG002
        """Return the estimated seconds that rolling back will take."""
        return 1.0

    @abstractmethod
    async def superseded_by(self, gateways: "Gateways", observed: Observed) -> str:
        """Return how others have changed production since `apply`, or an empty string. Change nothing."""

    async def prove_rollback(self, gateways: "Gateways", observed: Observed) -> None:
        """Rehearse the rollback of a step whose result has been in use. Raise Refused if the rollback would fail."""

    async def recall(self, gateways: "Gateways", marker: Mapping[str, Any]) -> Observed | None:  # noqa: ARG002
        """Return the observation as the marker row has it, if the journal is lost; None if the row does not have it."""
        return None

    async def recheck(self, gateways: "Gateways", observed: Observed) -> None:
        """Repeat the preflight when the lock is held. Raise Refused if production has changed since the plan."""
        if await self.preflight(gateways) != observed:
            raise Refused(
                code="production-changed",
                operation=self.name,
                subject="checked again",
                cause="production changed between the plan and the lock",
                remedy="Run again.",
            )


AnyStep_co = TypeVar("AnyStep_co", bound=Step[Any], covariant=True)


@dataclass(frozen=True, slots=True)
class PlannedStep(Generic[AnyStep_co]):
    """A step, and what its preflight observed."""

    step: AnyStep_co
    observed: Any

    @property
    def name(self) -> str:
        """The step's name."""
        return self.step.name


Plan = Sequence[PlannedStep[Step[Any]]]
Begun = Sequence[PlannedStep[ReversibleStep[Any]]]


def reversible(plan: Plan) -> Begun:
    """Return the steps that can be rolled back, in their order."""
    return tuple(PlannedStep(each.step, each.observed) for each in plan if isinstance(each.step, ReversibleStep))
