"""Replace times of writing in rows by constants, so that a verdict does not depend on when a statement ran.

All times in the same unit become the same constant, so later comparisons need not treat times specially.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from steps.support.proof.rehearsal.moments import Moments
from steps.support.proof.rows.result import Kind, Row, TableDiff, TimeOfWriting
from steps.support.sql.statement import Value
from steps.support.sql.tokens import folded

Diff = Mapping[str, TableDiff]


def without_times(diffs: Iterable[Diff | None], moments: Moments) -> list[Diff | None]:
    """Return the diffs of one rehearsal with a constant in place of each time of writing.

    A change from one time of writing to another is no difference, and a row without any other difference is left out.
    Primary keys keep their times, because they identify rows; samples keep theirs, too. `moments`: the time span of the
    rehearsal.
    """
    several = [*diffs]
    keys = _keys(several)
    return [
        None if diff is None else {name: _timeless(found, moments, keys.get(name, ())) for name, found in diff.items()}
        for diff in several
    ]


def with_constants(rows: Sequence[Sequence[Value]], moments: Moments) -> list[list[Value]]:
    """Return the rows, with a constant appended for each value that is a time of writing.

    The times themselves stay, because they may belong to a key.
    """
    return [[*row, *(TimeOfWriting(unit) for unit in map(moments.unit, row) if unit)] for row in rows]


def _keys(diffs: Iterable[Diff | None]) -> Mapping[str, set[str]]:
    """Return, by table, the columns that belong to a primary key in any of the diffs."""
    found = dict[str, set[str]]()
    for diff in diffs:
        for name, table in (diff or {}).items():
            found.setdefault(name, set()).update(column for row in table.rows for column, _ in row.key)
    return found


def _timeless(found: TableDiff, moments: Moments, keys: Collection[str]) -> TableDiff:
    rows = tuple(_without_pairs(_row(row, moments, keys) for row in found.rows))
    if found.total != len(found.rows) or rows == found.rows:  # too many rows to list, or no time of writing
        return found
    kinds, columns = Counter(row.kind for row in rows), Counter(name for row in rows for name in _changed(row))
    return replace(
        found,
        added=kinds[Kind.ADDED],
        removed=kinds[Kind.REMOVED],
        changed=kinds[Kind.CHANGED],
        columns={name: columns[folded(name)] for name in found.columns if columns[folded(name)]},
        rows=rows,
    )


def _row(row: Row, moments: Moments, keys: Collection[str]) -> Row:
    old, new, unchanged = (
        {name: value if name in keys else _constant(value, moments) for name, value in side.items()}
        for side in (row.old, row.new, row.unchanged)
    )
    if row.kind is not Kind.CHANGED:
        return replace(row, old=old, new=new)
    same = {name: value for name, value in new.items() if isinstance(value, TimeOfWriting) and old[name] == value}
    old, new = ({name: value for name, value in side.items() if name not in same} for side in (old, new))
    return replace(row, old=old, new=new, unchanged={**unchanged, **same})


def _constant(value: Value, moments: Moments) -> Value:
    unit = moments.unit(value)
    return TimeOfWriting(unit) if unit else value


def _without_pairs(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield the rows that still differ after times became constants.

    A changed row is left out if only a time of writing changed. Without a key, such a row counts as removed and added;
    both now have the same values, and cancel out.
    """
    several = [row for row in rows if row.kind is not Kind.CHANGED or row.new]
    gone, came = (
        Counter(_values(row) for row in several if row.kind is kind and not row.key)
        for kind in (Kind.REMOVED, Kind.ADDED)
    )
    left = {Kind.REMOVED: gone & came, Kind.ADDED: gone & came}
    for row in several:
        if not row.key and left[row.kind][_values(row)]:
            left[row.kind][_values(row)] -= 1
        else:
            yield row


def _values(row: Row) -> frozenset[tuple[str, type, Value]]:
    return frozenset((name, type(value), value) for name, value in (row.new or row.old).items())


def _changed(row: Row) -> Collection[str]:
    return row.new if row.kind is Kind.CHANGED else ()
