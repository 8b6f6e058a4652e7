"""What an `-- allow:` line accepts: what it names, in its own file and once for each place, and nothing else."""

import re
from pathlib import Path

import pytest

from tests.support.proof.proofs import OF_ANY, Tried, tried_in_process

pytestmark = pytest.mark.anyio

LINE = re.compile(
    r"To accept it: (-- allow: [\w-]+ .+?: <reason>)(?: \(in (migrate\.sql|rollback\.sql)(?: or .*)?\))?$"
)

USERS = """CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT NOT NULL, name TEXT NOT NULL, role TEXT);
CREATE INDEX users_name ON users (name);
CREATE INDEX users_role ON users (role);
INSERT INTO users VALUES (1, 'a@x.io', 'Ann', 'owner');
"""
ANEW = """CREATE TABLE users_2 (id INTEGER PRIMARY KEY, email TEXT NOT NULL, name TEXT NOT NULL, role TEXT, phone TEXT);
INSERT INTO users_2 (id, email, name, role) SELECT id, email, name, role FROM users;
DROP TABLE users;
ALTER TABLE users_2 RENAME TO users;
"""
BACK = """CREATE TABLE _orchestrate_kept_live AS SELECT * FROM users;
DROP TABLE users;
CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT NOT NULL, name TEXT NOT NULL, role TEXT);
INSERT INTO users (id, email, name, role) SELECT id, email, name, role FROM _orchestrate_kept_live;
DROP TABLE _orchestrate_kept_live;
CREATE INDEX users_name ON users (name);
CREATE INDEX users_role ON users (role);
"""
ONE, BOTH = "CREATE INDEX users_role ON users (role);\n", ""
NAMED = "-- allow: index-lost users_name: nobody asks for it\n"
INDEXES = {  # lines above migrate.sql and rollback.sql, which index is recreated, whether the change passes
    "the one that goes is named": (NAMED, "", ONE, True),
    "the one that goes is named in another way": (
        '-- allow: index-lost "Users_NAME" : nobody asks for it\n',
        "",
        ONE,
        True,
    ),
    "one goes, and none is named": ("-- allow: index-lost nobody asks for it\n", "", ONE, True),
    "two go, and one is named": (NAMED, "", BOTH, False),
    "two go, and none is named": ("-- allow: index-lost nobody asks for it\n", "", BOTH, False),
    "two go, and both are named": (f"{NAMED}-- allow: index-lost users_role: nor for that\n", "", BOTH, True),
    "the other one is named": ("-- allow: index-lost users_role: nobody asks for it\n", "", ONE, False),
    "it is said in the other file": ("", NAMED, ONE, False),
    "it is said in the other file, and names nothing": ("", "-- allow: index-lost nobody asks for it\n", ONE, False),
    "another rule": ("-- allow: unique-lost users_name: nobody asks for it\n", "", ONE, False),
}


@pytest.mark.parametrize(("migrate", "rollback", "again", "passes"), INDEXES.values(), ids=INDEXES)
async def test_lost_index_is_accepted_by_name_in_its_file(
    tmp_path: Path, migrate: str, rollback: str, again: str, *, passes: bool
) -> None:
    """A rebuild that loses more than was allowed in its own file is refused with the lines to write."""
    files = {"migrate.sql": migrate + ANEW + again, "rollback.sql": rollback + BACK}
    came = await tried_in_process(tmp_path, USERS, {**OF_ANY, **files})
    assert (came.proof is not None) == passes, came.said
    assert passes or "-- allow: index-lost users_" in came.said
    assert came.untouched


UNREASONED = [  # a line above migrate.sql while another index is lost, and the refusal
    ("-- allow: index-lost users_role:", "gives no reason"),
    ("-- allow: index-lost users_role", "one word may be the object or the reason"),
    ('-- allow: index-lost "Users_Role"', "one word may be the object or the reason"),
    ("-- allow: index-lost users.name", "one word may be the object or the reason"),
    ("-- allow: index-lost index users_role: nobody asks", "before the colon, is not a valid name"),
    ("-- allow: index-lost index users_role: nobody asks", "`-- allow: index-lost users_role: reason`"),
    ("-- allow: unique-lost users(name): not unique", "`-- allow: unique-lost users: reason`"),
    ("-- allow: unique-lost users (name, role): no", "`-- allow: unique-lost users: reason`"),
    ("-- allow: column-lost users(name): no use", "`-- allow: column-lost users.name: reason`"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "told"), UNREASONED)
async def test_line_without_readable_name_or_reason_accepts_nothing(tmp_path: Path, line: str, told: str) -> None:
    """A line without a reason, or without a readable name, does not accept the one index that is lost."""
    files = {"migrate.sql": f"{line}\n{ANEW}{ONE}", "rollback.sql": BACK}
    came = await tried_in_process(tmp_path, USERS, {**OF_ANY, **files})
    assert came.proof is None
    assert told in came.said


# points per system, 35 in all; the intended ones are six of the last system
SYSTEMS = {1: 6, 2: 6, 3: 2, 5: 6, 6: 6, 9: 9}
POINTS = f"""CREATE TABLE points (system_id INTEGER NOT NULL, id INTEGER NOT NULL, vendor TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (system_id, id));
INSERT INTO points VALUES {", ".join(f"({s}, {n}, '{'amber' if s == 9 else 'other'}', 'point {n}')" for s, most in SYSTEMS.items() for n in range(1, most + 1))};
"""
KEPT = "CREATE TABLE _orchestrate_kept_points AS SELECT * FROM points;\n"
GIVEN = """UPDATE points SET name = (SELECT k.name FROM _orchestrate_kept_points AS k WHERE (k.system_id, k.id) = (points.system_id, points.id))
WHERE (system_id, id) IN (SELECT system_id, id FROM _orchestrate_kept_points);
DROP TABLE _orchestrate_kept_points;
"""
HALF = "".join(
    f"UPDATE points SET name = 'Grid {n}' WHERE id IN (SELECT id FROM points WHERE vendor = 'amber' AND name = 'point {n}');\n"
    for n in range(1, 7)
)
WHOLE = HALF.replace("WHERE id IN (SELECT id", "WHERE (system_id, id) IN (SELECT system_id, id")
ACCIDENT = {  # lines above migrate.sql and rollback.sql
    "nothing is said": ("", ""),
    "one line": ("-- allow: partial-key the points of that vendor are meant\n", ""),
    "one line that names the table": ("-- allow: partial-key points: those of that vendor are meant\n", ""),
    "one line in the other file": ("", "-- allow: partial-key the points of that vendor are meant\n"),
    "a line less than statements": ("-- allow: partial-key points: those of that vendor are meant\n" * 5, ""),
}


@pytest.mark.parametrize(("migrate", "rollback"), ACCIDENT.values(), ids=ACCIDENT)
async def test_one_line_does_not_cover_six_statements(tmp_path: Path, migrate: str, rollback: str) -> None:
    """The accident that renamed 32 of 35 rows by half a key is still refused if one statement was allowed."""
    files = {"migrate.sql": migrate + KEPT + HALF, "rollback.sql": rollback + GIVEN}
    came = await tried_in_process(tmp_path, POINTS, {**OF_ANY, **files})
    assert came.proof is None
    assert came.said.count("the key of points is (system_id, id), and WHERE compares id without system_id") == 6
    assert "-- allow: partial-key points: <reason>" in came.said


@pytest.mark.parametrize(
    "line",
    ["-- allow: partial-key points: those of that vendor are meant", "-- allow: partial-key the points are meant"],
)
async def test_one_line_does_not_cover_six_statements_on_a_line(tmp_path: Path, line: str) -> None:
    """The same accident on a single line of the file is six places, too, and six lines to write are shown."""
    migrate = f"{line}\n{KEPT}{HALF.replace(chr(10), ' ')}\n"
    files = {**OF_ANY, "migrate.sql": migrate, "rollback.sql": GIVEN}
    came = await tried_in_process(tmp_path, POINTS, files)
    assert came.proof is None
    assert came.untouched
    found = [said for said in came.said.splitlines() if "WHERE compares id without system_id" in said]
    assert [said.split(":")[0].strip() for said in found] == [
        f"migrate.sql line 3, statement {number}" for number in range(1, 7)
    ]
    assert came.said.count("\n  -- allow: partial-key points: <reason>") == 6


async def test_six_lines_cover_six_statements_on_a_line(tmp_path: Path) -> None:
    """A reason for each statement accepts each, in the order of the statements; the number of rows is asserted."""
    lines = "".join(f"-- allow: partial-key points: reason {number}\n" for number in range(1, 7))
    files = {**OF_ANY, "migrate.sql": f"{lines}{KEPT}{HALF.replace(chr(10), ' ')}\n", "rollback.sql": GIVEN}
    (tmp_path / "first").mkdir()
    uncounted = await tried_in_process(tmp_path / "first", POINTS, files)
    assert (
        "says how many rows may change. Write the number, which production then asserts: `-- changes: points 32`."
        in (uncounted.said)
    )
    (tmp_path / "second").mkdir()
    counted = {**files, "migrate.sql": f"-- changes: points 32\n{files['migrate.sql']}"}
    came = await tried_in_process(tmp_path / "second", POINTS, counted)
    assert came.proof, came.said
    (entry,) = came.proof.accepted
    head, *places = entry.splitlines()
    assert head == "partial-key, 6 places."
    assert [said.split(":")[0][-1] + said[-2] for said in places] == [f"{n}{n}" for n in range(1, 7)]


async def test_whole_key_needs_no_line(tmp_path: Path) -> None:
    """The change as intended reaches six rows, and gives no finding."""
    files = {"migrate.sql": f"-- changes: points 6\n{KEPT}{WHOLE}", "rollback.sql": GIVEN}
    came = await tried_in_process(tmp_path, POINTS, {**OF_ANY, **files})
    assert came.proof, came.said
    assert came.proof.warnings == ()


MANY = """DROP VIEW "by role";
CREATE TABLE users_2 (id INTEGER PRIMARY KEY, name TEXT, email TEXT NOT NULL DEFAULT '');
INSERT INTO users_2 SELECT id, name, email FROM users;
DROP TABLE users;
ALTER TABLE users_2 RENAME TO users;
UPDATE "odd table" SET v = abs(v);
UPDATE "Odd Table" SET v = v;
SELECT 1;
SELECT 2;
SELECT count(*) FROM "odd table";
INSERT OR IGNORE INTO "odd table" VALUES (1);
"""
ODD = f"""{USERS}CREATE TABLE "odd table" (v UNIQUE); INSERT INTO "odd table" VALUES (1);
CREATE VIEW "by role" AS SELECT role FROM users;
"""
ODD_BACK = f"""DELETE FROM "odd table" WHERE false;
UPDATE "odd table" SET v = v;
{BACK.replace("SELECT * FROM users;", "SELECT *, 'owner' AS role FROM users;", 1)}CREATE VIEW "by role" AS SELECT role FROM users;
"""


async def test_suggested_lines_can_be_pasted(tmp_path: Path) -> None:
    """Each line that a refusal shows for a file accepts its finding there; with all of them the change passes."""
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    first = await tried_in_process(tmp_path / "first", ODD, {**OF_ANY, "migrate.sql": MANY, "rollback.sql": ODD_BACK})
    lines = shown(first)
    assert {file: len(own) for file, own in lines.items()} == {"migrate.sql": 9, "rollback.sql": 0}, first.said
    files = {
        "migrate.sql": "\n".join([*lines["migrate.sql"], MANY]),
        "rollback.sql": "\n".join([*lines["rollback.sql"], ODD_BACK]),
    }
    second = await tried_in_process(tmp_path / "second", ODD, {**OF_ANY, **files})
    assert second.proof, second.said
    assert [each for each in second.proof.warnings if "accepts nothing" in each] == []
    assert len([place for each in second.proof.accepted for place in each.splitlines()[1:] or [each]]) == 9


def shown(came: Tried) -> dict[str, list[str]]:
    """Return the lines that a refusal shows, by the file that they are for."""
    lines: dict[str, list[str]] = {"migrate.sql": [], "rollback.sql": []}
    for said in came.said.splitlines():
        if found := LINE.search(said):
            lines[found[2] or said.strip().removeprefix("- ").partition(" ")[0]].append(
                found[1].replace("<reason>", "it is meant")
            )
    return lines


async def test_unused_line_is_a_warning(tmp_path: Path) -> None:
    """If a change passes, each line that accepts nothing is reported with what it names."""
    lines = f"{NAMED}-- allow: index-lost users_rol: nor for that\n-- allow: no-where all of them are meant\n"
    files = {"migrate.sql": lines + ANEW + ONE, "rollback.sql": f"-- allow: table-lost users: it comes back\n{BACK}"}
    came = await tried_in_process(tmp_path, USERS, {**OF_ANY, **files})
    assert came.proof, came.said
    assert [each.partition(".sql. Remove")[0] for each in came.proof.warnings] == [
        "migrate.sql line 2: `-- allow: index-lost users_rol` accepts nothing: index-lost found nothing at users_rol in migrate",
        "migrate.sql line 3: `-- allow: no-where` accepts nothing: no-where found nothing in migrate",
        "rollback.sql line 1: `-- allow: table-lost users` accepts nothing: table-lost found nothing at users in rollback",
    ]


ADD, DROP = "ALTER TABLE users ADD COLUMN phone TEXT;\n", "ALTER TABLE users DROP COLUMN phone;\n"
TABLES = {  # lines above migrate.sql, migrate.sql, rollback.sql, refusal
    "one that is there": ("-- changes: users\n", ADD, DROP, ""),
    "one that is there, in another case": ("-- changes: USERS 0\n", ADD, DROP, ""),
    "one that comes": ("-- changes: posts 0\n", "CREATE TABLE posts (id);\n", "DROP TABLE posts;\n", ""),
    "one that is virtual": ("-- changes: words\n-- changes: words_data\n-- changes: words_config\n", "CREATE VIRTUAL TABLE words USING fts5(v);\n", "DROP TABLE words;\n", ""),
    "prose": ("-- Changes: none\n-- Changes: users have a phone\n", ADD, DROP, ""),
    "none at all": ("-- changes: nosuchtable\n", ADD, DROP, "migrate.sql line 1: `changes: nosuchtable`: there is no such table, before or after. "),
    "none, with a number": ("-- changes: nosuchtable 3\n", ADD, DROP, "migrate.sql line 1: `changes: nosuchtable`: there is no such table, before or after. "),
    "a slip": ("-- changes: users\n-- changes: user\n", ADD, DROP, "migrate.sql line 2: `changes: user`: there is no such table, before or after, the nearest is users. "),
    "one that is there in between": ("-- changes: users_2\n", ANEW + ONE + ONE.replace("role", "name"), BACK, "migrate.sql line 1: `changes: users_2`: there is no such table, before or after, the nearest is users. "),
    "an index": ("-- changes: users_name\n", ADD, DROP, "migrate.sql line 1: `changes: users_name`: there is no such table"),
    "in quotes": ('-- changes: "my users"\n', ADD, DROP, 'migrate.sql line 1: `changes: "my users"`: there is no such table'),
    "prose about a table": ("-- Change: users\n-- Change users\n-- changed in users 3\n-- Changes: users, 3 of them\n", ADD, DROP, ""),
    "prose about none": ("-- change request 3\n-- Change: ticket 3\n/* changes: none */\n-- Changes column 3\n", ADD, DROP, ""),
    "a slip without a colon": ("-- change users 3\n", ADD, DROP, "migrate.sql line 1: `change users 3` names a table, but is not a directive. Write `-- changes: users 3`; "),
    "a slip with a capital letter": ("-- Change: Users 3\n", ADD, DROP, "migrate.sql line 1: `Change: Users 3` names a table, but is not a directive. Write `-- changes: Users 3`; "),
    "a slip with more digits than there are": (f"-- Change: users {'9' * 20}\n", ADD, DROP, "names a table, but is not a directive"),
    "a lost colon": ("-- changes users\n", ADD, DROP, "migrate.sql line 1: `changes users` names a table, but is not a directive. Write `-- changes: users`; "),
    "a lost colon and a capital letter": ("-- Changes users 3\n", ADD, DROP, "migrate.sql line 1: `Changes users 3` names a table"),
    "a block": ("/* changes: users */\n", ADD, DROP, "migrate.sql line 1: `changes: users` names a table"),
    "a block of lines": ("/*\n * change: users\n * and others */\n", ADD, DROP, "migrate.sql line 2: `change: users` names a table"),
    "more dashes": ("--- changes: users\n", ADD, DROP, "migrate.sql line 1: `changes: users` names a table"),
    "taken out": ("-- -- changes: users\n", ADD, DROP, "migrate.sql line 1: `changes: users` names a table"),
    "a list": ("-- * changes: users\n", ADD, DROP, "migrate.sql line 1: `changes: users` names a table"),
    "a capital letter": ("-- Changes: Users\n", ADD, DROP, "migrate.sql line 1: `Changes: Users` names a table, but is prose: a directive is written in lower case. "),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "migrate", "rollback", "said"), TABLES.values(), ids=TABLES)
async def test_declared_table_that_never_exists_is_refused(
    tmp_path: Path, lines: str, migrate: str, rollback: str, said: str
) -> None:
    """A `-- changes:` line for a table that never exists is refused with the nearest name; production is unchanged."""
    came = await tried_in_process(tmp_path, USERS, {**OF_ANY, "migrate.sql": lines + migrate, "rollback.sql": rollback})
    assert (came.proof is None) == bool(said), came.said
    assert said in came.said
    assert came.untouched


async def test_table_of_a_failed_script_is_not_called_unknown(tmp_path: Path) -> None:
    """If the script failed, the tables it would have created count as existing: one finding, not two."""
    files = {
        "migrate.sql": "-- changes: posts\nCREATE TABLE posts (id);\nINSERT INTO nowhere VALUES (1);\n",
        "rollback.sql": "DROP TABLE posts;\n",
    }
    came = await tried_in_process(tmp_path, USERS, {**OF_ANY, **files})
    assert "no such table: nowhere" in came.said
    assert "no such table, before or after" not in came.said


LOST_CHECK = """CREATE TABLE users_2 (id INTEGER PRIMARY KEY, email TEXT NOT NULL, name TEXT NOT NULL, role TEXT);
INSERT INTO users_2 SELECT * FROM users WHERE id > 1;
DROP TABLE users;
ALTER TABLE users_2 RENAME TO users;
"""


async def test_a_line_beside_lost_rows_is_not_unused(tmp_path: Path) -> None:
    """If rows of a table are reported as lost, a valid line about the same table does not seem to accept nothing."""
    before = f"{USERS.replace('role TEXT', 'role TEXT CHECK (role > 0)')}"
    files = {
        "migrate.sql": f"-- allow: check-lost users: roles are free now\n{LOST_CHECK}",
        "rollback.sql": BACK,
    }
    came = await tried_in_process(tmp_path, before, {**OF_ANY, **files})
    assert "users: 1 row removed (1 before), and no loss was declared" in came.said
    assert "accepts nothing" not in came.said
    assert "Accepted: roles are free now" in came.said
