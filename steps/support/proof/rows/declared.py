"""What became of the rows, held against what the change says will become of them."""

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
    """Give what is not as the `-- changes:` lines of a script say, or lost where there is none, and columns lost.

    `cascades` are told instead of the plain loss of the same table. Rows lost can only be declared; a column lost is
    accepted as `column-lost`.
    """
    declared = {folded(table): amount for table, amount in changes.items()}
    named = {each.place: each for each in cascades}
    there = {**{table: TableDiff(table, None, None) for table in declared}, **diff}
    return [finding for table, found in there.items() for finding in _of_table(table, found, declared, named)]


def declaration(found: TableDiff) -> str:
    """Give the line that declares what became of a table's rows."""
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
        yield Finding(found.name, cause, f"See that those rows stay, or declare it: `{declaration(found)}`.")
    yield from _columns(found)
    for column, count in found.retyped.items():
        cause = f"{count:,} values are of another type than before"
        remedy = "Store them as the code reads them: an ORM takes a time of text for an invalid date."
        yield Finding(place := f"{found.name}.{column}", cause, remedy, rule=RETYPED, object=place)


def _undeclared(table: str, found: TableDiff, declared: Mapping[str, Range | None]) -> str | None:
    what = _told(found)
    if table not in declared:
        return f"{what}, and no `-- changes:` line names it" if found.total else None
    low, high = declared[table] or (found.total, found.total)
    return None if low <= found.total <= high else f"{what}, and {low} to {high} rows were declared to change"


def _lost(found: TableDiff) -> str | None:
    return f"{_told(found)}, and nothing was declared to be lost" if found.removed else None


def _told(found: TableDiff) -> str:
    counts = {"added": found.added, "removed": found.removed, "changed": found.changed}
    said = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count) or "none added, removed or changed"
    return f"of {found.before or 0:,} rows {said}"


def _columns(found: TableDiff) -> Iterator[Finding]:
    for column in found.only_before:
        if column.values and column.became is None:
            cause = f"{column.values:,} values are lost with the column"
            remedy = "Keep them in another column, and drop this one in a later change."
            yield Finding(place := f"{found.name}.{column.name}", cause, remedy, rule=COLUMN_LOST, object=place)
