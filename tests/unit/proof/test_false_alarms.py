"""Right changes pass on the real engine as they were written; a fault in one is named, with the lines to write."""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.support.proof.proofs import OF_ANY, Files, Tried, tried, tried_with_answers

pytestmark = pytest.mark.anyio

BEFORE = """CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE posts (id INTEGER PRIMARY KEY, author INTEGER REFERENCES users(id) ON DELETE CASCADE, title TEXT);
CREATE TABLE "order" (a, b, post INTEGER REFERENCES posts ON DELETE CASCADE, PRIMARY KEY (a, b));
CREATE TABLE seen (post INTEGER NOT NULL REFERENCES posts(id) ON DELETE SET NULL DEFAULT 0, n INTEGER);
CREATE TABLE notes (id INTEGER PRIMARY KEY, about INTEGER REFERENCES users_old(id));
CREATE TABLE tracker (version TEXT PRIMARY KEY);
INSERT INTO users VALUES (1, 'Ann'), (2, 'Bob'), (3, 'Cid  D');
INSERT INTO posts VALUES (1, 1, 'one'), (2, 2, 'two'), (3, 2, 'three'), (4, 3, 'four');
INSERT INTO "order" VALUES (1, 1, 1), (1, 2, 2), (2, 1, 3);
INSERT INTO notes VALUES (1, 1), (2, 2);
INSERT INTO tracker VALUES ('a');
"""
NOTES = """CREATE TABLE notes_2 (id INTEGER PRIMARY KEY, about INTEGER REFERENCES users(id));
INSERT INTO notes_2 SELECT id, about FROM notes;
DROP TABLE notes;
ALTER TABLE notes_2 RENAME TO notes;
"""
NOTES_BACK = """CREATE TABLE _orchestrate_kept_notes AS SELECT * FROM notes;
DROP TABLE notes;
CREATE TABLE notes (id INTEGER PRIMARY KEY, about INTEGER REFERENCES users_old(id));
INSERT INTO notes SELECT * FROM _orchestrate_kept_notes;
DROP TABLE _orchestrate_kept_notes;
"""
WITH_MAIL = """CREATE TABLE "new_users" ("id" INTEGER NOT NULL PRIMARY KEY, "name" TEXT, "mail" TEXT);
INSERT INTO "new_users" ("id", "name") SELECT "id", "name" FROM "users";
DROP TABLE "users";
ALTER TABLE "new_users" RENAME TO "users";
"""
AS_BEFORE = """CREATE TABLE _orchestrate_kept_live AS SELECT * FROM users;
DROP TABLE users;
CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT);
INSERT INTO users SELECT id, name FROM _orchestrate_kept_live;
DROP TABLE _orchestrate_kept_live;
"""
PASSES = {  # migrate.sql, rollback.sql, the first words of its warnings
    "a new column filled in every row": (
        "ALTER TABLE users ADD COLUMN upper_name TEXT;\nUPDATE users SET upper_name = upper(name);\n",
        "ALTER TABLE users DROP COLUMN upper_name;\n",
        [],
    ),
    "all rows of a leading column": (
        ('-- changes: "order" 2\nCREATE TABLE _orchestrate_kept_o AS SELECT * FROM "order" WHERE a = 1;\n'
        'DELETE FROM "order" WHERE a = 1;\n'),
        'INSERT INTO "order" SELECT * FROM _orchestrate_kept_o;\nDROP TABLE _orchestrate_kept_o;\n',
        [],
    ),
    "a reference to no table repaired": (NOTES, NOTES_BACK, []),
    "a parent made anew, and other values of its children": (
        (f"-- changes: posts 4\nCREATE TABLE _orchestrate_kept_t AS SELECT id, title FROM posts;\n{WITH_MAIL}"
        "UPDATE posts SET title = upper(title);\n"),
        (f"{AS_BEFORE}UPDATE posts SET title = (SELECT k.title FROM _orchestrate_kept_t AS k WHERE k.id = posts.id);\n"
        "DROP TABLE _orchestrate_kept_t;\n"),
        ["by-hand, 4 places"],
    ),
    "prisma's rebuild of a parent": (
        (f"PRAGMA defer_foreign_keys=ON;\nPRAGMA foreign_keys=OFF;\n{WITH_MAIL}PRAGMA foreign_keys=ON;\n"
        "PRAGMA defer_foreign_keys=OFF;\n"),
        f"PRAGMA foreign_keys=OFF;\n{AS_BEFORE}PRAGMA foreign_keys=ON;\n",
        [],
    ),
    "rails' temporary table, and its tracker": (
        ('begin transaction;\nCREATE TEMPORARY TABLE "ausers" ("id" integer PRIMARY KEY, "name" varchar);\n'
        'INSERT INTO "ausers" SELECT "id","name" FROM "users";\nDROP TABLE "users";\n'
        'CREATE TABLE "users" ("id" INTEGER PRIMARY KEY, "name" TEXT, "mail" varchar);\n'
        'INSERT INTO "users" ("id","name") SELECT "id","name" FROM "ausers";\nDROP TABLE "ausers";\n'
        "commit transaction;\nINSERT INTO tracker VALUES ('b');\n"),
        f"DELETE FROM tracker WHERE version = 'b';\n{AS_BEFORE}",
        ["by-hand, 4 places"],
    ),
    "a parent renamed": (
        "-- changes: users 3\n-- changes: people 3\n-- allow: table-lost users: it is called people\nALTER TABLE users RENAME TO people;\n",
        "ALTER TABLE people RENAME TO users;\n",
        [],
    ),
    "a temporary view": (
        ("ALTER TABLE users ADD COLUMN many INTEGER;\nCREATE TEMP VIEW busy AS SELECT author FROM posts GROUP BY 1 HAVING "
        "count(*) > 1;\nUPDATE users SET many = id IN (SELECT author FROM busy);\n"),
        "ALTER TABLE users DROP COLUMN many;\n",
        [],
    ),
    "drizzle's breakpoints": (
        ("ALTER TABLE users ADD `mail` text;--> statement-breakpoint\r\nCREATE INDEX `mail` ON `users` (`mail`)\r\n"
        "--> statement-breakpoint\r\nPRAGMA optimize;\r\n"),
        "DROP INDEX mail;\nALTER TABLE users DROP COLUMN mail;\n",
        [],
    ),
    "queries that print": (
        "SELECT 'before', count(*) FROM users;\nALTER TABLE users ADD COLUMN mail TEXT;\nSELECT * FROM users;\n",
        "ALTER TABLE users DROP COLUMN mail;\n",
        ["printed-only, 2 places"],
    ),
}  # fmt: skip


Trying = Callable[[Path, Path, str, Files], Awaitable[Tried]]


async def tried_without_pages(binary: Path, folder: Path, before: str, files: Files) -> Tried:
    """Prove a change on a server that gives its rows, and not the pages of its file."""
    return await tried_with_answers(binary, folder, before, files, lambda text: text)


def warned(came: Tried) -> list[str]:
    """Return the first words of each warning."""
    assert came.proof, came.said
    return sorted(re.split(r",? migrate|\.", each)[0].removesuffix(",") for each in came.proof.warnings)


@pytest.mark.parametrize(("migrate", "rollback", "warnings"), PASSES.values(), ids=PASSES)
async def test_right_change_passes_as_it_is(
    sqld_binary: Path, tmp_path: Path, migrate: str, rollback: str, warnings: list[str]
) -> None:
    """A harmless change passes without a false warning; a note names each statement that was left out."""
    came = await tried(sqld_binary, tmp_path, BEFORE, {**OF_ANY, "migrate.sql": migrate, "rollback.sql": rollback})
    assert came.proof, came.said
    assert warned(came) == warnings
    assert came.untouched


MAIL = "ALTER TABLE users ADD COLUMN mail TEXT;\n"
NO_MAIL = "ALTER TABLE users DROP COLUMN mail;\n"
NUMBERED = {  # migrate.sql, rollback.sql, what is refused
    "set and set back": (f"{MAIL}PRAGMA user_version = 5;\n", f"{NO_MAIL}PRAGMA main.user_version(4);\n", ""),
    "set and not set back": (
        f"{MAIL}PRAGMA user_version = 5;\n", NO_MAIL, "user_version: is 5 after the rollback, and was 4. Make rollback.sql",
    ),
    "set to another number": (
        f"PRAGMA user_version = 5;\n{MAIL}", f"{NO_MAIL}PRAGMA user_version = 3;\n", "user_version: is 3 after the rollback",
    ),
}  # fmt: skip


@pytest.mark.parametrize("answers", [tried, tried_without_pages], ids=["by pages of the file", "by rows"])
@pytest.mark.parametrize(("migrate", "rollback", "words"), NUMBERED.values(), ids=NUMBERED)
async def test_user_version_is_part_of_the_change(
    sqld_binary: Path, tmp_path: Path, answers: Trying, migrate: str, rollback: str, words: str
) -> None:
    """The copy has the number, a script may set it in its transaction, and the rollback must restore it."""
    before = f"{BEFORE}PRAGMA user_version = 4;\n"
    came = await answers(sqld_binary, tmp_path, before, {**OF_ANY, "migrate.sql": migrate, "rollback.sql": rollback})
    assert (came.proof is None) == bool(words), came.said
    assert words in came.said


EXPECTED = {  # a DELETE whose author expects a cascade, and the lines that the refusal must show before it
    "of one row": (
        "DELETE FROM users WHERE id = 2;\n",
        [
            'DELETE FROM "order" WHERE post IN (SELECT id FROM posts WHERE author IN (SELECT id FROM users WHERE id = 2));',
            "UPDATE seen SET post = NULL WHERE post IN (SELECT id FROM posts WHERE author IN (SELECT id FROM users WHERE id = 2));",
            "DELETE FROM posts WHERE author IN (SELECT id FROM users WHERE id = 2);",
        ],
    ),
    "with an alias, and what it returns": (
        "DELETE FROM users AS u WHERE u.name = 'Cid  D' RETURNING id;\n",
        ["DELETE FROM posts WHERE author IN (SELECT id FROM users AS u WHERE u.name = 'Cid  D' );"],
    ),
    "after WITH": (
        "WITH gone AS (SELECT 3 AS id) DELETE FROM users WHERE id IN (SELECT id FROM gone);\n",
        ["WITH gone AS (SELECT 3 AS id) DELETE FROM posts WHERE author IN (SELECT id FROM users WHERE id IN (SELECT id FROM gone));"],
    ),
    "of every row": ("DELETE FROM users;\n", ["DELETE FROM posts WHERE author IN (SELECT id FROM users);"]),
}  # fmt: skip


@pytest.mark.parametrize(("delete", "lines"), EXPECTED.values(), ids=EXPECTED)
async def test_delete_without_its_cascade_shows_what_to_write(
    sqld_binary: Path, tmp_path: Path, delete: str, lines: list[str]
) -> None:
    """A DELETE that leaves orphans is refused with the lines to write; with these, the change leaves none."""
    kept = "".join(f'CREATE TABLE _orchestrate_kept_{n} AS SELECT * FROM "{n}";\n' for n in ("users", "posts", "order"))
    back = "".join(
        f'DELETE FROM "{n}" WHERE true;\nINSERT INTO "{n}" SELECT * FROM _orchestrate_kept_{n};\n'
        f"DROP TABLE _orchestrate_kept_{n};\n"
        for n in ("users", "posts", "order")
    )
    declared = '-- changes: users\n-- changes: posts\n-- changes: "order"\n-- changes: seen\n'
    before = BEFORE.replace("INSERT INTO notes VALUES (1, 1), (2, 2);\n", "")
    files = {**OF_ANY, "migrate.sql": f"{declared}{kept}{delete}", "rollback.sql": back}
    (tmp_path / "first").mkdir()
    came = await tried(sqld_binary, tmp_path / "first", before, files)
    assert came.proof is None
    assert "Foreign keys are off in the transaction, so ON DELETE CASCADE does nothing." in came.said
    for line in lines:
        assert f"\n  {line}" in came.said
    shown = re.findall(r"^  ((?:WITH|DELETE|UPDATE) .*;)$", came.said, re.MULTILINE)
    (tmp_path / "second").mkdir()
    migrate = f"{declared}{kept}{''.join(f'{line}{chr(10)}' for line in shown)}{delete}"
    second = await tried(sqld_binary, tmp_path / "second", before, {**files, "migrate.sql": migrate})
    assert "that are not there" not in second.said
    assert second.proof, second.said


async def test_update_of_a_referenced_key_says_what_does_not_follow(sqld_binary: Path, tmp_path: Path) -> None:
    """A changed key whose children do not follow is refused, and the finding names what ON UPDATE would have done."""
    before = BEFORE.replace(
        "author INTEGER REFERENCES users(id)", "author INTEGER REFERENCES users(id) ON UPDATE CASCADE"
    )
    files = {
        **OF_ANY,
        "migrate.sql": "UPDATE users SET id = 20 WHERE id = 2;\n",
        "rollback.sql": "UPDATE users SET id = 2 WHERE id = 20;\n",
    }
    came = await tried(sqld_binary, tmp_path, before, files)
    assert came.proof is None
    assert "for example author of the row with rowid 2. Foreign keys are off in the transaction" in came.said
    assert "so ON UPDATE CASCADE does nothing. Give author of posts the new values in the same script." in came.said


async def test_finding_says_that_nothing_accepts_it(sqld_binary: Path, tmp_path: Path) -> None:
    """An error without a rule, and without a declaration that would make it right, says that no line accepts it."""
    files = {**OF_ANY, "migrate.sql": "DROP TABLE nowhere;\n", "rollback.sql": "SELECT json(1);\n"}
    came = await tried(sqld_binary, tmp_path, BEFORE, files)
    assert came.proof is None
    assert "No `-- allow` line accepts it." in came.said


async def test_renamed_by_a_rebuild_became(sqld_binary: Path, tmp_path: Path) -> None:
    """If a rebuild gives a column another name, the finding says what the column became, not that it is gone."""
    migrate = WITH_MAIL.replace('"name" TEXT, "mail" TEXT', '"full_name" TEXT').replace('("id", "name") SELECT', '("id", "full_name") SELECT')  # fmt: skip
    rollback = AS_BEFORE.replace("SELECT id, name FROM", "SELECT id, full_name FROM")
    came = await tried(sqld_binary, tmp_path, BEFORE, {**OF_ANY, "migrate.sql": migrate, "rollback.sql": rollback})
    assert came.proof, came.said
    (said,) = [each for each in came.proof.warnings if each.startswith("users.name")]
    assert said.startswith("users.name: it became full_name. The new column has the same values in every row")
