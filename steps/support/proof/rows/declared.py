"""Compare the rows that a change really changed with those that its `-- changes:` lines declare."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from steps.support.core.text import counted
from steps.support.proof.rows.intended import Explained
from steps.support.proof.rows.result import Columns, Kind, Renamed, TableDiff, sample_value
from steps.support.sql.directives import Declaration, Range
from steps.support.sql.findings import Finding
from steps.support.sql.tokens import folded, quoted

_TYPES = {int: "INTEGER", float: "REAL", str: "TEXT", bytes: "BLOB", type(None): "NULL"}
COLUMN_LOST, RETYPED = "column-lost", "retyped"
VALUES_CHANGED, VALUES_SWAPPED = "values-changed", "values-swapped"
_NOTHING = Explained()


def check_declared(  # noqa: PLR0913, PLR0917 - what changed, and everything that may declare it
    diff: Mapping[str, TableDiff],
    changes: Mapping[str, Range | None],
    cascades: Sequence[Finding] = (),
    columns: Sequence[Declaration] = (),
    explained: Explained = _NOTHING,
    renamed: Sequence[Renamed] = (),
) -> list[Finding]:
    """Return findings about changes of rows and values that differ from what was declared, and about undeclared losses.

    `changes`: by table, how many rows may change. `columns`: the lines that declare only changed values of columns.
    `explained`: the changes that the script explains by itself; they need no line, unless some line declares rows.
    `cascades`: findings that replace the plain finding about the same table. Only a `-- changes:` line allows changed
    values and lost rows; a waiver for `column-lost` can accept a lost column. `renamed`: the tables that have another
    name now. A line about the rows of such a table declares that rows are removed and added, and no changed values.
    """
    named = {each.place: each for each in cascades}
    lines = _Lines({folded(table): amount for table, amount in changes.items()}, columns, explained)
    both = {**{table: TableDiff(table, None, None) for table in lines.tables}, **diff}
    for each in renamed:
        name = folded(each.found.name)
        both[name] = replace(both[name], in_columns=each.found.in_columns, by_key=True)
    found_in = [finding for table, found in both.items() for finding in _of_table(table, found, lines, named)]
    return [*found_in, *(finding for each in renamed for finding in _of_renamed(each, lines))]


def all_columns(lines: Iterable[Declaration]) -> Columns:
    """Return all columns that several lines about one table name."""
    return tuple(dict.fromkeys(column for each in lines for column in each.columns))


def declaration(found: TableDiff, column: str = "") -> str:
    """Return the `-- changes:` line that declares what happened to a table's rows, or to the values of a column."""
    if not column:
        return f"-- changes: {_written(found.name)} {found.total}"
    return f"-- changes: {_written(found.name)}({_written(column)}) {found.columns[column]}"


def _written(name: str) -> str:
    return name if re.fullmatch(r"[\w$]+", name) else quoted(name)


@dataclass(frozen=True, slots=True)
class _Lines:
    """The `-- changes:` lines of a script.

    `rows`: by table, how many rows may change. `columns`: the lines about columns. `explained`: the columns that need
    no line.
    """

    rows: Mapping[str, Range | None]
    columns: Sequence[Declaration]
    explained: Explained

    @property
    def tables(self) -> list[str]:
        return [*dict.fromkeys((*self.rows, *(folded(each.table) for each in self.columns)))]

    def of(self, table: str) -> list[Declaration]:
        """Return the lines about columns of a table."""
        return [each for each in self.columns if folded(each.table) == table]

    def all_of(self, table: str) -> Columns:
        """Return all columns of a table that lines name."""
        return all_columns(self.of(table))

    def declares(self, table: str, column: str) -> bool:
        """Return True if a line allows the values of a column to change."""
        own = self.all_of(table)
        return column in own if own else table in self.rows

    def explains(self, table: str, column: str) -> bool:
        """Return True if the script explains the values of a column, so that it needs no line.

        If a line declares rows of any table, nothing may change without a line.
        """
        return not self.rows and column in self.explained.columns.get(table, ())

    def is_replaced(self, table: str) -> bool:
        """Return True if an UPDATE explains the rows that seem gone, and the script has no `-- changes:` line."""
        return not self.tables and table in self.explained.tables


def _of_table(table: str, found: TableDiff, lines: _Lines, named: Mapping[str, Finding]) -> Iterator[Finding]:
    kept = lines.is_replaced(table)
    cause = _undeclared(table, found, lines) if lines.rows or lines.of(table) else None if kept else _lost(found)
    as_declared = bool(lines.tables) and not cause
    if not as_declared and found.name in named:
        yield named[found.name]
    else:
        if cause:
            yield Finding(found.name, cause, f"Keep these rows, or declare the change: `{declaration(found)}`.")
        yield from _values(table, found, lines)
    yield from (_out_of_range(found, line) for line in lines.of(table) if not _is_in_range(found, line))
    yield from _columns(found)
    yield from _retyped(found)


def _retyped(found: TableDiff) -> Iterator[Finding]:
    for column, count in found.retyped.items():
        values = counted(count, "value has a different type", "values have a different type")
        cause = f"{values} than before{_types(found, column)}"
        remedy = "Store them as the code reads them: an ORM reads a time stored as text as an invalid date."
        yield Finding(place := f"{found.name}.{column}", cause, remedy, rule=RETYPED, object=place)


def _of_renamed(renamed: Renamed, lines: _Lines) -> Iterator[Finding]:
    """Yield findings about changed values and lost rows of a table that has another name now."""
    found, table = renamed.found, folded(renamed.found.name)
    named = {*lines.all_of(table)}
    said = {*named, *lines.explained.columns.get(table, ())}
    said |= {folded(column) for circle in found.exchanged for column in circle}  # these are named below
    for column, count in found.columns.items():
        if folded(column) not in said and found.converted.get(column, 0) < count:
            yield _changed_values(found, column, f" since they were in {renamed.source}")
    yield from (_swapped(found, circle) for circle in found.exchanged if not {*map(folded, circle)} <= named)
    yield from _retyped(found)
    is_said_already = bool(found.exchanged) and not found.by_key
    is_meant = found.removed <= _fewer(renamed, lines) or _is_keyed_anew(renamed, lines)
    if renamed.is_whole and not is_meant and not is_said_already:
        yield _not_taken_over(renamed)


def _fewer(renamed: Renamed, lines: _Lines) -> int:
    """Return how many rows the copy to the new name may lose, according to the numbers declared for both names."""
    old, new = (lines.rows.get(folded(name)) for name in (renamed.source, renamed.found.name))
    return max(0, old[1] - new[0]) if old and new else 0


def _is_keyed_anew(renamed: Renamed, lines: _Lines) -> bool:
    """Return True if lines name a column of the key.

    If no key identified the rows, return True if all rows are equal apart from the columns that lines name.
    """
    named = lines.all_of(folded(renamed.found.name))
    return bool({*named} & {*renamed.key}) if renamed.found.by_key else named in renamed.found.in_columns


def _not_taken_over(renamed: Renamed) -> Finding:
    found, source, table = renamed.found, renamed.source, _written(renamed.found.name)
    rows = f"{found.removed:,} of {counted(found.before or 0, 'row')} of {source}"
    fate = "is not there as it was" if found.removed == 1 else "are not there as they were"
    if (found.after or 0) < (found.before or 0):
        lines = f"`-- changes: {_written(source)} {found.before}`, `-- changes: {table} {found.after}`"
        meant = f"If fewer rows are meant, declare both numbers: {lines}."
    else:
        meant = f"If others are meant, declare: `-- changes: {table}({', '.join(renamed.key) or 'COLUMN'})`."
    remedy = f"Copy all rows and values of {source}. {meant}"
    return Finding(found.name, f"{rows} {fate}{_sample(found)}", remedy, final=True)


def _types(found: TableDiff, column: str) -> str:
    """Return the old and new types of a column's values, and one row as an example; empty if no row is known."""
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
        return None if low <= found.total <= high else f"{what}, and {_declared(low, high)} to change{_sample(found)}"
    is_found_again = not found.by_key and lines.all_of(table) in found.in_columns
    if not found.added + found.removed or is_found_again:
        return None  # each changed column has a finding of its own
    why = "only values were declared" if lines.of(table) else "no `-- changes:` line names the table"
    return f"{what}, and {why}{_sample(found)}"


def _values(table: str, found: TableDiff, lines: _Lines) -> Iterator[Finding]:
    """Yield findings about changed values in columns that exist before and after."""
    swapped = {column: circle for circle in found.exchanged for column in circle}
    listed = {*lines.all_of(table)}
    for column, count in found.columns.items():
        own = swapped.get(column)
        is_said = lines.explains(table, folded(column)) and not own
        is_declared = is_said or lines.declares(table, folded(column))
        if not is_declared and found.converted.get(column, 0) < count:
            yield _changed_values(found, column, "", f"; {_circle(own)}" if own else "")
    for circle in found.exchanged if table in lines.rows else ():
        if not {*map(folded, circle)} <= listed:
            yield _swapped(found, circle)


def _changed_values(found: TableDiff, column: str, since: str = "", taken: str = "") -> Finding:
    place, count = f"{found.name}.{column}", found.columns[column]
    cause = f"{count:,} of {counted(found.before or 0, 'value')} changed{since}{_example(found, column)}{taken}"
    remedy = (
        "Copy the column by its name, to keep its values. If the change is meant, declare it: "
        f"`{declaration(found, column)}`."
    )
    return Finding(place, cause, remedy, rule=VALUES_CHANGED, object=place, final=True)


def _swapped(found: TableDiff, circle: Sequence[str]) -> Finding:
    place, line = f"{found.name}.{circle[0]}", ", ".join(map(_written, circle))
    cause = f"{_circle(circle)}{_example(found, circle[0])}"
    remedy = (
        "Copy the columns by name, not by position. If the exchange is meant, write "
        f"`-- changes: {_written(found.name)}({line})`."
    )
    return Finding(place, cause, remedy, rule=VALUES_SWAPPED, object=place)


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
    changed = f"{count:,} of {counted(found.before or 0, 'row')}"
    cause = f"values of {columns} changed in {changed}, and {_declared(low, high)}"
    return Finding(
        found.name, cause, f"Change only the rows that are meant, or declare them: `-- changes: {what} {count}`."
    )


def _lost(found: TableDiff) -> str | None:
    return f"{_counts(found)}, and no loss was declared{_sample(found)}" if found.removed else None


def _sample(found: TableDiff) -> str:
    """Return a row that is gone, as an example; empty if none is known."""
    one = next((each for each in found.samples if each.kind is Kind.REMOVED), None)
    return f", for example {one}" if one else ""


def _counts(found: TableDiff) -> str:
    counts = {"added": found.added, "removed": found.removed, "changed": found.changed}
    (what, first), *others = [(what, count) for what, count in counts.items() if count] or [("changed", 0)]
    words = ", ".join([f"{counted(first, 'row')} {what}", *(f"{count:,} {what}" for what, count in others)])
    return f"{words} ({found.before or 0:,} before)"


def _declared(low: int, high: int) -> str:
    declared = counted(high, "row was declared", "rows were declared")
    return declared if low == high else f"{low:,} to {declared}"


def _columns(found: TableDiff) -> Iterator[Finding]:
    for column in found.only_before:
        if column.values and column.became is None:
            cause = f"{counted(column.values, 'value is', 'values are')} lost with the column"
            remedy = "Copy the values to another column, and drop this one in a later change."
            yield Finding(place := f"{found.name}.{column.name}", cause, remedy, rule=COLUMN_LOST, object=place)
