"""What is wrong with SQL files, place by place."""

from collections.abc import Sequence
from dataclasses import dataclass

from steps.support.problem import Problem


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with one place of a file, and what to do about it."""

    place: str
    cause: str
    remedy: str

    def __str__(self) -> str:
        """Give it as one line."""
        return f"{self.place}: {self.cause}. {self.remedy}"


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
