"""Compare the rows of two database files, table by table: exactly, and fast enough for millions of rows.

Tables and ranges of rows whose pages are identical are skipped. The engine compares the values of all other rows, with
their types: row by row if a primary key identifies them, else by how often each row occurs. `python -m
tests.bench.rows` measures how long this takes, and how long sqldiff takes.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

from steps.support.proof.rehearsal.moments import NEVER, Moments
from steps.support.proof.rows.bags import as_bags, is_same_in_bags
from steps.support.proof.rows.conversion import says_the_same
from steps.support.proof.rows.keyed import by_key, has_key, is_same_by_key
from steps.support.proof.rows.pages import Pages, differing
from steps.support.proof.rows.result import SAMPLES, Columns, Dropped, Kind, Sample, TableDiff, whole
from steps.support.proof.rows.tables import AFTER, BEFORE, Pair, Table, only_in, pair, rows_of, side_by_side, tables
from steps.support.schema.connection import Connection
from steps.support.schema.reader import sample_text
from steps.support.sql.statement import Value
from steps.support.sql.tokens import quoted


def row_diff(
    before: Path,
    after: Path,
    keep: int = 0,
    groups: Mapping[str, Collection[Columns]] = MappingProxyType({}),
    moments: Moments = NEVER,
) -> dict[str, TableDiff]:
    """Compare the user's tables of two files, and return a diff for each table, by its name in lower case.

    `keep`: if at most this many rows of a table differ, its diff contains all of them. `groups`: by table, groups of
    columns in lower case; the diff has the number of rows that changed in each group. `moments`: a span of time; two
    times in this span count as equal if the row has a key.

    The call blocks, for seconds if tables are large. Both files must be checkpointed, and must not change meanwhile.
    Raise Problem if a file is not a whole database, because it is damaged or has a non-empty log.
    """
    with side_by_side(before, after) as connection:
        old, new = tables(connection, BEFORE), tables(connection, AFTER)
        pages = Pages.of(before, after)
        found = {name: _gone(connection, table) for name, table in old.items() if name not in new}
        found |= {name: _new(connection, table) for name, table in new.items() if name not in old}
        both, same = old.keys() & new.keys(), ""
        connection.create_scalar_function("says_the_same", says_the_same, 2, deterministic=True)
        if moments != NEVER:
            same = "same_moment"

            def same_moment(*both: Value) -> bool:
                return moments.same(*both)

            connection.create_scalar_function(same, same_moment, 2, deterministic=True)
        found |= {
            name: _both(connection, old[name], new[name], pages, keep, groups.get(name, ()), same) for name in both
        }
    return dict(sorted(found.items()))


def _gone(connection: Connection, table: Table) -> TableDiff:
    rows = rows_of(connection, table)
    return TableDiff(table.name, rows, None, removed=rows, samples=_first(connection, table, Kind.REMOVED))


def _new(connection: Connection, table: Table) -> TableDiff:
    rows = rows_of(connection, table)
    return TableDiff(table.name, None, rows, added=rows, samples=_first(connection, table, Kind.ADDED))


def _first(connection: Connection, table: Table, kind: Kind) -> tuple[Sample, ...]:
    query = f"SELECT {', '.join(sample_text(quoted(name)) for name in table.names)} FROM {table.source} LIMIT {SAMPLES}"
    return tuple(whole(kind, table.names, row, table.key_names) for row in connection.execute(query))


def _both(  # noqa: PLR0913, PLR0917 - all that one comparison needs
    connection: Connection,
    old: Table,
    new: Table,
    pages: Pages,
    keep: int,
    groups: Collection[Columns],
    same: str,
) -> TableDiff:
    ranges = differing(connection, old, new, pages)
    if ranges == ():
        rows = rows_of(connection, old)
        return TableDiff(old.name, rows, rows, by_pages=True)
    two = pair(old, new, ranges)
    if has_key(connection, two):
        found = replace(by_key(connection, replace(two, same=same), keep, groups), by_key=True)
        dropped = _dropped(connection, two, partial(is_same_by_key, connection, two))
    else:
        found = as_bags(connection, two, keep, groups)
        dropped = _dropped(connection, two, partial(is_same_in_bags, connection, two, found))
    new_columns = tuple(column.name for column in only_in(new, old))
    return replace(found, only_before=tuple(dropped), only_after=new_columns)


def _dropped(connection: Connection, two: Pair, is_same: Callable[[str, str], bool]) -> Iterator[Dropped]:
    new_columns = [column.name for column in only_in(two.new, two.old)]
    for name, is_generated in ((column.name, column.is_generated) for column in only_in(two.old, two.new)):
        (values,) = connection.execute(f"SELECT count({quoted(name)}) FROM {two.old.source}").fetchone()
        holds = values and not is_generated
        became = next((new for new in new_columns if is_same(name, new)), None) if holds else None
        yield Dropped(name, values if holds else 0, became)
