"""Values of another type: what they still say, and what was lost on the way."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from steps.support.proof.rows.conversion import says_the_same
from steps.support.proof.rows.declared import check_declared
from steps.support.proof.rows.diff import row_diff
from steps.support.sql.statement import Value

SAME: tuple[tuple[Value, Value], ...] = (
    (5, "5"), (-5, "-5"), (5, 5.0), (1.5, "1.5"), (1.5, "1.50"), (5.0, "5.0"), (7, "7.00"), (1000, "1e3"),
    (9007199254740993, "9007199254740993"), ("11", b"11"), ("0f8fad5b-d9cb-469f-a165-70867728950e", bytes.fromhex("0f8fad5bd9cb469fa16570867728950e")),
    ("2024-01-02 03:04:05", 1704164645), ("2024-01-02T03:04:05Z", 1704164645), ("2024-01-02 04:04:05+01:00", 1704164645),
    ("2024-01-02 03:04:05.250", 1704164645250), ("2024-01-02 03:04:05.25", 1704164645.25), ("2024-01-02", 1704153600),
    ("true", 1), ("F", 0), ("off", 0),
)  # fmt: skip
OTHER: tuple[tuple[Value, Value], ...] = (
    ("1.50", 1), ("9.99", 9), (1.5, 1), ("01234", 1234), ("12 apples", 12), ("", 0), ("none", 0), ("1_000", 1000), ("\u0661", 1),
    (9007199254740993, 9007199254740992.0), (9007199254740993, "9007199254740992"), ("2024-01-02 03:04:05", 2024),
    ("2024-01-02 03:04:05.250", 1704164645), ("2024-13-02", 0), ("2024-01-02 03:04:05", 1704161045), ("t", 0), ("abc", b"abd"), (5, b"5"),
)  # fmt: skip


@pytest.mark.parametrize(("one", "other"), SAME)
def test_converted_value_says_the_same(one: Value, other: Value) -> None:
    """A number, a text, bytes, a time and a truth value say the same as another type, in both directions."""
    assert says_the_same(one, other)
    assert says_the_same(other, one)


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_value_that_lost_something_says_something_else(one: Value, other: Value) -> None:
    """What was cut off, rounded or misread is not the same value in another type."""
    assert not says_the_same(one, other)
    assert not says_the_same(other, one)


@pytest.mark.parametrize(
    ("values", "kind", "rules"),
    [
        (("'7'", "'12.5'"), "NUMERIC", ["retyped"]),
        (("'7'", "'12.5'"), "INTEGER", ["values-changed", "retyped"]),
        (("'02139'", "'10001'"), "INTEGER", ["values-changed", "retyped"]),
        (("7", "12"), "TEXT", ["retyped"]),
        (("7.5", "12.0"), "INTEGER", ["values-changed", "retyped"]),
    ],
)
def test_cast_that_loses_something_is_a_changed_value(
    tmp_path: Path, values: tuple[str, str], kind: str, rules: list[str]
) -> None:
    """What `retyped` accepts is another type; a value that is another one must be declared as well."""
    made = f"CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, {values[0]}), (2, {values[1]}), (3, NULL);"
    for name, then in (("before", ""), ("after", f"UPDATE t SET v = CAST(v AS {kind});")):
        with closing(sqlite3.connect(tmp_path / name)) as connection:
            connection.executescript(made + then)
    found = row_diff(tmp_path / "before", tmp_path / "after", 100)
    assert [each.rule for each in check_declared(found, {})] == rules
    assert [each.rule for each in check_declared(found, {"t": None})] == ["retyped"]
