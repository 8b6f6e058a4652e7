"""Random tables, and random changes of them, for hypothesis."""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

VALUES = st.sampled_from([None, 0, 1, 1.0, -0.0, 2, 2.5, "", "1", "1.0", "a", "A", "ä", "a\0b", "a\0c", b"", b"a", b"1", 2**53, 2.0**53, -(2**63), -(2.0**63), float("inf")])  # fmt: skip
TYPES = st.sampled_from(["", "INTEGER", "TEXT", "REAL", "NUMERIC", "BLOB", "TEXT COLLATE NOCASE", "COLLATE NOCASE"])
COLUMNS = ("c0", "c1", "c2", "C 3")
KEYS = st.sampled_from(
    ["", "PRIMARY KEY (c0)", "PRIMARY KEY (c1, c0)", "PRIMARY KEY (c0, c1)", "PRIMARY KEY (c0) WITHOUT ROWID"]
)
TABLES = ("p", "q")
NUMBERS = st.integers(0, 3)


@dataclass(frozen=True, slots=True)
class Shape:
    """The shape of a table: its types, its key, and the action of its foreign key to the other one."""

    types: tuple[str, ...]
    key: str
    numbered: bool
    on_delete: str

    def create(self, name: str) -> str:
        """Build its definition; with `numbered` its key is its rowid."""
        columns = [f'"{column}" {kind}' for column, kind in zip(COLUMNS, self.types, strict=False)]
        if self.numbered:
            columns.insert(0, "id INTEGER PRIMARY KEY")
        if self.on_delete:
            columns.append(f"parent REFERENCES {TABLES[0]} ON DELETE {self.on_delete}")
        key = "" if self.numbered else self.key
        constraint, rowid = key.removesuffix(" WITHOUT ROWID"), " WITHOUT ROWID" * key.endswith("ROWID")
        return f"CREATE TABLE {name} ({', '.join([*columns, *filter(None, [constraint])])}){rowid}"


FOUR_TYPES = st.tuples(TYPES, TYPES, TYPES, TYPES)
PARENTS = st.builds(Shape, FOUR_TYPES, KEYS, st.just(value=True), st.just(""))
SHAPES = st.builds(Shape, FOUR_TYPES, KEYS, st.booleans(), st.sampled_from(["", "CASCADE", "SET NULL"]))
ROWS = st.lists(st.tuples(VALUES, VALUES, VALUES, VALUES, NUMBERS), max_size=8)
TABLE = st.sampled_from(TABLES)
COLUMN = st.sampled_from([*COLUMNS, "id", "parent"])
STEPS = st.one_of(
    st.tuples(st.just("insert"), TABLE, ROWS),
    st.tuples(st.just("update"), TABLE, COLUMN, VALUES, NUMBERS),
    st.tuples(st.just("delete"), TABLE, NUMBERS),
    st.tuples(st.just("rebuild"), TABLE, SHAPES, st.integers(0, 1), COLUMN),
    st.tuples(st.just("run"), TABLE, st.sampled_from([
        "ALTER TABLE {} RENAME COLUMN c0 TO 'new'", "ALTER TABLE {} RENAME COLUMN c1 TO C1", "ALTER TABLE {} DROP COLUMN c2",
        "ALTER TABLE {} ADD COLUMN added TEXT DEFAULT 'x'", "ALTER TABLE {} RENAME TO r", "DROP TABLE {}", "VACUUM",
    ])),
)  # fmt: skip


def opened(file: Path) -> sqlite3.Connection:
    """Open a file for writing, with foreign keys."""
    connection = sqlite3.connect(file, isolation_level=None)
    connection.executescript("PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY; PRAGMA foreign_keys = ON")
    return connection


def create(file: Path, shapes: Sequence[Shape], rows: Sequence[list[Any]]) -> None:
    """Create a file with one table for each shape, filled with its rows."""
    with closing(opened(file)) as connection:
        for name, shape, own in zip(TABLES, shapes, rows, strict=True):
            connection.execute(shape.create(name))
            insert(connection, name, own)


def change(file: Path, steps: Iterable[Any]) -> None:
    """Take the steps of a migration on a file."""
    with closing(opened(file)) as connection:
        for step in steps:
            take(connection, step)


def take(connection: sqlite3.Connection, step: tuple[Any, ...]) -> None:
    """Take one step of a migration; skip what the engine refuses."""
    what, table, *rest = step
    acts: dict[str, Callable[..., None]] = {
        "insert": insert,
        "update": update,
        "delete": delete,
        "rebuild": rebuild,
        "run": alter,
    }
    with suppress(sqlite3.OperationalError, sqlite3.IntegrityError):
        acts[what](connection, table, *rest)


def insert(connection: sqlite3.Connection, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
    """Insert rows, except those that a key refuses; the parent, if there is one, is the number of the row."""
    columns = [
        name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,)) if name != "id"
    ]
    for *values, parent in rows:
        given = {**dict(zip(COLUMNS, values, strict=True)), "parent": parent or None}
        names = [name for name in columns if name in given]
        marks = ", ".join("?" * len(names))
        with suppress(sqlite3.IntegrityError):
            listed = ", ".join(f'"{name}"' for name in names)
            connection.execute(
                f"INSERT OR IGNORE INTO {table} ({listed}) VALUES ({marks})", [given[name] for name in names]
            )


def update(connection: sqlite3.Connection, table: str, column: str, value: Any, rest: int) -> None:
    """Change some rows, or all."""
    connection.execute(f'UPDATE OR IGNORE {table} SET "{column}" = ? WHERE {some(rest)}', (value,))


def delete(connection: sqlite3.Connection, table: str, rest: int) -> None:
    """Delete some rows, or all, with their children."""
    connection.execute(f"DELETE FROM {table} WHERE {some(rest)}")


def some(rest: int) -> str:
    """Choose by a value, because not every table has a rowid."""
    return f"unicode(coalesce(quote(c1), '')) % 3 = {rest}" if rest else "1"


def rebuild(connection: sqlite3.Connection, table: str, shape: Shape, minded: int, order: str) -> None:
    """Rebuild a table in another shape, its rows in another order, with foreign keys enforced or not."""
    connection.execute(f"PRAGMA foreign_keys = {minded}")
    try:
        connection.execute(f"CREATE TABLE kept AS SELECT * FROM {table}")
        had = {name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))}
        connection.execute(f"DROP TABLE {table}")
        connection.execute(shape.create(table))
        has = {name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))}
        names = ", ".join(f'"{name}"' for name in sorted(had & has)) or "rowid"
        by = f'"{order}"' if order in had else "1"
        connection.execute(f"INSERT OR IGNORE INTO {table} ({names}) SELECT {names} FROM kept ORDER BY {by} DESC")
    finally:
        connection.execute("DROP TABLE IF EXISTS kept")
        connection.execute("PRAGMA foreign_keys = 1")


def alter(connection: sqlite3.Connection, table: str, sql: str) -> None:
    """Run a statement on a table."""
    connection.execute(sql.format(table))
