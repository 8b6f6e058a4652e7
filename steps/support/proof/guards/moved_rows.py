"""Guard rows that move between tables, in the migration and in the rollback.

If a script drops or renames a table, the transaction counts the table's rows before the script. After the script, it
counts the rows of the tables to which the script moved them. Rows that the old schema cannot hold may wait in a table
that rollback.sql keeps. Production may lose only a few more rows than the rehearsal lost.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from steps.support.gateways import guards
from steps.support.gateways.guards import NOT_FEWER, UNBOUNDED_LOSS, Guards, Measure
from steps.support.proof.guards.choose import COUNTED, allowance, plain_tables
from steps.support.proof.guards.row_flow import Flow, kept_of, remaining_tables, row_flow
from steps.support.proof.rehearsal.rehearsal import RollbackEffect
from steps.support.schema.connection import Connection
from steps.support.schema.own_tables import KEPT
from steps.support.sql.change import DatabaseChange
from steps.support.sql.script import Script
from steps.support.sql.tokens import folded, tokenize
from steps.support.sql.verbs import read_statement, unquoted

_TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table'"


def with_moved_rows(chosen: Guards, connection: Connection, rows: Mapping[str, int], change: DatabaseChange) -> Guards:
    """Add guards for the rows of tables that a script drops or renames.

    `connection`: the database before the change. `rows`: the number of rows by table. After the rehearsal,
    `hold_rewritten_tables` adds the bound on lost rows.
    """
    plain = plain_tables(connection)
    found = {folded(name) for (name,) in connection.execute(_TABLES)}
    sizes = {name: rows.get(table.name, 0) for name, table in plain.items()}
    migrate, rollback = (row_flow(script) for script in change.scripts)
    there = [*_of_lost_tables(migrate, sizes)]
    after = remaining_tables(found, map(read_statement, change.scripts[0].pieces))
    back = dict.fromkeys((*_of_sources(rollback, sizes, after), *_of_joined(rollback, sizes, after)))
    words = "; ".join([chosen.measured, *(each.name for each in there)])
    return replace(chosen, there=(*there, *chosen.there), back=(*chosen.back, *back), measured=words)


def hold_rewritten_tables(unbounded: Guards, change: DatabaseChange, undone: Sequence[RollbackEffect]) -> Guards:
    """Bound the rows that a rollback may lose by what the rehearsed rollbacks lost.

    `undone`: what the rehearsed rollbacks did; empty if no rollback ran, and then the change is refused anyway.
    """
    if not undone:
        return unbounded
    script = change.scripts[1]
    flow = row_flow(script)
    back = (
        _bounded_by_rehearsal(each, flow, script, undone) if each.slack == UNBOUNDED_LOSS else each
        for each in unbounded.back
    )
    return replace(unbounded, back=tuple(filter(None, back)))


def _of_lost_tables(flow: Flow, sizes: Mapping[str, int]) -> Iterator[Measure]:
    """Yield a guard for each table that migrate.sql removes; the guard counts the rows in the tables they moved to."""
    for source in sorted(flow.gone & sizes.keys()):
        into = [name for name in flow.into(source) if name in {*sizes, *flow.made} or name.startswith(KEPT)]
        is_known = into or not sizes[source]  # else a view or a trigger moves the rows
        is_small = sizes[source] <= COUNTED or any(flow.contents[name].is_copied for name in into)
        is_held = source in into or flow.is_whole(source, into)
        if is_known and is_small and not is_held and _is_cheap(into, flow, sizes):
            yield _moved([source], into)


def _of_sources(flow: Flow, sizes: Mapping[str, int], found: set[str]) -> Iterator[Measure]:
    """Yield a guard for each table that rollback.sql removes; the guard counts the rows in the old tables."""
    for source in sorted(flow.gone & found):
        into = [name for name in flow.into(source) if name in sizes]
        if into and not flow.is_whole(source, into) and _is_cheap(into, flow, sizes):
            yield _moved([source], into)


def _of_joined(flow: Flow, sizes: Mapping[str, int], found: set[str]) -> Iterator[Measure]:
    """Yield guards if rollback.sql joins rows of several tables into one: a guard for each table, and one for all."""
    for table, contents in sorted(flow.contents.items()):
        sources = sorted(contents.tables)
        taken = {each for each in sources if each in flow.gone and not flow.is_whole(each, [table])}
        is_known = contents.tables <= found and all(each in flow.gone or each == table for each in sources)
        if table in sizes and taken and sources[1:] and is_known and _is_cheap([table], flow, sizes):
            yield from (_moved([source], [table]) for source in sources)
            yield _moved(sources, [table])


def _is_cheap(tables: Sequence[str], flow: Flow, sizes: Mapping[str, int]) -> bool:
    """Return True if counting these tables is cheap: they are small, or the script copies them, which takes longer."""
    return all(
        sizes.get(name, 0) <= COUNTED or (name in flow.made and flow.contents[name].is_copied) for name in tables
    )


def _moved(sources: Sequence[str], into: Sequence[str]) -> Measure:
    name = f"{guards.ROWS_OF}{' and '.join(sources)} in {' and '.join(into) or 'no other table'}"
    return Measure(name, _rows(into), NOT_FEWER, UNBOUNDED_LOSS, _rows(sources))


def _rows(tables: Sequence[str]) -> str:
    return f"({' + '.join(guards.rows_of(name).expression for name in tables) or '0'})"


def _bounded_by_rehearsal(
    measure: Measure, flow: Flow, script: Script, undone: Sequence[RollbackEffect]
) -> Measure | None:
    """Return a measure bounded by what the rehearsal lost; None if the measure cannot show a loss."""
    sources, into = _named(measure.before or measure.expression), _named(measure.expression)
    if not measure.before:
        return _bounded(measure, _waiting(measure, script, undone), undone, spared=0)
    if sources == into:  # the table's own guard counts the same
        return None
    contents = [flow.contents[name] for name in into]
    is_alone = all(each.tables == {*sources} for each in contents) and not sources[1:]
    waiting = _waiting(measure, script, undone, is_alone=is_alone)
    is_chosen = any(each.beside for each in contents)
    spared = allowance(0) if is_chosen or any(each.is_loose for each in contents) else 0
    if sources[1:]:
        is_apart = _stayed_apart(measure, into[0], sources, waiting, undone)
        return _bounded(measure, waiting, undone, spared) if is_apart else None
    if is_chosen and all(_grew(measure.name, waiting, each) > 0 for each in undone):  # one row became several
        return None
    if not sources[0].startswith(KEPT):
        return _bounded(measure, waiting, undone, spared=0)
    return _bounded(measure, waiting, undone, spared) if _is_all_there_was(flow, into) else None


def _is_all_there_was(flow: Flow, into: Sequence[str]) -> bool:
    """Return True if tables are restored only from the tool's own tables, whose rows the app cannot remove."""
    contents = [flow.contents[name] for name in into]
    live = {
        name for each in contents for name in (each.tables | (each.beside & flow.gone)) if not name.startswith(KEPT)
    }
    return not live and not any(flow.found(name) for name in into)


def _stayed_apart(
    total: Measure, table: str, sources: Sequence[str], waiting: Sequence[str], undone: Sequence[RollbackEffect]
) -> bool:
    """Return True if, in the rehearsal, each source had rows and each of their rows became one row of the table.

    Then the table has exactly as many rows as all sources together.
    """
    others = [_moved([source], [table]).name for source in sources]
    exact = all(_grew(total.name, waiting, each) == 0 for each in undone)
    figures = [[_grew(name, waiting, each) for name in others] for each in undone]
    return exact and any(sum(each) > (len(each) - 1) * max(each) for each in figures)


def _waiting(measure: Measure, script: Script, undone: Sequence[RollbackEffect], *, is_alone: bool = True) -> list[str]:
    """Return the names of the tool's own tables in which rows of a measure's sources wait for the next migration.

    If such a table had rows after a rehearsed rollback that lost no row, these rows are copies, and do not wait.
    `is_alone`: whether only the rows of one source arrived; if not, copies cannot be recognized.
    """
    sources = _named(measure.before or measure.expression)
    names = dict.fromkeys(name for source in sources for name in kept_of(source, script) if name not in sources)
    return [
        name
        for name in names
        if all(
            name in each.kept and not (is_alone and each.kept[name] and each.growth[measure.name] >= 0)
            for each in undone
        )
    ]


def _grew(name: str, waiting: Sequence[str], undone: RollbackEffect) -> int:
    return undone.growth[name] + sum(undone.kept[each] for each in waiting)


def _bounded(measure: Measure, waiting: Sequence[str], undone: Sequence[RollbackEffect], spared: int) -> Measure:
    """Return a measure that also counts waiting rows, bounded by the largest rehearsed loss plus an allowance.

    `waiting`: the tables in which the rows wait. `spared`: how many rows may be lost even if the rehearsal lost none.
    """
    grew = min(_grew(measure.name, waiting, each) for each in undone)
    counts = " + ".join([measure.expression, *(guards.rows_of(name).expression for name in waiting)])
    before = measure.before or measure.expression
    slack = grew - allowance(-grew) if grew < 0 else -spared
    return replace(measure, expression=f"({counts})", before=before, slack=slack)


def _named(expression: str) -> list[str]:
    """Return the names of the tables that an expression counts, in lower case."""
    return [unquoted(token.text) for token in tokenize(expression) if token.kind == "name"]
