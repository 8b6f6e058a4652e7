"""Compare what became of the rows with what the change declares."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from steps.support.proof.rows.intended import Explained
from steps.support.proof.rows.result import Columns, TableDiff, sample_value
from steps.support.sql.directives import Declaration, Range
from steps.support.sql.findings import Finding
from steps.support.sql.tokens import folded, quoted

_TYPES = {int: "INTEGER", float: "REAL", str: "TEXT", bytes: "BLOB", type(None): "NULL"}
COLUMN_LOST, RETYPED = "column-lost", "retyped"
VALUES_CHANGED, VALUES_SWAPPED = "values-changed", "values-swapped"
_NOTHING = Explained()


def check_declared(
    diff: Mapping[str, TableDiff],
    changes: Mapping[str, Range | None],
    cascades: Sequence[Finding] = (),
    columns: Sequence[Declaration] = (),
    explained: Explained = _NOTHING,
) -> list[Finding]:
    """Return findings for rows and values that differ from the `-- changes:` lines, or are lost without one.

    `columns`: the lines that declare only values. `explained`: what the script explains by itself; that counts if
    no line is about rows. `cascades` replace the plain finding about the same table. Changed
    values and lost rows can only be declared; a lost column can be accepted as `column-lost`.
    """
    named = {each.place: each for each in cascades}
    lines = _Lines({folded(table): amount for table, amount in changes.items()}, columns, explained)
    both = {**{table: TableDiff(table, None, None) for table in lines.tables}, **diff}
    return [finding for table, found in both.items() for finding in _of_table(table, found, lines, named)]


def all_columns(lines: Iterable[Declaration]) -> Columns:
    """Return the columns of several lines about one table, together."""
    return tuple(dict.fromkeys(column for each in lines for column in each.columns))


def declaration(found: TableDiff, column: str = "") -> str:
    """Return the line that declares what became of a table's rows, or of the values in one column."""
    if not column:
        return f"-- changes: {_written(found.name)} {found.total}"
    return f"-- changes: {_written(found.name)}({_written(column)}) {found.columns[column]}"


def _written(name: str) -> str:
    return name if re.fullmatch(r"[\w$]+", name) else quoted(name)


@dataclass(frozen=True, slots=True)
class _Lines:
    """The `-- changes:` lines: `rows` by table, `columns` line by line; and the columns that need none."""

    rows: Mapping[str, Range | None]
    columns: Sequence[Declaration]
    explained: Explained

    @property
    def tables(self) -> list[str]:
        return [*dict.fromkeys((*self.rows, *(folded(each.table) for each in self.columns)))]

    def of(self, table: str) -> list[Declaration]:
        """Return the lines that declare values of a table."""
        return [each for each in self.columns if folded(each.table) == table]

    def all_of(self, table: str) -> Columns:
        """Return all columns whose values the lines declare."""
        return all_columns(self.of(table))

    def declares(self, table: str, column: str) -> bool:
        """Return whether a line says that the values of a column may change."""
        own = self.all_of(table)
        return column in own if own else table in self.rows

    def explains(self, table: str, column: str) -> bool:
        """Return whether the values of a column need no line; if a line is about rows, nothing else may change."""
        return not self.rows and column in self.explained.columns.get(table, ())

    def is_replaced(self, table: str) -> bool:
        """Return whether an UPDATE explains the rows that seem gone, and no line is about the table."""
        return not self.tables and table in self.explained.tables


def _of_table(table: str, found: TableDiff, lines: _Lines, named: Mapping[str, Finding]) -> Iterator[Finding]:
    kept = lines.is_replaced(table)
    cause = _undeclared(table, found, lines) if lines.rows or lines.of(table) else None if kept else _lost(found)
    as_declared = bool(lines.tables) and not cause
    if not as_declared and found.name in named:
        yield named[found.name]
    else:
        if cause:
            yield Finding(found.name, cause, f"Keep those rows, or declare the change: `{declaration(found)}`.")
        yield from _values(table, found, lines)
    yield from (_out_of_range(found, line) for line in lines.of(table) if not _is_in_range(found, line))
    yield from _columns(found)
    for column, count in found.retyped.items():
        cause = f"{count:,} values have a different type than before{_types(found, column)}"
        remedy = "Store them as the code reads them: an ORM reads a time stored as text as an invalid date."
        yield Finding(place := f"{found.name}.{column}", cause, remedy, rule=RETYPED, object=place)


def _types(found: TableDiff, column: str) -> str:
    """Return the types that values of a column had and have, and one of its rows; empty if no row is known."""
    name = folded(column)
    both = [(row.key, row.old[name], row.new[name]) for row in found.rows if name in row.old and name in row.new]
    retyped = [(key, old, new) for key, old, new in both if None not in {old, new} and type(old) is not type(new)]
    if not retyped:
        return ""
    pairs = Counter((_TYPES[type(old)], _TYPES[type(new)]) for _, old, new in retyped)
    words = ", ".join(f"{count:,} {old} became {new}" for (old, new), count in pairs.items())
    key, old, new = retyped[0]
    ids = [f"{each} {sample_value(each, value, is_key=True)}" for each, value in key]
    values = " -> ".join(sample_value(column, value) for value in (old, new))
    return f": {words}, for example {', '.join([*ids, f'{column} {values}'])}"


def _undeclared(table: str, found: TableDiff, lines: _Lines) -> str | None:
    what = _counts(found)
    if table in lines.rows:
        low, high = lines.rows[table] or (found.total, found.total)
        return None if low <= found.total <= high else f"{what}, and {low} to {high} rows were declared to change"
    is_found_again = not found.by_key and lines.all_of(table) in found.in_columns
    if not found.added + found.removed or is_found_again:
        return None  # each changed column has a finding of its own
    return f"{what}, and {'only values were declared' if lines.of(table) else 'no `-- changes:` line names it'}"


def _values(table: str, found: TableDiff, lines: _Lines) -> Iterator[Finding]:
    """Yield findings about changed values in columns that are there before and after."""
    swapped = {column: circle for circle in found.exchanged for column in circle}
    listed = {*lines.all_of(table)}
    for column, count in found.columns.items():
        place, own = f"{found.name}.{column}", swapped.get(column)
        is_said = lines.explains(table, folded(column)) and not own
        is_declared = is_said or lines.declares(table, folded(column))
        if not is_declared and found.converted.get(column, 0) < count:
            taken = f"; {_circle(own)}" if own else ""
            cause = f"{count:,} of {found.before or 0:,} values changed{_example(found, column)}{taken}"
            remedy = (
                f"Keep them: copy the column by its name. If it is meant, declare it: `{declaration(found, column)}`."
            )
            yield Finding(place, cause, remedy, rule=VALUES_CHANGED, object=place, final=True)
    for circle in found.exchanged if table in lines.rows else ():
        if not {*map(folded, circle)} <= listed:
            place, line = f"{found.name}.{circle[0]}", ", ".join(map(_written, circle))
            cause = f"{_circle(circle)}{_example(found, circle[0])}"
            remedy = (
                f"Copy by name, not by position. If it is meant, write `-- changes: {_written(found.name)}({line})`."
            )
            yield Finding(place, cause, remedy, rule=VALUES_SWAPPED, object=place)


def _circle(columns: Sequence[str]) -> str:
    return f"{' and '.join(columns)} exchanged their values"


def _example(found: TableDiff, column: str) -> str:
    return f", for example {found.examples[column]}" if column in found.examples else ""


def _is_in_range(found: TableDiff, line: Declaration) -> bool:
    if line.amount is None:
        return True
    low, high = line.amount
    return low <= found.in_columns.get(line.columns, 0) <= high


def _out_of_range(found: TableDiff, line: Declaration) -> Finding:
    columns, count = ", ".join(map(_written, line.columns)), found.in_columns.get(line.columns, 0)
    low, high = line.amount or (count, count)
    what = f"{_written(found.name)}({columns})"
    cause = f"values of {columns} changed in {count:,} of {found.before or 0:,} rows, and {low} to {high} were declared"
    return Finding(
        found.name, cause, f"Change only the rows that are meant, or declare them: `-- changes: {what} {count}`."
    )


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
