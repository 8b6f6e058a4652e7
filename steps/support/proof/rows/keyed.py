"""Compare rows by primary key in one pass over both sides, and keep only the rows that differ."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from steps.support.proof.rows.result import (
    SAMPLES,
    Columns,
    Key,
    Kind,
    Row,
    Sample,
    SampleValue,
    TableDiff,
    sample_value,
    whole,
)
from steps.support.proof.rows.tables import Pair, Table, listed, materialize, plain, rows_of
from steps.support.schema.connection import Connection
from steps.support.schema.reader import sample_text
from steps.support.sql.tokens import folded, quoted

Values = Sequence[Any]

_RETYPED = "typeof({b}) <> typeof({a}) AND {b} NOT NULL AND {a} NOT NULL"
_KINDS = (  # kinds of changes: the type changed; the type changed, but not the meaning; NULL before; NULL after
    _RETYPED,
    f"CASE WHEN {_RETYPED} THEN says_the_same({sample_text('{b}')}, {sample_text('{a}')}) ELSE 0 END",
    "{b} IS NULL AND {a} NOT NULL",
    "{b} NOT NULL AND {a} IS NULL",
)

LOOKED_AT = 1_000  # changed rows in which exchanged columns are looked for


def has_key(connection: Connection, two: Pair) -> bool:
    """Return True if both sides have the same primary key and no NULL in it; SQLite allows NULL in some keys."""
    return has_same_key(two) and not any(_holds_null(connection, table) for table in (two.old, two.new))


def has_same_key(two: Pair) -> bool:
    """Return True if both sides have the same primary key."""
    keys = set(two.old.key)
    return bool(keys) and keys == set(two.new.key) and all(part.affinity for part in keys)


def by_key(connection: Connection, two: Pair, keep: int, groups: Collection[Columns] = ()) -> TableDiff:
    """Compare all rows of a table by its primary key.

    `keep`: if at most this many rows differ, the diff contains all of them. `groups`: groups of columns; for each, the
    diff has the number of rows that changed in at least one of its columns.
    """
    before, after = rows_of(connection, two.old), rows_of(connection, two.new)
    materialize(connection, _differing_rows(two))
    (removed,) = connection.execute("SELECT count(*) FROM temp.differing WHERE gone").fetchone()
    sums = listed(f"total(f{n})" for n in range(len(two.common)))
    changed, *columns = connection.execute(f"SELECT count(*){sums} FROM temp.differing WHERE NOT gone").fetchone()
    added = after - (before - removed)
    samples = (*_changed(connection, two), *_removed(connection, two), *(_added(connection, two) if added else ()))
    counts = {name: int(count) for name, count in zip(two.names, columns, strict=True) if count}
    rows = tuple(_rows(connection, two, added)) if added + removed + changed <= keep else ()
    retyped, converted, filled, emptied = _kinds_of_changes(connection, two, counts)
    return TableDiff(
        two.old.name, before, after, added, removed, changed, counts, samples,
        retyped=retyped, converted=converted, filled=filled, emptied=emptied,
        examples=dict(_examples(connection, two, counts)), exchanged=_exchanged(connection, two, counts),
        in_columns=_in_columns(connection, two, groups), rows=rows,
    )  # fmt: skip


def _kinds_of_changes(connection: Connection, two: Pair, changed: Collection[str]) -> list[dict[str, int]]:
    """Count, by changed column, the values of each kind of change, in the order of `_KINDS`."""
    names = [both for both in two.common if both[0] in changed]
    if not names:
        return [{} for _ in _KINDS]
    sums = [
        f"total({kind.format(b=f'b.{quoted(old)}', a=f'a.{quoted(new)}')})" for kind in _KINDS for old, new in names
    ]
    sides = f"{_first(two, 'NOT gone', -1)} CROSS JOIN {two.new.source} AS a ON {two.by_key}"
    counts = connection.execute(f"SELECT {', '.join(sums)} {sides}").fetchone()
    parts = (counts[first : first + len(names)] for first in range(0, len(counts), len(names)))
    return [{old: int(n) for (old, _), n in zip(names, part, strict=True) if n} for part in parts]


def _in_columns(connection: Connection, two: Pair, groups: Collection[Columns]) -> dict[Columns, int]:
    flags = {folded(name): f"f{n}" for n, name in enumerate(two.names)}
    found = {}
    for group in groups:
        own = " OR ".join(flags[name] for name in group if name in flags) or "0"
        (count,) = connection.execute(f"SELECT count(*) FROM temp.differing WHERE NOT gone AND ({own})").fetchone()
        found[group] = int(count)
    return found


def _examples(connection: Connection, two: Pair, changed: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield each changed column with one change as text: the row's key, the value before and the value after."""
    for place, name in enumerate(two.names):
        if name in changed:
            for _, old, new in _both_sides(connection, two, 1, f"f{place}"):
                keys = zip(two.names, old, strict=True)
                key = [
                    f"{each} {sample_value(each, value, is_key=True)}"
                    for each, value in keys
                    if each in two.old.key_names
                ]
                values = sample_value(name, old[place]), sample_value(name, new[place])
                yield name, f"{', '.join(key)}: {' -> '.join(values)}"


def _exchanged(connection: Connection, two: Pair, changed: Collection[str]) -> tuple[tuple[str, ...], ...]:
    """Return the groups of columns that took over each other's values in most of the first changed rows."""
    places = [place for place, name in enumerate(two.names) if name in changed]
    if len(places) < 2:  # noqa: PLR2004 - it takes two to exchange
        return ()
    rows = [*_both_sides(connection, two, LOOKED_AT)]
    takes = {to: source for to in places if (source := _source(to, places, rows)) is not None}
    return tuple(tuple(two.names[place] for place in circle) for circle in _circles(takes))


def _source(to: int, places: Sequence[int], rows: Sequence[tuple[Values, Values, Values]]) -> int | None:
    """Return the column whose previous values most changed rows now have in column `to`; None if there is none.

    Columns are given by their position. `rows`: for each changed row, which columns differ, and its old and new values.
    """
    own = [(old, new[to]) for flags, old, new in rows if flags[to] and new[to] is not None]
    counts = {
        place: sum(type(old[place]) is type(value) and old[place] == value for old, value in own)
        for place in places
        if place != to
    }
    best = max(counts, key=lambda place: counts[place])
    return best if counts[best] * 2 > len(own) else None


def _circles(takes: Mapping[int, int]) -> Iterator[list[int]]:
    """Yield each circle of columns in which every column took over the values of the next one.

    `takes`: by column, the column whose values it took over.
    """
    done = set[int]()
    for start in takes:
        path: list[int] = []
        place: int | None = start
        while place is not None and place not in done and place not in path:
            path.append(place)
            place = takes.get(place)
        if place is not None and place in path:
            yield sorted(path[path.index(place) :])
        done.update(path)


def is_same_by_key(connection: Connection, two: Pair, old: str, new: str) -> bool:
    """Return True if a dropped column and a new one hold equal values in every remaining row, and not only NULL."""
    both = f"FROM {two.old.source} AS b CROSS JOIN {two.new.source} AS a ON {two.by_key}"
    b, a = plain(f"b.{quoted(old)}"), plain(f"a.{quoted(new)}")
    return not _any(connection, f"{both} WHERE {b} IS NOT {a}") and _any(connection, f"{both} WHERE {b} = {a}")


def _holds_null(connection: Connection, table: Table) -> bool:
    empty = [f"{quoted(part.name)} IS NULL" for part in table.key if part.is_nullable]
    return bool(empty) and _any(connection, f"FROM {table.source} WHERE {' OR '.join(empty)}")


def _any(connection: Connection, rows: str) -> bool:
    return connection.execute(f"SELECT 1 {rows} LIMIT 1").fetchone() is not None


def _differing_rows(two: Pair) -> str:
    """Build the query for the rows that are gone or changed: key, whether the row is gone, and which columns differ."""
    gone = f"a.{quoted(two.new.by_name[two.old.key[0].name].name)} IS NULL"
    keys = [f"+b.{quoted(name)} AS k{n}" for n, name in enumerate(two.old.key_names)]
    flags = [f"{difference} AS f{n}" for n, difference in enumerate(two.differences)]
    return f"""SELECT {", ".join(keys)}, {gone} AS gone{listed(flags)}
FROM {two.old.source} AS b LEFT JOIN {two.new.source} AS a ON {two.by_key}
WHERE {two.may_differ("b")} AND ({gone} OR {two.differ})"""


def _first(two: Pair, condition: str, most: int) -> str:
    on = " AND ".join(f"b.{quoted(name)} = d.k{n}" for n, name in enumerate(two.old.key_names))
    first = f"SELECT * FROM temp.differing WHERE {condition} LIMIT {most}"
    return f"FROM ({first}) AS d CROSS JOIN {two.old.source} AS b ON {on}"


def _changed(connection: Connection, two: Pair) -> Iterator[Sample]:
    for flags, old, new in _both_sides(connection, two, SAMPLES):
        yield Sample(Kind.CHANGED, tuple(_shows(two, flags, old, new)))


def _both_sides(
    connection: Connection, two: Pair, most: int, where: str = "1"
) -> Iterator[tuple[Values, Values, Values]]:
    """Yield, for each of the first `most` changed rows, which columns differ, and the old and new values."""
    size = len(two.common)
    flags = ", ".join(f"d.f{n}" for n in range(size))
    values = [*(f"b.{quoted(old)}" for old, _ in two.common), *(f"a.{quoted(new)}" for _, new in two.common)]
    sides = listed(map(sample_text, values))
    first = _first(two, f"NOT gone AND {where}", most)
    query = f"SELECT {flags}{sides} {first} CROSS JOIN {two.new.source} AS a ON {two.by_key}"
    for row in connection.execute(query).fetchall():
        yield row[:size], row[size : 2 * size], row[2 * size :]


def _shows(two: Pair, flags: Values, old: Values, new: Values) -> Iterator[SampleValue]:
    for name, differs, *sides in zip(two.names, flags, old, new, strict=True):
        is_key = name in two.old.key_names
        if differs or is_key:
            yield SampleValue(
                name, tuple(sample_value(name, value, is_key=is_key) for value in sides[: 1 + bool(differs)])
            )


def _removed(connection: Connection, two: Pair) -> Iterator[Sample]:
    for row in _gone(connection, two, SAMPLES):
        yield whole(Kind.REMOVED, two.old.names, row, two.old.key_names)


def _gone(connection: Connection, two: Pair, most: int) -> list[Values]:
    columns = ", ".join(sample_text(f"b.{quoted(name)}") for name in two.old.names)
    return connection.execute(f"SELECT {columns} {_first(two, 'gone', most)}").fetchall()


def _added(connection: Connection, two: Pair) -> Iterator[Sample]:
    for row in _new(connection, two, SAMPLES):
        yield whole(Kind.ADDED, two.new.names, row, two.new.key_names)


def _new(connection: Connection, two: Pair, most: int) -> list[Values]:
    """Return at most `most` added rows, highest keys first: most added rows have high keys, so this is fast."""
    columns = ", ".join(sample_text(f"a.{quoted(name)}") for name in two.new.names)
    query = f"""SELECT {columns} FROM {two.new.source} AS a
WHERE {two.may_differ("a")} AND NOT EXISTS (SELECT 1 FROM {two.old.source} AS b WHERE {two.by_key})
ORDER BY {", ".join(f"a.{quoted(key)} DESC" for key in two.new.key_names)} LIMIT {most}"""
    return connection.execute(query).fetchall()


def _rows(connection: Connection, two: Pair, added: int) -> Iterator[Row]:
    """Yield every row that differs, with all its values."""
    old, new, both = ([*map(folded, names)] for names in (two.old.names, two.new.names, two.names))
    for row in _gone(connection, two, -1):
        yield Row(Kind.REMOVED, _key(two.old, old, row), old=_own(two.old, old, row))
    for row in _new(connection, two, added):
        yield Row(Kind.ADDED, _key(two.new, new, row), new=_own(two.new, new, row))
    for flags, was, now in _both_sides(connection, two, -1):
        changed = [name for name, differs in zip(both, flags, strict=True) if differs]
        before, after = (dict(zip(both, side, strict=True)) for side in (was, now))
        old_values, new_values = ({name: side[name] for name in changed} for side in (before, after))
        unchanged = {name: value for name, value in after.items() if name not in new_values}
        yield Row(Kind.CHANGED, _key(two.old, both, was), old_values, new_values, unchanged)


def _own(table: Table, names: Sequence[str], row: Values) -> dict[str, Any]:
    """Return a row's values by column, without those of generated columns."""
    columns = table.by_name
    return {name: value for name, value in zip(names, row, strict=True) if not columns[name].is_generated}


def _key(table: Table, names: Sequence[str], row: Values) -> Key:
    values = dict(zip(names, row, strict=True))
    return tuple(sorted((part.name, values[part.name]) for part in table.key))
