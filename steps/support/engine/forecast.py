"""Whether a release will fit: what each step is expected to take, held against the time that it may take.

Nothing here measures; each step tells what it expects from what it saw.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from steps.support.engine.budget import Budget
from steps.support.engine.step import Change, Refused, Step

SLOW = "Make it faster, divide the change, or allow more: [budget] and [limits] in the settings."


@dataclass(frozen=True, slots=True)
class Forecast:
    """Seconds that each step will take, by its name, and those that putting all of it back will take."""

    steps: Mapping[str, float]
    undo: Mapping[str, float]

    @property
    def seconds(self) -> float:
        """Seconds of the way forward."""
        return sum(self.steps.values())

    @property
    def undo_seconds(self) -> float:
        """Seconds of the way back, from the last step."""
        return sum(self.undo.values())


def forecast(steps: Sequence[Step[Any]], seen: Mapping[str, Any]) -> Forecast:
    """Ask each step what it expects."""
    changes = [step for step in steps if isinstance(step, Change)]
    undo = {change.name: change.expects_undo(seen[change.name]) for change in changes}
    return Forecast({step.name: step.expects(seen[step.name]) for step in steps}, undo)


def refuse_unfitting(steps: Sequence[Step[Any]], what: Forecast, budget: Budget) -> None:
    """Raise Refused where a step, the way forward or the way back will not fit into its time."""
    if causes := [*_too_slow(steps, what, budget)]:
        raise Refused("forecasting", "the release", "; ".join(causes), SLOW)


def _too_slow(steps: Sequence[Step[Any]], what: Forecast, budget: Budget) -> Iterator[str]:
    together = 0.0
    for step in steps:
        if follows := budget.after(step):
            budget, together = follows, 0.0
        limit, forward = budget.limits[step.name], budget.total - budget.reserve
        together += what.steps[step.name]
        if what.steps[step.name] > limit:
            yield f"{step.name} will take {what.steps[step.name]:.1f} s, and {limit:g} s are allowed"
        if together > forward >= together - what.steps[step.name]:
            yield f"up to {step.name} it will take {together:.1f} s, and {forward:g} s are there before going back"
        if isinstance(step, Change) and what.undo[step.name] > (ceiling := step.undo_share * budget.reserve):
            yield f"undoing {step.name} will take {what.undo[step.name]:.1f} s, and {ceiling:g} s are kept for it"
    if what.undo_seconds > budget.reserve:
        yield f"going back will take {what.undo_seconds:.1f} s, and {budget.reserve:g} s are kept for it"
