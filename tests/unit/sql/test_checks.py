"""Checks of verify.sql: their names, what they expect, and which are refused."""

import pytest

from steps.support.sql.checks import read_checks
from steps.support.sql.findings import BadSql


def test_checks_have_names_and_expectations() -> None:
    """A directive belongs to the statement below it or around it, and an unnamed check has a number."""
    text = """-- check: first
-- expect: rows
SELECT 1;
SELECT 2;
-- something else
WITH n AS (SELECT 3)
  -- check: third
  SELECT * FROM n;
-- expect: rows
VALUES (4)"""
    checks = read_checks(text, "verify.sql")
    assert [(check.name, check.expects_rows) for check in checks] == [
        ("first", True),
        ("#2", False),
        ("third", False),
        ("#4", True),
    ]
    assert [check.statement.name for check in checks] == [f"verify.sql line {line}" for line in (3, 4, 6, 10)]


NO_CHECKS = {
    "-- expect: row\nSELECT 1;": (1, "`expect: row` cannot be read"),
    "-- expect:\nSELECT 1;": (1, "`expect: ` cannot be read"),
    "-- check:\nSELECT 1;": (1, "`check: ` cannot be read"),
    "SELECT 1; -- expect: rows": (1, "`expect:` follows SQL on the same line"),
    "SELECT 1;\n-- check: nothing": (2, "`check:` has no statement"),
    "-- check: a\n-- check: b\nSELECT 1;": (2, "a second `check:` for one statement"),
    "-- check: a\nSELECT 1;\n-- check: a\nSELECT 2;": (None, "more than one check is called a"),
}


@pytest.mark.parametrize(("text", "line", "cause"), [(text, *what) for text, what in NO_CHECKS.items()])
def test_ambiguous_checks_are_refused(text: str, line: int | None, cause: str) -> None:
    """A directive that cannot be read, or has no statement, is a Problem that names its line."""
    where = f"verify.sql line {line}" if line else "verify.sql"
    with pytest.raises(BadSql, match=f"(?m)^{where}: {cause}"):
        read_checks(text, "verify.sql")
