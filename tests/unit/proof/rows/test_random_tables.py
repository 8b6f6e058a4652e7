"""The row diff compared with a comparison in Python, on random tables and random migrations."""

from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from steps.support.proof.rows.diff import row_diff
from steps.support.proof.rows.result import TableDiff
from tests.support.database.random_tables import PARENTS, ROWS, SHAPES, STEPS, Shape, change, create, opened
from tests.support.database.whole_tables import Held, key_of, read, same


@settings(max_examples=500, deadline=None, derandomize=True, database=None)
@given(st.tuples(PARENTS, SHAPES), st.tuples(ROWS, ROWS), st.lists(STEPS, max_size=4))
def test_row_diff_equals_a_full_comparison(
    shapes: tuple[Shape, ...], rows: tuple[list[Any], ...], steps: list[Any]
) -> None:
    """Counts, columns and renamed columns are those that Python finds by reading everything."""
    with TemporaryDirectory() as folder:
        before, after = Path(folder) / "before.db", Path(folder) / "after.db"
        create(before, shapes, rows)
        after.write_bytes(before.read_bytes())
        change(after, steps)
        found = row_diff(before, after)
        with closing(opened(before)) as old, closing(opened(after)) as new:
            expected = by_hand(read(old), read(new))
    assert {name: told(table) for name, table in found.items()} == expected


def by_hand(old: dict[str, Held], new: dict[str, Held]) -> dict[str, Any]:
    """Compare everything."""
    empty = Held((), frozenset(), [])
    return {name: table_by_hand(old.get(name, empty), new.get(name, empty)) for name in old.keys() | new.keys()}


def table_by_hand(old: Held, new: Held) -> Any:
    """Compare one table by its key, else by counting equal rows; a table on one side has no counterpart."""
    if not old.columns or not new.columns:
        return len(new.rows), len(old.rows), 0, {}, {}
    common = [column for column in old.columns if column in new.columns]
    went = [column for column in old.columns if column not in common]
    came = [column for column in new.columns if column not in common]
    if old.key and old.key == new.key:
        b, a = ({key_of(row, old.key): row for row in held.rows} for held in (old, new))
        pairs = [(b[key], a[key]) for key in b if key in a]
        columns = Counter(column for x, y in pairs for column in common if not same(x[column], y[column]))
        changed = sum(any(not same(x[column], y[column]) for column in common) for x, y in pairs)
        became = {c: next((n for n in came if alike(pairs, c, n)), None) for c in went}
        counts = (len(a) - len(pairs), len(b) - len(pairs), changed, dict(columns))
    else:
        added, removed = bags(old.rows, new.rows, common, common)
        left = removed < len(old.rows)
        fits = [
            (c, n)
            for c in went
            for n in came
            if bags(old.rows, new.rows, [*common, c], [*common, n]) == (added, removed)
        ]
        became = {c: next((n for name, n in fits if name == c and left), None) for c in went}
        counts = (added, removed, 0, {})
    values = {c: sum(row[c] is not None for row in old.rows) for c in went}
    return (*counts, {c: (values[c], became[c] if values[c] else None) for c in went})


def alike(pairs: Iterable[tuple[dict[str, Any], dict[str, Any]]], old: str, new: str) -> bool:
    """Return whether a column holds the same values as another, and at least one."""
    values = [(x[old], y[new]) for x, y in pairs]
    return all(one == other for one, other in values) and any(one is not None for one, _ in values)


def bags(old: Iterable[Any], new: Iterable[Any], olds: list[str], news: list[str]) -> tuple[int, int]:
    """Count added and removed rows."""
    b = Counter(tuple((type(row[column]), row[column]) for column in olds) for row in old)
    a = Counter(tuple((type(row[column]), row[column]) for column in news) for row in new)
    return (a - b).total(), (b - a).total()


def told(found: TableDiff) -> Any:
    """Return the result of the row diff, names in lower case."""
    columns = {name.lower(): count for name, count in found.columns.items()}
    went = {c.name.lower(): (c.values, c.became and c.became.lower()) for c in found.only_before}
    return found.added, found.removed, found.changed, columns, went
