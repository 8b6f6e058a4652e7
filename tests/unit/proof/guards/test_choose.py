"""What a migration measures: which figures are chosen for which database, and that they hold on the real server."""

import re
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, closing
from pathlib import Path

import pytest

from steps.support.core.errors import Rejected
from steps.support.gateways.database.connect import connect
from steps.support.gateways.guards import (
    NOT_FEWER,
    NOT_MORE,
    SAME,
    UNBOUNDED_LOSS,
    Guards,
    Measure,
    row_changes,
    rows_of,
)
from steps.support.gateways.transaction import OBJECTS
from steps.support.proof.guards import choose
from steps.support.proof.guards.choose import UNBOUNDED, bound_row_changes, guards_for
from steps.support.proof.rehearsal import sqld
from steps.support.sql.change import DatabaseChange
from steps.support.sql.script import split
from steps.support.sql.statement import Statement
from steps.support.sql.tokens import quoted
from tests.support.database.changes import changed
from tests.support.database.rig import ODD, Rig


def rebuilt(table: str, more: str = "") -> str:
    """Return SQL that rebuilds a table, with more columns or the same."""
    return f"""CREATE TABLE u (id INTEGER PRIMARY KEY, v{more}); INSERT INTO u (id, v) SELECT id, v FROM {table};
DROP TABLE {table}; ALTER TABLE u RENAME TO {table};"""


ORPHANS, CHANGES = "references that lead nowhere", "rows changed"
MANY = 1_200  # tables
ANEW, AGAIN = rebuilt("p", ", n"), rebuilt("p")  # AGAIN restores a table that AGAIN created
PARENT = "CREATE TABLE p (id INTEGER PRIMARY KEY, v); INSERT INTO p VALUES (1, 'a'), (2, 'b'), (3, 'c');"
CHILDREN = "INSERT INTO c (id, p) VALUES (1, 1), (2, 1), (3, 2), (4, 2);"
CHILD = f"CREATE TABLE c (id INTEGER PRIMARY KEY, p INTEGER REFERENCES p ON DELETE CASCADE); {CHILDREN}"
INDEX = "CREATE INDEX i ON c (p);"
FAMILY = f"{PARENT} {CHILD} {INDEX}"
HAVE = "rows of p that have rows in c.p"
ENDS = ("lowest id of c", "highest id of c")
COUNTS = re.compile(r"rows of (?!.* that have rows in ).*").fullmatch  # whether a figure counts all rows of a table


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    """Yield an empty database in memory."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        yield connection


def rows(connection: sqlite3.Connection) -> dict[str, int]:
    """Count the rows of each table, as a copy does."""
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB 'sqlite_*'")
    return {
        name: connection.execute(f"SELECT count(*) FROM {quoted(name)}").fetchone()[0] for (name,) in tables.fetchall()
    }


def names(measures: tuple[Measure, ...]) -> list[str]:
    """Return the names of the measured figures, except row changes."""
    return [each.name for each in measures if each.name != CHANGES]


BIG = "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd'), (5, 'e');"
MISMATCH = "CREATE TABLE p (id INTEGER PRIMARY KEY, name); CREATE TABLE c (p REFERENCES p (name)); INSERT INTO p VALUES (1, 'a'); INSERT INTO c VALUES ('a');"
CASES = [  # database, limit of counted rows, migrate.sql, figures of both ways
    ("an empty database", "", 9, "CREATE TABLE t (id);", [ORPHANS]),
    ("every table", "CREATE TABLE a (v); CREATE TABLE b (v); CREATE TABLE c (v);", 9, "CREATE TABLE t (id);", ["rows of a", "rows of b", "rows of c", ORPHANS]),
    ("the smallest that are few enough together", "CREATE TABLE a (v); CREATE TABLE b (id INTEGER PRIMARY KEY); CREATE TABLE c (v); INSERT INTO a VALUES (1), (2); INSERT INTO b VALUES (1), (2), (3);", 4, "SELECT 1;", ["rows of a", "rows of c", "lowest id of b", "highest id of b", ORPHANS]),
    ("as many as may be counted", "CREATE TABLE a (v); CREATE TABLE b (id INTEGER PRIMARY KEY); INSERT INTO a VALUES (1), (2); INSERT INTO b VALUES (1), (2), (3);", 5, "SELECT 1;", ["rows of a", "rows of b", ORPHANS]),
    ("none that has any row", f"CREATE TABLE e (v); CREATE TABLE t (id INTEGER PRIMARY KEY, v); {BIG}", 0, "SELECT 1;", ["rows of e", "lowest id of t", "highest id of t", ORPHANS]),
    ("without a rowid", f"CREATE TABLE t (id PRIMARY KEY, v) WITHOUT ROWID; {BIG}", 4, "SELECT 1;", ["any row of t", ORPHANS]),
    ("without a name for the rowid", "CREATE TABLE t (rowid, oid, _rowid_); INSERT INTO t VALUES (1, 2, 3);", 0, "SELECT 1;", ["any row of t", ORPHANS]),
    ("the rowid by another name", "CREATE TABLE t (id INTEGER PRIMARY KEY, rowid, oid); INSERT INTO t VALUES (1, 2, 3);", 0, "SELECT 1;", ["lowest id of t", "highest id of t", ORPHANS]),
    ("the tool's own and the engine's", "CREATE TABLE _orchestrate_kept_t (v); CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT);", 9, "SELECT 1;", ["rows of t", ORPHANS]),
    ("no view", "CREATE TABLE t (v); CREATE VIEW w AS SELECT * FROM t;", 9, "SELECT 1;", ["rows of t", ORPHANS]),
    ("as it is spelled", 'CREATE TABLE "The Table" (v); CREATE TABLE [select] (v);', 9, "SELECT 1;", ["rows of select", "rows of The Table", ORPHANS]),
    ("not what is dropped", FAMILY, 9, "DROP TABLE c;", ["rows of p", ORPHANS]),
    ("not what is dropped, however it is spelled", FAMILY, 9, 'DROP TABLE IF EXISTS "C"; DROP TABLE/* */main.[P];', [ORPHANS]),
    ("not what is renamed", FAMILY, 9, "ALTER TABLE c RENAME TO d;", ["rows of p", ORPHANS]),
    ("not what comes", FAMILY, 9, "CREATE TABLE new (id); INSERT INTO new SELECT id FROM p;", ["rows of c", "rows of p", ORPHANS]),
    ("not what is declared and large", FAMILY, 3, "-- changes: c\nDELETE FROM c WHERE id = 1;", ["rows of p", ORPHANS]),
    ("one whose parents are left alone", FAMILY, 3, "UPDATE p SET v = 'z';", ["rows of p", *ENDS, ORPHANS]),
    ("a rowid that is not the key", "CREATE TABLE t (id PRIMARY KEY, v); CREATE TABLE u (v); INSERT INTO t VALUES (1, 1); INSERT INTO u VALUES (1);", 0, "SELECT 1;", ["any row of t", "any row of u", ORPHANS]),
    ("a key that goes down, which is no rowid", "CREATE TABLE t (id INTEGER PRIMARY KEY DESC, v); INSERT INTO t VALUES (1, 1);", 0, "SELECT 1;", ["any row of t", ORPHANS]),
    ("not what is dropped, beyond ASCII", 'CREATE TABLE "Ä" (v); CREATE TABLE "ä" (v);', 9, 'DROP TABLE "Ä";', ["rows of ä", ORPHANS]),
    ("what a virtual table holds its rows in", "CREATE VIRTUAL TABLE f USING fts5(v); CREATE TABLE t (v);", 99, "SELECT 1;", ["rows of t", ORPHANS]),
    ("no references that the engine cannot follow", MISMATCH, 9, "ALTER TABLE p ADD COLUMN n;", ["rows of c", "rows of p", "references of p that lead nowhere"]),
]  # fmt: skip
ONE_WAY = [  # the same, with fewer figures in the rollback
    ("what is declared", FAMILY, 9, "-- changes: C 1..3\nDELETE FROM c WHERE id = 1;", ["rows of p", "rows of c", ORPHANS], ["rows of p", ORPHANS]),
    ("what is declared, beyond ASCII", 'CREATE TABLE "Ä" (v); CREATE TABLE "ä" (v);', 9, '-- changes: "Ä"\nUPDATE "Ä" SET v = 1;', ["rows of ä", "rows of Ä", ORPHANS], ["rows of ä", ORPHANS]),
    ("what is made anew", FAMILY, 9, ANEW, ["rows of c", "rows of p", ORPHANS], ["rows of c", ORPHANS]),
    ("what is made anew in its place", FAMILY, 9, "ALTER TABLE p RENAME TO old; CREATE TABLE p (id INTEGER PRIMARY KEY, v); INSERT INTO p SELECT * FROM old; DROP TABLE old;", ["rows of c", "rows of p", ORPHANS], ["rows of c", ORPHANS]),
    ("what is made anew in another case", FAMILY, 9, ANEW.replace("TO p", 'TO "P"'), ["rows of c", "rows of p", ORPHANS], ["rows of c", ORPHANS]),
    ("a large child of a dropped parent", FAMILY, 3, ANEW, ["rows of p", *ENDS, HAVE, ORPHANS], [*ENDS, HAVE, ORPHANS]),
    ("one whose parents are deleted from", FAMILY, 3, "DELETE FROM p WHERE id = 3;", ["rows of p", *ENDS, HAVE, ORPHANS], [*ENDS, ORPHANS]),
    ("one whose parents are declared", FAMILY, 3, f"-- changes: p\n{ANEW}", ["rows of p", *ENDS, HAVE, ORPHANS], [*ENDS, HAVE, ORPHANS]),
    ("one that names the parent's key", FAMILY.replace("REFERENCES p", "REFERENCES P (ID)"), 3, ANEW, ["rows of p", *ENDS, HAVE, ORPHANS], [*ENDS, HAVE, ORPHANS]),
    ("one with an index of more columns", FAMILY.replace("ON c (p)", "ON c (p, id)"), 3, ANEW, ["rows of p", *ENDS, HAVE, ORPHANS], [*ENDS, HAVE, ORPHANS]),
    ("one with an index that begins otherwise", FAMILY.replace("ON c (p)", "ON c (id, p)"), 3, ANEW, ["rows of p", *ENDS, ORPHANS], [*ENDS, ORPHANS]),
    ("one without an index", f"{PARENT} {CHILD}", 3, ANEW, ["rows of p", *ENDS, ORPHANS], [*ENDS, ORPHANS]),
    ("one whose parents are many, too", FAMILY, 0, ANEW, ["lowest id of c", "highest id of c", "rows of p", ORPHANS], [*ENDS, ORPHANS]),
    ("one that goes with its parents", FAMILY, 3, f"DROP TABLE c; {ANEW}", ["rows of p", ORPHANS], [ORPHANS]),
    ("one that is declared", FAMILY, 3, f"-- changes: c\n{ANEW}", ["rows of p", ORPHANS], [ORPHANS]),
    ("one by a key that is no rowid", FAMILY.replace("p (id INTEGER", "p (id INT"), 3, ANEW, ["rows of p", *ENDS, ORPHANS], [*ENDS, ORPHANS]),
    ("one by another column", f"{PARENT.replace('v)', 'v INTEGER UNIQUE)')} {CHILD.replace('REFERENCES p', 'REFERENCES p (v)')} {INDEX}", 3, ANEW, ["rows of p", *ENDS, ORPHANS], [*ENDS, ORPHANS]),
    ("one by two columns", "CREATE TABLE p (a, b, PRIMARY KEY (a, b)); INSERT INTO p VALUES (1, 1); CREATE TABLE c (id INTEGER PRIMARY KEY, p, q, FOREIGN KEY (p, q) REFERENCES p); CREATE INDEX i ON c (p, q); INSERT INTO c VALUES (1, 1, 1), (2, 1, 1);", 1, "DELETE FROM p WHERE a = 7;", ["rows of p", *ENDS, ORPHANS], [*ENDS, ORPHANS]),
    ("one by two columns, the key among them", "CREATE TABLE p (id INTEGER PRIMARY KEY, v, UNIQUE (id, v)); INSERT INTO p VALUES (1, 1); CREATE TABLE c (id INTEGER PRIMARY KEY, p INTEGER, q, FOREIGN KEY (p, q) REFERENCES p (id, v)); CREATE INDEX i ON c (p); INSERT INTO c VALUES (1, 1, 1), (2, 1, 1);", 1, "DELETE FROM p WHERE id = 7;", ["rows of p", *ENDS, ORPHANS], [*ENDS, ORPHANS]),
    ("two of one parent", f"{FAMILY} CREATE TABLE d (id INTEGER PRIMARY KEY, p INTEGER REFERENCES p); CREATE INDEX j ON d (p); INSERT INTO d SELECT * FROM c;", 3, ANEW, ["rows of p", *ENDS, "lowest id of d", "highest id of d", HAVE, "rows of p that have rows in d.p", ORPHANS], [*ENDS, "lowest id of d", "highest id of d", HAVE, "rows of p that have rows in d.p", ORPHANS]),
    ("a large one with rows of the change", f"CREATE TABLE t (id INTEGER PRIMARY KEY, v); {BIG}", 0, "INSERT INTO t VALUES (9, 'z');", ["lowest id of t", "highest id of t", ORPHANS], [ORPHANS]),
    ("a counted one with rows of the change", f"CREATE TABLE t (id INTEGER PRIMARY KEY, v); {BIG}", 9, "INSERT INTO T VALUES (9, 'z');", ["rows of t", ORPHANS], [ORPHANS]),
    ("a large one that is made anew", f"CREATE TABLE t (id INTEGER PRIMARY KEY, v); {BIG}", 0, rebuilt("t", ", n"), ["rows of t", ORPHANS], [ORPHANS]),
    ("a large one that is made anew in its place", f"CREATE TABLE t (v); {BIG.replace('t VALUES', 't SELECT column2 FROM (VALUES').replace(';', ');')}", 0, "ALTER TABLE t RENAME TO old; CREATE TABLE t (v, n); INSERT INTO t (v) SELECT v FROM old; DROP TABLE old;", ["rows of t", ORPHANS], [ORPHANS]),
    ("a large one that is made anew without a rowid", f"CREATE TABLE t (id INTEGER PRIMARY KEY, v); {BIG}", 0, "CREATE TABLE u (id INTEGER PRIMARY KEY, v) WITHOUT ROWID; INSERT INTO u SELECT * FROM t; DROP TABLE t; ALTER TABLE u RENAME TO t;", ["rows of t", ORPHANS], [ORPHANS]),
    ("a parent of two columns", FAMILY.replace("CASCADE)", "CASCADE, q INTEGER REFERENCES p)") + " CREATE INDEX j ON c (q);", 3, ANEW, ["rows of p", *ENDS, f"{HAVE[:-1]}q", HAVE, ORPHANS], [*ENDS, f"{HAVE[:-1]}q", HAVE, ORPHANS]),
    ("a parent of a child with an index of some rows", FAMILY.replace("ON c (p)", "ON c (p) WHERE p > 1"), 3, ANEW, ["rows of p", *ENDS, ORPHANS], [*ENDS, ORPHANS]),
    ("a parent of a child whose columns are renamed", FAMILY, 3, f"{ANEW} ALTER TABLE C RENAME COLUMN p TO parent;", ["rows of p", *ENDS, ORPHANS], [*ENDS, ORPHANS]),
    ("references to no table that are repaired", "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (id INTEGER PRIMARY KEY, p REFERENCES gone); INSERT INTO c VALUES (1, 1);", 9, "CREATE TABLE n (id INTEGER PRIMARY KEY, p REFERENCES p); INSERT INTO n SELECT * FROM c; DROP TABLE c; ALTER TABLE n RENAME TO c;", ["rows of c", "rows of p", ORPHANS], ["rows of p", "references of p that lead nowhere"]),
    ("what only looks the same", 'CREATE TABLE "Ä" (id INTEGER PRIMARY KEY, v); CREATE TABLE "ä" (id INTEGER PRIMARY KEY, v);', 9, 'INSERT INTO "ä" VALUES (1, 1);', ["rows of Ä", "rows of ä", ORPHANS], ["rows of Ä", ORPHANS]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("script", "counted", "migrate", "there", "back"),
    [*((*case[1:], case[-1]) for case in CASES), *(case[1:] for case in ONE_WAY)],
    ids=[*(case[0] for case in CASES), *(case[0] for case in ONE_WAY)],
)
def test_chosen_figures(
    database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, counted: int, migrate: str, there: list[str], back: list[str],
) -> None:  # fmt: skip
    """Rows of small tables are counted, of large ones the end ids; a rollback asserts ends only of untouched tables."""
    monkeypatch.setattr(choose, "COUNTED", counted)
    database.executescript(script)
    what = guards_for(database, rows(database), changed(tmp_path, migrate))
    rewritten = {each for each in what.back if each.slack == UNBOUNDED_LOSS}
    assert (names(what.there), names(tuple(each for each in what.back if each not in rewritten))) == (there, back)
    assert {each.name for each in what.there if COUNTS(each.name)} == {
        each.name for each in what.back if COUNTS(each.name)
    }
    assert what.there[-1] == row_changes(UNBOUNDED)
    assert CHANGES not in {each.name for each in what.back}
    for each in (*what.there, *what.back):
        assert isinstance(database.execute(f"SELECT {each.expression}").fetchone()[0], int)


@pytest.mark.parametrize(
    ("followed", "references"),
    [(7, [ORPHANS]), (6, ["references of p that lead nowhere"])],
    ids=["as many as are followed", "one more"],
)
def test_references_are_followed_for_counted_tables_of_a_large_database(
    database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, followed: int, references: list[str]
) -> None:
    """All references are followed if the database has few enough rows, else those of the counted tables."""
    monkeypatch.setattr(choose, "COUNTED", 3)
    monkeypatch.setattr(choose, "FOLLOWED", followed)
    database.executescript(FAMILY)
    what = guards_for(database, rows(database), changed(tmp_path, ANEW))
    assert names(what.there) == ["rows of p", *ENDS, HAVE, *references]


@pytest.mark.parametrize(
    ("declares", "there"), [("", NOT_FEWER), ("-- changes: other\n", SAME)], ids=["nothing", "another table"]
)
def test_more_rows_are_refused_only_if_changes_are_declared(
    database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, declares: str, there: str
) -> None:
    """With a `-- changes:` line no other table may gain rows; without one, no table may lose any."""
    monkeypatch.setattr(choose, "COUNTED", 3)
    database.executescript(FAMILY)
    what = guards_for(database, rows(database), changed(tmp_path, f"{declares}{ANEW}"))
    assert {each.name: each.relation for each in what.there} == {
        "rows of p": there, "lowest id of c": SAME, "highest id of c": there, HAVE: NOT_FEWER, ORPHANS: NOT_MORE,
        CHANGES: NOT_MORE,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("seen", "most"), [(0, 100), (1, 101), (10_000, 10_100), (10_100, 10_201), (2_000_000, 2_020_000)]
)
def test_row_changes_are_bounded_by_the_rehearsal(seen: int, most: int) -> None:
    """The app may have written a hundred rows more than the rehearsal changed, or one percent more."""
    unbounded = Guards((rows_of("t"), row_changes(UNBOUNDED)), (rows_of("t"),), measured="rows of t counted")
    what = bound_row_changes(unbounded, {"rows of t": 5, CHANGES: seen}, "table t")
    assert (what.there, what.back) == ((rows_of("t"), row_changes(most)), unbounded.back)
    assert what.objects == "table t"
    assert (
        what.measured == f"rows of t counted; at most {most:,} row changes ({seen:,} rehearsed); every object by name"
    )


def test_measured_figures_are_listed(
    database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One line says which tables are counted and which are not; if none is counted it begins with the others."""
    database.executescript(FAMILY)
    change = changed(tmp_path, "DELETE FROM p WHERE id = 3;")
    told = {}
    for counted in (9, 3, 0):
        monkeypatch.setattr(choose, "COUNTED", counted)
        told[counted] = guards_for(database, rows(database), change).measured
    assert told == {
        9: f"rows of c, p counted; {ORPHANS}; foreign keys off",
        3: f"rows of p counted; {'; '.join(ENDS)}; {HAVE}; {ORPHANS}; foreign keys off",
        0: f"{'; '.join(ENDS)}; lowest id of p; highest id of p; {ORPHANS}; foreign keys off",
    }


def test_unfollowed_references_are_not_listed(database: sqlite3.Connection, tmp_path: Path) -> None:
    """If the engine cannot follow references, the line does not claim that they were."""
    database.executescript(MISMATCH)
    told = guards_for(database, rows(database), changed(tmp_path, "ALTER TABLE p ADD COLUMN n;")).measured
    assert told == "rows of c, p counted; references of p that lead nowhere; foreign keys off"


def test_references_are_searched_by_index(
    database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """For any type of the child's column, only the requested children are read."""
    monkeypatch.setattr(choose, "COUNTED", 3)
    for kind in ("INTEGER", "", "TEXT"):
        database.executescript(
            f"DROP TABLE IF EXISTS c; DROP TABLE IF EXISTS p; {FAMILY.replace('p INTEGER', f'p {kind}')}"
        )
        what = guards_for(database, rows(database), changed(tmp_path / f"of {kind}", ANEW))
        (measure,) = (each for each in what.there if each.name == HAVE)
        plan = [step for *_, step in database.execute(f"EXPLAIN QUERY PLAN SELECT {measure.expression}")]
        assert any(step.startswith("SEARCH c USING COVERING INDEX i") for step in plan), plan
        assert database.execute(f"SELECT {measure.expression}").fetchone() == (2,)


def test_every_one_of_many_tables_is_measured(database: sqlite3.Connection, tmp_path: Path) -> None:
    """Each of many tables is counted or measured by its ends; the plan names a few, and how many more there are."""
    database.executescript("".join(f"CREATE TABLE t{number:04} (v);" for number in range(MANY)))
    what = guards_for(database, rows(database), changed(tmp_path, "SELECT 1;"))
    every = [f"rows of t{number:04}" for number in range(MANY)]
    assert (names(what.there), names(what.back)) == ([*every, ORPHANS], [*every, ORPHANS])
    assert what.there[-1] == row_changes(UNBOUNDED)
    told = ", ".join(f"t{number:04}" for number in range(choose.NAMED))
    assert what.measured == (
        f"rows of {told}, and {MANY - choose.NAMED:,} more tables counted; {ORPHANS}; foreign keys off"
    )


# --- on the real server


@pytest.fixture(scope="module")
async def one_server(sqld_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Yield the URL of a server that the tests of this module share; each begins by emptying it."""
    async with sqld.serve(sqld_binary, tmp_path_factory.mktemp("one") / "sqld") as url:
        yield url


@pytest.fixture
async def rig(one_server: str, tmp_path: Path) -> AsyncIterator[Rig]:
    """Yield the server, emptied."""
    async with aclosing(connect(one_server, None)) as database:
        tables = await database.query(Statement("SELECT name FROM pragma_table_list WHERE type <> 'shadow'"))
        names = [str(name) for (name,) in tables.values if not str(name).startswith("sqlite_")]
        await database.transaction([Statement(f"DROP TABLE {quoted(name)}") for name in names])
        yield Rig(database, tmp_path / "sql")


async def chosen_on(rig: Rig, database: sqlite3.Connection, script: str, change: DatabaseChange) -> Guards:
    """Create the same database on the server and locally, and choose the figures from the local one."""
    await rig.made(script)
    for statement in split(script, "script.sql"):
        database.execute(statement.sql)
    return guards_for(database, rows(database), change)


ODD_PARENT, ODD_CHILD, ODD_COLUMN = map(quoted, (ODD, "the 'child'", 'of "it"'))
MIDDLE = "CREATE TABLE c (id INTEGER PRIMARY KEY, p INTEGER REFERENCES p); INSERT INTO c VALUES (1, 1), (2, 2), (3, 2), (4, 3);"
KINDS = {
    "with an index": FAMILY,
    "without an index": f"{PARENT} {CHILD}",
    "without a rowid": f"{PARENT} {CHILD.replace('CASCADE)', 'CASCADE) WITHOUT ROWID')} {INDEX}",
    "references that lead nowhere": f"{FAMILY} INSERT INTO c VALUES (9, 99);",
    "gaps": f"{FAMILY} DELETE FROM c WHERE id IN (1, 3); DELETE FROM p WHERE id = 3;",
    "ids of any size": f"{FAMILY} INSERT INTO c VALUES ({-(2**63)}, 1), ({2**63 - 1}, 2);",
    "no row": f"{FAMILY} DELETE FROM c; DELETE FROM p;",
    "odd names": f"""{PARENT.replace(" p ", f" {ODD_PARENT} ")}
CREATE TABLE {ODD_CHILD} (id INTEGER PRIMARY KEY, {ODD_COLUMN} INTEGER REFERENCES {ODD_PARENT});
INSERT INTO {ODD_CHILD} VALUES (1, 1), (2, 1), (3, 2), (4, 2); CREATE INDEX i ON {ODD_CHILD} ({ODD_COLUMN});""",
}


@pytest.mark.anyio
@pytest.mark.parametrize("counted", [0, 3, 100])
@pytest.mark.parametrize("kind", KINDS)
async def test_lossless_change_passes_its_guards(
    rig: Rig, database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, kind: str, counted: int
) -> None:
    """The figures hold for a migration, its rollback, and again, bounded by what the first time changed."""
    monkeypatch.setattr(choose, "COUNTED", counted)
    monkeypatch.setattr(choose, "FOLLOWED", counted)
    parent = ODD_PARENT if kind == "odd names" else "p"
    change = changed(rig.folder, rebuilt(parent, ", n"), rebuilt(parent))
    what = await chosen_on(rig, database, f"{KINDS[kind]} {rebuilt(parent)}", change)
    growth = (await rig.migrated(change, what)).growth
    objects = str(await rig.scalar(OBJECTS))
    await rig.rolled_back(change)
    await rig.migrated(change, bound_row_changes(what, growth, objects))
    await rig.rolled_back(change)
    assert {name for name, grown in growth.items() if grown} <= {CHANGES}


def rebuilt_with(table: str, columns: str, *names: str) -> str:
    """Return SQL that rebuilds a table with these columns and takes over the named ones."""
    taken = ", ".join(names)
    return f"CREATE TABLE u ({columns}); INSERT INTO u ({taken}) SELECT {taken} FROM {table}; DROP TABLE {table}; ALTER TABLE u RENAME TO {table};"


GAPS = f"CREATE TABLE log (v); INSERT INTO log VALUES (1), (2), (3), (4); DELETE FROM log WHERE v IN (1, 3); {rebuilt_with('log', 'v', 'v')} DELETE FROM log WHERE v = 2;"
ORPHANED = f"{PARENT} {CHILD} INSERT INTO c VALUES (9, 99);"
SEARCHED = f"{PARENT} CREATE VIRTUAL TABLE f USING fts5(v); INSERT INTO f VALUES ('hello');"
SAFE = [  # database, limit of counted rows, migrate, rollback
    ("rows whose numbers are given anew", GAPS, 0, rebuilt_with("log", "v, n", "v"), rebuilt_with("log", "v", "v")),
    ("a counted row that the rollback takes back", PARENT, 100, "INSERT INTO p VALUES (99, 'seed');", "DELETE FROM p WHERE id = 99;"),
    ("a row behind a large table that the rollback takes back", PARENT, 0, "INSERT INTO p VALUES (99, 'seed');", "DELETE FROM p WHERE id = 99;"),
    ("a row before a large table that the rollback gives back", PARENT, 100, "-- changes: p\nCREATE TABLE _orchestrate_kept_p AS SELECT * FROM p WHERE id = 1; DELETE FROM p WHERE id = 1;", "INSERT INTO p SELECT * FROM _orchestrate_kept_p; DROP TABLE _orchestrate_kept_p;"),
    ("a reference that is mended and led nowhere before", ORPHANED, 100, "UPDATE c SET p = NULL WHERE p = 99;", "UPDATE c SET p = 99 WHERE id = 9;"),
    ("references that cannot be followed", MISMATCH, 100, "ALTER TABLE p ADD COLUMN n;", "ALTER TABLE p DROP COLUMN n;"),
    ("a child by another name of its column", f"{FAMILY} {AGAIN}", 3, f"{ANEW} ALTER TABLE c RENAME COLUMN p TO parent;", f"{AGAIN} ALTER TABLE c RENAME COLUMN parent TO p;"),
    ("a virtual table that is dropped", SEARCHED, 100, "DROP TABLE f;", "CREATE VIRTUAL TABLE f USING fts5(v);"),
    ("a virtual table that gets rows", SEARCHED, 100, "-- changes: f\nINSERT INTO f VALUES ('there');", "DELETE FROM f WHERE v = 'there';"),
    ("a name beyond ASCII that is dropped", 'CREATE TABLE "Ä" (id);', 100, 'DROP TABLE "Ä";', 'CREATE TABLE "Ä" (id);'),
    ("a name beyond ASCII that is declared", 'CREATE TABLE "Ä" (id);', 100, '-- changes: "Ä"\nINSERT INTO "Ä" VALUES (1);', 'DELETE FROM "Ä" WHERE id = 1;'),
]  # fmt: skip


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("script", "counted", "migrate", "rollback"), [case[1:] for case in SAFE], ids=[case[0] for case in SAFE]
)
async def test_deliberate_change_passes_its_guards(
    rig: Rig, database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, script: str, counted: int, migrate: str, rollback: str,
) -> None:  # fmt: skip
    """What a change does on purpose and its rollback reverts passes both ways, twice."""
    monkeypatch.setattr(choose, "COUNTED", counted)
    change = changed(rig.folder, migrate, rollback)
    what = await chosen_on(rig, database, script, change)
    growth = (await rig.migrated(change, what)).growth
    objects = str(await rig.scalar(OBJECTS))
    await rig.rolled_back(change)
    await rig.migrated(change, bound_row_changes(what, growth, objects))
    await rig.rolled_back(change)


LOSSES = [  # database, SQL of the loss, limit of counted rows, refusal
    ("a counted child", FAMILY, "DELETE FROM c WHERE id = 2;", 100, "rows of c: 4 before, 3 after"),
    ("a counted parent", FAMILY, "DELETE FROM p WHERE id = 3;", 100, "rows of p: 3 before, 2 after"),
    ("one row of a large table that is made anew", FAMILY, "DELETE FROM p WHERE id = 2;", 0, "rows of p: 3 before, 2 after"),
    ("one row whose number is given anew", f"{PARENT} {GAPS}", f"{rebuilt_with('log', 'v, n', 'v')} INSERT INTO log (v) VALUES (7); DELETE FROM log WHERE v > 3;", 0, "rows of log: 1 before, 0 after"),
    ("all children", FAMILY, "DELETE FROM c;", 3, "lowest id of c: 1 before, 0 after"),
    ("those of the first parent", FAMILY, "DELETE FROM c WHERE p = 1;", 3, "lowest id of c: 1 before, 3 after"),
    ("those of the last parent", FAMILY, "DELETE FROM c WHERE p = 2;", 3, "highest id of c: 4 before, 2 after"),
    ("those of a parent in the middle", f"{PARENT} {MIDDLE} {INDEX}", "DELETE FROM c WHERE p = 2;", 3, f"{HAVE}: 3 before, 2 after"),
    ("the references of one parent", f"{PARENT} {MIDDLE} {INDEX}", "UPDATE c SET p = NULL WHERE p = 2;", 3, f"{HAVE}: 3 before, 2 after"),
    ("all references", f"{PARENT} {MIDDLE} {INDEX}", "UPDATE c SET p = NULL;", 3, f"{HAVE}: 3 before, 0 after"),
    ("the parent in the middle", f"{PARENT} {MIDDLE} {INDEX}", "\n-- changes: p\nDELETE FROM p WHERE id = 2;", 3, f"{HAVE}: 3 before, 2 after"),
    ("a parent of children without an index", f"{PARENT} {MIDDLE}", "\n-- changes: p\nDELETE FROM p WHERE id = 2;", 3, "references that lead nowhere: 0 before, 2 after"),
    ("all children without a rowid", KINDS["without a rowid"], "DELETE FROM c;", 3, "any row of c: 1 before, 0 after"),
    ("an end of a table of its own", f"{PARENT} CREATE TABLE t (id INTEGER PRIMARY KEY, v); {BIG}", "DELETE FROM t WHERE id > 2;", 3, "highest id of t: 5 before, 2 after"),
]  # fmt: skip


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("script", "loss", "counted", "said"), [case[1:] for case in LOSSES], ids=[case[0] for case in LOSSES]
)
async def test_lost_row_or_reference_is_refused(
    rig: Rig, database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, script: str, loss: str, counted: int, said: str,
) -> None:  # fmt: skip
    """A change that also loses rows is not committed, and the first figure that differs names the loss."""
    monkeypatch.setattr(choose, "COUNTED", counted)
    change = changed(rig.folder, f"{ANEW} {loss}")
    found = await rig.refused(change, await chosen_on(rig, database, script, change))
    assert found == said


@pytest.mark.anyio
async def test_loss_between_the_ends_exceeds_the_row_changes(
    rig: Rig, database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows lost between the ends of a large table are more changes than the rehearsal saw."""
    monkeypatch.setattr(choose, "COUNTED", 3)
    many = "WITH RECURSIVE n (i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 400) INSERT INTO c SELECT i, 3 FROM n;"
    honest = changed(rig.folder / "honest", ANEW, AGAIN)
    what = await chosen_on(rig, database, f"{PARENT} {MIDDLE} {many} {AGAIN}", honest)
    growth = (await rig.migrated(honest, what)).growth
    objects = str(await rig.scalar(OBJECTS))
    await rig.rolled_back(honest)
    losing = changed(rig.folder / "losing", f"{ANEW} DELETE FROM c WHERE id BETWEEN 20 AND 220;")
    found = await rig.refused(losing, bound_row_changes(what, growth, objects))
    assert found.startswith("rows changed: ")


@pytest.mark.anyio
async def test_lost_row_in_the_last_of_many_tables_is_refused(rig: Rig, database: sqlite3.Connection) -> None:
    """Each of over a thousand tables keeps its rows, and one that lost a row is named, in both directions."""
    last = f"t{MANY - 1:04}"
    tables = "".join(f"CREATE TABLE t{number:04} (v);" for number in range(MANY))
    rolled = changed(rig.folder / "back", "CREATE TABLE more (v);", f"DROP TABLE more; DELETE FROM {last} WHERE v = 1;")
    what = await chosen_on(rig, database, f"{tables} INSERT INTO {last} VALUES (1), (2);", rolled)
    losing = changed(rig.folder / "there", f"DELETE FROM {last} WHERE v = 1;")
    assert await rig.refused(losing, what) == f"rows of {last}: 2 before, 1 after"
    await rig.migrated(rolled, Guards((), (rows_of(last),)))
    with pytest.raises(Rejected, match=f"rows of {last}: 2 before, 1 after"):
        await rig.rolled_back(rolled)
