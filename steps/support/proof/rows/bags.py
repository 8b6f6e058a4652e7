"""Compare rows without a primary key: count how often each row of values occurs on both sides."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any, TypeVar

from steps.support.proof.rows.result import SAMPLES, Columns, Kind, Row, Sample, TableDiff, whole
from steps.support.proof.rows.tables import Pair, listed, materialize, rows_of
from steps.support.schema.connection import Connection
from steps.support.schema.reader import sample_text
from steps.support.sql.tokens import folded, quoted

Value = TypeVar("Value")
_Typed = tuple[tuple[type, Any], ...]

LOOKED_AT = 1_000  # if more rows differ, there is no search for exchanged columns
_COUNTS = "SELECT total(max(n, 0)), total(max(-n, 0)) FROM temp.differing"


def as_bags(connection: Connection, two: Pair, keep: int, groups: Collection[Columns] = ()) -> TableDiff:
    """Compare all rows of a table by the columns that both sides have.

    `keep`: if at most this many rows differ, the diff contains all of them. `groups`: groups of columns; for each
    group, the diff has the number of rows that changed in its columns, unless rows also changed outside all groups.
    """
    removed, added = _counts(connection, two)
    samples = (*_samples(connection, two, Kind.REMOVED), *_samples(connection, two, Kind.ADDED))
    before, after = rows_of(connection, two.old), rows_of(connection, two.new)
    rows = tuple(_rows(connection, two)) if removed + added <= keep else ()
    exchanged = tuple(_exchanged(connection, two))
    alone = _in_columns(connection, two, groups) if removed and removed == added else {}
    return TableDiff(
        two.old.name, before, after, added, removed,
        samples=samples, exchanged=exchanged, in_columns=alone, rows=rows,
    )  # fmt: skip


def _in_columns(connection: Connection, two: Pair, groups: Collection[Columns]) -> dict[Columns, int]:
    """Count, by group, the rows that changed in its columns; return {} if rows also changed outside all groups."""
    named = {name for group in groups for name in group}
    if not groups or _counts(connection, without_columns(two, named)) != (0, 0):
        return {}
    return {group: _counts(connection, without_columns(two, named - {*group}))[0] for group in groups}


def without_columns(two: Pair, columns: Collection[str]) -> Pair:
    """Return the pair without these columns, which are in lower case."""
    return replace(two, common=tuple(both for both in two.common if folded(both[0]) not in columns))


def _exchanged(connection: Connection, two: Pair) -> Iterator[tuple[str, str]]:
    """Yield each pair of columns that exchanged their values: most rows become equal if the values are exchanged back.

    Other columns are not compared if they share no value before and after, such as a key whose type changed.
    """
    values = listed(sample_text(f"c{n}") for n in range(len(two.common)))
    found = connection.execute(f"SELECT n{values} FROM temp.differing LIMIT {LOOKED_AT + 1}").fetchall()
    removed = [_typed(values) for n, *values in found for _ in range(n)]
    added = [_typed(values) for n, *values in found for _ in range(-n)]
    if not removed or not added or len(found) > LOOKED_AT:
        return
    places = range(len(two.common))
    kept = [place for place in places if {row[place] for row in removed} & {row[place] for row in added}]
    for one, other in combinations(places, 2):
        if _is_exchanged(removed, added, one, other, {*kept, one, other}):
            yield two.names[one], two.names[other]


def _is_exchanged(removed: Sequence[_Typed], added: Sequence[_Typed], one: int, other: int, kept: set[int]) -> bool:
    """Return True if most differing rows become equal when the columns `one` and `other` are exchanged back.

    `kept`: the only columns that are compared.
    """
    old, new = (
        Counter(tuple(value if place in kept else None for place, value in enumerate(row)) for row in rows)
        for rows in (removed, added)
    )
    gone, came = old - new, new - old
    back = Counter[tuple[tuple[type, Any] | None, ...]]()
    for row, count in gone.items():
        if row[one] != row[other]:
            back[_with_exchanged(row, one, other)] += count
    return (back & came).total() * 2 > gone.total()


def _typed(values: Sequence[Any]) -> _Typed:
    return tuple((type(value), value) for value in values)


def _with_exchanged(row: tuple[Value, ...], one: int, other: int) -> tuple[Value, ...]:
    changed = [*row]
    changed[one], changed[other] = row[other], row[one]
    return tuple(changed)


def is_same_in_bags(connection: Connection, two: Pair, found: TableDiff, old: str, new: str) -> bool:
    """Return True if a dropped column and a new one hold the same values, as far as rows without a key can show.

    They do if no further row differs when the two are compared as one column, and at least one row is unchanged.
    """
    counts = _counts(connection, replace(two, common=(*two.common, (old, new))))
    return counts == (found.removed, found.added) and found.removed < (found.before or 0)


def _counts(connection: Connection, two: Pair) -> tuple[int, int]:
    """Return how many rows are gone and how many were added, and keep these rows as `temp.differing`."""
    materialize(connection, _differing_values(two))
    removed, added = connection.execute(_COUNTS).fetchone()
    return int(removed), int(added)


def _differing_values(two: Pair) -> str:
    values = [f"c{n}" for n in range(len(two.common))]
    # without typeof, 1 and 1.0 would be one group in a column of any type
    groups = [f"{value} COLLATE BINARY, typeof({value}) = 'real'" for value in values]
    sides = f"{_side(two, 'b')} UNION ALL {_side(two, 'a')}"
    return f"""SELECT sum(side) AS n{listed(values)} FROM ({sides})
GROUP BY {", ".join(groups) or "''"} HAVING sum(side) <> 0"""


def _side(two: Pair, own: str) -> str:
    """Build the query for the rows of one side, `b` or `a`, each with the number 1 (before) or -1 (after).

    Rows that are equal under the same rowid, usually most of them, are left out on both sides.
    """
    sides = (two.old, "b", 0), (two.new, "a", 1)
    (table, _, at), (other, far, _) = sides if own == "b" else sides[::-1]
    values = listed(f"+{own}.{quoted(both[at])} AS c{n}" for n, both in enumerate(two.common))
    rows = f"SELECT {(1, -1)[at]} AS side{values} FROM {table.source} AS {own}"
    if table.rowid is None or other.rowid is None:
        return rows
    same, differ = f"{far}.{other.rowid} = {own}.{table.rowid}", f"{far}.{other.rowid} IS NULL OR {two.differ}"
    return f"{rows} LEFT JOIN {other.source} AS {far} ON {same} WHERE {two.may_differ(own)} AND ({differ})"


def _samples(connection: Connection, two: Pair, kind: Kind) -> Iterator[Sample]:
    names = [old if kind is Kind.REMOVED else new for old, new in two.common]
    values = ", ".join(sample_text(f"c{n}") for n in range(len(names))) or "NULL"
    condition = "n > 0" if kind is Kind.REMOVED else "n < 0"
    query = f"SELECT {values} FROM temp.differing WHERE {condition} LIMIT {SAMPLES}"
    for row in connection.execute(query).fetchall():
        yield whole(kind, names, row[: len(names)])


def _rows(connection: Connection, two: Pair) -> Iterator[Row]:
    """Yield every row that differs, as often as it occurs."""
    names = [folded(old) for old, _ in two.common]
    columns = "".join(f"{sample_text(f'c{n}')}, " for n in range(len(names)))
    for *values, count in connection.execute(f"SELECT {columns}n FROM temp.differing").fetchall():
        row = dict(zip(names, values, strict=True))
        gone = count > 0
        yield from [Row(Kind.REMOVED, (), old=row) if gone else Row(Kind.ADDED, (), new=row)] * abs(count)
