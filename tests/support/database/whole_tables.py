"""Tables read as a whole, so that Python can compare their rows one by one."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Held:
    """Everything in a table: its columns, the comparable form of its key (empty if it has none), its rows."""

    columns: tuple[str, ...]
    key: frozenset[tuple[str, str, bool]]
    rows: list[dict[str, Any]]


def read(connection: sqlite3.Connection) -> dict[str, Held]:
    """Read all tables."""
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    return {name.lower(): read_table(connection, name) for name in names}


def read_table(connection: sqlite3.Connection, name: str) -> Held:
    """Read a table; names in lower case."""
    cursor = connection.execute(f"SELECT * FROM {name}")
    columns = tuple(column.lower() for column, *_ in cursor.description)
    rows = [dict(zip(columns, row, strict=True)) for row in cursor]
    definition = connection.execute("SELECT lower(sql) FROM sqlite_schema WHERE name = ?", (name,)).fetchone()[0]
    key = set()
    for column, kind in connection.execute("SELECT lower(name), type FROM pragma_table_info(?) WHERE pk", (name,)):
        own = next(part for part in definition.split("(", 1)[1].split(",") if column in part)
        affinity = {"": "none", "BLOB": "none", "TEXT": "text"}.get(kind, "number")
        key.add((column, affinity, "nocase" in own))
    is_null = any(row[column] is None for row in rows for column, *_ in key)
    return Held(columns, frozenset() if is_null else frozenset(key), rows)


def key_of(row: dict[str, Any], key: Iterable[tuple[str, str, bool]]) -> tuple[Any, ...]:
    """Return what identifies a row, as its key compares."""
    return tuple(
        row[name].lower() if nocase and isinstance(row[name], str) else row[name] for name, _, nocase in sorted(key)
    )


def same(one: Any, other: Any) -> bool:
    """Return whether two values are equal; 1 and 1.0 are not."""
    return type(one) is type(other) and one == other
