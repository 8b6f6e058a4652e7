"""What speaks against a change: one place, what is wrong there, why, and the safe way."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeVar

from steps.support.sql_directives import waiving
from steps.support.sql_files import MIGRATE, ROLLBACK


class Weight(StrEnum):
    """How much an objection weighs."""

    ERROR = "error"  # refuses the run, unless it is accepted
    WARNING = "warning"  # is printed
    NOTE = "note"  # would have been worse, had the rehearsal not shown that nothing is lost
    ACCEPTED = "accepted"  # would have been worse, had nobody said why it is meant


@dataclass(frozen=True, slots=True)
class Objection:
    """One thing that speaks against a change.

    `rule` is the name by which an `-- allow:` line accepts it; empty where nothing can. `place` is a file and line, or
    a table and column. `object` is what that line names: a table, a column of it, an index, a trigger or a view; empty
    where there is none. `file` is where that line has to stand; empty where the whole change is meant, and either will
    do. `final`: it has a name, and still no reason accepts it.
    """

    rule: str
    place: str
    cause: str
    remedy: str
    weight: Weight = Weight.ERROR
    object: str = ""
    file: str = ""
    final: bool = False

    @property
    def is_open(self) -> bool:
        """Whether somebody may say that it is meant, and has not."""
        return bool(self.rule) and not self.final and self.weight in {Weight.ERROR, Weight.WARNING}

    @property
    def waiver(self) -> str:
        """The line that accepts it."""
        return waiving(self.rule, self.object)

    def __str__(self) -> str:
        """Return it as one line."""
        said = f"{self.place}: {self.cause}. {self.remedy}"
        if self.final:
            return f"{said} No `-- allow: {self.rule}` accepts it."
        if not self.is_open:
            return said
        where = self.file or f"{MIGRATE} or {ROLLBACK}"
        return f"{said} To accept it: {self.waiver}{'' if self.place.startswith(where) else f' (in {where})'}"


Kind = TypeVar("Kind", bound=Objection)


def of_file(file: str, objections: Iterable[Kind]) -> Iterator[Kind]:
    """Return objections as those to what one file does."""
    return (replace(each, file=file) for each in objections)
