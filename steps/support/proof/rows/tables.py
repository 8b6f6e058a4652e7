"""Read the tables of two database files, and build the SQL that compares a table before and after.

In that SQL, `b` is a row before and `a` is a row after.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import apsw

from steps.support.core.errors import Problem
from steps.support.schema.connection import Connection
from steps.support.schema.own_tables import is_owned
from steps.support.schema.reader import ENGINE_ERRORS, open_file, sample_text
from steps.support.schema.virtual import shadow_tables, virtual_tables
from steps.support.schema.virtual_options import makes_same_words
from steps.support.sql.statement import Value
from steps.support.sql.tokens import folded, quoted

_TABLES = "SELECT name, sql, rowid, coalesce(rootpage, 0) FROM {}.sqlite_schema WHERE type = 'table' ORDER BY name"
_COLUMNS = 'SELECT name, type, "notnull", pk, hidden FROM pragma_table_xinfo(?, ?) ORDER BY cid'
_KEY = """SELECT x.name, x.coll FROM pragma_index_list(?1, ?2) AS i, pragma_index_xinfo(i.name, ?2) AS x
WHERE i.origin = 'pk' AND (x.key OR x.cid = -1) ORDER BY x.seqno"""  # the rowid has no name, and cid -1


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. `is_generated`: whether the engine computes its values."""

    name: str
    is_generated: bool


@dataclass(frozen=True, slots=True)
class KeyColumn:
    """A column of a primary key. Keys can be compared if their columns are equal in all fields but `is_nullable`."""

    name: str
    collation: str
    affinity: str
    is_nullable: bool = field(compare=False)


@dataclass(frozen=True, slots=True)
class Table:
    """A table of one of the compared files.

    `schema`: which file, BEFORE or AFTER. `entry`: its rowid in sqlite_schema. `root`: the number of its first page; 0
    if it is virtual. ALTER keeps `entry` and `root`; recreating the table does not.
    `rowid`: a name by which its rowid can be read; None if it has no rowid. `is_numbered`: whether the rowid is the
    primary key, so that each row keeps its rowid. `entries`: the table with an entry for each row, which is read in
    place of a search index that stores no rows; empty for any other table.
    """

    schema: str
    name: str
    sql: str
    entry: int
    root: int
    columns: tuple[Column, ...]
    key: tuple[KeyColumn, ...]
    rowid: str | None
    is_numbered: bool
    entries: str = ""

    @property
    def stored(self) -> str:
        """Return the name under which the table's rows can be read, quoted for SQL."""
        return quoted(self.entries or self.name)

    @property
    def source(self) -> str:
        """Return the name under which the table's rows can be read, with its schema, as SQL."""
        return f"{self.schema}.{self.stored}"

    @property
    def by_name(self) -> dict[str, Column]:
        """Return the columns by name, in lower case."""
        return {folded(column.name): column for column in self.columns}

    @property
    def names(self) -> list[str]:
        """Return the names of all columns."""
        return [column.name for column in self.columns]

    @property
    def key_names(self) -> list[str]:
        """Return the names of the columns of the primary key."""
        return [self.by_name[part.name].name for part in self.key]


def tables(connection: Connection, schema: str) -> dict[str, Table]:
    """Read the user's tables of a file, by name in lower case.

    A virtual table is read only if it stores rows itself, or an entry for each row. The tables in which virtual tables
    store their data are left out.
    """
    found = connection.execute(_TABLES.format(schema)).fetchall()
    names = {folded(row[0]) for row in found}
    indexes = virtual_tables(connection, schema)
    virtual = {folded(each.name): "" for each in indexes if each.has_rows}
    virtual |= {folded(each.name): each.entries for each in indexes if folded(each.entries) in names}
    left_out = shadow_tables(connection, schema) - virtual.keys()
    users = (row for row in found if not is_owned(row[0]) and folded(row[0]) not in left_out)
    users = (row for row in users if row[3] or folded(row[0]) in virtual)
    return {folded(row[0]): _table(connection, schema, row, virtual.get(folded(row[0]), "")) for row in users}


def rows_of(connection: Connection, table: Table) -> int:
    """Count the rows of a table."""
    return int(connection.execute(f"SELECT count(*) FROM {table.source}").fetchone()[0])


def first_rows(connection: Connection, name: str, most: int) -> list[tuple[Value, ...]]:
    """Return the first `most` rows of a table; none if this engine cannot read the table."""
    columns = [column for column, *_, hidden in connection.execute(_COLUMNS, (name, "main")) if hidden != 1]
    shown = ", ".join(sample_text(quoted(column)) for column in columns)
    with suppress(*ENGINE_ERRORS):
        return connection.execute(f"SELECT {shown} FROM {quoted(name)} LIMIT {most}").fetchall()
    return []


def _table(connection: Connection, schema: str, row: Sequence[Any], entries: str) -> Table:
    name, sql, entry, root = row
    columns = connection.execute(_COLUMNS, (entries or name, schema)).fetchall()
    if entries:
        return _index(schema, row, columns, entries)
    index = connection.execute(_KEY, (name, schema)).fetchall()
    taken = {folded(column) for column, *_ in columns}
    has_rowid = not index or (None, "BINARY") in index
    rowid = next((each for each in ("rowid", "_rowid_", "oid") if each not in taken), None) if has_rowid else None
    return Table(
        schema,
        name,
        sql,
        entry,
        root,
        tuple(Column(column, hidden > 1) for column, *_, hidden in columns if hidden != 1),
        tuple(_key(columns, [part for part in index if part[0] is not None])),
        rowid,
        rowid is not None and not index and any(pk for *_, pk, _ in columns),
    )


def _index(schema: str, row: Sequence[Any], columns: Sequence[Any], entries: str) -> Table:
    """Return a search index as a table of its entries. The number of words belongs to the key of an entry."""
    (name, sql, entry, root), names = row, [name for name, *_ in columns[:_OF_AN_ENTRY]]
    key = [
        KeyColumn(folded(name), "BINARY", affinity, is_nullable=False)
        for name, affinity in zip(names, ("NUMERIC", "BLOB"), strict=True)
    ]
    own = tuple(Column(name, is_generated=False) for name in names)
    return Table(schema, name, sql, entry, root, own, tuple(key), None, is_numbered=False, entries=entries)


def _key(columns: Sequence[Any], index: Sequence[tuple[str, str]]) -> Iterator[KeyColumn]:
    """Yield the columns of the primary key. A key without an index is the rowid, which is never NULL."""
    kinds = {name: (_affinity(kind), not notnull) for name, kind, notnull, *_ in columns}
    for name, collation in index:
        yield KeyColumn(folded(name), collation.upper(), *kinds[name])
    for name in (name for name, _, _, pk, _ in columns if pk and not index):
        yield KeyColumn(folded(name), "BINARY", "NUMERIC", is_nullable=False)


def _affinity(declared: str) -> str:
    """Return the affinity of a column by its declared type, see https://sqlite.org/datatype3.html, section 3.1.

    The result is empty for ANY, because its affinity also depends on whether the table is STRICT.
    """
    kind = declared.upper()
    if "INT" not in kind and any(word in kind for word in ("CHAR", "CLOB", "TEXT")):
        return "TEXT"
    if "INT" in kind or (kind and "BLOB" not in kind):
        return "" if kind == "ANY" else "NUMERIC"
    return "BLOB"


_OF_AN_ENTRY = 2  # columns: the rowid, and the number of words in each column of the index

BEFORE, AFTER = "main", "after"  # the schema names of the two files in the connection
CACHE = 8_000  # KiB for each file, and for the temporary one


@contextmanager
def side_by_side(before: Path, after: Path) -> Iterator[apsw.Connection]:
    """Yield a connection that reads two files, as the schemas `main` and `after`. Both must not change meanwhile.

    Raise Problem if a file cannot be read, or is not a whole database.
    """
    for file in (before, after):
        _refuse_unfinished(file)
    try:
        with open_file(before, after=after) as connection:
            connection.execute("PRAGMA temp_store = FILE")
            for schema in (BEFORE, AFTER, "temp"):
                connection.execute(f"PRAGMA {schema}.cache_size = -{CACHE}")
            yield connection
    except ENGINE_ERRORS as error:
        raise Problem(
            code="copy-failed",
            operation="comparing",
            subject=f"{before.name} and {after.name}",
            cause=str(error),
            remedy="Make both copies again. Nothing was changed.",
        ) from error


def materialize(connection: Connection, query: str) -> None:
    """Store the result of a query as `temp.differing`, in a temporary file, in place of an earlier result."""
    connection.execute("DROP TABLE IF EXISTS temp.differing")
    connection.execute(f"CREATE TEMP TABLE differing AS {query}")


def _refuse_unfinished(file: Path) -> None:
    for left in (file.with_name(f"{file.name}-{end}") for end in ("wal", "journal")):
        if left.is_file() and left.stat().st_size:
            cause = f"{left.name} is not empty, so {file.name} alone is not the whole database"
            raise Problem(
                code="copy-failed",
                operation="comparing",
                subject=file.name,
                cause=cause,
                remedy="Copy both files, checkpoint the copy, and compare that.",
            )


@dataclass(frozen=True, slots=True)
class Pair:
    """A table before and after.

    `common`: the columns to compare, each as its names before and after. `ranges`: the ranges of rowids in which rows
    may differ; None if rows may differ anywhere. `same`: the name of an SQL function that decides whether two different
    values count as equal; empty if they never do.
    """

    old: Table
    new: Table
    common: tuple[tuple[str, str], ...]
    ranges: tuple[tuple[int, int], ...] | None = None
    same: str = ""

    def may_differ(self, side: str) -> str:
        """Build the condition that a row of one side, `b` or `a`, is in a range in which rows may differ."""
        if self.ranges is None:
            return "1"
        rowid = f"{side}.{(self.old if side == 'b' else self.new).rowid}"
        return f"({' OR '.join(f'{rowid} BETWEEN {low} AND {high}' for low, high in self.ranges)})"

    @property
    def names(self) -> list[str]:
        """Return the names that the compared columns have before the change."""
        return [old for old, _ in self.common]

    @property
    def differ(self) -> str:
        """Build the condition that a row before and a row after differ in a compared column."""
        if not self.common:
            return "0"
        old, new = (", ".join([*map(plain, side), *map(kind, side)]) for side in self._sides())
        whole = f"({old}) IS NOT ({new})"
        return f"{whole} AND ({' OR '.join(self.differences)})" if self.same else whole

    @property
    def differences(self) -> Iterator[str]:
        """Build, for each compared column, the condition that its values differ."""
        for old, new in zip(*self._sides(), strict=True):
            differs = f"({plain(old)}, {kind(old)}) IS NOT ({plain(new)}, {kind(new)})"
            both = f"{sample_text(old)}, {sample_text(new)}"  # a function cannot take a text that is not UTF-8
            yield f"({differs} AND NOT {self.same}({both}))" if self.same else differs

    @property
    def by_key(self) -> str:
        """Build the condition that a row before and a row after have the same primary key."""
        names = ((self.old.by_name[part.name].name, self.new.by_name[part.name].name) for part in self.old.key)
        return " AND ".join(f"b.{quoted(old)} = a.{quoted(new)}" for old, new in names)

    def _sides(self) -> tuple[list[str], list[str]]:
        return [f"b.{quoted(old)}" for old, _ in self.common], [f"a.{quoted(new)}" for _, new in self.common]


def plain(column: str) -> str:
    """Build the expression of a value as stored: no type converts it, and no collation makes different texts equal."""
    return f"+{column} COLLATE BINARY"


def kind(column: str) -> str:
    """Build the expression of a value's storage type, which distinguishes 1 from 1.0."""
    return f"typeof({column})"


def pair(old: Table, new: Table, ranges: tuple[tuple[int, int], ...] | None = None) -> Pair:
    """Pair a table before with the table after. Columns generated on both sides are not compared.

    If a search index now makes other words of a text, only the rowids of its entries are compared.
    """
    if old.entries and new.entries and not makes_same_words(old.sql, new.sql):
        old, new = (replace(each, columns=each.columns[:1], key=each.key[:1]) for each in (old, new))
    after = new.by_name
    both = ((column, after[name]) for name, column in old.by_name.items() if name in after)
    return Pair(old, new, tuple((b.name, a.name) for b, a in both if not (b.is_generated and a.is_generated)), ranges)


def only_in(one: Table, other: Table) -> list[Column]:
    """Return the columns that `one` has and `other` lacks."""
    names = other.by_name
    return [column for name, column in one.by_name.items() if name not in names]


def listed(expressions: Iterable[str]) -> str:
    """Build SQL that continues a list: a comma before each expression."""
    return "".join(f", {expression}" for expression in expressions)
