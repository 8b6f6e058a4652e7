"""What speaks against a change: one place, what is wrong there, why, and the safe way."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Weight(StrEnum):
    """How much an objection weighs."""

    ERROR = "error"  # refuses the run, unless it is accepted
    WARNING = "warning"  # is printed
    NOTE = "note"  # would have been worse, had the rehearsal not shown that nothing is lost


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
        accepted = f" To accept it: -- allow: {self.rule} <reason>" if self.rule else ""
        return f"{self.place}: {self.cause}. {self.remedy}{accepted}"


def refusing(objections: Iterable[Objection], allowed: Sequence[str]) -> list[Objection]:
    """Give those that refuse the run: errors that nobody accepted, or can."""
    errors = [each for each in objections if each.weight is Weight.ERROR]
    return [each for each in errors if not each.rule or each.rule not in allowed]
