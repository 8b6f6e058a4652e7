"""Choose the figures that a migration asserts: the row counts of small tables, the first and last ids of large ones.

Counting a million rows that are not in memory took 0.4 s, and a lock that is held for 5 s is lost; reading the lowest
and the highest id of a million rows took 2 ms (measured on sqld 0.24.32). A loss in the middle of a large table changes
neither id. Such a loss shows in the number of changed rows, which costs nothing to read and is bounded by the
rehearsal.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from steps.support.core.text import counted
from steps.support.gateways import guards
from steps.support.gateways.guards import NOT_FEWER, SAME, Guards, Measure
from steps.support.proof.guards.row_flow import remaining_tables
from steps.support.proof.lint.facts import Child, facts
from steps.support.proof.rows.tables import Table, tables
from steps.support.schema.connection import Connection
from steps.support.schema.reader import ENGINE_ERRORS
from steps.support.sql.change import DatabaseChange
from steps.support.sql.tokens import folded, quoted
from steps.support.sql.verbs import Reading, read_statement

COUNTED = 250_000  # rows that are counted, at most, in all tables together
FOLLOWED = 1_000_000  # rows; in a larger database, references are checked only in the counted tables
UNBOUNDED = 2**53
SPARE = 100  # rows that may differ from the rehearsal in any case
NAMED = 12  # tables or figures that the plan names, at most; it gives only the number of the others

_LEADS = """SELECT 1 FROM pragma_index_list(?) AS i, pragma_index_info(i.name) AS p
WHERE NOT i.partial AND p.seqno = 0 AND p.name = ? COLLATE NOCASE"""
_UNFOLLOWED = """SELECT DISTINCT t.name FROM sqlite_schema AS t, pragma_foreign_key_list(t.name) AS k
WHERE t.type = 'table' AND NOT EXISTS (
    SELECT 1 FROM sqlite_schema AS p WHERE p.type = 'table' AND p.name = k."table" COLLATE NOCASE
)"""
_TARGET = (
    """SELECT "to" FROM pragma_foreign_key_list(?) WHERE "from" = ? COLLATE NOCASE AND "table" = ? COLLATE NOCASE"""
)


@dataclass(frozen=True, slots=True)
class _Known:
    """The tables that exist before and after the migration, and what the scripts do to them.

    `stays`: these tables by name. `counted`: those with few enough rows to count. `declared`: those with a
    `-- changes:` line. `anew`: those that a script recreates under the same name. `touched`: those whose rows a
    statement of a script adds or removes. Names are in lower case.
    """

    stays: Mapping[str, Table]
    counted: Collection[str]
    declared: Collection[str]
    anew: Collection[str]
    touched: Collection[str]

    @property
    def rewritten(self) -> list[str]:
        """Return the tables that can be counted and whose rows a script changes, in alphabetical order."""
        countable = {*self.counted, *self.anew}
        return sorted(name for name in countable & self.stays.keys() if name in {*self.touched, *self.declared})

    @property
    def large(self) -> dict[str, Table]:
        return {name: table for name, table in self.stays.items() if name not in {*self.counted, *self.declared}}


def guards_for(connection: Connection, rows: Mapping[str, int], change: DatabaseChange) -> Guards:
    """Choose the guards of a migration and its rollback.

    `connection`: the database before the change. `rows`: the number of rows by table. After the rehearsal,
    `bound_row_changes` adds the bound on changed rows.
    """
    readings = [read_statement(piece) for piece in change.scripts[0].pieces]
    all_readings = [*readings, *(read_statement(piece) for piece in change.scripts[1].pieces)]
    known = _known(connection, rows, change, all_readings)
    relation = SAME if change.changes else NOT_FEWER
    ends = [each for table in known.large.values() for each in _ends(table, relation, known)]
    parents = [*_parents(connection, readings, known)]
    references = _references(connection, rows, known)
    counts = [known.stays[name].name for name in known.counted if name not in known.declared]
    changing = [guards.rows_lost(known.stays[name].name) for name in known.counted if name in known.declared]
    there = [*(guards.rows_of(name, relation) for name in counts), *changing, *ends]
    left_alone = (name for name in counts if folded(name) not in known.touched)
    rewritten = (guards.rows_lost(known.stays[name].name) for name in known.rewritten)
    ends_back = (replace(each, relation=SAME) for each in ends if not _is_of(each, known.touched, known.large))
    # a rollback may again break references that the migration repaired, even those of rows written since then
    followed = _references(connection, rows, known, {folded(name) for (name,) in connection.execute(_UNFOLLOWED)})
    mended = (replace(each, slack=_figure(connection, each)) for each in followed)
    parents_back = (each for each in parents if known.anew or not known.touched)
    back = [*map(guards.rows_of, left_alone), *ends_back, *rewritten]
    measured = _summary(counts, [*ends, *parents, *references])
    all_there = (*there, *parents, *references, guards.row_changes(UNBOUNDED))
    return Guards(all_there, (*back, *parents_back, *mended), measured=measured)


def bound_row_changes(unbounded: Guards, growth: Mapping[str, int], objects: str) -> Guards:
    """Bound the number of changed rows by the rehearsed number, plus an allowance for what the app wrote since.

    `growth`: the rehearsed growth of each figure by its name. `objects`: the names of all objects after the migration.
    """
    *others, changes = unbounded.there
    seen = growth[changes.name]
    most = seen + allowance(seen)
    others = [_lost_at_most(each, growth[each.name]) for each in others]
    measured = f"{unbounded.measured}; at most {counted(most, 'row change')} ({seen:,} rehearsed); every object by name"
    return replace(unbounded, there=(*others, replace(changes, slack=most)), objects=objects, measured=measured)


def _lost_at_most(measure: Measure, grew: int) -> Measure:
    """Bound the rows that a table may lose: by the rehearsed loss plus an allowance, or by 0 if it lost none."""
    if measure.slack != guards.UNBOUNDED_LOSS:
        return measure
    return replace(measure, slack=grew - allowance(-grew) if grew < 0 else 0)


def allowance(seen: int) -> int:
    """Return how many rows the app may have written since the rehearsal: 1 % of the rehearsed number, at least 100."""
    return max(SPARE, seen // 100)


def plain_tables(connection: Connection) -> dict[str, Table]:
    """Read the user's ordinary tables by name, in lower case. Virtual tables are left out: counting them takes long."""
    return {name: table for name, table in tables(connection, "main").items() if table.root}


def _known(
    connection: Connection, rows: Mapping[str, int], change: DatabaseChange, readings: Sequence[Reading]
) -> _Known:
    current = plain_tables(connection)
    remaining = remaining_tables(current, [read_statement(piece) for piece in change.scripts[0].pieces])
    stays = {name: table for name, table in current.items() if name in remaining}
    counted = _cheap({name: rows.get(table.name, 0) for name, table in stays.items()})
    made = {each.table for each in readings if each.verb == "CREATE TABLE"}
    made |= {each.renamed for each in readings if each.verb == "RENAME TABLE"}
    touched = {each.table for each in readings if each.verb in {"INSERT", "DELETE"}} | made
    return _Known(stays, counted, {*map(folded, change.changes)}, made & stays.keys(), touched)


def _references(
    connection: Connection, rows: Mapping[str, int], known: _Known, without: Collection[str] = ()
) -> list[Measure]:
    """Return measures of references without a parent row: one for the whole database, or one for each table.

    Tables whose references the engine cannot follow are left out; in a large database, large tables are left out, too.
    `without`: tables to leave out because they reference a missing table, so that each of their rows lacks its parent.
    """
    is_small = sum(rows.values()) <= FOLLOWED
    if is_small and not without and _figure(connection, guards.orphans()) >= 0:
        return [guards.orphans()]
    names = (each for each in (known.stays if is_small else known.counted) if each not in without)
    single = (guards.orphans(known.stays[each].name) for each in names)
    return [each for each in single if _figure(connection, each) >= 0]


def _figure(connection: Connection, measure: Measure) -> int:
    """Return the value of a measure before the change; -1 if the engine cannot compute it."""
    try:
        return int(connection.execute(f"SELECT {measure.expression}").fetchone()[0])
    except ENGINE_ERRORS:  # a foreign key mismatch
        return -1


def _cheap(rows: Mapping[str, int]) -> list[str]:
    """Return as many of the smallest tables as have at most COUNTED rows together, in alphabetical order."""
    cheap, together = [], 0
    for name, count in sorted(rows.items(), key=lambda each: each[1]):
        together += count
        if together <= COUNTED:
            cheap.append(name)
    return sorted(cheap)


def _ends(table: Table, relation: str, known: _Known) -> Iterator[Measure]:
    """Yield measures of a large table: its lowest and highest id; if ids have no order, whether the table has any row.

    If a script recreates the table, count all rows, because recreating the table takes as long anyway.
    """
    if folded(table.name) in known.anew:
        yield guards.rows_of(table.name, relation)
    elif table.is_numbered:
        for word, end, how in (("lowest", "min", SAME), ("highest", "max", relation)):
            found = f"coalesce((SELECT {end}({table.rowid}) FROM {quoted(table.name)}), 0)"
            yield Measure(f"{word} id of {table.name}", found, how)
    else:
        yield Measure(f"any row of {table.name}", f"EXISTS (SELECT 1 FROM {quoted(table.name)})")


def _is_of(measure: Measure, touched: Collection[str], large: Mapping[str, Table]) -> bool:
    """Return True if a measure is about a large table whose rows a script adds or removes."""
    names = {large[name].name for name in touched if name in large}
    return measure.name in {f"{what} of {name}" for name in names for what in ("rows", "lowest id", "highest id")}


def _parents(connection: Connection, readings: Iterable[Reading], known: _Known) -> Iterator[Measure]:
    """Yield counts of rows with children in a large table, for each parent table from which a script deletes rows."""
    children, renames = facts(connection).children, {each.table for each in readings if each.verb == "RENAME COLUMN"}
    for parent in dict.fromkeys(each.table for each in readings if each.verb in {"DROP TABLE", "DELETE"}):
        for child in children.get(parent, ()) if parent in known.counted else ():
            if folded(child.table) in known.large.keys() - renames - {*known.anew} and _is_quick(
                connection, child, known.stays[parent]
            ):
                yield _with_rows(known.stays[parent], child)


def _is_quick(connection: Connection, child: Child, parent: Table) -> bool:
    """Return True if the parents with children can be counted quickly.

    They can if an index of the child table begins with the referencing column, and the column references the parent's
    rowid.
    """
    if len(child.columns) > 1 or not parent.is_numbered:
        return False
    target = connection.execute(_TARGET, (child.table, child.columns[0], parent.name)).fetchone()
    by_key = target is not None and folded(target[0] or parent.key[0].name) == parent.key[0].name
    return by_key and connection.execute(_LEADS, (child.table, child.columns[0])).fetchone() is not None


def _with_rows(parent: Table, child: Child) -> Measure:
    # without the +, the engine would convert each value of the child, and could not use the index
    own = f"SELECT 1 FROM {quoted(child.table)} AS c WHERE c.{quoted(child.columns[0])} = +p.{parent.rowid}"
    found = f"(SELECT count(*) FROM {quoted(parent.name)} AS p WHERE EXISTS ({own}))"
    return Measure(f"rows of {parent.name} that have rows in {child.table}.{child.columns[0]}", found, NOT_FEWER)


def _summary(tables_counted: Sequence[str], others: Iterable[Measure]) -> str:
    rows = [f"rows of {', '.join(_few(tables_counted, 'table'))} counted"] if tables_counted else []
    return "; ".join([*rows, *_few([each.name for each in others], "figure"), "foreign keys off"])


def _few(names: Sequence[str], noun: str) -> list[str]:
    """Return the first names, then the number of the others: the plan stays short, although all are asserted."""
    rest = len(names) - NAMED
    return [*names] if rest <= 0 else [*names[:NAMED], f"and {counted(rest, f'more {noun}')}"]
