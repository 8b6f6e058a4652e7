"""The life of a change by SQL alone: what is in the database after each phase."""

import re
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import apsw

from steps.support.sql.tokens import quoted

State = Mapping[str, object]

OWN = "_orchestrate_"
OBJECTS = f"SELECT type, name, sql FROM sqlite_schema WHERE name NOT GLOB '{OWN}*' AND name NOT GLOB 'sqlite_*'"


@dataclass(frozen=True, slots=True)
class Life:
    """The states of a database: migrated, rolled back, migrated again and written to, rolled back, migrated."""

    migrated: State
    rolled_back: State
    written: State
    rolled_back_again: State
    migrated_again: State


def copied(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Return a copy of a database, in memory."""
    copy = sqlite3.connect(":memory:", isolation_level=None)
    connection.backup(copy)
    return copy


def lived(before: sqlite3.Connection, migrate: Sequence[str], rollback: Sequence[str], writes: Sequence[str]) -> Life:
    """Return what each phase leaves. Raise sqlite3.Error if a script fails."""
    with closing(copied(before)) as connection:
        run(connection, migrate)
        migrated = state(connection)
        run(connection, rollback)
        rolled_back = state(connection)
        run(connection, migrate)
        run(connection, writes, foreign_keys=True)
        written = state(connection)
        run(connection, rollback)
        rolled_back_again = state(connection)
        run(connection, migrate)
        return Life(migrated, rolled_back, written, rolled_back_again, state(connection))


def run(connection: sqlite3.Connection, script: Sequence[str], *, foreign_keys: bool = False) -> None:
    """Run a script in one transaction."""
    connection.execute(f"PRAGMA foreign_keys = {int(foreign_keys)}")
    connection.execute("BEGIN IMMEDIATE")
    for sql in script:
        connection.execute(sql).fetchall()
    connection.execute("COMMIT")


def state(connection: sqlite3.Connection) -> State:
    """Return the schema by meaning, every value with its type, the sequences, and what the engine finds broken."""
    found: dict[str, object] = {}
    objects = connection.execute(OBJECTS).fetchall()
    shadows = {name for (name,) in connection.execute("SELECT name FROM pragma_table_list WHERE type = 'shadow'")}
    for kind, name, sql in objects:
        if name not in shadows:
            found[f"{kind} {name}"] = _schema(connection, name) if kind == "table" else _letters(sql)
            if kind == "table":
                found[f"rows of {name}"] = _rows(connection, name)
    if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_sequence'").fetchone():
        sequences = connection.execute("SELECT name, seq FROM sqlite_sequence ORDER BY name").fetchall()
        if kept := [each for each in sequences if not str(each[0]).startswith(OWN)]:
            found["sequences"] = kept
    found["orphans"] = sorted(map(repr, connection.execute("PRAGMA foreign_key_check").fetchall()))
    found["integrity"] = _integrity(connection)
    for name in (name for _, name, sql in objects if sql.startswith("CREATE VIRTUAL")):
        found[f"search {name}"] = _checked(connection, name)
    return found


def _schema(connection: sqlite3.Connection, table: str) -> object:
    asked = ("SELECT * FROM pragma_table_xinfo(?)", "SELECT * FROM pragma_foreign_key_list(?)")
    found = [sorted(map(repr, connection.execute(sql, (table,)).fetchall())) for sql in asked]
    (text,) = connection.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
    return found, _letters(text)


def _letters(sql: str) -> object:
    """Return the words of a definition, in no order, without quotes."""
    return sorted(re.findall(r"\w+|[^\w\s]", re.sub(r'["`]', "", sql).lower()))


def _rows(connection: sqlite3.Connection, table: str) -> list[tuple[object, ...]]:
    names = [name for (name,) in connection.execute("SELECT name FROM pragma_table_xinfo(?) ORDER BY name", (table,))]
    names = [name for name in names if name not in {table, "rank"}]  # hidden columns of a full-text index
    values = ", ".join(f"typeof({quoted(name)}), quote({quoted(name)}), hex({quoted(name)})" for name in names)
    return sorted(connection.execute(f"SELECT {values} FROM {quoted(table)}").fetchall())


def _integrity(connection: sqlite3.Connection) -> list[object]:
    """Return what two engines find broken; each alone is wrong at times.

    3.40.1 says "NULL value in" of a WITHOUT ROWID table whose key is not first. 3.45.1 and 3.54.1 say "TEXT value in" of
    a column with a text as its default, after a virtual column and an INTEGER PRIMARY KEY.
    """
    other = apsw.Connection(":memory:")
    other.deserialize("main", connection.serialize())
    found = {*connection.execute("PRAGMA integrity_check")} & {*other.execute("PRAGMA integrity_check")}
    return sorted(found - {("ok",)})


def _checked(connection: sqlite3.Connection, name: str) -> str:
    own = quoted(name)
    try:
        connection.execute(f"INSERT INTO {own} ({own}, rank) VALUES ('integrity-check', 1)")
    except sqlite3.DatabaseError as error:
        return str(error)
    return "ok"


def differences(one: State, other: State) -> list[str]:
    """Return what differs between two states, by name."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
