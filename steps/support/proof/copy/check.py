"""Check a copy: its integrity, and its schema, row counts and newest rows compared with the server's."""

import math
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from steps.support.core.errors import Rejected, Unknown
from steps.support.gateways.transaction import SCHEMA, TABLES
from steps.support.sql.statement import Value
from steps.support.sql.tokens import quoted

Ask = Callable[[str], Awaitable[Sequence[tuple[Value, ...]]]]

INTEGRITY = "PRAGMA integrity_check(10000)"
# What the rows of the source break is in the copy too: the rehearsal judges it, before the change and after.
_OF_ROWS = re.compile(r"NULL value in .+|CHECK constraint failed in .+|(?:non-)?[A-Z]+ value in .+|ok")

_PAGES = "SELECT page_count, page_size FROM pragma_page_count(), pragma_page_size()"
_USUAL = 4096  # bytes of a page
_AT_ONCE = 100  # tables that one statement asks about; the engine takes 500 terms
# An INTEGER PRIMARY KEY keeps its values; other rowids are assigned anew when a dump is loaded.
_NUMBERED = """SELECT m.name, c.name FROM sqlite_schema m, pragma_table_info(m.name) c
  WHERE m.type = 'table' AND c.pk = 1 AND upper(c.type) = 'INTEGER'
  AND NOT EXISTS (SELECT 1 FROM pragma_index_list(m.name) WHERE origin = 'pk')"""


@dataclass(frozen=True, slots=True)
class Extent:
    """The number of rows of a table, and the id of the newest, if its rows have an INTEGER PRIMARY KEY."""

    rows: int
    newest: float = -math.inf


@dataclass(frozen=True, slots=True)
class State:
    """The parts of a database that are compared: the text of its schema, and each table's extent."""

    schema: str
    tables: Mapping[str, Extent]


async def read_pages(ask: Ask) -> tuple[int, int]:
    """Return the number of pages of a server's file, 0 if it does not say, and the bytes of a page."""
    try:
        ((count, size),) = await ask(_PAGES)
    except (Rejected, Unknown):
        return 0, _USUAL
    return int(str(count)), int(str(size))


async def read_state(ask: Ask) -> State:
    """Read the state through `ask`, which runs one statement and returns its rows."""
    schema = str((await ask(SCHEMA))[0][0])
    names = [str(name) for (name,) in await ask(TABLES)]
    numbered = {str(table): str(column) for table, column in await ask(_NUMBERED)}
    extents: dict[str, Extent] = {}
    for start in range(0, len(names), _AT_ONCE):
        some = names[start : start + _AT_ONCE]
        rows = await ask(
            "\nUNION ALL ".join(_extent(place, name, numbered.get(name)) for place, name in enumerate(some))
        )
        extents |= {some[int(str(place))]: _read(count, newest) for place, count, newest in rows}
    return State(schema, extents)


def damages(lines: Iterable[str]) -> Iterator[str]:
    """Yield what INTEGRITY says about the file itself, not about the values of its rows."""
    return (f"integrity_check says: {line}" for line in lines if not _OF_ROWS.fullmatch(line))


def differences(copy: State, before: State, after: State) -> Iterator[str]:
    """Yield how the copy differs from every state the server can have had between `before` and `after`."""
    if before.schema != after.schema:
        yield "the server's schema has changed meanwhile"
    elif copy.schema != before.schema:
        yield "its schema differs from the server's"
    else:
        for name, found in copy.tables.items():
            yield from _differs(name, found, before.tables[name], after.tables[name])


def _differs(name: str, copy: Extent, before: Extent, after: Extent) -> Iterator[str]:
    fewest, most = sorted((before.rows, after.rows))
    if not fewest <= copy.rows <= most:
        yield f"table {name} has {copy.rows:,} rows, the server {_range(fewest, most)}"
    oldest, newest = sorted((before.newest, after.newest))
    if not oldest <= copy.newest <= newest:
        yield f"the newest row of table {name} is {copy.newest:,}, the server's {_range(oldest, newest)}"


def _range(low: float, high: float) -> str:
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _extent(place: int, table: str, number: str | None) -> str:
    newest = f"(SELECT max({quoted(number)}) FROM {quoted(table)})" if number else "NULL"
    return f"SELECT {place}, (SELECT count(*) FROM {quoted(table)}), {newest}"


def _read(count: Value, newest: Value) -> Extent:
    return Extent(int(str(count)), -math.inf if newest is None else int(str(newest)))
