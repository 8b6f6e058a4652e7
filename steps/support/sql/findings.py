"""What speaks against a change, place by place: what is wrong there, why, and the safe way."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeVar

from steps.support.core.errors import Problem
from steps.support.sql.known_names import MIGRATE, ROLLBACK
from steps.support.sql.tokens import quoted

REASON = "<reason>"


def waiver_line(rule: str, name: str, reason: str = REASON) -> str:
    """Return the line that accepts what a rule found at an object."""
    return f"-- allow: {rule} {written_name(name)}: {reason}" if name else f"-- allow: {rule} {reason}"


def written_name(name: str) -> str:
    """Return the name of an object as it is written in a directive: in quotes where it holds more than names do."""
    return name if not name or re.fullmatch(r"[\w$]+(\.[\w$]+)*", name) else quoted(name)


class Severity(StrEnum):
    """How much an objection weighs."""

    ERROR = "error"  # refuses the run, unless it is accepted
    WARNING = "warning"  # is printed
    NOTE = "note"  # would have been worse, had the rehearsal not shown that nothing is lost
    ACCEPTED = "accepted"  # would have been worse, had nobody said why it is meant


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that speaks against a change.

    `rule` is the name by which an `-- allow:` line accepts it; empty where nothing can. `place` is a file and line, or
    a table and column. `object` is what that line names: a table, a column of it, an index, a trigger or a view; empty
    where there is none. `file` is where that line has to stand; empty where the whole change is meant, and either will
    do. `final`: it has a name, and still no reason accepts it.
    """

    place: str
    cause: str
    remedy: str
    rule: str = ""
    severity: Severity = Severity.ERROR
    object: str = ""
    file: str = ""
    final: bool = False

    @property
    def is_open(self) -> bool:
        """Whether somebody may say that it is meant, and has not."""
        return bool(self.rule) and not self.final and self.severity in {Severity.ERROR, Severity.WARNING}

    @property
    def waiver(self) -> str:
        """The line that accepts it."""
        return waiver_line(self.rule, self.object)

    def __str__(self) -> str:
        """Return it as one line."""
        said = f"{self.place}: {self.cause}. {self.remedy}"
        if self.final:
            return f"{said} No `-- allow: {self.rule}` accepts it."
        if not self.is_open:
            return said
        where = self.file or f"{MIGRATE} or {ROLLBACK}"
        return f"{said} To accept it: {self.waiver}{'' if self.place.startswith(where) else f' (in {where})'}"


class BadSql(Problem):
    """SQL files that cannot be used: everything that is wrong with them, at once."""

    def __init__(self, subject: str, findings: Sequence[Finding]) -> None:
        super().__init__("reading", subject, "; ".join(map(str, findings)).rstrip("."), "Nothing was run.")
        self.findings = tuple(findings)

    def __str__(self) -> str:
        """Give each finding on a line of its own."""
        return "\n".join([f"{self.operation} {self.subject}: {len(self.findings)} to mend", *map(str, self.findings)])


def place(name: str, line: int) -> str:
    """Say where something stands."""
    return f"{name} line {line}"


AnyFinding = TypeVar("AnyFinding", bound=Finding)


def in_file(file: str, findings: Iterable[AnyFinding]) -> Iterator[AnyFinding]:
    """Return objections as those to what one file does."""
    return (replace(each, file=file) for each in findings)
