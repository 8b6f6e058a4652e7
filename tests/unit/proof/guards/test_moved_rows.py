"""Rows that move between tables: none is lost if a migration drops or renames their table, or in the rollback."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from steps.support.gateways.guards import Guards
from steps.support.proof.guards.choose import COUNTED, SPARE
from steps.support.proof.guards.moved_rows import hold_rewritten_tables, with_moved_rows
from steps.support.proof.rehearsal.rehearsal import RollbackEffect
from tests.support.database.changes import changed
from tests.support.proof.proved_production import Production

pytestmark = pytest.mark.anyio


@dataclass(frozen=True, slots=True)
class Case:
    """A change, and what the app writes: in the rehearsal, in production before the change, and after it."""

    before: str
    migrate: str
    rollback: str
    rehearsed: str = ""
    meanwhile: str = ""
    since: str = ""


def many(table: str, columns: str, rows: int = 2 * SPARE) -> str:
    """Return SQL for more rows than are allowed beyond the rehearsal; `columns` may use the number n of a row."""
    return f"WITH RECURSIVE m (n) AS (SELECT 101 UNION ALL SELECT n + 1 FROM m WHERE n < {100 + rows}) INSERT INTO {table} SELECT {columns} FROM m;"


SOME = SPARE // 4  # rows the migration may change besides those of the copy, each several times
USERS = "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL); INSERT INTO users VALUES (1, 'a'), (2, 'b');"
QUOTED = USERS.replace("users (", '"users" (')  # as SQLite stores a renamed table
NAMED_PEOPLE = "-- allow: table-lost users: they are people now\n-- changes: users\n-- changes: people\n"
PEOPLE = f"{NAMED_PEOPLE}CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO people SELECT id, name FROM users; DROP TABLE users;"
AGAIN = "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL);"
NAMELESS = "INSERT INTO people VALUES (8, NULL), (9, NULL), (10, 'x');"
NAMELESS_KEPT = f"CREATE TABLE _orchestrate_kept_nameless AS SELECT * FROM people WHERE name IS NULL; {AGAIN} INSERT INTO users SELECT * FROM people WHERE name IS NOT NULL; DROP TABLE people;"
TAKES_NAMELESS = f"{PEOPLE} CREATE TABLE IF NOT EXISTS _orchestrate_kept_nameless (id, name); INSERT INTO people SELECT id, name FROM _orchestrate_kept_nameless; DROP TABLE _orchestrate_kept_nameless;"
OLD = "CREATE TABLE old (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO old VALUES (1, 'a'), (2, 'b');"
NO_OLD = "-- allow: table-lost old: nobody reads it\n-- changes: old\nCREATE TABLE _orchestrate_kept_old AS SELECT * FROM old; DROP TABLE old;"
OLD_AGAIN = "CREATE TABLE old (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO old SELECT {} FROM _orchestrate_kept_old{}; DROP TABLE _orchestrate_kept_old;"
SINCE = "INSERT INTO old VALUES (3, 'c'), (4, 'd');"
TWO = "CREATE TABLE a (id INTEGER PRIMARY KEY, v); CREATE TABLE b (id INTEGER PRIMARY KEY, v); INSERT INTO a VALUES (1, 'x'); INSERT INTO b VALUES (2, 'y'), (3, 'z');"
TWO_GONE = "-- allow: table-lost a: it is in ab\n-- allow: table-lost b: it is in ab\n-- changes: a\n-- changes: b\n-- changes: ab\n"
ONE = f"{TWO_GONE}CREATE TABLE ab (id INTEGER PRIMARY KEY, kind TEXT, v); INSERT INTO ab SELECT id, 'a', v FROM a UNION ALL SELECT id, 'b', v FROM b; DROP TABLE a; DROP TABLE b;"
TWO_AGAIN = "CREATE TABLE a (id INTEGER PRIMARY KEY, v); CREATE TABLE b (id INTEGER PRIMARY KEY, v); INSERT INTO a SELECT id, v FROM ab WHERE kind = 'a'; INSERT INTO b SELECT id, v FROM ab WHERE kind = 'b'; DROP TABLE ab;"
T = "CREATE TABLE t (id INTEGER PRIMARY KEY, kind TEXT); INSERT INTO t VALUES (1, 'x'), (2, 'x'), (5, 'y');"
NO_X = "-- changes: t\nCREATE TABLE _orchestrate_kept_x AS SELECT * FROM t WHERE kind = 'x'; DELETE FROM t WHERE kind = 'x';"
X_AGAIN = "INSERT INTO t SELECT * FROM _orchestrate_kept_x AS k WHERE {}; DROP TABLE _orchestrate_kept_x;"
MORE_X = "INSERT INTO t VALUES (3, 'x'), (4, 'x');"
X_APART = "-- changes: t\n-- changes: x\nCREATE TABLE x (id INTEGER PRIMARY KEY, kind TEXT); INSERT INTO x SELECT * FROM t WHERE kind = 'x'; DELETE FROM t WHERE kind = 'x';"
SPLIT = "-- allow: table-lost t: it is x and y\n-- changes: t\n-- changes: x\n-- changes: y\nCREATE TABLE x (id INTEGER PRIMARY KEY, kind TEXT); CREATE TABLE y (id INTEGER PRIMARY KEY, kind TEXT); INSERT INTO x SELECT * FROM t WHERE kind = 'x'; INSERT INTO y SELECT * FROM t WHERE kind <> 'x'; DROP TABLE t;"
JOINED = "CREATE TABLE t (id INTEGER PRIMARY KEY, kind TEXT); INSERT INTO t SELECT * FROM x; INSERT INTO t SELECT * FROM y{}; DROP TABLE x; DROP TABLE y;"

LOSING = {
    "of a renamed table": (Case(USERS, PEOPLE, f"{AGAIN} INSERT INTO users SELECT id, name FROM people WHERE name IS NOT NULL; DROP TABLE people;", since=NAMELESS), "rows of people in users: 5 before, 3 after"),
    "that are ignored": (Case(USERS, PEOPLE, f"-- allow: or-ignore it is tried\n{AGAIN} INSERT OR IGNORE INTO users SELECT id, name FROM people; DROP TABLE people;", since=NAMELESS), "rows of people in users: 5 before, 3 after"),
    "deleted before the name comes back": (Case(QUOTED, f"{NAMED_PEOPLE}ALTER TABLE users RENAME TO people; ALTER TABLE people ADD COLUMN gone INTEGER;", "DELETE FROM people WHERE gone IS NOT NULL; ALTER TABLE people DROP COLUMN gone; ALTER TABLE people RENAME TO users;", since="INSERT INTO people VALUES (8, 'y', 1);"), "rows of people in users: 3 before, 2 after"),
    "of a dropped table": (Case(OLD, NO_OLD, OLD_AGAIN.format("*", " WHERE id <= 2"), meanwhile=SINCE), "rows of _orchestrate_kept_old in old: 4 before, 2 after"),
    "by a query in WITH": (Case(OLD, NO_OLD, "CREATE TABLE old (id INTEGER PRIMARY KEY, name TEXT); WITH some (id, name) AS (SELECT id, name FROM _orchestrate_kept_old WHERE id <= 2) INSERT INTO old SELECT id, name FROM some; DROP TABLE _orchestrate_kept_old;", meanwhile=SINCE), "rows of _orchestrate_kept_old in old: 4 before, 2 after"),
    "by way of another": (Case(OLD, NO_OLD, "CREATE TABLE u AS SELECT * FROM _orchestrate_kept_old WHERE id <= 2; CREATE TABLE old (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO old SELECT * FROM u; DROP TABLE u; DROP TABLE _orchestrate_kept_old;", meanwhile=SINCE), "rows of _orchestrate_kept_old in old: 4 before, 2 after"),
    "of neither of two": (Case(TWO, ONE, TWO_AGAIN, since="INSERT INTO ab VALUES (7, 'c', 'lost');"), "rows of ab in a and b: 4 before, 3 after"),
    "of one of two": (Case(T, SPLIT, JOINED.format(" WHERE kind = 'y'"), since="INSERT INTO x VALUES (7, 'x'); INSERT INTO y VALUES (8, 'lost');"), "rows of x and y in t: 5 before, 4 after"),
    "that go back into a table": (Case(T, NO_X, X_AGAIN.format("id <= 2"), meanwhile=MORE_X), "rows of _orchestrate_kept_x and t in t: 5 before, 3 after"),
    "written to a new table": (Case(T, X_APART, "INSERT INTO t SELECT * FROM x WHERE id <= 2; DROP TABLE x;", since="INSERT INTO x VALUES (7, 'x');"), "rows of t and x in t: 4 before, 3 after"),
}  # fmt: skip


@pytest.mark.parametrize(("case", "said"), LOSING.values(), ids=LOSING)
async def test_rollback_that_loses_moved_rows_is_refused(production: Production, case: Case, said: str) -> None:
    """Rows written after the rehearsal that rollback.sql leaves out stop its transaction."""
    await production.proved(case.before, case.migrate, case.rollback, case.rehearsed or "-- nothing\n")
    await production.written(case.meanwhile or "SELECT 1;")
    assert await production.migrated() == ""
    await production.written(case.since or "SELECT 1;")
    assert (await production.rolled_back()).startswith(said)


LOSING_THERE = {
    "kept in part": (Case(OLD, NO_OLD.replace("FROM old;", "FROM old WHERE id <= 2;"), OLD_AGAIN.format("*", ""), meanwhile=SINCE), "rows of old in _orchestrate_kept_old: 4 before, 2 after"),
    "renamed in part": (Case(USERS, PEOPLE.replace("FROM users;", "FROM users WHERE name < 'c';"), f"{AGAIN} INSERT INTO users SELECT id, name FROM people; DROP TABLE people;", meanwhile="INSERT INTO users VALUES (3, 'd');"), "rows of users in people: 3 before, 2 after"),
    "empty when it was tried": (Case("CREATE TABLE old (id INTEGER PRIMARY KEY);", "-- allow: table-lost old: it is empty\nDROP TABLE old;", "CREATE TABLE old (id INTEGER PRIMARY KEY);", meanwhile="INSERT INTO old VALUES (1);"), "rows of old in no other table: 1 before, 0 after"),
    "split in part": (Case(T, SPLIT.replace("<> 'x'", "= 'y'"), JOINED.format(""), meanwhile="INSERT INTO t VALUES (7, 'z');"), "rows of t in x and y: 4 before, 3 after"),
}  # fmt: skip


@pytest.mark.parametrize(("case", "said"), LOSING_THERE.values(), ids=LOSING_THERE)
async def test_migration_that_loses_rows_of_a_dropped_table_is_refused(
    production: Production, case: Case, said: str
) -> None:
    """Rows written after the copy that migrate.sql moves to no other table stop its transaction."""
    await production.proved(case.before, case.migrate, case.rollback)
    await production.written(case.meanwhile)
    assert (await production.migrated()).startswith(said)


EMAILS = "CREATE TABLE profiles (user INTEGER PRIMARY KEY, email TEXT); INSERT INTO profiles VALUES (1, 'a'), (2, 'b');"
EMAILS_THERE = "-- allow: table-lost profiles: they are emails now\n-- changes: profiles\n-- changes: emails\nCREATE TABLE emails (id INTEGER PRIMARY KEY, user INTEGER, email TEXT); INSERT INTO emails (user, email) SELECT user, email FROM profiles; CREATE TABLE IF NOT EXISTS _orchestrate_kept_emails (id, user, email); DELETE FROM emails WHERE EXISTS (SELECT 1 FROM _orchestrate_kept_emails); INSERT INTO emails SELECT * FROM _orchestrate_kept_emails; DROP TABLE _orchestrate_kept_emails; DROP TABLE profiles;"
EMAILS_BACK = "CREATE TABLE _orchestrate_kept_emails AS SELECT * FROM emails; CREATE TABLE profiles (user INTEGER PRIMARY KEY, email TEXT); INSERT INTO profiles SELECT user, min(email) FROM emails GROUP BY user; DROP TABLE emails;"
ADMINS = "CREATE TABLE users (id INTEGER PRIMARY KEY, role TEXT); CREATE TABLE admins (id INTEGER PRIMARY KEY); INSERT INTO users VALUES (1, 'admin'), (2, ''), (3, ''); INSERT INTO admins VALUES (1);"
NOTES = "CREATE TABLE users (id INTEGER PRIMARY KEY); CREATE TABLE old (id INTEGER PRIMARY KEY, name INTEGER REFERENCES users); INSERT INTO users VALUES (1), (2); INSERT INTO old VALUES (1, 1), (2, 2);"
SEEDED = f"{PEOPLE} INSERT INTO people SELECT 1000 + id, 'seed' FROM people WHERE id <= 2;"
BAD_USERS = USERS.replace("(2, 'b')", "(2, 'bad')")
BAD_KEPT = PEOPLE.replace(
    "FROM users;",
    "FROM users WHERE name <> 'bad'; CREATE TABLE _orchestrate_kept_bad AS SELECT * FROM users WHERE name = 'bad';",
)
BAD_BACK = f"{AGAIN} INSERT INTO users SELECT * FROM people; INSERT INTO users SELECT * FROM _orchestrate_kept_bad AS k WHERE NOT EXISTS (SELECT 1 FROM users AS u WHERE u.id = k.id); DROP TABLE _orchestrate_kept_bad; DROP TABLE people;"
MARKED = PEOPLE.replace("name TEXT);", "name TEXT, marked INTEGER);").replace(
    "SELECT id, name FROM users;",
    "SELECT id, iif(name = 'bad', 'good', name), name = 'bad' FROM users; CREATE TABLE _orchestrate_kept_bad AS SELECT * FROM users WHERE name = 'bad';",
)
MARKED_BACK = f"{AGAIN} INSERT INTO users SELECT id, name FROM people WHERE NOT marked; INSERT INTO users SELECT k.id, k.name FROM _orchestrate_kept_bad AS k; DROP TABLE _orchestrate_kept_bad; DROP TABLE people;"
HONEST = {
    "renamed": Case(QUOTED, f"{NAMED_PEOPLE}ALTER TABLE users RENAME TO people;", "ALTER TABLE people RENAME TO users;", meanwhile=many("users", "n, 'm'", SOME), since=many("people", "n + 1000, 's'")),
    "renamed by copying": Case(USERS, PEOPLE, f"{AGAIN} INSERT INTO users SELECT id, name FROM people; DROP TABLE people;", meanwhile=many("users", "n, 'm'", SOME), since="DELETE FROM people WHERE id < 200; INSERT INTO people VALUES (3, 'x');"),
    "what the old schema cannot hold waits": Case(USERS, TAKES_NAMELESS, NAMELESS_KEPT, since=many("people", "n, NULL")),
    "the same, as rehearsed": Case(USERS, TAKES_NAMELESS, NAMELESS_KEPT, "INSERT INTO people VALUES (7, NULL);", since=many("people", "n, NULL")),
    "rows of the change that go": Case(USERS, SEEDED, f"{AGAIN} INSERT INTO users SELECT id, name FROM people WHERE name <> 'seed'; DROP TABLE people;", since="INSERT INTO people VALUES (8, 'x'); DELETE FROM people WHERE id = 1;"),
    "dropped and kept": Case(OLD, NO_OLD, OLD_AGAIN.format("*", ""), meanwhile=many("old", "n, 'm'", SOME)),
    "those whose parents went": Case(NOTES, NO_OLD, OLD_AGAIN.replace("name TEXT", "name INTEGER REFERENCES users").format("*", " WHERE name IN (SELECT id FROM users)"), since="DELETE FROM users WHERE id = 2;"),
    "two that were one": Case(TWO, ONE, TWO_AGAIN, meanwhile="INSERT INTO b VALUES (4, 'm');", since=many("ab", "n, 'b', 's'")),
    "one that was two": Case(T, SPLIT, JOINED.format(""), meanwhile=many("t", "n, 'x'", SOME), since=many("y", "n + 1000, 'y'")),
    "a view of rows that stay": Case(ADMINS, "-- allow: table-lost admins: users have a role\n-- changes: admins\nDROP TABLE admins;", "CREATE TABLE admins (id INTEGER PRIMARY KEY); INSERT INTO admins SELECT id FROM users WHERE role = 'admin';", since=many("users", "n, ''")),
    "many that become one, and are all kept": Case(EMAILS, EMAILS_THERE, EMAILS_BACK, since=many("emails", "n, 1, 'other'")),
    "one that came back by another hand": Case(BAD_USERS, BAD_KEPT, BAD_BACK, since="INSERT INTO people VALUES (2, 'again');"),
    "copies where there were none to be had": Case(USERS, MARKED, MARKED_BACK, meanwhile=many("users", "n, 'bad'", SOME)),
    "back into a table": Case(T, NO_X, X_AGAIN.format("true"), meanwhile=many("t", "n, 'x'", SOME), since="DELETE FROM t WHERE kind = 'y';"),
    "back into a table, but for one": Case(T, NO_X, X_AGAIN.format("NOT EXISTS (SELECT 1 FROM t WHERE t.id = k.id)"), meanwhile=MORE_X, since="INSERT INTO t VALUES (3, 'again');"),
    "back out of a new table": Case(T, X_APART, "INSERT INTO t SELECT * FROM x; DROP TABLE x;", meanwhile=MORE_X, since=many("x", "n, 'x'")),
}  # fmt: skip


@pytest.mark.parametrize("case", HONEST.values(), ids=HONEST)
async def test_change_that_moves_rows_and_loses_none_passes(production: Production, case: Case) -> None:
    """Both ways pass, with more rows written since than are allowed beyond the rehearsal."""
    await production.proved(case.before, case.migrate, case.rollback, case.rehearsed or "-- nothing\n")
    await production.written(case.meanwhile or "SELECT 1;")
    assert await production.migrated() == ""
    await production.written(case.since or "SELECT 1;")
    assert await production.rolled_back() == ""


MANY = COUNTED + 1
MEASURED = [  # rows of t, migrate, rollback, figures of the migration and of the rollback
    ("renamed", 3, "ALTER TABLE t RENAME TO s;", "ALTER TABLE s RENAME TO t;", [], []),
    ("renamed, and some go", 3, "ALTER TABLE t RENAME TO s;", "DELETE FROM s WHERE v; ALTER TABLE s RENAME TO t;", [], ["rows of s in t"]),
    ("many renamed, and some go", MANY, "ALTER TABLE t RENAME TO s;", "DELETE FROM s WHERE v; ALTER TABLE s RENAME TO t;", [], []),
    ("many copied", MANY, "CREATE TABLE s (v); INSERT INTO s SELECT v + 1 FROM t WHERE v; DROP TABLE t;", "CREATE TABLE t (v); INSERT INTO t SELECT v FROM s WHERE v; DROP TABLE s;", ["rows of t in s"], ["rows of s in t"]),
    ("some go back into many", MANY, "CREATE TABLE s AS SELECT * FROM t WHERE v = 1; DELETE FROM t WHERE v = 1;", "INSERT INTO t SELECT * FROM s WHERE v; DROP TABLE s;", [], []),
    ("made anew under its name", 3, "CREATE TABLE u AS SELECT * FROM t WHERE v; DROP TABLE t; ALTER TABLE u RENAME TO t;", "SELECT 1;", [], []),
    ("taken into an index as well", 3, "CREATE VIRTUAL TABLE f USING fts5(v); INSERT INTO f SELECT v FROM t; CREATE TABLE s AS SELECT * FROM t WHERE v; DROP TABLE t;", "SELECT 1;", ["rows of t in s"], []),
    ("dropped without rows", 0, "DROP TABLE t;", "CREATE TABLE t (v);", ["rows of t in no other table"], []),
    ("by way of a view", 3, "CREATE TABLE s (v); INSERT INTO s SELECT v FROM w; DROP TABLE t;", "CREATE TABLE t (v); INSERT INTO t SELECT v FROM w; DROP TABLE s;", [], []),
    ("of a table that is not there", 3, "ALTER TABLE t RENAME TO s;", "CREATE TABLE t (v); INSERT INTO t SELECT v FROM absent WHERE v; DROP TABLE absent;", [], []),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "migrate", "rollback", "there", "back"), [each[1:] for each in MEASURED], ids=[each[0] for each in MEASURED])  # fmt: skip
def test_moved_rows_are_counted_if_that_is_cheap(
    tmp_path: Path, rows: int, migrate: str, rollback: str, there: list[str], back: list[str]
) -> None:
    """Tables that keep all rows are not counted; large tables are counted only if the script copies them anyway."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript("CREATE TABLE t (v); CREATE VIEW w AS SELECT * FROM t;")
        found = with_moved_rows(Guards((), ()), connection, {"t": rows}, changed(tmp_path, migrate, rollback))
    assert ([each.name for each in found.there], [each.name for each in found.back]) == (there, back)


ALONE = f"CREATE TABLE _orchestrate_kept_w AS SELECT * FROM people WHERE name IS NULL; {AGAIN} INSERT INTO users SELECT id, name FROM people WHERE name <> ''; DROP TABLE people;"
BESIDE = (
    f"{AGAIN} INSERT INTO users SELECT p.id, x.name FROM people AS p JOIN other AS x ON x.id = p.id; DROP TABLE people;"
)
APART = f"{AGAIN} INSERT INTO users SELECT * FROM people WHERE name <> ''; INSERT INTO users SELECT * FROM more WHERE name <> ''; DROP TABLE people; DROP TABLE more;"
BOTH = APART.replace(AGAIN, f"CREATE TABLE _orchestrate_kept_w AS SELECT * FROM more WHERE name IS NULL; {AGAIN}")
INTO = "INSERT INTO users SELECT * FROM people WHERE name <> ''; DROP TABLE people;"
P, M, PM, UP = "rows of people in users", "rows of more in users", "rows of more and people in users", "rows of people and users in users"  # fmt: skip
NONE = set[str]()
SEEN = [  # rollback.sql, growth of the figures, rows kept aside, least growth required, figures in which the rows kept aside count
    ("none went", ALONE, {P: 0}, 0, {P: 0}, {P}),
    ("what went waits", ALONE, {P: -2}, 2, {P: 0}, {P}),
    ("some went", ALONE, {P: -2}, 1, {P: -101}, {P}),
    ("copies", ALONE, {P: 0}, 2, {P: 0}, NONE),
    ("one for each", BESIDE, {P: 0}, 0, {P: 0}, NONE),
    ("several for one", BESIDE, {P: 4}, 0, {}, NONE),
    ("one for several", BESIDE, {P: -4}, 0, {P: -104}, NONE),
    ("of two, all are there", APART, {P: 3, M: 2, PM: 0}, 0, {P: 0, M: 0, PM: 0}, NONE),
    ("of two, some went", APART, {P: 3, M: 1, PM: -1}, 0, {P: 0, M: 0}, NONE),
    ("of two, one had none", APART, {P: 0, M: 2, PM: 0}, 0, {P: 0, M: 0}, NONE),
    ("of two, some wait", BOTH, {P: 2, M: 1, PM: -1}, 1, {P: 0, M: 0, PM: 0}, {M, PM}),
    ("into a table that is there", INTO, {P: 5, "rows of users in users": 2, UP: 0}, 0, {P: 0, UP: 0}, NONE),
]  # fmt: skip


@pytest.mark.parametrize(("rollback", "grew", "kept", "held", "waits"), [each[1:] for each in SEEN], ids=[each[0] for each in SEEN])  # fmt: skip
def test_moved_rows_are_bounded_by_the_rehearsal(
    tmp_path: Path, rollback: str, grew: dict[str, int], kept: int, held: dict[str, int], waits: set[str]
) -> None:
    """Each figure is bounded by what the rehearsal lost; figures that cannot show lost rows are left out."""
    migrate = "CREATE TABLE people (id, name); CREATE TABLE more (id, name); CREATE TABLE other (id, name);"
    change = changed(tmp_path, migrate, rollback)
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(USERS)
        found = with_moved_rows(Guards((), ()), connection, {"users": 2}, change)
    undone = RollbackEffect(grew, {"_orchestrate_kept_w": kept} if "kept_w" in rollback else {})
    assert {each.name for each in found.back} == grew.keys()
    back = hold_rewritten_tables(found, change, [undone]).back
    assert {each.name: each.slack for each in back} == held
    assert {each.name for each in back if "_orchestrate_kept_w" in each.expression} == waits
