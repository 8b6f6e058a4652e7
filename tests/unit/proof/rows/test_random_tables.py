"""The row diff compared with a comparison in Python, on random tables and random migrations."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from steps.support.proof.rows.diff import row_diff
from steps.support.proof.rows.result import TableDiff

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


@settings(max_examples=500, deadline=None, derandomize=True, database=None)
@given(st.tuples(PARENTS, SHAPES), st.tuples(ROWS, ROWS), st.lists(STEPS, max_size=4))
def test_row_diff_equals_a_full_comparison(
    shapes: tuple[Shape, ...], rows: tuple[list[Any], ...], steps: list[Any]
) -> None:
    """Counts, columns and renamed columns are those that Python finds by reading everything."""
    with TemporaryDirectory() as folder:
        before, after = Path(folder) / "before.db", Path(folder) / "after.db"
        with closing(opened(before)) as connection:
            for name, shape, own in zip(TABLES, shapes, rows, strict=True):
                connection.execute(shape.create(name))
                insert(connection, name, own)
        after.write_bytes(before.read_bytes())
        with closing(opened(after)) as connection:
            for step in steps:
                take(connection, step)
        found = row_diff(before, after)
        with closing(opened(before)) as old, closing(opened(after)) as new:
            expected = by_hand(read(old), read(new))
    assert {name: told(table) for name, table in found.items()} == expected


def opened(file: Path) -> sqlite3.Connection:
    """Open a file for writing, with foreign keys."""
    connection = sqlite3.connect(file, isolation_level=None)
    connection.executescript("PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY; PRAGMA foreign_keys = ON")
    return connection


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


def by_hand(old: dict[str, Held], new: dict[str, Held]) -> dict[str, Any]:
    """Compare everything."""
    empty = Held((), frozenset(), [])
    return {name: table_by_hand(old.get(name, empty), new.get(name, empty)) for name in old.keys() | new.keys()}


def table_by_hand(old: Held, new: Held) -> Any:
    """Compare one table by its key, else by counting equal rows; a table on one side has no counterpart."""
    if not old.columns or not new.columns:
        return len(new.rows), len(old.rows), 0, {}, {}
    common = [column for column in old.columns if column in new.columns]
    went = [column for column in old.columns if column not in common]
    came = [column for column in new.columns if column not in common]
    if old.key and old.key == new.key:
        b, a = ({key_of(row, old.key): row for row in held.rows} for held in (old, new))
        pairs = [(b[key], a[key]) for key in b if key in a]
        columns = Counter(column for x, y in pairs for column in common if not same(x[column], y[column]))
        changed = sum(any(not same(x[column], y[column]) for column in common) for x, y in pairs)
        became = {c: next((n for n in came if alike(pairs, c, n)), None) for c in went}
        counts = (len(a) - len(pairs), len(b) - len(pairs), changed, dict(columns))
    else:
        added, removed = bags(old.rows, new.rows, common, common)
        left = removed < len(old.rows)
        fits = [
            (c, n)
            for c in went
            for n in came
            if bags(old.rows, new.rows, [*common, c], [*common, n]) == (added, removed)
        ]
        became = {c: next((n for name, n in fits if name == c and left), None) for c in went}
        counts = (added, removed, 0, {})
    values = {c: sum(row[c] is not None for row in old.rows) for c in went}
    return (*counts, {c: (values[c], became[c] if values[c] else None) for c in went})


def key_of(row: dict[str, Any], key: Iterable[tuple[str, str, bool]]) -> tuple[Any, ...]:
    """Return what identifies a row, as its key compares."""
    return tuple(
        row[name].lower() if nocase and isinstance(row[name], str) else row[name] for name, _, nocase in sorted(key)
    )


def same(one: Any, other: Any) -> bool:
    """Return whether two values are equal; 1 and 1.0 are not."""
    return type(one) is type(other) and one == other


def alike(pairs: Iterable[tuple[dict[str, Any], dict[str, Any]]], old: str, new: str) -> bool:
    """Return whether a column holds the same values as another, and at least one."""
    values = [(x[old], y[new]) for x, y in pairs]
    return all(one == other for one, other in values) and any(one is not None for one, _ in values)


def bags(old: Iterable[Any], new: Iterable[Any], olds: list[str], news: list[str]) -> tuple[int, int]:
    """Count added and removed rows."""
    b = Counter(tuple((type(row[column]), row[column]) for column in olds) for row in old)
    a = Counter(tuple((type(row[column]), row[column]) for column in news) for row in new)
    return (a - b).total(), (b - a).total()


def told(found: TableDiff) -> Any:
    """Return the result of the row diff, names in lower case."""
    columns = {name.lower(): count for name, count in found.columns.items()}
    went = {c.name.lower(): (c.values, c.became and c.became.lower()) for c in found.only_before}
    return found.added, found.removed, found.changed, columns, went
