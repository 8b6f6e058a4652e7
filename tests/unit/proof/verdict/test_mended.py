"""A change repairs rows that broke a condition of their own table: it passes, and what stays repaired is named."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from steps.support.core.errors import Problem
from steps.support.gateways.database.connect import connect
from steps.support.gateways.turso import Turso
from tests.support.proof.proved_production import Production

pytestmark = pytest.mark.anyio

PEOPLE = """CREATE TABLE people (id INTEGER PRIMARY KEY, age INTEGER, name TEXT, born INTEGER);
INSERT INTO people VALUES (1, 5, 'Ann', 3), (2, -3, NULL, 1), (3, -9, 'Cid', 7);
ALTER TABLE people ALTER COLUMN age TO age INTEGER CHECK (age >= 0);
"""
NAMED = "ALTER TABLE people ALTER COLUMN name TO name TEXT NOT NULL;\n"
KEYED = """CREATE TABLE spans (code TEXT, n INTEGER, low INTEGER, high INTEGER, PRIMARY KEY (n, code)) WITHOUT ROWID;
INSERT INTO spans VALUES ('x', 1, 1, 2), ('y', 1, 5, 2);
ALTER TABLE spans ALTER COLUMN high TO high INTEGER CHECK (low <= high);
"""
STRICT = """CREATE TABLE s (id INTEGER PRIMARY KEY, v TEXT) STRICT; INSERT INTO s (v) VALUES ('7'), ('x');
ALTER TABLE s ALTER COLUMN v TO v INT;
"""
NOTHING_WRITTEN = "-- nothing\n"
NOTHING = "UPDATE people SET age = age WHERE id < 0;"
STAYS = {  # before, migrate, writes, rollback, and what is said
    "a value against CHECK": (
        PEOPLE, "-- changes: people(age) 2\nUPDATE people SET age = NULL WHERE age < 0;",
        "UPDATE people SET age = 8 WHERE id = 2; UPDATE people SET born = 9 WHERE id = 3;", NOTHING,
        ["people.age: 2 rows keep their repaired values after the rollback", "for example id 2, -3 -> NULL"],
    ),
    "NULL under NOT NULL": (
        PEOPLE + NAMED, "UPDATE people SET name = '' WHERE typeof(name) = 'null';", "", NOTHING,
        ["people.name: 1 row keeps its repaired value after the rollback", "for example id 2, NULL -> ''"],
    ),
    "a CHECK of two columns, and a key of two": (
        KEYED, "-- changes: spans(high) 1\nUPDATE spans SET high = low WHERE low > high;", "",
        "UPDATE spans SET high = high WHERE n < 0;",
        ["spans.high: 1 row keeps its repaired value", "for example code 'y', n 1, 2 -> 5"],
    ),
    "a type under STRICT": (
        STRICT, "-- changes: s(v) 2\n-- allow: retyped s.v: digits become numbers\nUPDATE s SET v = CAST(v AS INTEGER) WHERE typeof(v) = 'text';", "",
        "UPDATE s SET v = v WHERE id < 0;",
        ["s.v: 2 rows keep their repaired values"],
    ),
    "a row that is deleted": (
        PEOPLE, "-- changes: people 1\nDELETE FROM people WHERE age < -5;", "UPDATE people SET born = 2 WHERE id = 1;",
        NOTHING,
        ["people: 1 row that the migration deletes cannot come back", "for example id 3, age -9, name 'Cid', born 7"],
    ),
    "another value on the way back": (
        PEOPLE, "-- changes: people(age) 2\nUPDATE people SET age = NULL WHERE age < 0;", "",
        "UPDATE people SET age = 0 WHERE age IS NULL;",
        ["people.age: 2 rows keep their repaired values after the rollback", "for example id 2, -3 -> 0"],
    ),
}  # fmt: skip


@pytest.fixture
async def production(server: str, sqld_binary: Path, tmp_path: Path) -> AsyncIterator[Production]:
    """Yield a production on a server, whose changes are rehearsed on the same engine."""
    async with aclosing(connect(server, None)) as database:
        yield Production(Turso(database), sqld_binary, tmp_path)


@pytest.mark.parametrize(("before", "migrate", "writes", "rollback", "words"), STAYS.values(), ids=STAYS)
async def test_repaired_rows_pass_and_are_named(
    production: Production, before: str, migrate: str, writes: str, rollback: str, words: list[str]
) -> None:
    """The rollback may leave what the old schema refuses; a warning has table, column, number of rows and a row."""
    proof = await production.proved(before, migrate, rollback, writes or NOTHING_WRITTEN)
    (told,) = [line for line in proof.warnings if "after the rollback" in line or "cannot come back" in line]
    assert [each for each in words if each not in told] == []


LOST = {
    "another column of a repaired row": (
        "-- changes: people(age, born) 2\nUPDATE people SET age = NULL, born = 0 WHERE age < 0;", NOTHING,
        "born differs in 2 rows",
    ),
    "the same column of a sound row": (
        "-- changes: people(age) 3\nUPDATE people SET age = abs(age) + 1 WHERE id > 0;", NOTHING,
        "age differs in 1 row, for example changed id 1, age 5 -> 6",
    ),
    "a sound row that is deleted": (
        "-- changes: people 2\nDELETE FROM people WHERE id <> 2;", NOTHING, "1 row is missing",
    ),
    "a row that only the rollback deletes": (
        "-- changes: people(age) 1\nUPDATE people SET age = 0 WHERE id = 2;",
        "DELETE FROM people WHERE age < 0;",
        "1 row is missing",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("migrate", "rollback", "words"), LOST.values(), ids=LOST)
async def test_what_the_old_schema_could_hold_is_lost(
    production: Production, migrate: str, rollback: str, words: str
) -> None:
    """A broken row excuses nothing but its own broken columns, and no deletion by the rollback."""
    with pytest.raises(Problem) as caught:
        await production.proved(PEOPLE, migrate, rollback)
    assert words in str(caught.value)
