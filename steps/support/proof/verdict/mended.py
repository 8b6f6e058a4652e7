"""Leave values out of a comparison that no rollback can restore, because the old schema itself refuses them.

A change may repair a row that violated a CHECK, a NOT NULL or a column's type before. The old schema has the same
constraint, so the old value cannot be written back, and the repaired value stays after the rollback.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from steps.support.core.text import counted
from steps.support.proof.rehearsal.broken_rows import Broken
from steps.support.proof.rows.result import SAMPLES, Key, Kind, Row, Sample, SampleValue, TableDiff, sample_value
from steps.support.proof.verdict.elsewhere import is_too_many
from steps.support.proof.verdict.round_trip import Diff, Renames
from steps.support.sql.findings import Finding, Severity
from steps.support.sql.tokens import folded

_SHOWN = 4  # columns of a row
_RIGHT = "Nothing has to be done if the repaired value is right."


def without_mended(
    returned: Diff, broken: Broken, moved: Diff, written: Diff | None = None, renames: Renames | None = None
) -> dict[str, TableDiff]:
    """Return the rows that differ after a rollback, without the values that the old schema refuses.

    `broken`: the rows that violated a constraint before. `moved`: the rows that the migration changed. `written`: the
    rows that the app wrote meanwhile. `renames`: the columns that the migration renames. Two kinds of differences stay:
    values that the app wrote, and missing rows that the migration did not delete.
    """
    since = _written_columns(written or {}, renames or {})
    return {
        name: _left(found, [*_rows(found, broken[name], moved.get(name), since.get(name, {}))])
        if broken.get(name) and found.rows
        else found
        for name, found in returned.items()
    }


def mended_findings(returned: Diff, broken: Broken, moved: Diff) -> Iterator[Finding]:
    """Yield a warning for each column whose repaired values stay, and for deleted rows that cannot come back."""
    left = without_mended(returned, broken, moved)
    for name, found in returned.items():
        remain = {(row.key, column) for row in left[name].rows for column in (*row.new, *row.old)}
        away = [row for row in found.rows if row.kind is Kind.REMOVED and row not in left[name].rows]
        if away:
            cause = (
                f"{counted(len(away), 'row')} that the migration deletes cannot come back, because the previous schema "
                f"refuses their values, for example {_described(away[0])}"
            )
            yield Finding(found.name, cause, "Nothing has to be done if they may be lost.", severity=Severity.WARNING)
        for column in found.columns:
            own = folded(column)
            rows = [row for row in found.rows if own in row.new and (row.key, own) not in remain and row not in away]
            if rows and name in broken:
                keep = "row keeps its repaired value", "rows keep their repaired values"
                change = f"{sample_value(column, rows[0].old[own])} -> {sample_value(column, rows[0].new[own])}"
                cause = (
                    f"{counted(len(rows), *keep)} after the rollback, because the previous schema refuses what was "
                    f"there before, for example {_described(rows[0])}, {change}"
                )
                yield Finding(f"{found.name}.{column}", cause, _RIGHT, severity=Severity.WARNING)


def _written_columns(written: Diff, renames: Renames) -> Mapping[str, Mapping[Key, Collection[str] | None]]:
    """Return, by table and key, the old names of the columns that the app changed.

    The value is None for a row that the app added or removed.
    """
    return {
        name: {
            _before(row.key, renames.get(name, {})): [renames.get(name, {}).get(each, each) for each in row.new]
            if row.kind is Kind.CHANGED
            else None
            for row in found.rows
        }
        for name, found in written.items()
    }


def _before(key: Key, renamed: Mapping[str, str]) -> Key:
    return tuple(sorted(((renamed.get(name, name), value) for name, value in key), key=lambda each: each[0]))


def _rows(
    found: TableDiff,
    broken: Mapping[Key, Collection[str]],
    moved: TableDiff | None,
    since: Mapping[Key, Collection[str] | None],
) -> Iterator[Row]:
    """Yield the rows that still differ; a changed row comes without the columns whose values the old schema refuses."""
    deleted = {row.key for row in moved.rows if row.kind is Kind.REMOVED} if moved else set()
    for row in found.rows:
        wrote, columns = since.get(row.key, ()), {*broken.get(row.key, ())}
        if wrote is None or row.kind is Kind.ADDED or not columns:
            yield row
        elif row.kind is Kind.REMOVED:
            yield from () if row.key in deleted and not wrote else (row,)
        elif left := row.new.keys() - (columns - {*wrote}):
            old, new = ({name: side[name] for name in side if name in left} for side in (row.old, row.new))
            yield replace(row, old=old, new=new)


def _left(found: TableDiff, rows: Sequence[Row]) -> TableDiff:
    if is_too_many(found) or tuple(rows) == found.rows:
        return found
    kinds = Counter(row.kind for row in rows)
    columns = Counter(name for row in rows if row.kind is Kind.CHANGED for name in row.new)
    return replace(
        found,
        added=kinds[Kind.ADDED],
        removed=kinds[Kind.REMOVED],
        changed=kinds[Kind.CHANGED],
        columns={name: columns[folded(name)] for name in found.columns if columns[folded(name)]},
        samples=tuple(map(_sample, rows[:SAMPLES])),
        rows=tuple(rows),
    )


def _sample(row: Row) -> Sample:
    own = row.new if row.kind is Kind.ADDED else row.old
    shown = {name: [own[name], row.new[name]] if row.kind is Kind.CHANGED else [own[name]] for name in own}
    values = {name: tuple(sample_value(name, each) for each in both) for name, both in shown.items()}
    keys = {name: (sample_value(name, value, is_key=True),) for name, value in row.key}
    return Sample(row.kind, tuple(SampleValue(name, texts) for name, texts in {**keys, **values, **keys}.items()))


def _described(row: Row) -> str:
    """Return the key of a row in words; for a deleted row, also its first values."""
    keys = [f"{name} {sample_value(name, value, is_key=True)}" for name, value in row.key]
    gone = [each for each in row.old.items() if row.kind is Kind.REMOVED and each not in row.key]
    return ", ".join([*keys, *(f"{name} {sample_value(name, value)}" for name, value in gone[:_SHOWN])])
