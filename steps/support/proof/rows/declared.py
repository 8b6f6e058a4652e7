"""Compare what became of the rows with what the change declares."""

import re
from collections.abc import Iterator, Mapping, Sequence

from steps.support.proof.rows.result import TableDiff
from steps.support.sql.directives import Range
from steps.support.sql.findings import Finding
from steps.support.sql.tokens import folded, quoted

COLUMN_LOST, RETYPED = "column-lost", "retyped"


def check_declared(
    diff: Mapping[str, TableDiff], changes: Mapping[str, Range | None], cascades: Sequence[Finding] = ()
) -> list[Finding]:
    """Return findings for rows that differ from the `-- changes:` lines, or are lost without one, and lost columns.

    `cascades` replace the plain finding about the same table. Lost rows can only be declared; a lost column can be
    accepted as `column-lost`.
    """
    declared = {folded(table): amount for table, amount in changes.items()}
    named = {each.place: each for each in cascades}
    both = {**{table: TableDiff(table, None, None) for table in declared}, **diff}
    return [finding for table, found in both.items() for finding in _of_table(table, found, declared, named)]


def declaration(found: TableDiff) -> str:
    """Return the line that declares what became of a table's rows."""
    name = found.name if re.fullmatch(r"[\w$]+", found.name) else quoted(found.name)
    return f"-- changes: {name} {found.total}"


def _of_table(
    table: str, found: TableDiff, declared: Mapping[str, Range | None], named: Mapping[str, Finding]
) -> Iterator[Finding]:
    cause = _undeclared(table, found, declared) if declared else _lost(found)
    as_declared = bool(declared) and not cause
    if not as_declared and found.name in named:
        yield named[found.name]
    elif cause:
        yield Finding(found.name, cause, f"Keep those rows, or declare the change: `{declaration(found)}`.")
    yield from _columns(found)
    for column, count in found.retyped.items():
        cause = f"{count:,} values have a different type than before"
        remedy = "Store them as the code reads them: an ORM reads a time stored as text as an invalid date."
        yield Finding(place := f"{found.name}.{column}", cause, remedy, rule=RETYPED, object=place)


def _undeclared(table: str, found: TableDiff, declared: Mapping[str, Range | None]) -> str | None:
    what = _counts(found)
    if table not in declared:
        return f"{what}, and no `-- changes:` line names it" if found.total else None
    low, high = declared[table] or (found.total, found.total)
    return None if low <= found.total <= high else f"{what}, and {low} to {high} rows were declared to change"


def _lost(found: TableDiff) -> str | None:
    return f"{_counts(found)}, and no loss was declared" if found.removed else None


def _counts(found: TableDiff) -> str:
    counts = {"added": found.added, "removed": found.removed, "changed": found.changed}
    words = (
        ", ".join(f"{count:,} {what}" for what, count in counts.items() if count) or "none added, removed or changed"
    )
    return f"of {found.before or 0:,} rows {words}"


def _columns(found: TableDiff) -> Iterator[Finding]:
    for column in found.only_before:
        if column.values and column.became is None:
            cause = f"{column.values:,} values are lost with the column"
            remedy = "Keep them in another column, and drop this one in a later change."
            yield Finding(place := f"{found.name}.{column.name}", cause, remedy, rule=COLUMN_LOST, object=place)
