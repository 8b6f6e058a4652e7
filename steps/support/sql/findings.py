"""Findings against a change, each with place, cause and remedy; and the names of the SQL files and of all rules.

The runbook explains each rule.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeVar

from steps.support.core.errors import Problem
from steps.support.core.text import counted
from steps.support.sql.tokens import quoted

MIGRATE, ROLLBACK, VERIFY, VERIFY_ROLLBACK = "migrate.sql", "rollback.sql", "verify.sql", "verify_rollback.sql"
OLD_CODE, NEW_CODE, WRITES = "contract/old.sql", "contract/new.sql", "writes.sql"
FILES = (MIGRATE, ROLLBACK, VERIFY, VERIFY_ROLLBACK, OLD_CODE, NEW_CODE, WRITES)
SAMPLE = "sample.sql"  # only a rehearsal on stand-ins reads it
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
    """Return the `-- allow:` line that accepts a finding of a rule. `name`: the finding's object, if it has one."""
    return f"-- allow: {rule} {written_name(name)}: {reason}" if name else f"-- allow: {rule} {reason}"


def written_name(name: str) -> str:
    """Return an object's name as a directive must spell it: in quotes if it contains unusual characters."""
    return name if not name or re.fullmatch(r"[\w$]+(\.[\w$]+)*", name) else quoted(name)


class Severity(StrEnum):
    """How serious a finding is."""

    ERROR = "error"  # blocks the change, unless a waiver accepts it
    WARNING = "warning"  # is printed, and blocks nothing
    NOTE = "note"  # was an error or a warning, until the rehearsal showed that nothing is lost
    ACCEPTED = "accepted"  # was an error or a warning, until a waiver gave the reason


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding against a change.

    `place`: where it was found, as a file and line, or a table and column.
    `rule`: the rule that found it, which an `-- allow:` line must name; empty if no such line can accept the finding.
    `object`: the table, column, index, trigger or view that an `-- allow:` line must name; empty if there is none.
    `file`: the file that must contain the `-- allow:` line; empty if it may be migrate.sql or rollback.sql.
    `final`: whether no `-- allow:` line can accept the finding, even if it has a rule.
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
        """Whether a waiver can still accept this finding."""
        return bool(self.rule) and not self.final and self.severity in {Severity.ERROR, Severity.WARNING}

    @property
    def waiver(self) -> str:
        """The `-- allow:` line that accepts this finding."""
        return waiver_line(self.rule, self.object)

    @property
    def acceptance(self) -> str:
        """A sentence that says which line accepts the finding, or that no line can; empty if no line is needed."""
        if self.final:
            return f"No `-- allow: {self.rule}` accepts it." if self.rule else "No `-- allow` line accepts it."
        if not self.is_open:
            return ""
        where = self.file or f"{MIGRATE} or {ROLLBACK}"
        return f"To accept it: {self.waiver}{'' if self.place.startswith(where) else f' (in {where})'}"

    def __str__(self) -> str:
        """Return the finding as one line; if its cause has several lines, the remedy follows on a line of its own."""
        end = "\n  " if "\n" in self.cause else ". "
        return " ".join(filter(None, [f"{self.place}: {self.cause}{end}{self.remedy}", self.acceptance]))


def entries(findings: Iterable[Finding]) -> list[str]:
    """Return findings as text, one entry for each kind. If a kind has several places, the entry lists them.

    Two findings are of one kind if they have the same rule; without a rule, if they have the same cause and remedy.
    """
    kinds: dict[tuple[str, ...], list[Finding]] = {}
    for each in findings:
        key = (each.rule, each.severity) if each.rule else (each.cause, each.remedy, each.severity)
        kinds.setdefault(key, []).append(each)
    return [_entry(same_kind) for same_kind in kinds.values()]


def _entry(same_kind: Sequence[Finding]) -> str:
    first, *others = same_kind
    if not others:
        return str(first)
    if not first.rule:
        places = ", ".join(dict.fromkeys(each.place for each in same_kind))
        return str(replace(first, place=places))
    remedies = {(each.remedy, each.acceptance if each.final else "") for each in same_kind}
    shared = " ".join(next(iter(remedies))).rstrip() if len(remedies) == 1 else ""
    head = " ".join(filter(None, [f"{first.rule}, {counted(len(same_kind), 'place')}.", shared]))
    return "".join([head, *(f"\n  {_place(each, shared)}" for each in same_kind)])


def _place(finding: Finding, shared: str) -> str:
    """Return one place of an entry; `shared` is the remedy that the entry states once for all its places."""
    parts = [
        f"{finding.place}: {finding.cause}.",
        "" if shared else finding.remedy,
        "" if finding.final and shared else finding.acceptance,
    ]
    return " ".join(filter(None, parts))


class BadSql(Problem):
    """The error for SQL files that cannot be used, with a finding for each problem in the files."""

    def __init__(self, *, subject: str, findings: Sequence[Finding]) -> None:
        super().__init__(
            code="usage",
            operation="reading",
            subject=subject,
            cause="; ".join(entries(findings)).rstrip("."),
            remedy="Fix the files; nothing was run.",
        )
        self.findings = tuple(findings)

    def __str__(self) -> str:
        """Return a heading with the number of problems, and below it one entry for each kind of finding."""
        heading = f"{self.operation} {self.subject}: {counted(len(self.findings), 'problem')} found"
        return "\n".join([heading, *entries(self.findings)])


def place(name: str, line: int) -> str:
    """Return a line of a file as messages name it, such as `migrate.sql line 3`."""
    return f"{name} line {line}"


AnyFinding = TypeVar("AnyFinding", bound=Finding)


def in_file(file: str, findings: Iterable[AnyFinding]) -> Iterator[AnyFinding]:
    """Yield the same findings with `file` set to the file that must contain their waivers."""
    return (replace(each, file=file) for each in findings)
