"""What speaks against a change: one place, what is wrong there, why, and the safe way."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum


class Weight(StrEnum):
    """How much an objection weighs."""

    ERROR = "error"  # refuses the run, unless it is accepted
    WARNING = "warning"  # is printed
    NOTE = "note"  # would have been worse, had the rehearsal not shown that nothing is lost
    ACCEPTED = "accepted"  # would have been worse, had nobody said why it is meant


@dataclass(frozen=True, slots=True)
class Objection:
    """One thing that speaks against a change.

    `rule` is the name by which `-- allow: RULE reason` accepts it; empty where nothing can. `place` is a file and line,
    or a table and column.
    """

    rule: str
    place: str
    cause: str
    remedy: str
    weight: Weight = Weight.ERROR

    def __str__(self) -> str:
        """Give it as one line."""
        open_to = self.rule and self.weight in {Weight.ERROR, Weight.WARNING}
        accepted = f" To accept it: -- allow: {self.rule} <reason>" if open_to else ""
        return f"{self.place}: {self.cause}. {self.remedy}{accepted}"


def accepted(objections: Iterable[Objection], allowed: Mapping[str, str]) -> list[Objection]:
    """Mark those that somebody accepted; the reason, in `allowed` by rule, is said in place of the remedy."""
    return [
        replace(each, weight=Weight.ACCEPTED, remedy=f"Accepted: {allowed[each.rule]}.")
        if each.rule and each.rule in allowed and each.weight in {Weight.ERROR, Weight.WARNING}
        else each
        for each in objections
    ]
