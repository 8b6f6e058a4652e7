"""Which rows a rollback holds on to: those of every table that a script rewrites, by what the rehearsal saw."""

from collections.abc import Sequence
from dataclasses import replace

from steps.support.gateways import guards
from steps.support.gateways.guards import Guards, Measure
from steps.support.proof.guarding import spare
from steps.support.proof.lint_reading import read, unquoted
from steps.support.proof.rehearsal import Undone
from steps.support.proof.schema_text import folded
from steps.support.sql_folder import DatabaseChange
from steps.support.sql_owned import KEPT
from steps.support.sql_text import Script


def none_lost(unbounded: Guards, change: DatabaseChange, undone: Sequence[Undone]) -> Guards:
    """Hold on the way back the rows of every table that a script rewrites.

    A row that the old schema cannot hold may wait in a table that rollback.sql keeps; no more of them may go than the
    rehearsal saw go, and a little. `undone` is empty where nothing was rolled back, and the change is refused.
    """
    if not undone:
        return unbounded
    back = tuple(
        _kept_or_there(each, change.scripts[1], undone) if each.slack == guards.UNBOUNDED_LOSS else each
        for each in unbounded.back
    )
    return replace(unbounded, back=back)


def _kept_or_there(measure: Measure, script: Script, undone: Sequence[Undone]) -> Measure:
    """Count with a table the rows of it that wait elsewhere.

    In the rehearsal such a table held rows only where this one lost some; one that did so beside it holds copies.
    """
    table = measure.name.removeprefix(guards.ROWS_OF)
    waiting = [
        name
        for name in _kept_of(folded(table), script)
        if all(name in each.kept and not (each.kept[name] and each.growth[measure.name] >= 0) for each in undone)
    ]
    grew = min(each.growth[measure.name] + sum(each.kept[name] for name in waiting) for each in undone)
    counts = " + ".join([measure.expression, *(guards.rows_of(name).expression for name in waiting)])
    slack = grew - spare(-grew) if grew < 0 else 0
    return replace(measure, expression=f"({counts})", before=measure.expression, slack=slack)


def _kept_of(table: str, script: Script) -> list[str]:
    """Return the tables of ours that a script fills with rows of a table, by way of others or not."""
    sources: dict[str, set[str]] = {}
    for piece in script.pieces:
        reading = read(piece)
        if reading.verb in {"CREATE TABLE", "INSERT"}:
            names = {unquoted(token.text) for token in piece.tokens if token.kind in {"word", "name"}}
            sources.setdefault(reading.table, set()).update(names - {reading.table})
    filled = {table}
    while more := {name for name, others in sources.items() if others & filled} - filled:
        filled |= more
    return sorted(name for name in filled if name.startswith(KEPT))
