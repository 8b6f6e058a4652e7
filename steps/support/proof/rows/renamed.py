"""Compare each table that a script renames, in place or by a copy, with the table that has its rows afterwards."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from steps.support.proof.guards.row_flow import row_flow
from steps.support.proof.rows.bags import as_bags, without_columns
from steps.support.proof.rows.conversion import says_the_same
from steps.support.proof.rows.keyed import by_key, has_key, has_same_key
from steps.support.proof.rows.pages import Pages, differing
from steps.support.proof.rows.result import Columns, Renamed, TableDiff
from steps.support.proof.rows.tables import AFTER, BEFORE, Pair, Table, pair, rows_of, side_by_side, tables
from steps.support.schema.connection import Connection
from steps.support.schema.own_tables import KEPT
from steps.support.sql.script import Script
from steps.support.sql.tokens import quoted


def renamed_tables(
    before: Path,
    after: Path,
    script: Script,
    keep: int = 0,
    groups: Mapping[str, Collection[Columns]] = MappingProxyType({}),
) -> list[Renamed]:
    """Compare each table that a script drops or renames with each new table that took over its rows.

    `script`: the script that ran between the two files. `keep`, `groups`: as in `row_diff`, but `groups` uses the new
    names of the tables. The call blocks. Both files must not change meanwhile. Raise Problem as `row_diff` does.
    """
    flow = row_flow(script)
    if not flow.gone:
        return []
    with side_by_side(before, after) as connection:
        connection.create_scalar_function("says_the_same", says_the_same, 2, deterministic=True)
        old, new = tables(connection, BEFORE), tables(connection, AFTER)
        found, pages = list[Renamed](), Pages.of(before, after)
        for source in sorted(flow.gone & (old.keys() - new.keys())):
            into = [name for name in flow.into(source) if name in new.keys() - old.keys()]
            kept = [name for name in flow.into(source) if name.startswith(KEPT)]
            for name in into:
                is_whole = len(into) == 1 and flow.contents[name].tables & old.keys() == {source}
                is_whole = is_whole and not _is_divided(connection, old[source], new[name], kept)
                compare = _compared if is_whole else _exchanged
                diff = compare(connection, old[source], new[name], pages, keep, groups.get(name, ()))
                key = tuple(part.name for part in old[source].key)
                found.append(Renamed(old[source].name, replace(diff, name=new[name].name), is_whole, key))
    return found


def _is_divided(connection: Connection, old: Table, new: Table, kept: Iterable[str]) -> bool:
    """Return True if rows that the new table lacks wait in tables for the rollback, so that none is missing."""
    query = f"SELECT count(*) FROM {AFTER}.{{}}"
    waiting = sum(connection.execute(query.format(quoted(name))).fetchone()[0] for name in kept)
    return bool(waiting) and rows_of(connection, old) == rows_of(connection, new) + waiting


def _compared(  # noqa: PLR0913, PLR0917 - all that one comparison needs
    connection: Connection, old: Table, new: Table, pages: Pages, keep: int, groups: Collection[Columns]
) -> TableDiff:
    """Compare all rows of a table with the rows of the only table that took them over."""
    if _is_same(connection, old, new, pages):
        rows = rows_of(connection, old)
        return TableDiff(new.name, rows, rows, by_pages=True)
    two = pair(old, new)
    if has_key(connection, two):
        return replace(by_key(connection, two, keep, groups), by_key=True)
    return as_bags(connection, _without_other_keys(two), keep, groups)


def _exchanged(
    connection: Connection, old: Table, new: Table, _pages: Pages, _keep: int, _groups: Collection[Columns]
) -> TableDiff:
    """Find only exchanged columns, because the table was divided or merged, so its rows may have other keys now."""
    two = pair(old, new)
    found = as_bags(connection, without_columns(two, {part.name for part in (*old.key, *new.key)}), 0)
    return TableDiff(new.name, found.before, found.after, exchanged=found.exchanged)


def _is_same(connection: Connection, old: Table, new: Table, pages: Pages) -> bool:
    """Return True if a table was only renamed in place: its pages are the same, and its definition after the name."""
    bodies = (each.sql[each.sql.find("(") :] for each in (old, new))
    return next(bodies) == next(bodies) and differing(connection, old, replace(new, sql=old.sql), pages) == ()


def _without_other_keys(two: Pair) -> Pair:
    """Return the pair; leave out the columns of the primary key if the key differs before and after."""
    both = {part.name for part in two.old.key} & {part.name for part in two.new.key}
    return two if has_same_key(two) else without_columns(two, both)
