"""Findings as text: one entry for each kind, its places below it, and whether anything accepts it."""

import pytest

from steps.support.sql.findings import MIGRATE, ROLLBACK, BadSql, Finding, Severity, entries

LOST = Finding("index a", "it is gone", "Create it again.", rule="index-lost", object="a", file=MIGRATE)
OTHER = Finding("index b", "it is gone too", "Create it again.", rule="index-lost", object="b", file=MIGRATE)
ELSEWHERE = Finding("index c", "it is gone", "Create it there.", rule="index-lost", object="c", file=ROLLBACK)
HELD = Finding("migrate.sql", "it holds writers back", "Split it.", rule="write-lock", final=True)
TEXTS = {
    "nothing": ([], []),
    "one": ([LOST], ["index a: it is gone. Create it again. To accept it: -- allow: index-lost a: <reason> (in migrate.sql)"]),
    "two of one rule": (
        [LOST, OTHER],
        [("index-lost, 2 places. Create it again.\n"
         "  index a: it is gone. To accept it: -- allow: index-lost a: <reason> (in migrate.sql)\n"
         "  index b: it is gone too. To accept it: -- allow: index-lost b: <reason> (in migrate.sql)")],
    ),
    "two with remedies of their own": (
        [LOST, ELSEWHERE],
        [("index-lost, 2 places.\n"
         "  index a: it is gone. Create it again. To accept it: -- allow: index-lost a: <reason> (in migrate.sql)\n"
         "  index c: it is gone. Create it there. To accept it: -- allow: index-lost c: <reason> (in rollback.sql)")],
    ),
    "two that nothing accepts": (
        [HELD, Finding("rollback.sql", "it writes too much", "Split it.", rule="write-lock", final=True)],
        [("write-lock, 2 places. Split it. No `-- allow: write-lock` accepts it.\n"
         "  migrate.sql: it holds writers back.\n  rollback.sql: it writes too much.")],
    ),
    "of two rules, in the order of the first of each": (
        [LOST, HELD, OTHER],
        [("index-lost, 2 places. Create it again.\n"
         "  index a: it is gone. To accept it: -- allow: index-lost a: <reason> (in migrate.sql)\n"
         "  index b: it is gone too. To accept it: -- allow: index-lost b: <reason> (in migrate.sql)"),
         "migrate.sql: it holds writers back. Split it. No `-- allow: write-lock` accepts it."],
    ),
    "without a rule, the same at two places": (
        [Finding("x line 1", "no value", "Write it."), Finding("x line 2", "no value", "Write it."), Finding("x line 3", "no name", "Write it.")],
        ["x line 1, x line 2: no value. Write it.", "x line 3: no name. Write it."],
    ),
    "without a rule, and nothing accepts it": (
        [Finding("users", "2 rows are lost", "Keep them.", final=True)],
        ["users: 2 rows are lost. Keep them. No `-- allow` line accepts it."],
    ),
    "of one rule, some accepted": (
        [LOST, Finding("index b", "it is gone", "Accepted: old.", rule="index-lost", severity=Severity.ACCEPTED)],
        ["index a: it is gone. Create it again. To accept it: -- allow: index-lost a: <reason> (in migrate.sql)",
         "index b: it is gone. Accepted: old."],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("findings", "texts"), TEXTS.values(), ids=TEXTS)
def test_findings_of_one_kind_are_one_entry(findings: list[Finding], texts: list[str]) -> None:
    """The remedy is said once if it is the same; each place keeps its cause and the line that accepts it."""
    assert entries(findings) == texts


def test_mistakes_of_one_kind_are_one_line() -> None:
    """A mistake at several places of the files is one line below the heading, which counts the places."""
    found = [
        Finding(f"migrate.sql line {line}", "the placeholder ? has no value", "Write the value.") for line in (1, 4)
    ]
    assert str(BadSql(subject="sql", findings=found)).splitlines() == [
        "reading sql: 2 problems found",
        "migrate.sql line 1, migrate.sql line 4: the placeholder ? has no value. Write the value.",
    ]
