"""Which figures a migration holds on to inside its transaction: all rows are counted where that is cheap.

Counting a million rows that are not in memory took 0.4 s, and a lock that is held for 5 s is lost; the lowest and the
highest id of as many took 2 ms (measured on sqld 0.24.32). What such a table may lose without its ends moving is told
by the number of changed rows, which costs nothing and is held to what the rehearsal saw.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from steps.support.gateways import guards
from steps.support.gateways.guards import NOT_FEWER, SAME, Guards, Measure
from steps.support.proof.lint_facts import Child, facts
from steps.support.proof.lint_reading import Reading, read
from steps.support.proof.rows_tables import Table, tables
from steps.support.sql_folder import DatabaseChange
from steps.support.sql_tokens import quoted

COUNTED = 250_000  # rows of all tables that are counted, together
FOLLOWED = 1_000_000  # rows of a database all of whose references are followed
UNBOUNDED = 2**53

_LEADS = """SELECT 1 FROM pragma_index_list(?) AS i, pragma_index_info(i.name) AS p
WHERE p.seqno = 0 AND p.name = ? COLLATE NOCASE"""
_HAS_INDEX = "SELECT 1 FROM pragma_index_list(?) WHERE origin = 'pk'"  # then its key is not the rowid
_TARGET = (
    """SELECT "to" FROM pragma_foreign_key_list(?) WHERE "from" = ? COLLATE NOCASE AND "table" = ? COLLATE NOCASE"""
)


def chosen(connection: sqlite3.Connection, rows: Mapping[str, int], change: DatabaseChange) -> Guards:
    """Choose for a database of which so many rows are known of each table; the rows changed are not bounded yet."""
    known = tables(connection, "main")
    readings = [read(piece) for piece in change.scripts[0].pieces]
    declared = {table.lower() for table in change.changes}
    stays = {name: table for name, table in known.items() if name in _left(known, readings)}
    counted = _cheap({name: rows.get(table.name, 0) for name, table in stays.items()})
    large = {name: table for name, table in stays.items() if name not in {*counted, *declared}}
    relation = SAME if change.changes else NOT_FEWER
    ends = [each for table in large.values() for each in _ends(table, relation)]
    parents = [*_parents(connection, readings, known, counted, large)]
    references = [guards.orphans()]
    if sum(rows.values()) > FOLLOWED:
        references = [guards.orphans(stays[each].name) for each in counted]
    # those that a change removes may come back with its rollback
    returning = [
        replace(each, slack=connection.execute(f"SELECT {each.expression}").fetchone()[0]) for each in references
    ]
    counts = [stays[name].name for name in counted if name not in declared]
    there = (*(guards.rows_of(name, relation) for name in counts), *ends, *parents, *references)
    back = (*map(guards.rows_of, counts), *(replace(each, relation=SAME) for each in ends), *parents, *returning)
    return Guards((*there, guards.row_changes(UNBOUNDED)), back, measured=_told(counts, large, parents))


def bounded(unbounded: Guards, growth: Mapping[str, int], objects: str) -> Guards:
    """Hold the rows that are changed to what the rehearsal saw, and a little for what the app wrote since."""
    *others, changes = unbounded.there
    seen = growth[changes.name]
    most = seen + max(100, seen // 100)
    told = f"{unbounded.measured}; at most {most:,} row changes ({seen:,} rehearsed); every object by name"
    return replace(unbounded, there=(*others, replace(changes, slack=most)), objects=objects, measured=told)


def _left(known: Iterable[str], readings: Iterable[Reading]) -> set[str]:
    """Name the tables that are there when the script has run, as far as its text tells."""
    there = set(known)
    for each in readings:
        match each.verb:
            case "CREATE TABLE":
                there.add(each.table)
            case "DROP TABLE":
                there.discard(each.table)
            case "RENAME TABLE":
                there.discard(each.table)
                there.add(each.renamed)
    return there


def _cheap(rows: Mapping[str, int]) -> list[str]:
    """Name the smallest tables that together have few enough rows to be counted."""
    cheap, together = [], 0
    for name, count in sorted(rows.items(), key=lambda each: each[1]):
        together += count
        if together <= COUNTED:
            cheap.append(name)
    return sorted(cheap)


def _ends(table: Table, relation: str) -> Iterator[Measure]:
    if table.rowid is None:
        yield Measure(f"any row of {table.name}", f"EXISTS (SELECT 1 FROM {quoted(table.name)})")
        return
    for word, end, how in (("lowest", "min", SAME), ("highest", "max", relation)):
        found = f"coalesce((SELECT {end}({table.rowid}) FROM {quoted(table.name)}), 0)"
        yield Measure(f"{word} id of {table.name}", found, how)


def _parents(
    connection: sqlite3.Connection,
    readings: Iterable[Reading],
    known: Mapping[str, Table],
    counted: Iterable[str],
    large: Mapping[str, Table],
) -> Iterator[Measure]:
    """Count the parents that have rows in a large child: of those tables that the script drops or deletes from."""
    children, seen = facts(connection).children, set(counted)
    for parent in dict.fromkeys(each.table for each in readings if each.verb in {"DROP TABLE", "DELETE"}):
        for child in children.get(parent, ()) if parent in seen else ():
            if child.table.lower() in large and _is_quick(connection, child, known[parent]):
                yield _with_rows(known[parent], child)


def _is_quick(connection: sqlite3.Connection, child: Child, parent: Table) -> bool:
    """Say whether a child's rows are found by an index, and their parents by the rowid, whatever it is called."""
    if len(child.columns) > 1 or len(parent.key) != 1 or connection.execute(_HAS_INDEX, (parent.name,)).fetchone():
        return False
    target = connection.execute(_TARGET, (child.table, child.columns[0], parent.name)).fetchone()
    by_key = target is not None and (target[0] or parent.key[0].name).lower() == parent.key[0].name
    return by_key and connection.execute(_LEADS, (child.table, child.columns[0])).fetchone() is not None


def _with_rows(parent: Table, child: Child) -> Measure:
    own = f"SELECT 1 FROM {quoted(child.table)} AS c WHERE c.{quoted(child.columns[0])} = p.{parent.rowid}"
    found = f"(SELECT count(*) FROM {quoted(parent.name)} AS p WHERE EXISTS ({own}))"
    return Measure(f"rows of {parent.name} that have rows in {child.table}", found, NOT_FEWER)


def _told(counted: Iterable[str], large: Mapping[str, Table], parents: Iterable[Measure]) -> str:
    said = [f"rows of {', '.join(counted)} counted" if counted else ""]
    said += [f"lowest and highest id of {table.name}" for table in large.values()]
    said += [each.name for each in parents]
    return "; ".join([*filter(None, said), "references", "foreign keys off"])
