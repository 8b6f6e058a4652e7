"""A name in double quotes that names no column is a text to the engine, in every row."""

from collections.abc import Sequence

import pytest

from steps.support.proof.lint.quoted_texts import quoted_texts
from steps.support.sql.findings import Severity
from steps.support.sql.script import read_script_text

BEFORE = (
    "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT, state TEXT)",
    'CREATE TABLE "some orders" ("user id", total)',
    "CREATE VIEW shown AS SELECT id AS shown_id FROM users",
)
REBUILT = 'CREATE TABLE new_users (id, email, referral_code); INSERT INTO new_users ("id", "email", "referral_code") SELECT {} FROM users;'
READ_AS_TEXTS = {  # a script, the names that are no columns, and whether a column was surely meant
    "a column that only the new table has": (REBUILT.format('"id", "email", "referral_code"'), ['"referral_code"'], True),
    "a slip": (REBUILT.format('"id", "emial", NULL'), ['"emial"'], True),
    "two of them": (REBUILT.format('"id", "emial", "referral_code"'), ['"emial"', '"referral_code"'], True),
    "a column that was dropped before": ('ALTER TABLE users DROP COLUMN email; UPDATE users SET state = "email" WHERE id = 1;', ['"email"'], True),
    "a column that comes later": ('UPDATE users SET state = "phone" WHERE id = 1; ALTER TABLE users ADD COLUMN phone;', ['"phone"'], True),
    "in WHERE": ('DELETE FROM users WHERE "stat" = \'x\';', ['"stat"'], True),
    "in a subquery": ('UPDATE users SET state = (SELECT max("totals") FROM "some orders") WHERE id = 1;', ['"totals"'], True),
    "a text that was meant": ('UPDATE users SET state = "open" WHERE state = "closed";', ['"open"', '"closed"'], False),
    "a column of another table": ('UPDATE users SET state = "total" WHERE id = 1;', ['"total"'], False),
    "with quotes and backticks in it": ('UPDATE users SET state = "a ""b"" `c`" WHERE id = 1;', ['"a ""b"" `c`"'], False),
}  # fmt: skip
READ_AS_NAMES = {
    "columns": REBUILT.format('"id", "email", NULL'),
    "tables, aliases and their columns": 'INSERT INTO "users" ("id") SELECT "o"."user id" AS "x" FROM "some orders" AS "o" ORDER BY "x";',
    "names of a WITH": 'WITH "k" ("z") AS (SELECT "id" FROM "users") DELETE FROM users WHERE "id" IN (SELECT "z" FROM "k");',
    "an upsert": 'INSERT INTO users ("id") VALUES (1) ON CONFLICT ("id") DO UPDATE SET "state" = "excluded"."state";',
    "a column added before": 'ALTER TABLE users ADD COLUMN "phone"; UPDATE users SET "phone" = "email" WHERE "id" = 1;',
    "a column of a view": 'DELETE FROM users WHERE id IN (SELECT "shown_id" FROM "shown");',
    "defaults, which may be texts": 'CREATE TABLE t (a DEFAULT "x");',
    "what this engine does not know": 'UPDATE users SET state = some_vector("email") WHERE id = 1;',
    "other quotes": "UPDATE users SET state = 'state' WHERE [id] = 1 OR `id` = 2;",
}  # fmt: skip


@pytest.mark.parametrize(("script", "names", "is_error"), READ_AS_TEXTS.values(), ids=READ_AS_TEXTS)
def test_name_that_is_read_as_a_text_is_found(script: str, names: Sequence[str], *, is_error: bool) -> None:
    """Each name is reported once, as an error if a table of the statement has a column of that or a similar name."""
    found = quoted_texts(read_script_text(script, "migrate.sql"), BEFORE)
    assert [each.cause.split(" is no column here")[0] for each in found] == names
    assert {each.severity for each in found} == {Severity.ERROR if is_error else Severity.WARNING}


@pytest.mark.parametrize("script", READ_AS_NAMES.values(), ids=READ_AS_NAMES)
def test_name_that_is_read_as_a_name_is_not_found(script: str) -> None:
    """What the engine resolves, or cannot prepare here, is left alone."""
    assert quoted_texts(read_script_text(script, "migrate.sql"), BEFORE) == []
