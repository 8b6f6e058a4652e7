"""Compare a copy with the server: schema, row counts, newest rows and storage types."""

import math
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from steps.support.core.errors import Rejected, Unknown
from steps.support.gateways.transaction import SCHEMA
from steps.support.schema.own_tables import IS_USERS
from steps.support.sql.statement import Value
from steps.support.sql.tokens import quoted

Ask = Callable[[str], Awaitable[Sequence[tuple[Value, ...]]]]

_PAGES = "SELECT page_count, page_size FROM pragma_page_count(), pragma_page_size()"
_USUAL = 4096  # bytes of a page
_AT_ONCE = 100  # tables that one statement asks about; the engine takes 500 terms
# A virtual table stores its rows in others, which are listed; a computed column stores none, unless it is STORED.
_STORED = f"""SELECT l.name, c.name, c.pk = 1 AND upper(c.type) = 'INTEGER'
    AND NOT EXISTS (SELECT 1 FROM pragma_index_list(l.name) WHERE origin = 'pk')
  FROM (SELECT * FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'shadow') AND {IS_USERS}) AS l,
    pragma_table_xinfo(l.name) AS c WHERE c.hidden IN (0, 3) ORDER BY l.name, c.cid"""


@dataclass(frozen=True, slots=True)
class Extent:
    """The rows of a table: their number, their storage types, and the newest id if it is an INTEGER PRIMARY KEY.

    `types`: for each column one number, which changes if a value changes its type.
    """

    rows: int
    newest: float = -math.inf
    types: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class State:
    """The parts of a database that are compared: the text of its schema, and each table's extent."""

    schema: str
    tables: Mapping[str, Extent]


@dataclass(frozen=True, slots=True)
class _Stored:
    """A table as it is asked about: its columns, and the one that is its INTEGER PRIMARY KEY."""

    name: str
    columns: tuple[str, ...]
    numbered: str | None

    @property
    def query(self) -> str:
        """Build the query of its extent, in one pass over its rows."""
        newest = f"max({quoted(self.numbered)})" if self.numbered else "NULL"
        types = " || ' ' || ".join(f"total(unicode(typeof({quoted(name)})))" for name in self.columns)
        return f"SELECT count(*), {newest}, {types} FROM {quoted(self.name)}"

    def extent(self, count: Value, newest: Value, types: Value) -> Extent:
        """Read the answer."""
        sums = (int(float(text)) for text in str(types).split())
        return Extent(
            int(str(count)),
            -math.inf if newest is None else int(str(newest)),
            dict(zip(self.columns, sums, strict=True)),
        )


async def read_pages(ask: Ask) -> tuple[int, int]:
    """Return the number of pages of a server's file, 0 if it does not say, and the bytes of a page."""
    try:
        ((count, size),) = await ask(_PAGES)
    except (Rejected, Unknown):
        return 0, _USUAL
    return int(str(count)), int(str(size))


async def read_state(ask: Ask) -> State:
    """Read the state through `ask`, which runs one statement and returns its rows; all of them see one moment."""
    schema = str((await ask(SCHEMA))[0][0])
    tables = [_stored(str(name), [*rows]) for name, rows in groupby(await ask(_STORED), lambda row: row[0])]
    extents: dict[str, Extent] = {}
    for start in range(0, len(tables), _AT_ONCE):
        some = tables[start : start + _AT_ONCE]
        rows = await ask("\nUNION ALL ".join(f"SELECT {n}, * FROM ({table.query})" for n, table in enumerate(some)))
        extents |= {some[int(str(n))].name: some[int(str(n))].extent(*found) for n, *found in rows}
    return State(schema, extents)


def differences(copy: State, server: State) -> Iterator[str]:
    """Yield how the copy differs from the server at the moment of which it is a copy."""
    if copy.schema != server.schema:
        yield "its schema differs from the server's"
    else:
        for name, found in copy.tables.items():
            yield from _differs(name, found, server.tables[name])


def _differs(name: str, found: Extent, expected: Extent) -> Iterator[str]:
    if found.rows != expected.rows:
        yield f"table {name} has {found.rows:,} rows, the server {expected.rows:,}"
    elif found.newest != expected.newest:
        yield f"the newest row of table {name} is {found.newest:,}, the server's {expected.newest:,}"
    else:
        for column in (each for each in found.types if found.types[each] != expected.types[each]):
            yield f"values of {name}.{column} have other storage types than on the server"


def _stored(name: str, rows: Sequence[tuple[Value, ...]]) -> _Stored:
    columns = tuple(str(column) for _, column, _ in rows)
    return _Stored(name, columns, next((str(column) for _, column, numbered in rows if numbered), None))
