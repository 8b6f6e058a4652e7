"""A table that a change renames, in place or by a copy: its values are followed to the new name."""

from pathlib import Path

import pytest

from tests.support.proof.proofs import OF_ANY, lacking, tried

pytestmark = pytest.mark.anyio

COLUMNS = "first TEXT NOT NULL, last TEXT NOT NULL, email TEXT"
KEYED, KEYLESS = f"id INTEGER PRIMARY KEY, {COLUMNS}", f"id INTEGER, {COLUMNS}"
NAMES, HOME = "id, first, last, email", "id, last, first, email"
ROWS = "(1, 'Ann', 'Arden', 'ann@x.io'), (2, 'Bob', 'Birch', 'bob@x.io'), (5, 'Cid', 'Cole', NULL)"
GONE = "-- allow: table-lost users: it is called accounts now\n"
LINES = f"-- changes: users 3\n-- changes: accounts 3\n{GONE}"
KEEP = "CREATE TABLE _orchestrate_kept_users AS SELECT rowid AS r, * FROM users;\n"
FROM_KEPT = f"INSERT INTO users ({NAMES}) SELECT {NAMES} FROM _orchestrate_kept_users ORDER BY r;\n"
END = "DROP TABLE _orchestrate_kept_users;\nDROP TABLE accounts;\n"


def copied(values: str, columns: str = KEYED, into: str = NAMES, where: str = "") -> str:
    """Return a rename by a copy of these values."""
    copy = f"INSERT INTO accounts ({into}) SELECT {values} FROM users{where};\nDROP TABLE users;\n"
    return f"{KEEP}CREATE TABLE accounts ({columns});\n{copy}"


RIGHT = {  # lines above migrate.sql, migrate.sql, definition of the columns
    "in place": (LINES, f"{KEEP}ALTER TABLE users RENAME TO accounts;\n", KEYED),
    "copied by name": (LINES, copied(HOME, into=HOME), KEYED),
    "copied without a key": (LINES, copied(NAMES, KEYLESS), KEYLESS),
    "copied as a whole": (LINES, f"{KEEP}CREATE TABLE accounts AS SELECT * FROM users;\nDROP TABLE users;\n", KEYED),
    "values that a line names": (f"-- changes: accounts(email) 2\n{LINES}", copied("id, first, last, upper(email)"), KEYED),
    "exchanged as a line says": (f"-- changes: accounts(first, last)\n{LINES}", copied(HOME), KEYED),
    "fewer rows, by both numbers": (LINES.replace("ts 3", "ts 2"), copied(NAMES, where=" WHERE email NOT NULL"), KEYED),
    "other keys, as a line says": (f"-- changes: accounts(id)\n{LINES}", copied("id + 10, first, last, email"), KEYED),
    "keys of another type": (LINES, copied("'u' || id, first, last, email", KEYED.replace("INTEGER", "TEXT")), KEYED),
    "a column under another name": (LINES, copied(NAMES, KEYED.replace("email", "mail"), NAMES.replace("email", "mail")), KEYED),
    "a gap filled": (LINES, copied("id, first, last, coalesce(email, '')", f"{KEYED} NOT NULL"), KEYED),
    "divided": (
        f"-- changes: users 3\n-- changes: accounts 2\n-- changes: others 1\n{GONE}",
        copied(NAMES, where=" WHERE id < 3").replace(
            "DROP TABLE users", f"CREATE TABLE others ({KEYED}); INSERT INTO others SELECT * FROM users WHERE id > 2;\nDROP TABLE users",
        ),
        KEYED,
    ),
}  # fmt: skip
WRONG = {  # the same, and what the refusal says
    "columns exchanged": (LINES, copied(HOME), KEYED, "accounts.first: first and last exchanged their values"),
    "exchanged without a key": (LINES, copied(HOME, KEYLESS), KEYLESS, "first and last exchanged their values"),
    "exchanged by two copies": (
        LINES, copied(HOME).replace("DROP TABLE users", "ALTER TABLE accounts RENAME TO more;\nALTER TABLE more RENAME TO accounts;\nDROP TABLE users"),
        KEYED, "first and last exchanged their values",
    ),
    "exchanged while divided": (
        f"-- changes: users 3\n-- changes: accounts 2\n-- changes: others 1\n{GONE}",
        copied(HOME, where=" WHERE id < 3").replace(
            "DROP TABLE users", f"CREATE TABLE others ({KEYED}); INSERT INTO others SELECT * FROM users WHERE id > 2;\nDROP TABLE users",
        ),
        KEYED, "accounts.first: first and last exchanged their values",
    ),
    "a column left out": (
        LINES, copied("id, first, last", into="id, first, last"), KEYED,
        "accounts.email: 2 of 3 values changed since they were in users, for example id 1: *** -> NULL",
    ),
    "left out without a key": (
        LINES, copied("id, first, last", KEYLESS, "id, first, last"), KEYLESS,
        "accounts: 2 of 3 rows of users are not there as they were, for example removed id 1, first 'Ann'",
    ),
    "a name instead of the column": (LINES, copied("id, first, last, 'email'"), KEYED, "accounts.email: 3 of 3 values"),
    "changed after renaming in place": (
        LINES, f"{KEEP}ALTER TABLE users RENAME TO accounts;\nUPDATE accounts SET first = last WHERE id > 0;\n", KEYED,
        "accounts.first: 3 of 3 values changed",
    ),
    "another type": (
        LINES, copied("id, first, last, CAST(email AS BLOB)", f"{KEYED.replace('email TEXT', 'email BLOB')}"), KEYED,
        "accounts.email: 2 values have a different type than before",
    ),
    "a row lost, and numbers that do not say so": (
        f"-- changes: users\n-- changes: accounts\n{GONE}", copied(NAMES, where=" WHERE email NOT NULL"), KEYED,
        "accounts: 1 of 3 rows of users is not there as it was, for example removed id 5",
    ),
    "a row lost and another one invented": (
        LINES, copied("CASE id WHEN 5 THEN 9 ELSE id END, first, last, email"), KEYED,
        "accounts: 1 of 3 rows of users is not there as it was, for example removed id 5",
    ),
    "a wrong number of values": (
        f"-- changes: accounts(email) 1\n{LINES}", copied("id, first, last, upper(email)"), KEYED,
        "values of email changed in 2 of",
    ),
}  # fmt: skip


def _files(lines: str, migrate: str, columns: str) -> dict[str, str]:
    back = f"CREATE TABLE users ({columns});\n{FROM_KEPT}{END}"
    others = "DROP TABLE others;\n" if "others" in migrate else ""
    return {**OF_ANY, "migrate.sql": lines + migrate, "rollback.sql": back + others}


@pytest.mark.parametrize(("lines", "migrate", "columns"), RIGHT.values(), ids=RIGHT)
async def test_renamed_table_with_its_values_passes(
    sqld_binary: Path, tmp_path: Path, lines: str, migrate: str, columns: str
) -> None:
    """A table with all its values under another name passes, and so does a change of values that a line names."""
    before = f"CREATE TABLE users ({columns});\nINSERT INTO users VALUES {ROWS};"
    came = await tried(sqld_binary, tmp_path, before, _files(lines, migrate, columns))
    assert came.proof, came.said


@pytest.mark.parametrize(("lines", "migrate", "columns", "words"), WRONG.values(), ids=WRONG)
async def test_values_lost_on_the_way_to_a_new_name_are_named(
    sqld_binary: Path, tmp_path: Path, lines: str, migrate: str, columns: str, words: str
) -> None:
    """A value or row that differs under the new name is named, although lines declare that rows go and come."""
    before = f"CREATE TABLE users ({columns});\nINSERT INTO users VALUES {ROWS};"
    came = await tried(sqld_binary, tmp_path, before, _files(lines, migrate, columns))
    assert came.proof is None
    assert lacking(came.said, [words]) == [], came.said
