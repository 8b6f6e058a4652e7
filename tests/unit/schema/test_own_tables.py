"""Who owns a name: the user, unless the engine, libSQL, the platform or the tool made it."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import aclosing, closing
from pathlib import Path

import pytest

from steps.support.gateways.database.connect import connect
from steps.support.gateways.database.protocol import Database
from steps.support.gateways.transaction import OBJECTS, TABLES
from steps.support.proof.rows.tables import tables
from steps.support.schema.own_tables import is_owned
from steps.support.schema.reading import read_schema
from steps.support.sql.statement import Statement
from steps.support.sql.tokens import quoted
from tests.support.proof.proofs import OF_ANY, tried

pytestmark = pytest.mark.anyio

USERS = [
    "libsql_orders", "LIBSQL_Notes", "libsql_", "libsql_vector_meta_shadow2", "my_libsql_vector_meta_shadow",
    "_litestream", "_litestream_notes", "litestream_seq", "orders_shadow", "_orchestrat", "orchestrate_kept_x", "sqlite",
]  # fmt: skip
OWNED = ["libsql_vector_meta_shadow", "LibSQL_Wasm_Func_Table", "_litestream_seq", "_litestream_lock", "_orchestrate_kept_x", "_Orchestrate_lock"]  # fmt: skip
RESERVED = ["sqlite_sequence", "SQLite_stat1"]  # no table of such a name can be created


@pytest.mark.parametrize("name", [*USERS, *OWNED])
def test_sql_and_python_agree(name: str) -> None:
    """The condition in SQL and the function classify the same names alike, in any spelling."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"CREATE TABLE {quoted(name)} (v)")
        seen = [each for (each,) in connection.execute(TABLES)]
    assert (seen == [name], is_owned(name)) == (name in USERS, name in OWNED)


@pytest.mark.parametrize("name", RESERVED)
def test_engine_names_cannot_be_created(name: str) -> None:
    """Users cannot create the engine's own names, in any spelling."""
    assert is_owned(name)


@pytest.fixture
async def database(server: str) -> AsyncIterator[Database]:
    """Yield a server with nothing on it."""
    async with aclosing(connect(server, None)) as database:
        yield database


async def test_tables_made_by_libsql_are_known(database: Database) -> None:
    """A vector index adds one table of libSQL's name and one named after the index; all other names are the user's."""
    await database.transaction([
        Statement("CREATE TABLE notes (id INTEGER PRIMARY KEY, e F32_BLOB(3))"),
        Statement("CREATE INDEX nearest ON notes (libsql_vector_idx(e))"),
        *(Statement(f"CREATE TABLE {quoted(name)} (v)") for name in USERS),
    ])  # fmt: skip
    everything = await database.query(Statement("SELECT name FROM sqlite_schema WHERE type = 'table'"))
    assert {str(name) for (name,) in everything.values} == {
        *USERS,
        "notes",
        "libsql_vector_meta_shadow",
        "nearest_shadow",
    }
    seen = str((await database.query(Statement(OBJECTS))).scalar).split(", ")
    assert {f"table {name}" for name in USERS} <= {*seen}
    assert "table libsql_vector_meta_shadow" not in seen


USERS_OF_VECTORS = ["notes", "notes_shadow", "plain_shadow"]
LOSING = "DELETE FROM libsql_orders WHERE id = 2;\n"
KEEPING = "CREATE TABLE _orchestrate_kept_orders AS SELECT * FROM libsql_orders WHERE id = 2;\n"
ORDERS = "CREATE TABLE libsql_orders (id INTEGER PRIMARY KEY, v); INSERT INTO libsql_orders VALUES (1, 'a'), (2, 'b');"


async def test_user_table_called_libsql_is_compared(sqld_binary: Path, tmp_path: Path) -> None:
    """A lost row of a table called libsql_* refuses the change, and so does one that the rollback does not restore."""
    kept = {"migrate.sql": KEEPING + LOSING, "rollback.sql": "DROP TABLE _orchestrate_kept_orders;\n"}
    came = await tried(sqld_binary, tmp_path, ORDERS, {**OF_ANY, **kept})
    assert came.proof is None
    assert "libsql_orders: 1 row removed (2 before), and no loss was declared" in came.said
    assert "libsql_orders: after the rollback 1 row is missing" in came.said


async def test_user_table_called_libsql_is_guarded(sqld_binary: Path, tmp_path: Path) -> None:
    """The rows of a user's table called libsql_* are counted in production, and its name is checked afterwards."""
    files = {
        "migrate.sql": "ALTER TABLE libsql_orders ADD COLUMN w;\n",
        "rollback.sql": "ALTER TABLE libsql_orders DROP COLUMN w;\n",
    }
    came = await tried(sqld_binary, tmp_path, ORDERS, {**OF_ANY, **files})
    assert came.proof, came.said
    assert "rows of libsql_orders" in {each.name for each in came.proof.guards.there}
    assert came.proof.guards.objects == "table libsql_orders"


def test_table_behind_a_vector_index_is_not_compared() -> None:
    """The table named after a vector index is not compared; one that only ends like it is the user's."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.create_function("libsql_vector_idx", 1, lambda value: value, deterministic=True)
        connection.executescript(
            """CREATE TABLE notes (id INTEGER PRIMARY KEY, e); CREATE INDEX Nearest ON notes (libsql_vector_idx(e));
            CREATE TABLE nearest_shadow (index_key INTEGER, data BLOB, PRIMARY KEY (index_key));
            CREATE INDEX nearest_shadow_idx ON nearest_shadow (index_key);
            CREATE TABLE notes_shadow (v); CREATE INDEX plain ON notes (e); CREATE TABLE plain_shadow (v);"""
        )
        schema = read_schema(connection)
        assert [*tables(connection, "main")] == [str(table.name) for table in schema.tables] == USERS_OF_VECTORS
    assert [str(index.name) for index in schema.indexes] == ["Nearest", "plain"]
