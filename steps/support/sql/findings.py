"""Findings against a change, each with its place, its cause, and the safe way; and the names of files and rules.

The runbook explains what each rule finds.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeVar

from steps.support.core.errors import Problem
from steps.support.sql.tokens import quoted

MIGRATE, ROLLBACK, VERIFY, VERIFY_ROLLBACK = "migrate.sql", "rollback.sql", "verify.sql", "verify_rollback.sql"
OLD_CODE, NEW_CODE, WRITES = "contract/old.sql", "contract/new.sql", "writes.sql"
FILES = (MIGRATE, ROLLBACK, VERIFY, VERIFY_ROLLBACK, OLD_CODE, NEW_CODE, WRITES)
SAMPLE = "sample.sql"  # needed only by a rehearsal on stand-ins
OF_THE_APP = (OLD_CODE, NEW_CODE, WRITES)  # statements that the app itself sends


OF_ROWS = (
    "values-changed", "values-swapped", "column-lost", "retyped", "written-lost", "sequence-lowered",
    "rowid-renumbered",
)  # fmt: skip
OF_THE_SCHEMA = (
    "table-lost", "index-lost", "trigger-lost", "view-lost", "unique-lost", "default-lost", "check-lost",
    "conflict-lost", "collation-lost", "autoincrement-lost", "without-rowid-lost", "random-rowid-lost",
    "not-null-lost", "strict-lost", "type-changed", "broken-virtual-table",
    "foreign-key-target", "foreign-key-lost", "leftover-table", "broken-view", "broken-trigger",
)  # fmt: skip
OF_STATEMENTS = (
    "drop-parent", "rename-parent", "by-hand", "partial-key", "no-where", "or-replace", "or-ignore", "printed-only",
    "double-quoted", "integer-division", "raise-outside-trigger", "not-parsed",
)  # fmt: skip
OF_THE_CHANGE = ("no-contract", "write-lock")
RULES = frozenset((*OF_THE_CHANGE, *OF_ROWS, *OF_THE_SCHEMA, *OF_STATEMENTS))


REASON = "<reason>"


def waiver_line(rule: str, name: str, reason: str = REASON) -> str:
    """Return the `-- allow:` line that accepts a rule's finding about an object."""
    return f"-- allow: {rule} {written_name(name)}: {reason}" if name else f"-- allow: {rule} {reason}"


def written_name(name: str) -> str:
    """Return an object's name as written in a directive: quoted if it contains unusual characters."""
    return name if not name or re.fullmatch(r"[\w$]+(\.[\w$]+)*", name) else quoted(name)


class Severity(StrEnum):
    """How serious a finding is."""

    ERROR = "error"  # refuses the run unless accepted
    WARNING = "warning"  # is printed
    NOTE = "note"  # downgraded: the rehearsal showed that nothing is lost
    ACCEPTED = "accepted"  # downgraded: a waiver gives the reason


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding against a change.

    `rule`: the name by which an `-- allow:` line accepts it; empty if it cannot be accepted. `place`: a file and line,
    or a table and column. `object`: what that line names: a table, a column, an index, a trigger or a view; empty if
    there is none. `file`: the file in which that line must be; empty if the finding concerns the whole change, and
    either file will do. `final`: nothing accepts it, even if it has a rule.
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
        """Whether a waiver could still accept it."""
        return bool(self.rule) and not self.final and self.severity in {Severity.ERROR, Severity.WARNING}

    @property
    def waiver(self) -> str:
        """The `-- allow:` line that accepts this finding."""
        return waiver_line(self.rule, self.object)

    @property
    def acceptance(self) -> str:
        """A sentence about what accepts it; empty if it needs no acceptance."""
        if self.final:
            return f"No `-- allow: {self.rule}` accepts it." if self.rule else "No `-- allow` line accepts it."
        if not self.is_open:
            return ""
        where = self.file or f"{MIGRATE} or {ROLLBACK}"
        return f"To accept it: {self.waiver}{'' if self.place.startswith(where) else f' (in {where})'}"

    def __str__(self) -> str:
        """Return it as one line; if the cause has several, the remedy follows on a line of its own."""
        end = "\n  " if "\n" in self.cause else ". "
        return " ".join(filter(None, [f"{self.place}: {self.cause}{end}{self.remedy}", self.acceptance]))


def entries(findings: Iterable[Finding]) -> list[str]:
    """Return findings as text: one entry for each kind, with its places below it if there is more than one.

    Findings are of one kind if they have the same rule, or, without a rule, the same cause and remedy.
    """
    kinds: dict[tuple[str, ...], list[Finding]] = {}
    for each in findings:
        key = (each.rule, each.severity) if each.rule else (each.cause, each.remedy, each.severity)
        kinds.setdefault(key, []).append(each)
    return [_entry(alike) for alike in kinds.values()]


def _entry(alike: Sequence[Finding]) -> str:
    first, *others = alike
    if not others:
        return str(first)
    if not first.rule:
        places = ", ".join(dict.fromkeys(each.place for each in alike))
        return str(replace(first, place=places))
    same = {(each.remedy, each.acceptance if each.final else "") for each in alike}
    shared = " ".join(next(iter(same))).rstrip() if len(same) == 1 else ""
    head = " ".join(filter(None, [f"{first.rule}, {len(alike)} places.", shared]))
    return "".join([head, *(f"\n  {_place(each, shared)}" for each in alike)])


def _place(each: Finding, shared: str) -> str:
    said = [
        f"{each.place}: {each.cause}.",
        "" if shared else each.remedy,
        "" if each.final and shared else each.acceptance,
    ]
    return " ".join(filter(None, said))


class BadSql(Problem):
    """Unusable SQL files, with all of their problems at once."""

    def __init__(self, *, subject: str, findings: Sequence[Finding]) -> None:
        super().__init__(
            code="usage",
            operation="reading",
            subject=subject,
            cause="; ".join(entries(findings)).rstrip("."),
            remedy="Nothing was run.",
        )
        self.findings = tuple(findings)

    def __str__(self) -> str:
        """Return a heading with the number of problems, then one entry for each kind of finding."""
        count = len(self.findings)
        heading = f"{self.operation} {self.subject}: {count} problem{'s' * (count != 1)} found"
        return "\n".join([heading, *entries(self.findings)])


def place(name: str, line: int) -> str:
    """Return a position in a file as text."""
    return f"{name} line {line}"


AnyFinding = TypeVar("AnyFinding", bound=Finding)


def in_file(file: str, findings: Iterable[AnyFinding]) -> Iterator[AnyFinding]:
    """Return the findings attributed to one file."""
    return (replace(each, file=file) for each in findings)
