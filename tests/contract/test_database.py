"""The promises of every transport, checked on each: the real server over HTTP, a SQLite file, the tests' own memory."""

import asyncio
import math
import re
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from steps.support.gateways.database.connect import connect
from steps.support.gateways.database.protocol import Database, StatementFailed
from steps.support.gateways.database.sqlite_file import SqliteFile
from steps.support.proof.rehearsal import sqld
from steps.support.sql.statement import Statement, Value
from tests.support.virtual.database import MemoryDatabase, MemoryStore

pytestmark = pytest.mark.anyio

INTEGERS = (0, -1, 2**53 + 1, 2**63 - 1, -(2**63))
OTHERS = (None, 1.5, -0.1, 1e308, "", "it's; ünïcode 🌞", "nul\0inside", b"", b"\0", b"\xff" * 7)
NOT_SENDABLE = (math.inf, math.nan, 2**63, -(2**63) - 1, "\ud800")
CHILDREN = (
    "CREATE TABLE parent (id INTEGER PRIMARY KEY, name TEXT)",
    "CREATE TABLE child (id INTEGER PRIMARY KEY, parent_id INTEGER REFERENCES parent(id) ON DELETE CASCADE)",
    "INSERT INTO parent VALUES (1, 'one'), (2, 'two')",
    "INSERT INTO child (parent_id) VALUES (1), (1), (2)",
)


@dataclass(frozen=True)
class Rig:
    """A database on one transport, its default for foreign keys, and a way to hold its write lock."""

    database: Database
    foreign_keys: int
    held: Callable[[], AbstractAsyncContextManager[None]]

    async def scalar(self, sql: str) -> Value:
        """Return one value."""
        return (await self.database.query(Statement(sql))).scalar


@pytest.fixture(scope="module")
async def one_server(sqld_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Return the URL of a server that this module's tests share; each test begins by emptying it."""
    async with sqld.serve(sqld_binary, tmp_path_factory.mktemp("one") / "sqld") as url:
        yield url


@pytest.fixture(params=["hrana", "file", "memory"])
async def rig(request: pytest.FixtureRequest, one_server: str, tmp_path: Path) -> AsyncIterator[Rig]:
    """Return each transport in turn, with nothing in it but a table t."""
    path = tmp_path / "some.db"
    sqlite3.connect(path).close()
    openings = {
        "hrana": lambda: _connected(one_server, 1, _held_on_server),
        "file": lambda: _connected(f"file:{path}", 0, _held_on_file),
        "memory": _in_memory,
    }
    async with openings[request.param]() as rig:
        await _empty(rig.database)
        await rig.database.query(Statement("CREATE TABLE t (id INTEGER PRIMARY KEY, v)"))
        yield rig


@asynccontextmanager
async def _connected(
    url: str, foreign_keys: int, held: Callable[[str], AbstractAsyncContextManager[None]]
) -> AsyncIterator[Rig]:
    async with aclosing(connect(url, None)) as database:
        yield Rig(database, foreign_keys, lambda: held(url))


@asynccontextmanager
async def _in_memory() -> AsyncIterator[Rig]:
    with closing(MemoryStore()) as store:
        yield Rig(MemoryDatabase(store), 1, store.write_locked)


async def _empty(database: Database) -> None:
    tables = await database.query(Statement("SELECT name FROM sqlite_schema WHERE type = 'table'"))
    await database.transaction([Statement(f"DROP TABLE {name!s}") for (name,) in tables.values])


@asynccontextmanager
async def _held_on_server(url: str) -> AsyncIterator[None]:
    async with httpx.AsyncClient(base_url=url) as client:
        begin = {"type": "execute", "stmt": {"sql": "BEGIN IMMEDIATE"}}
        answer = await client.post("/v3/pipeline", json={"baton": None, "requests": [begin]})
        yield
        await client.post("/v3/pipeline", json={"baton": answer.json()["baton"], "requests": [{"type": "close"}]})


@asynccontextmanager
async def _held_on_file(url: str) -> AsyncIterator[None]:
    connection = sqlite3.connect(url, uri=True, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.close()


def statements(*texts: str) -> tuple[Statement, ...]:
    """Name each statement after its position."""
    return tuple(Statement(sql, name=f"statement {number}") for number, sql in enumerate(texts, 1))


@pytest.mark.parametrize("value", [*INTEGERS, *OTHERS], ids=repr)
async def test_values_survive_a_round_trip(rig: Rig, value: Value) -> None:
    """A value of any type is stored with its type and read back equal, bit for bit."""
    await rig.database.transaction([Statement("INSERT INTO t (v) VALUES (?)", (value,))])
    rows = await rig.database.query(Statement("SELECT v, v IS ? AS same FROM t", (value,)))
    assert rows.records == [{"v": value, "same": 1}]
    assert type(rows.scalar) is type(value)


@pytest.mark.parametrize("value", NOT_SENDABLE, ids=ascii)
async def test_values_that_sql_cannot_hold_are_refused(rig: Rig, value: Value) -> None:
    """A value without a form in SQL is refused by name, alone and in a transaction, and nothing is run."""
    for call in (rig.database.query, lambda each: rig.database.transaction([each])):
        with pytest.raises(StatementFailed, match="the insert"):
            await call(Statement("INSERT INTO t (v) VALUES (?)", (value,), "the insert"))
    assert await rig.scalar("SELECT count(*) FROM t") == 0


async def test_infinity_is_read_as_infinity(rig: Rig) -> None:
    """An infinity that the engine computed is distinct from NULL and from every number."""
    assert await rig.scalar("SELECT 9e999") == math.inf


async def test_rows_come_with_their_columns(rig: Rig) -> None:
    """Column names and rows come in the order of the query, and an empty result is not an error."""
    rows = await rig.database.query(Statement("SELECT 1 AS one, 'b' AS two UNION ALL SELECT 2, 'c'"))
    assert (rows.columns, rows.values, rows.changed) == (("one", "two"), ((1, "b"), (2, "c")), 0)
    assert (await rig.database.query(Statement("SELECT v FROM t"))).values == ()


COUNTED = {
    "INSERT INTO t (v) VALUES (1), (2), (3)": 3,
    "UPDATE t SET v = 0 WHERE v < 3": 2,
    "WITH n(v) AS (VALUES (7), (8)) INSERT INTO t (v) SELECT v FROM n": 2,
    "WITH n(v) AS (VALUES (7), (8)) SELECT v FROM n": 0,
    "SELECT v FROM t": 0,
    "DELETE FROM t WHERE v = 8 RETURNING id": 1,
    "CREATE INDEX i ON t (v)": 0,
}


async def test_changed_rows_of_a_single_statement_are_counted(rig: Rig) -> None:
    """A single statement reports how many rows it changed, and one that only reads reports none."""
    assert [(await rig.database.query(each)).changed for each in statements(*COUNTED)] == [*COUNTED.values()]


async def test_changed_rows_are_counted_within_a_transaction(rig: Rig) -> None:
    """Each statement of a transaction reports its own changed rows, not those of the previous one."""
    results = await rig.database.transaction(statements(*COUNTED))
    assert [rows.changed for rows in results] == [*COUNTED.values()]


async def test_failed_transaction_leaves_nothing(rig: Rig) -> None:
    """The failing statement is named with the engine's message, and the effects of earlier ones are gone."""
    script = statements("CREATE TABLE u (x)", "INSERT INTO t VALUES (1, 'a')", "INSERT INTO t VALUES (1, 'b')", "DROP TABLE t")  # fmt: skip
    with pytest.raises(StatementFailed) as failed:
        await rig.database.transaction(script)
    assert failed.value.statement == script[2]
    assert "UNIQUE constraint failed: t.id" in failed.value.message
    assert failed.value.engine_code.startswith("SQLITE_CONSTRAINT")
    assert await rig.scalar("SELECT group_concat(name) FROM sqlite_schema") == "t"
    assert await rig.scalar("SELECT count(*) FROM t") == 0


async def test_failure_releases_the_lock(rig: Rig) -> None:
    """After a failed transaction the next one runs at once."""
    with pytest.raises(StatementFailed):
        await rig.database.transaction(statements("INSERT INTO t VALUES (1, 1)", "SELECT v FROM missing"))
    async with asyncio.timeout(2):
        await rig.database.transaction(statements("INSERT INTO t VALUES (2, 2)"))
    assert await rig.scalar("SELECT group_concat(id) FROM t") == "2"


async def test_dropping_a_parent_keeps_its_children(rig: Rig) -> None:
    """A parent with ON DELETE CASCADE children is rebuilt without losing one of them."""
    await rig.database.transaction(statements(*CHILDREN))
    rebuild = (
        "CREATE TABLE parent_new (id INTEGER PRIMARY KEY, name TEXT NOT NULL)",
        "INSERT INTO parent_new SELECT * FROM parent",
        "DROP TABLE parent",
        "ALTER TABLE parent_new RENAME TO parent",
    )
    await rig.database.transaction(statements(*rebuild))
    assert await rig.scalar("SELECT group_concat(parent_id) FROM child") == "1,1,2"
    assert await rig.scalar("SELECT count(*) FROM pragma_foreign_key_check") == 0


async def test_foreign_keys_are_off_only_within_a_transaction(rig: Rig) -> None:
    """Foreign keys read 0 within a transaction, and the engine's default before and after it."""
    read = Statement("SELECT foreign_keys FROM pragma_foreign_keys")
    before = (await rig.database.query(read)).scalar
    (inside,) = await rig.database.transaction([read])
    after = (await rig.database.query(read)).scalar
    assert (before, inside.scalar, after) == (rig.foreign_keys, 0, rig.foreign_keys)


async def test_empty_transaction_succeeds(rig: Rig) -> None:
    """No statements give no results."""
    assert await rig.database.transaction([]) == ()


@pytest.mark.parametrize("control", ["COMMIT", "/* now */ end", "ROLLBACK", "-- x\nBEGIN", "SAVEPOINT s", "RELEASE s"])
async def test_commit_among_the_statements_is_refused(rig: Rig, control: str) -> None:
    """A statement that would end the transaction halfway is refused by name, and none of it is run."""
    script = statements("INSERT INTO t VALUES (1, 1)", control, "INSERT INTO t VALUES (2, 2)")
    with pytest.raises(StatementFailed, match="statement 2"):
        await rig.database.transaction(script)
    assert await rig.scalar("SELECT count(*) FROM t") == 0


async def test_or_rollback_leaves_nothing(rig: Rig) -> None:
    """After OR ROLLBACK has ended the transaction no later statement runs outside it."""
    script = statements("INSERT INTO t VALUES (1, 1)", "INSERT OR ROLLBACK INTO t VALUES (1, 2)", "INSERT INTO t VALUES (3, 3)")  # fmt: skip
    with pytest.raises(StatementFailed, match="statement 2"):
        await rig.database.transaction(script)
    assert await rig.scalar("SELECT count(*) FROM t") == 0


PARSED = {
    "SELECT v FROM t": None,
    "SELECT v FROM missing": None,
    "UPDATE t SET missing = 1": None,
    "CREATE TABLE t (again)": None,
    "CREATE TRIGGER g AFTER INSERT ON t BEGIN UPDATE t SET v = 1; DELETE FROM t; END": None,
    "PRAGMA table_info(t)": None,
    "EXPLAIN QUERY PLAN SELECT v FROM t": None,
    "SELEC 1": "SELEC",
    "SELECT (": "end of input|incomplete input",
    "SELECT 'open": "non-terminated|unrecognized token",
    "SELECT 1; SELECT 2": "one statement",
    "SELECT RAISE(ABORT, 'x')": "RAISE",
    "SELECT missing_function(1)": "missing_function",
    "UPDATE t SET v = ? WHERE id = :id": "bound parameters without a value: .+:id",
    "": "any statement|incomplete input",
}


async def test_parsing_finds_syntax_errors_and_parameters(rig: Rig) -> None:
    """A statement that runs on no schema is an error; a table or column that is not there yet is none."""
    errors = await rig.database.parse(statements(*PARSED))
    for (sql, words), error in zip(PARSED.items(), errors, strict=True):
        assert (error is None) == (words is None), (sql, error)
        assert re.search(words or "", error or ""), (sql, error)


async def test_parsing_runs_nothing(rig: Rig) -> None:
    """Statements that write and statements that destroy are parsed without any effect."""
    await rig.database.query(Statement("INSERT INTO t VALUES (1, 1)"))
    assert await rig.database.parse(statements("DELETE FROM t", "DROP TABLE t", "COMMIT")) == (None, None, None)
    assert await rig.scalar("SELECT count(*) FROM t") == 1


async def test_many_statements_are_parsed_in_order(rig: Rig) -> None:
    """Each of many statements gets its own verdict at its own position."""
    texts = [f"SELECT {number}" for number in range(600)]
    texts[501] = "SELEC 501"
    errors = await rig.database.parse(statements(*texts))
    assert [place for place, error in enumerate(errors) if error] == [501]
    assert len(errors) == 600


@pytest.mark.parametrize("call", ["query", "transaction"])
async def test_second_writer_waits(rig: Rig, call: str) -> None:
    """While another holds the write lock a write waits without an error, and continues once it is free."""
    insert = Statement("INSERT INTO t VALUES (1, 1)")
    write = rig.database.query(insert) if call == "query" else rig.database.transaction([insert])
    async with rig.held():
        writing = asyncio.ensure_future(write)
        await asyncio.sleep(0.2)
        assert not writing.done()
    async with asyncio.timeout(20):
        await writing
    assert await rig.scalar("SELECT count(*) FROM t") == 1


async def test_wait_for_the_lock_ends_with_its_scope(rig: Rig) -> None:
    """A write that waits for the lock is ended by its scope on time, and blocks no one afterwards."""
    await rig.database.query(
        Statement("CREATE TABLE given_up (x)")
    )  # the server may still carry it out; that is Unknown
    async with rig.held():
        begun = asyncio.get_running_loop().time()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await rig.database.transaction(statements("INSERT INTO given_up VALUES (1)"))
        assert asyncio.get_running_loop().time() - begun < 4
    async with asyncio.timeout(20):
        await rig.database.transaction(statements("INSERT INTO t VALUES (2, 2)"))
    assert await rig.scalar("SELECT group_concat(id) FROM t") == "2"


@pytest.mark.parametrize(
    ("sql", "message"),
    {
        "SELECT v FROM missing": "no such table: missing",
        "SELEC 1": "SELEC",
        "SELECT ?": "parameter|bindings",
        "SELECT 1; SELECT 2": "one statement",
        "SELECT '\0'": "NUL",
    }.items(),
)
async def test_refused_statement_has_the_engines_reason(rig: Rig, sql: str, message: str) -> None:
    """Any error of the engine is a StatementFailed with the statement and the reason."""
    with pytest.raises(StatementFailed, match=message) as failed:
        await rig.database.query(Statement(sql, name="the question"))
    assert failed.value.statement.name == "the question"
    assert str(failed.value).startswith("running the question: ")


async def test_closing_twice_is_harmless(rig: Rig) -> None:
    """A used database closes without a warning, and closing it again does nothing."""
    assert await rig.scalar("SELECT 1") == 1
    await rig.database.aclose()
    await rig.database.aclose()


async def test_trial_leaves_nothing_behind(rig: Rig) -> None:
    """Statements of a trial run on the effects of earlier ones, and all are rolled back."""
    insert = Statement("INSERT INTO t (v) VALUES (1)")
    only_one = Statement("INSERT INTO t SELECT id, v FROM t WHERE v = 1")  # fails, because the first row is there
    assert await rig.database.trials([[insert, Statement("SELECT v FROM t")]]) == (None,)
    assert "UNIQUE" in str(await rig.database.trials([[insert, only_one]]))
    assert await rig.scalar("SELECT count(*) FROM t") == 0


@pytest.mark.parametrize("sql", ["SELECT nothing FROM t", "SELECT * FROM nothing", "SELEC 1"])
async def test_trial_returns_the_first_error(rig: Rig, sql: str) -> None:
    """A missing table or column and a syntax error are answers, not exceptions."""
    assert await rig.database.trials([[Statement("SELECT 1"), Statement(sql)]]) != (None,)


async def test_trial_enforces_foreign_keys_as_the_engine_does(rig: Rig) -> None:
    """Unlike the transaction of a change, a trial has foreign keys as the app would."""
    for sql in CHILDREN:
        await rig.database.query(Statement(sql))
    error = await rig.database.trials([[Statement("INSERT INTO child (parent_id) VALUES (99)")]])
    assert ("FOREIGN KEY" in str(error)) == bool(rig.foreign_keys)


async def test_several_trials_are_independent(rig: Rig) -> None:
    """Each group of statements is a separate transaction: a failing one neither stops nor changes the others."""
    insert, broken = Statement("INSERT INTO t (id) VALUES (1)"), Statement("SELECT absent FROM t")
    none, error, again, empty = await rig.database.trials([[insert], [insert, broken], [insert], []])
    assert (none, again, empty) == (None, None, None)
    assert "absent" in str(error)
    assert await rig.database.trials([]) == ()


async def test_trial_can_be_kept(rig: Rig) -> None:
    """A trial to be kept is committed if all of it ran, and otherwise leaves nothing behind."""
    insert, broken = Statement("INSERT INTO t (id) VALUES (1)"), Statement("SELECT absent FROM t")
    other = Statement("INSERT INTO t (id) VALUES (2)")
    done, failed = await rig.database.trials([[insert], [other, broken]], keep=True)
    assert done is None
    assert failed
    assert await rig.scalar("SELECT group_concat(id) FROM t") == "1"


async def test_file_enforces_foreign_keys_if_asked(tmp_path: Path) -> None:
    """A file that stands for a server deletes children with their parent, as the server would."""
    path = tmp_path / "some.db"
    sqlite3.connect(path).close()
    async with aclosing(SqliteFile(f"file:{path}", foreign_keys=True)) as database:
        for sql in (*CHILDREN, "DELETE FROM parent WHERE id = 1"):
            await database.query(Statement(sql))
        assert (await database.query(Statement("SELECT count(*) FROM child"))).scalar == 1
        assert "FOREIGN KEY" in str(await database.trials([[Statement("INSERT INTO child (parent_id) VALUES (99)")]]))


async def test_transaction_reports_the_seconds_of_each_statement(rig: Rig) -> None:
    """Seconds are those of the statement itself if the transport knows them; a query takes some, too."""
    slow = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000) SELECT max(i) FROM n"
    fast, slowed = await rig.database.transaction([Statement("INSERT INTO t VALUES (1, 'x')"), Statement(slow)])
    assert slowed.scalar == 300_000
    if not isinstance(rig.database, MemoryDatabase):
        assert 0 <= fast.seconds < slowed.seconds < 10
