"""The step protocol: look before the clock, act under it, undo what was seen.

A step keeps nothing on itself. `look` returns a frozen dataclass of plain values; `act` and `undo` get that and nothing
else, and read back from the world whatever they need to know beyond it.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from steps.support.core.errors import Refused

if TYPE_CHECKING:  # a protocol names what it is given; whoever only keeps time needs none of that
    from steps.support.run.release import Gateways, Release

Observed = TypeVar("Observed")


@dataclass(frozen=True, slots=True)
class Done:
    """What a step has to say of its success: one line for the operator, and facts for the report."""

    detail: str
    facts: Mapping[str, Any] = field(default_factory=dict)


class Step(ABC, Generic[Observed]):
    """One line of the order: something to look at, then something to do."""

    name: ClassVar[str]

    @abstractmethod
    async def preflight(self, gateways: "Gateways") -> Observed:
        """Read what the step needs to know. Changes nothing. Raises Refused with the remedy."""

    @abstractmethod
    async def apply(self, gateways: "Gateways", observed: Observed) -> Done:
        """Do it. Returning means done; raises Failed, or Refused where certainly nothing was begun."""

    @abstractmethod
    def plan(self, observed: Observed) -> str:
        """Say what acting will do."""

    def settle(self, release: "Release", observed: Observed) -> "Release":  # noqa: ARG002
        """Give the release with what this step's look has settled of it."""
        return release

    def expected_seconds(self, observed: Observed) -> float:  # noqa: ARG002
        """Give the seconds that acting will take, as far as what was seen tells."""
        return 1.0

    def facts(self, observed: Observed) -> Mapping[str, Any]:  # noqa: ARG002
        """Give what the report keeps of what was seen."""
        return {}


class ReversibleStep(Step[Observed]):
    """A step that changes the world. It cannot be made without its undo.

    `triggers`: it sets off those after it that are `triggered`, which then count as begun with it.
    `prepares`: nobody who uses the site notices it, where builds are staged.
    `temporary`: it is put back when the release has arrived, too.
    `writes`: what of the world it changes, for whoever reads the plan.
    """

    triggers: ClassVar[bool] = False
    triggered: ClassVar[bool] = False
    prepares: ClassVar[bool] = False
    temporary: ClassVar[bool] = False
    rollback_share: ClassVar[float]  # of the time reserved for going back, that undoing this may take
    writes: ClassVar[str]

    @property
    def blocks_earlier_rollbacks(self) -> bool:
        """Say whether what was begun before may need this to be put back first; where that fails, it stays as it is."""
        return False

    @abstractmethod
    def rollback_plan(self, observed: Observed) -> str:
        """Say what undoing will do."""

    @abstractmethod
    async def rollback(self, gateways: "Gateways", observed: Observed) -> Done:
        """Put back whatever of `act` took effect. Looks first; safe to repeat. Raises Failed."""

    @abstractmethod
    async def verify_rollback(self, gateways: "Gateways", observed: Observed) -> str:
        """Read the world and say what of `act` is still in it; empty when all is as look saw it. Changes nothing."""

    def expects_rollback(self, observed: Observed) -> float:  # noqa: ARG002
        """Give the seconds that undoing will take, as far as what was seen tells."""
        return 1.0

    @abstractmethod
    async def superseded_by(self, gateways: "Gateways", observed: Observed) -> str:
        """Read the world and say how it differs from what act left; empty when nobody has changed it since."""

    async def prove_rollback(self, gateways: "Gateways", observed: Observed) -> None:
        """Rehearse putting back what has been in use for a while. Raises Refused where it would not go well."""

    async def recall(self, gateways: "Gateways", marker: Mapping[str, Any]) -> Observed | None:  # noqa: ARG002
        """Give what look saw as far as the marker row tells it, where the journal is lost; None where it does not."""
        return None

    async def recheck(self, gateways: "Gateways", observed: Observed) -> None:
        """Look again, once the lock is held. Raises Refused when the world is not what the plan was made for."""
        if await self.preflight(gateways) != observed:
            raise Refused(self.name, "looked again", "the world changed between the plan and the lock", "Run again.")


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
