"""Check a copy: whether its file is undamaged, and whether it equals its server.

The comparison covers the schema, and each table's row count, newest row and storage types. Damage is what the engine's
quick_check finds in the pages and in the links between them. Rows that break a constraint, and indexes that lack rows,
do not count as damage: if the server's database has such rows or indexes, its copy must have them, too.
`proof/rehearsal/integrity.py` finds them with the server's own engine.
"""

import math
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path

import apsw

from steps.support.core.errors import Rejected, Unknown
from steps.support.core.text import counted
from steps.support.gateways.transaction import SCHEMA
from steps.support.schema.own_tables import IS_USERS
from steps.support.schema.reader import open_file
from steps.support.sql.statement import Value
from steps.support.sql.tokens import quoted

Ask = Callable[[str], Awaitable[Sequence[tuple[Value, ...]]]]

_PAGES = "SELECT page_count, page_size FROM pragma_page_count(), pragma_page_size()"
_USUAL = 4096  # bytes of a page
_AT_ONCE = 100  # tables in one statement; the engine accepts up to 500 SELECTs joined by UNION ALL
# leaves out virtual tables, because other tables store their rows, and generated columns that store no values
_STORED = f"""SELECT l.name, c.name, c.pk = 1 AND upper(c.type) = 'INTEGER'
    AND NOT EXISTS (SELECT 1 FROM pragma_index_list(l.name) WHERE origin = 'pk')
  FROM (SELECT * FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'shadow') AND {IS_USERS}) AS l,
    pragma_table_xinfo(l.name) AS c WHERE c.hidden IN (0, 3) ORDER BY l.name, c.cid"""
_REPORTED = 5  # lines of quick_check that are reported, at most
_ALL = 1_000_000  # lines that quick_check may return, including those about rows, which are filtered out afterwards
_TABLES = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'shadow')"
_UNKNOWN = ("unknown function", "no such function", "no such module")
_OF_ROWS = re.compile(r"NULL value in .+|CHECK constraint failed in .+|(?:non-)?[A-Z]+ value in .+|ok", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Extent:
    """A summary of a table's rows.

    `rows`: the number of rows. `newest`: the highest id; minus infinity if the table has no rows, or no INTEGER PRIMARY
    KEY. `types`: by column, a number that changes if one of the column's values gets another storage type.
    """

    rows: int
    newest: float = -math.inf
    types: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class State:
    """The part of a database that is compared: the text of its schema, and a summary of each table's rows."""

    schema: str
    tables: Mapping[str, Extent]


@dataclass(frozen=True, slots=True)
class _Stored:
    """A table to read.

    `columns`: the columns that store values. `numbered`: the INTEGER PRIMARY KEY column; None if the table has none.
    """

    name: str
    columns: tuple[str, ...]
    numbered: str | None

    @property
    def query(self) -> str:
        """Build the query that returns the summary of the table in one pass over its rows."""
        newest = f"max({quoted(self.numbered)})" if self.numbered else "NULL"
        types = " || ' ' || ".join(f"total(unicode(typeof({quoted(name)})))" for name in self.columns)
        return f"SELECT count(*), {newest}, {types} FROM {quoted(self.name)}"

    def extent(self, count: Value, newest: Value, types: Value) -> Extent:
        """Return the summary that the answer to `query` contains."""
        sums = (int(float(text)) for text in str(types).split())
        return Extent(
            int(str(count)),
            -math.inf if newest is None else int(str(newest)),
            dict(zip(self.columns, sums, strict=True)),
        )


async def read_pages(ask: Ask) -> tuple[int, int]:
    """Return the number of pages of a server's file, or 0 if the server does not tell, and the bytes of one page."""
    try:
        ((count, size),) = await ask(_PAGES)
    except (Rejected, Unknown):
        return 0, _USUAL
    return int(str(count)), int(str(size))


async def read_state(ask: Ask) -> State:
    """Read the state of a database. `ask` runs one statement and returns its rows; all calls must see the same data."""
    schema = str((await ask(SCHEMA))[0][0])
    tables = [_stored(str(name), [*rows]) for name, rows in groupby(await ask(_STORED), lambda row: row[0])]
    extents: dict[str, Extent] = {}
    for start in range(0, len(tables), _AT_ONCE):
        some = tables[start : start + _AT_ONCE]
        rows = await ask("\nUNION ALL ".join(f"SELECT {n}, * FROM ({table.query})" for n, table in enumerate(some)))
        extents |= {some[int(str(n))].name: some[int(str(n))].extent(*found) for n, *found in rows}
    return State(schema, extents)


def differences(copy: State, server: State) -> Iterator[str]:
    """Yield a sentence for each difference between a copy and its server, both as of the same moment."""
    if copy.schema != server.schema:
        yield "its schema differs from the server's"
    else:
        for name, found in copy.tables.items():
            yield from _differs(name, found, server.tables[name])


def _differs(name: str, found: Extent, expected: Extent) -> Iterator[str]:
    if found.rows != expected.rows:
        yield f"table {name} has {counted(found.rows, 'row')}, and {expected.rows:,} on the server"
    elif found.newest != expected.newest:
        yield f"the newest row of table {name} has the id {found.newest:,}, and {expected.newest:,} on the server"
    else:
        for column in (each for each in found.types if found.types[each] != expected.types[each]):
            yield f"values of {name}.{column} have other storage types than on the server"


def _stored(name: str, rows: Sequence[tuple[Value, ...]]) -> _Stored:
    columns = tuple(str(column) for _, column, _ in rows)
    return _Stored(name, columns, next((str(column) for _, column, numbered in rows if numbered), None))


def damages(file: Path) -> list[str]:
    """Return the lines in which quick_check reports damage, at most five; an empty list if the file is undamaged.

    Skip tables with an index or a column that uses a function that only the server has: only the server can check them.
    """
    with open_file(file, learning=False) as connection:
        try:
            return [*islice(_lines(connection, str(_ALL)), _REPORTED)]
        except apsw.Error as error:
            if not _is_unknown(error):
                raise
        names = [str(name) for (name,) in connection.execute(_TABLES).fetchall()]
        return [line for name in names for line in _table_lines(connection, name)][:_REPORTED]


def _table_lines(connection: apsw.Connection, name: str) -> list[str]:
    try:
        return [*_lines(connection, quoted(name))]
    except apsw.Error as error:
        if _is_unknown(error):
            return []
        raise


def _lines(connection: apsw.Connection, about: str) -> Iterator[str]:
    lines = (str(line) for (line,) in connection.execute(f"PRAGMA quick_check({about})"))
    return (line for line in lines if not _OF_ROWS.fullmatch(line))


def _is_unknown(error: apsw.Error) -> bool:
    return any(words in str(error) for words in _UNKNOWN)
