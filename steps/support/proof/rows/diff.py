"""The rows of two database files compared, table by table: exactly, and fast enough for millions of them.

A table whose pages are the same is not read, and of any other no rows on pages that are. The rest is compared by the
engine, values and their types: one pass over both sides where a primary key tells rows apart, as bags of values where
none does. Measured beside sqldiff by
`python -m tests.bench.rows`.
"""

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from steps.support.proof.rows.bags import as_bags, is_same_in_bags
from steps.support.proof.rows.keyed import by_key, has_key, is_same_by_key
from steps.support.proof.rows.pages import Pages, differing
from steps.support.proof.rows.pair import Pair, only_in, pair
from steps.support.proof.rows.result import SAMPLES, Dropped, Kind, Sample, TableDiff, whole
from steps.support.proof.rows.tables import AFTER, BEFORE, Table, rows_of, side_by_side, tables
from steps.support.sql.tokens import quoted


def row_diff(before: Path, after: Path, keep: int = 0) -> dict[str, TableDiff]:
    """Compare every table of two files but the tool's and the engine's own, by name in lower case.

    `keep`: of a table with no more rows than these that are not as they were, all of them are given. Blocks, for
    seconds where tables are large. Both files must be checkpointed and stay as they are meanwhile; values that differ
    are put aside in the engine's temporary files. Raises Problem where a file is not a whole database, or a log that is
    not empty lies beside it.
    """
    with side_by_side(before, after) as connection:
        old, new = tables(connection, BEFORE), tables(connection, AFTER)
        pages = Pages.of(before, after)
        found = {name: _gone(connection, table) for name, table in old.items() if name not in new}
        found |= {name: _new(connection, table) for name, table in new.items() if name not in old}
        found |= {name: _both(connection, old[name], new[name], pages, keep) for name in old.keys() & new.keys()}
    return dict(sorted(found.items()))


def _gone(connection: sqlite3.Connection, table: Table) -> TableDiff:
    rows = rows_of(connection, table)
    return TableDiff(table.name, rows, None, removed=rows, samples=_first(connection, table, Kind.REMOVED))


def _new(connection: sqlite3.Connection, table: Table) -> TableDiff:
    rows = rows_of(connection, table)
    return TableDiff(table.name, None, rows, added=rows, samples=_first(connection, table, Kind.ADDED))


def _first(connection: sqlite3.Connection, table: Table, kind: Kind) -> tuple[Sample, ...]:
    query = f"SELECT {', '.join(map(quoted, table.names))} FROM {table.source} LIMIT {SAMPLES}"
    return tuple(whole(kind, table.names, row, table.key_names) for row in connection.execute(query))


def _both(connection: sqlite3.Connection, old: Table, new: Table, pages: Pages, keep: int) -> TableDiff:
    ranges = differing(connection, old, new, pages)
    if ranges == ():
        rows = rows_of(connection, old)
        return TableDiff(old.name, rows, rows, by_pages=True)
    two = pair(old, new, ranges)
    if has_key(connection, two):
        found = replace(by_key(connection, two, keep), by_key=True)
        dropped = _dropped(connection, two, partial(is_same_by_key, connection, two))
    else:
        found = as_bags(connection, two, keep)
        dropped = _dropped(connection, two, partial(is_same_in_bags, connection, two, found))
    came = tuple(column.name for column in only_in(new, old))
    return replace(found, only_before=tuple(dropped), only_after=came)


def _dropped(connection: sqlite3.Connection, two: Pair, is_same: Callable[[str, str], bool]) -> Iterator[Dropped]:
    came = [column.name for column in only_in(two.new, two.old)]
    for name, is_generated in ((column.name, column.is_generated) for column in only_in(two.old, two.new)):
        (values,) = connection.execute(f"SELECT count({quoted(name)}) FROM {two.old.source}").fetchone()
        holds = values and not is_generated
        became = next((new for new in came if is_same(name, new)), None) if holds else None
        yield Dropped(name, values if holds else 0, became)
