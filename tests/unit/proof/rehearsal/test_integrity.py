"""What the engine takes for granted is checked: new defects are refused, and defects from before are warnings."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import aclosing, closing
from pathlib import Path

import pytest

from steps.support.core.errors import Problem
from steps.support.gateways.database.connect import connect
from steps.support.gateways.turso import Turso
from steps.support.proof.rehearsal.integrity import check_integrity
from tests.support.proof.proved_production import Production

pytestmark = pytest.mark.anyio

USERS = """CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT, age TEXT, city INTEGER);
INSERT INTO users VALUES (1, 'a@x.io', '41', 1), (2, NULL, '7', 2), (3, 'c@x.io', 'old', 9);
CREATE TABLE cities (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO cities VALUES (1, 'Bern'), (2, 'Rom');
"""
KEYED = "CREATE TABLE k (code TEXT PRIMARY KEY, v TEXT) WITHOUT ROWID; INSERT INTO k VALUES ('a', NULL), ('b', 'x');"
STRICT = "CREATE TABLE s (id INTEGER PRIMARY KEY, v TEXT) STRICT; INSERT INTO s (v) VALUES ('7'), ('x');"
INDEXED = (
    USERS + "INSERT INTO users (email) VALUES ('A@x.io'), ('B'), ('a'); CREATE INDEX by_email ON users (email, age);"
)
DOCS = "CREATE TABLE docs (id INTEGER PRIMARY KEY, body TEXT); INSERT INTO docs (body) VALUES ('one'), ('two');"
SEARCH = "CREATE VIRTUAL TABLE search USING {}({}, content={}); INSERT INTO search (search) VALUES ('rebuild');"


def column(name: str, to: str, table: str = "users") -> str:
    """Return libSQL's ALTER COLUMN statement, which checks no row."""
    return f"ALTER TABLE {table} ALTER COLUMN {name} TO {name} {to};"


BROKEN = {
    "NULL under NOT NULL": (
        USERS, column("email", "TEXT NOT NULL"), column("email", "TEXT"),
        (
            "users.email: 1 row: NULL in email, which is NOT NULL: WHERE email IS NULL does not find it, "
            "for example the row with rowid 2"
        ),
    ),
    "NULL under NOT NULL, without rowids": (
        KEYED, column("v", "TEXT NOT NULL", "k"), column("v", "TEXT", "k"), "k.v: 1 row: NULL in v",
    ),
    "a value against CHECK": (
        USERS, column("age", "TEXT CHECK (length(age) < 3)"), column("age", "TEXT"),
        "users.age: 1 row: CHECK (length(age) < 3) does not hold, for example the row with rowid 3",
    ),
    "a type under STRICT": (
        STRICT, column("v", "INT", "s"), column("v", "TEXT", "s"), "s.v: 2 rows: non-INT value in v",
    ),
    "a type without STRICT": (
        USERS, column("age", "INTEGER"), column("age", "TEXT"), "users.age: 2 rows: TEXT value in age",
    ),
    "a reference that leads nowhere": (
        USERS, column("city", "INTEGER REFERENCES cities (id)"), column("city", "INTEGER"),
        "users: 1 row references a missing row of cities (0 before), for example city of the row with rowid 3",
    ),
    "a reference to a column that is no key": (
        USERS, column("city", "INTEGER REFERENCES cities (name)"), column("city", "INTEGER"),
        'users: the engine would refuse every write to users or its parent: foreign key mismatch - "users" referencing "cities"',
    ),
    "an index out of order": (
        INDEXED, column("email", "TEXT COLLATE NOCASE"), column("email", "TEXT"),
        "users: index by_email lacks rows, or has them out of order",
    ),
    "an FTS5 index whose content got other ids": (
        DOCS + SEARCH.format("fts5", "body", "docs"),
        "-- changes: docs\nUPDATE docs SET id = id + 10;", "UPDATE docs SET id = id - 10;",
        "search: its own check fails",
    ),
    "an FTS5 index whose content lost a column": (
        DOCS + SEARCH.format("fts5", "body", "docs"),
        (
            "-- allow: column-lost nobody reads it\nCREATE TABLE _orchestrate_kept_b AS SELECT id, body FROM docs;"
            "ALTER TABLE docs DROP COLUMN body;"
        ),
        "ALTER TABLE docs ADD COLUMN body TEXT; DROP TABLE _orchestrate_kept_b;",
        "search: it reads body, which docs does not have: searches fail",
    ),
    "an FTS4 index whose content got other ids": (
        DOCS + SEARCH.format("fts4", "body", '"docs"'),
        "-- changes: docs\nUPDATE docs SET id = id + 10;", "UPDATE docs SET id = id - 10;",
        "search: its own check fails",
    ),
}  # fmt: skip
RIGHT = {
    "the gaps filled first": (
        USERS,
        "-- changes: users 1\nCREATE TABLE _orchestrate_kept_n AS SELECT id FROM users WHERE email IS NULL;\n"
        "UPDATE users SET email = '' WHERE email IS NULL;" + column("email", "TEXT NOT NULL"),
        column("email", "TEXT") + "UPDATE users SET email = NULL WHERE id IN (SELECT id FROM _orchestrate_kept_n);\n"
        "DROP TABLE _orchestrate_kept_n;",
    ),
    "a default": (USERS, column("email", "TEXT DEFAULT 'none'"), column("email", "TEXT")),
    "a check that holds": (USERS, column("age", "TEXT CHECK (age <> '')"), column("age", "TEXT")),
    "columns with defaults of another type": (
        USERS,
        "ALTER TABLE users ADD COLUMN a INTEGER DEFAULT '5'; ALTER TABLE users ADD COLUMN b TEXT DEFAULT 5;",
        "ALTER TABLE users DROP COLUMN a; ALTER TABLE users DROP COLUMN b;",
    ),
    "virtual tables beside it": (
        USERS + DOCS + "CREATE VIRTUAL TABLE f USING fts4(x); INSERT INTO f (docid, x) VALUES (1, 'one');"
        "CREATE VIRTUAL TABLE g USING fts5(x, content=\"\"); INSERT INTO g (rowid, x) VALUES (1, 'one');"
        "CREATE VIRTUAL TABLE r USING rtree(id, a, b); INSERT INTO r VALUES (1, 1, 2);"
        + SEARCH.format("fts5", "body", "docs"),
        "ALTER TABLE users ADD COLUMN note TEXT;",
        "ALTER TABLE users DROP COLUMN note;",
    ),
}


@pytest.fixture
async def production(server: str, sqld_binary: Path, tmp_path: Path) -> AsyncIterator[Production]:
    """Yield a production on a server, whose changes are rehearsed on the same engine."""
    async with aclosing(connect(server, None)) as database:
        yield Production(Turso(database), sqld_binary, tmp_path)


@pytest.mark.parametrize(("before", "migrate", "rollback", "words"), BROKEN.values(), ids=BROKEN)
async def test_what_a_change_breaks_unseen_is_refused(
    production: Production, before: str, migrate: str, rollback: str, words: str
) -> None:
    """The change is refused although no statement fails; table, column, number of rows, a row and remedy are named."""
    with pytest.raises(Problem) as caught:
        await production.proved(before, migrate, rollback)
    assert f"\n- {words}" in str(caught.value)


@pytest.mark.parametrize(("before", "migrate", "rollback"), RIGHT.values(), ids=RIGHT)
async def test_right_change_of_a_sound_database_passes(
    production: Production, before: str, migrate: str, rollback: str
) -> None:
    """A change whose rows fit the new definition passes, and sound tables are not mentioned."""
    proof = await production.proved(before, migrate, rollback)
    assert [line for line in proof.warnings if "before the change" in line] == []


NOTE = ("ALTER TABLE cities ADD COLUMN note TEXT;", "ALTER TABLE cities DROP COLUMN note;")
SPOILT = {
    name: (before + migrate.partition("\n")[2] if migrate.startswith("--") else before + migrate, words)
    for name, (before, migrate, _, words) in BROKEN.items()
    if name in {"NULL under NOT NULL", "a value against CHECK"}
}


@pytest.mark.parametrize(("before", "words"), SPOILT.values(), ids=SPOILT)
async def test_defect_from_before_an_unrelated_change_is_a_warning(
    production: Production, before: str, words: str
) -> None:
    """The change passes, with a warning that names table, column, number of rows and a row of the earlier defect."""
    proof = await production.proved(before, *NOTE)
    (told,) = [line for line in proof.warnings if "The defect existed before the change, and does not block it" in line]
    assert told.startswith(words)


async def test_the_table_itself_may_change_and_be_renamed(production: Production) -> None:
    """A defect from before is no new defect if the change renames its table or its column."""
    spoilt, _ = SPOILT["NULL under NOT NULL"]
    renamed = "-- changes: users\n-- changes: people\n-- allow: table-lost it is called people now\n"
    proof = await production.proved(
        spoilt,
        f"{renamed}ALTER TABLE users RENAME COLUMN email TO mail; ALTER TABLE users RENAME TO people;",
        "ALTER TABLE people RENAME TO users; ALTER TABLE users RENAME COLUMN mail TO email;",
    )
    assert proof.guards.respelled


async def test_change_that_repairs_a_defect_passes(production: Production) -> None:
    """A change that fills the NULLs, which IS NULL cannot find, passes, and the warning disappears."""
    mend = "-- changes: users 1\n-- allow: retyped users.email: no e-mail is an empty one\nCREATE TABLE _orchestrate_kept_n AS SELECT id FROM users WHERE typeof(email) = 'null';"
    proof = await production.proved(
        SPOILT["NULL under NOT NULL"][0],
        f"{mend}\nUPDATE users SET email = '' WHERE typeof(email) = 'null';",
        column("email", "TEXT")
        + "UPDATE users SET email = NULL WHERE id IN (SELECT id FROM _orchestrate_kept_n);"
        + column("email", "TEXT NOT NULL")
        + "DROP TABLE _orchestrate_kept_n;",
    )
    assert [line for line in proof.warnings if "before the change" in line] == []


async def test_more_rows_than_before_are_refused(production: Production) -> None:
    """A defect from before does not excuse a further row: the finding says how many rows had it before."""
    before = SPOILT["NULL under NOT NULL"][0]
    again = column("email", "TEXT") + "UPDATE users SET email = NULL WHERE id = 1;" + column("email", "TEXT NOT NULL")
    back = (
        column("email", "TEXT") + "UPDATE users SET email = 'a@x.io' WHERE id = 1;" + column("email", "TEXT NOT NULL")
    )
    with pytest.raises(Problem, match=r"2 rows: NULL in email.+before the change, 1 row had this defect"):
        await production.proved(before, f"-- changes: users 1\n{again}", back)


async def test_what_the_app_writes_is_not_blamed_on_the_rollback(production: Production) -> None:
    """If the app fills its search index later, the index is out of date with and without the change: no finding."""
    proof = await production.proved(
        DOCS + SEARCH.format("fts5", "body", "docs"),
        "ALTER TABLE docs ADD COLUMN note TEXT;",
        "ALTER TABLE docs DROP COLUMN note;",
        "INSERT INTO docs (body) VALUES ('three');",
    )
    assert proof.lossless


async def test_untouched_tables_are_not_read_again(production: Production) -> None:
    """After a change, only tables that may differ are checked, and the virtual tables that use such tables."""
    database = production.turso.database
    await production.written(USERS + DOCS + SEARCH.format("fts5", "body", "docs"))
    for touched, checked in (
        ({"users"}, {"users"}),
        ({"docs"}, {"docs", "search"}),
        ({"search_data"}, {"search"}),
        (None, {"users", "cities", "docs", "search"}),
    ):
        assert (await check_integrity(database, touched, indexes=False)).checked == checked


async def test_contentless_tables_have_nothing_to_check(production: Production) -> None:
    """Contentless tables give no defect: FTS4 cannot check them, and FTS5 finds them sound."""
    await production.written(
        "CREATE VIRTUAL TABLE f USING fts4(x, content=''); INSERT INTO f (docid, x) VALUES (1, 'one');"
        "CREATE VIRTUAL TABLE g USING fts5(x, content=''); INSERT INTO g (rowid, x) VALUES (1, 'one');"
    )
    found = await check_integrity(production.turso.database, indexes=True)
    assert found.defects == ()
    assert found.checked == {"f", "g"}


async def test_defect_is_found_by_the_local_engine_too(tmp_path: Path) -> None:
    """Without a server, SQLite finds the same defects in a file whose schema was edited by hand."""
    path = tmp_path / "some.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript("""CREATE TABLE t (a TEXT); INSERT INTO t VALUES (NULL), ('x');
        PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = 'CREATE TABLE t (a TEXT NOT NULL)'""")
    async with aclosing(connect(f"file:{path}", None)) as database:
        (defect,) = (await check_integrity(database, indexes=True)).defects
    assert (defect.place, defect.kind, defect.rows, defect.example) == ("t.a", "null", 1, "rowid 1")


UNCONFIRMED = {
    "a key that does not come first": (
        "CREATE TABLE g (n TEXT, id INTEGER, PRIMARY KEY (id)) WITHOUT ROWID; INSERT INTO g VALUES (NULL, 1);"
    ),
    "a virtual column before a default": (
        "CREATE TABLE g (id INTEGER PRIMARY KEY, v AS (id + 1), n INTEGER DEFAULT '5', m INTEGER NOT NULL DEFAULT '7');"
        "INSERT INTO g (id) VALUES (1), (2);"
    ),
}


@pytest.mark.parametrize("tables", UNCONFIRMED.values(), ids=UNCONFIRMED)
async def test_what_no_row_confirms_is_no_defect(production: Production, tables: str, tmp_path: Path) -> None:
    """Engines report false defects of some sound tables: a defect counts only if a query finds such rows."""
    await production.written(tables)
    assert (await check_integrity(production.turso.database, indexes=True)).defects == ()
    path = tmp_path / "some.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(tables)
    async with aclosing(connect(f"file:{path}", None)) as database:
        assert (await check_integrity(database, indexes=True)).defects == ()


async def test_index_out_of_order_before_the_change_is_a_warning(production: Production) -> None:
    """A release that does not touch the index passes, with a warning that names it."""
    proof = await production.proved(INDEXED + column("email", "TEXT COLLATE NOCASE"), *NOTE)
    told = [line for line in proof.warnings if "before the change" in line]
    assert [line.partition(" lacks")[0] for line in told] == ["users: index by_email"]


async def test_recreated_index_gives_no_warning(production: Production) -> None:
    """A change that recreates an index whose entries were out of order passes without a warning."""
    again = "DROP INDEX by_email; CREATE INDEX by_email ON users (email, age);"
    proof = await production.proved(INDEXED + column("email", "TEXT COLLATE NOCASE"), again, again)
    assert [line for line in proof.warnings if "before the change" in line] == []


async def test_virtual_table_that_reads_a_view_follows_every_table(production: Production) -> None:
    """If a virtual table reads a view, it is checked after a change of any table, because the view may read it."""
    view = "CREATE VIEW all_docs AS SELECT id, body FROM docs;"
    await production.written(USERS + DOCS + view + SEARCH.format("fts5", "body", "all_docs, content_rowid=id"))
    for touched, checked in (({"docs"}, {"docs", "search"}), (set[str](), set[str]())):
        assert (await check_integrity(production.turso.database, touched, indexes=False)).checked == checked
