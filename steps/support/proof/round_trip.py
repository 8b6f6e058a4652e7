"""Check that the rollback restores everything: what was there before, and what the app wrote in between.

Rows that the app wrote on the new schema are followed one by one. After the rollback each must be there under its key,
with the same values in the columns that both schemas have. Columns that only the old schema has are derived from the
new ones, so they may change in such a row, and in no other. After the next migration every row must be as written.

Diffs are compared without their times of writing, which differ from one script to the next; see rows/timeless.py.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from steps.support.proof.rows.result import Key, Kind, Row, TableDiff, TimeOfWriting, sample_value
from steps.support.sql.findings import Finding, Severity
from steps.support.sql.statement import Value
from steps.support.sql.tokens import folded

Diff = Mapping[str, TableDiff]
Renames = Mapping[str, Mapping[str, str]]  # by table, the old names of columns by the new ones
_Content = tuple[Kind, Key, frozenset[tuple[str, type, Value]]]

WRITTEN_LOST = "written-lost"

_BACK = "Make rollback.sql restore exactly what was there before; migrate.sql must keep what it removes."
_KEEP = "Make rollback.sql carry over what was written since."
_AGAIN = "Make rollback.sql keep it in an _orchestrate_kept_ table, and migrate.sql read it from there."
_SMALLER = "Make writes.sql touch fewer rows: it is a sample of what the app writes."


def lost_by_rollback(back: Diff) -> Iterator[Finding]:
    """Report the rows that differ from before the migration: how many in each column, with a sample."""
    for found in back.values():
        if found.total:
            counts = {"removed": found.removed, "added": found.added}
            differences = [f"{count:,} rows {what}" for what, count in counts.items() if count]
            differences += [f"{column} differs in {count:,} rows" for column, count in found.columns.items()]
            sample = f", for example {found.samples[0]}" if found.samples else ""
            yield Finding(found.name, f"after the rollback {', '.join(differences)}{sample}", _BACK)


def changed_without_reason(moved: Diff, written: Diff, returned: Diff, renames: Renames) -> Iterator[Finding]:
    """Report rows the app wrote that the rollback lost, and other rows it changed for no reason.

    `moved` compares before with after_migration, `written` after_second_migration with after_writes, `returned` before
    with after_second_rollback.
    """
    for name, found in returned.items():
        way = _Way.of(moved.get(name), renames.get(name, {}))
        wrote = written.get(name, TableDiff(found.name, None, None))
        if _too_many(wrote):
            yield _too_large_a_sample(wrote)
        elif _too_many(found):
            cause = f"after writes and rollback {found.total:,} rows differ from before; {wrote.total:,} were written"
            yield Finding(found.name, cause, _BACK)
        elif _keyed_alike(found, wrote, way):
            yield from _followed(found, wrote, way)
        else:
            yield from _as_many(found, wrote, way)


def lost_by_migrating_again(written: Diff, regained: Diff) -> Iterator[Finding]:
    """Report rows the app wrote that differ after migrating a second time; both compare with after_second_migration."""
    for name, wrote in written.items():
        found = regained.get(name, TableDiff(wrote.name, None, None))
        by_key = {row.key: row for row in found.rows if row.key}
        lacking = Counter(map(_content, wrote.rows)) - Counter(map(_content, found.rows))
        gone = [row for row in _lacking(wrote.rows, lacking) if not _holds(by_key.get(row.key), row)]
        if _too_many(wrote):
            yield _too_large_a_sample(wrote)
        elif gone and _too_many(found):
            cause = f"{found.total:,} rows differ after migrating again, too many to find the written ones among them"
            yield Finding(wrote.name, cause, _AGAIN, rule=WRITTEN_LOST, severity=Severity.WARNING, object=wrote.name)
        elif gone:
            cause = (
                f"{len(gone):,} of {wrote.total:,} rows written by the app are lost or changed after migrating again"
            )
            cause = f"{cause}, for example {_described(gone[0])}{_others(gone[0], by_key.get(gone[0].key))}"
            yield Finding(wrote.name, cause, _AGAIN, rule=WRITTEN_LOST, object=wrote.name)


def _lacking(rows: Sequence[Row], lacking: Mapping[_Content, int]) -> Iterator[Row]:
    """Yield as many of the equal rows as are lacking."""
    left = dict(lacking)
    for row in rows:
        if left.get(_content(row), 0):
            left[_content(row)] -= 1
            yield row


def _too_large_a_sample(wrote: TableDiff) -> Finding:
    return Finding(wrote.name, f"writes.sql changes {wrote.total:,} rows", _SMALLER)


@dataclass(frozen=True, slots=True)
class _Way:
    """What the migration did to a table.

    `only_before` and `only_after`: columns of one side only. `renamed`: the old names of columns by their new names.
    `changed`: columns whose values it changed. `rows`: the rows it changed, by key; None if there are too many.
    """

    only_before: Collection[str] = ()
    only_after: Collection[str] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    changed: Collection[str] = ()
    rows: Mapping[Key, Row] | None = field(default_factory=dict)

    @classmethod
    def of(cls, moved: TableDiff | None, renamed: Mapping[str, str]) -> "_Way":
        if moved is None:
            return cls()
        only_before = {folded(column.name) for column in moved.only_before} - {*renamed.values()}
        only_after = {*map(folded, moved.only_after)} - renamed.keys()
        rows = None if _too_many(moved) else {row.key: row for row in moved.rows if row.key}
        return cls(only_before, only_after, renamed, {*map(folded, moved.columns)}, rows)

    @property
    def is_plain(self) -> bool:
        """Return True if the table has the same columns, with the same values, on both sides."""
        return not (self.only_before or self.only_after or self.renamed or self.changed)

    def back(self, row: Row) -> Row:
        """Return a row of the new schema with the column names of the old one."""
        key = tuple(sorted((self.renamed.get(name, name), value) for name, value in row.key))
        old, new = (
            {self.renamed.get(name, name): value for name, value in side.items()} for side in (row.old, row.new)
        )
        return Row(row.kind, key, old, new)

    def common(self, row: Row) -> dict[str, Value]:
        """Return the values of a written row that mean the same on both sides."""
        return {name: value for name, value in row.new.items() if name not in self._of_its_own(row)}

    def drives(self, row: Row) -> bool:
        """Return True if values of a written row may determine columns that only the old schema has."""
        return row.kind is not Kind.CHANGED or not row.new.keys().isdisjoint(self._of_its_own(row))

    def touches(self, row: Row) -> bool:
        """Return True if the migration itself adds or removes the row of this key, so that nothing follows from it."""
        mine = (self.rows or {}).get(row.key)
        return mine is not None and mine.kind is not Kind.CHANGED

    def stamped(self, row: Row) -> list[str]:
        """Return the columns in which the migration put the time of writing, and the row has another such time now."""
        mine = (self.rows or {}).get(row.key)
        times = (name for name, value in row.new.items() if isinstance(value, TimeOfWriting))
        return [name for name in times if mine and mine.new.get(name) == row.new[name]]

    def _of_its_own(self, row: Row) -> set[str]:
        """Return the columns whose values belong to the new schema only, in this row: new and converted ones."""
        mine = (self.rows or {}).get(row.key)
        converted = self.changed if self.rows is None or row.kind is Kind.ADDED else mine.new if mine else ()
        return {*self.only_after, *converted}


def _keyed_alike(found: TableDiff, wrote: TableDiff, way: _Way) -> bool:
    """Return True if the rows of both sides have a key of the same columns."""
    keys = {tuple(name for name, _ in row.key) for row in (*found.rows, *map(way.back, wrote.rows))}
    return len(keys) < 2 and () not in keys  # noqa: PLR2004 - there is one kind of key, or no row at all


def _followed(found: TableDiff, wrote: TableDiff, way: _Way) -> Iterator[Finding]:
    since = {row.key: row for row in map(way.back, wrote.rows)}
    there = {row.key: row for row in found.rows}
    lost = [row for row in since.values() if not _kept(row, there.get(row.key), way)]
    if lost:
        cause = f"{len(lost):,} of {wrote.total:,} rows that the app wrote are lost or changed after the rollback"
        others = _others(lost[0], there.get(lost[0].key))
        yield Finding(found.name, f"{cause}, for example {_described(lost[0])}{others}", _KEEP)
    unexplained = [row for row in found.rows if not _explained(row, since.get(row.key), way)]
    if unexplained:
        cause = f"{len(unexplained):,} rows that the app did not write differ after the rollback"
        wanted = since.get(unexplained[0].key)
        others = f", where the app wrote only {', '.join(wanted.new)}" if wanted and wanted.new else ""
        yield Finding(found.name, f"{cause}, for example {_described(unexplained[0])}{others}", _BACK)


def _kept(wrote: Row, there: Row | None, way: _Way) -> bool:
    """Return True if a written row is there on the old schema, by the columns that mean the same on both."""
    if way.touches(wrote):
        return True
    common = way.common(wrote)
    if there is None:
        return wrote.kind is Kind.CHANGED and not common
    if there.kind is not wrote.kind:
        return False
    needed = common.keys() & there.new.keys() if wrote.kind is Kind.ADDED else common.keys()
    return all(name in there.new and _equal(there.new[name], common[name]) for name in needed)


def _explained(row: Row, wrote: Row | None, way: _Way) -> bool:
    """Return True if what was written explains why a row differs from before."""
    if wrote is None or way.touches(row):
        return wrote is not None
    if wrote.kind is not row.kind:
        return False
    follows = (*(way.only_before if way.drives(wrote) else ()), *way.stamped(row))
    return row.kind is not Kind.CHANGED or row.new.keys() <= {*wrote.new, *follows}


def _holds(row: Row | None, wrote: Row) -> bool:
    """Return True if the row still holds every written value; other columns may differ."""
    if row is None or row.kind is not wrote.kind:
        return False
    return all(name in row.new and _equal(row.new[name], value) for name, value in wrote.new.items())


def _as_many(found: TableDiff, wrote: TableDiff, way: _Way) -> Iterator[Finding]:
    """Compare numbers of rows if no key identifies them; a changed row counts as removed and added."""
    added, wanted = found.added + found.changed, wrote.added + wrote.changed
    removed, taken = found.removed + found.changed, wrote.removed + wrote.changed
    # if the table is not plain, the app may have written to a column that only the new schema has
    is_less = way.is_plain and added < wanted
    differs = way.is_plain and Counter(map(_content, found.rows)) != Counter(map(_content, wrote.rows))
    if added - removed != wanted - taken or added > wanted or is_less or (differs and _is_keyless(found, wrote)):
        by_app = f"the app added or changed {wanted:,} rows and removed or changed {taken:,}"
        cause = f"{by_app}; after the rollback these are {added:,} and {removed:,}"
        yield Finding(found.name, cause, _KEEP)


def _is_keyless(found: TableDiff, wrote: TableDiff) -> bool:
    return not any(row.key for row in (*found.rows, *wrote.rows))


def _too_many(found: TableDiff) -> bool:
    return found.total > len(found.rows)


def _content(row: Row) -> _Content:
    values = row.old if row.kind is Kind.REMOVED and not row.key else row.new
    return row.kind, row.key, frozenset((name, type(value), value) for name, value in values.items())


def _equal(one: Value, other: Value) -> bool:
    return type(one) is type(other) and one == other


def _others(wrote: Row, there: Row | None) -> str:
    """Return the columns of a written row that hold another value, with it; empty if the row is not there."""
    values = there.new if there and there.kind is wrote.kind else {}
    other = {
        name: values[name] for name, value in wrote.new.items() if name in values and not _equal(values[name], value)
    }
    words = (f"{name} {sample_value(name, value)}" for name, value in [*other.items()][:4])
    return f", which now has {', '.join(words)}" if other else ""


def _described(row: Row) -> str:
    keys = [f"{name} {sample_value(name, value, is_key=True)}" for name, value in row.key]
    values = row.old if row.kind is Kind.REMOVED else row.new
    others = [f"{name} {sample_value(name, value)}" for name, value in _few(values, row.key)]
    return f"{row.kind} {', '.join([*keys, *others])}"


def _few(values: Mapping[str, Value], key: Key) -> Sequence[tuple[str, Value]]:
    return [each for each in values.items() if each[0] not in dict(key)][:4]
