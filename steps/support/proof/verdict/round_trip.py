"""Check that the rollback restores everything: the rows from before the migration, and the rows that the app wrote.

Each row that the app wrote on the new schema is followed. After the rollback, the old schema must have the row under
its key, with the same values in the columns that both schemas have. Columns that only the old schema has may also
change in such a row, because they are derived from columns of the new schema; in any other row they must not change.
After the next migration, each row must be as the app wrote it.

A row may differ after the rollback if the next migration makes it exactly as the app wrote it: it may be missing, be in
another table, have another key, or have other values in place of those that the old schema refuses.

Diffs are compared without their times of writing, because these differ from one script to the next; see
timeless.py.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from steps.support.core.text import counted
from steps.support.proof.rows.result import Key, Kind, Row, TableDiff, TimeOfWriting, sample_value
from steps.support.proof.verdict.elsewhere import Content, Elsewhere, Typed, content, is_telling, is_too_many, typed
from steps.support.sql.findings import Finding, Severity
from steps.support.sql.statement import Value
from steps.support.sql.tokens import folded

Diff = Mapping[str, TableDiff]
Renames = Mapping[str, Mapping[str, str]]  # by table, the old names of columns by their new names
Refused = Mapping[tuple[str, Key, str], str]  # by table, key and column, the old schema's error for a written value
WRITTEN_LOST = "written-lost"
_CHECK = "CHECK constraint"
_SHOWN = 4  # columns of a row

_BACK = "Make rollback.sql restore the rows exactly; for that, migrate.sql must keep what it removes."
_KEEP = "Make rollback.sql carry over what the app wrote since the migration."
_AGAIN = "Make rollback.sql keep these rows in an _orchestrate_kept_ table, and migrate.sql read them from there."
_ONLY_WRITTEN = "Make migrate.sql restore each row that rollback.sql kept, once, and no other row."
_SMALLER = "Make writes.sql change fewer rows: it only has to be a sample of what the app writes."


def lost_by_rollback(back: Diff) -> Iterator[Finding]:
    """Yield a finding for each table that the rollback did not restore: how many rows differ, with a sample."""
    for found in back.values():
        if found.total:
            missing = counted(found.removed, "row is missing", "rows are missing")
            new = counted(found.added, "row is new", "rows are new")
            differences = [words for words, count in ((missing, found.removed), (new, found.added)) if count]
            differences += [f"{column} differs in {counted(count, 'row')}" for column, count in found.columns.items()]
            sample = f", for example {found.samples[0]}" if found.samples else ""
            yield Finding(found.name, f"after the rollback {', '.join(differences)}{sample}", _BACK)


def changed_without_reason(  # noqa: PLR0913, PLR0917 - three comparisons, and what is known of the rows
    moved: Diff, written: Diff, returned: Diff, renames: Renames, elsewhere: Elsewhere, refused: Refused
) -> Iterator[Finding]:
    """Yield findings about rows the app wrote that the rollback lost, and about other rows that it changed.

    `moved`: the rows that the migration changed. `written`: the rows that the app wrote. `returned`: the rows that are
    not as before the migration once the second rollback has run. `renames`: the columns that the migration renames.
    `elsewhere`: the written rows that the next migration brings back. `refused`: the written values that the old schema
    refuses.
    """
    for name, found in returned.items():
        way = _Way.of(moved.get(name), renames.get(name, {}), elsewhere.references.get(name, ()))
        wrote = written.get(name, TableDiff(found.name, None, None))
        if is_too_many(wrote):
            yield _too_large_a_sample(wrote)
        elif is_too_many(found):
            differ = counted(found.total, "row differs", "rows differ")
            cause = f"after writes and rollback {differ} from before, but the app wrote only {wrote.total:,}"
            yield Finding(found.name, cause, _BACK)
        elif _keyed_alike(found, wrote, way):
            yield from _followed(_Trip(name, found, wrote, way), elsewhere, refused, written)
        else:
            yield from _as_many(_Trip(name, found, wrote, way), elsewhere)


def values_to_try(
    moved: Diff, written: Diff, returned: Diff, renames: Renames
) -> Iterator[tuple[str, Key, str, Value]]:
    """Yield table, key, column and value of each written value that the rollback replaced, under the old names.

    The caller asks the old schema whether it refuses these values.
    """
    for name, found in returned.items():
        way = _Way.of(moved.get(name), renames.get(name, {}))
        wrote = written.get(name, TableDiff(found.name, None, None))
        if not is_too_many(wrote) and not is_too_many(found) and _keyed_alike(found, wrote, way):
            there = {row.key: row for row in found.rows}
            for row in map(way.back, wrote.rows):
                for column in _other_values(row, there.get(row.key), way):
                    yield name, row.key, column, row.new[column]


def lost_by_migrating_again(written: Diff, regained: Diff, renames: Renames, refused: Refused) -> Iterator[Finding]:
    """Yield findings about rows the app wrote that the next migration does not bring back as they were written.

    `written`: the rows that the app wrote. `regained`: the rows that differ between before the writes and after the
    last migration. If everything comes back, both contain the same rows.
    """
    for name, wrote in written.items():
        found = regained.get(name, TableDiff(wrote.name, None, None))
        by_key = {row.key: row for row in found.rows if row.key}
        lacking = Counter(map(content, wrote.rows)) - Counter(map(content, found.rows))
        gone = [row for row in _lacking(wrote.rows, lacking) if not _holds(by_key.get(row.key), row)]
        way = _Way(renamed=renames.get(name, {}))
        translated = [row for row in gone if _is_translated(name, way, row, by_key.get(row.key), refused)]
        lost = [row for row in gone if row not in translated]
        if is_too_many(wrote):
            yield _too_large_a_sample(wrote)
        elif gone and is_too_many(found):
            differ = counted(found.total, "row differs", "rows differ")
            cause = f"{differ} after migrating again, too many to find the rows that the app wrote"
            yield Finding(wrote.name, cause, _AGAIN, rule=WRITTEN_LOST, severity=Severity.WARNING, object=wrote.name)
        elif lost:
            rows = f"{_of(lost, wrote)} written by the app {_are(lost)} lost or changed after migrating again"
            there = by_key.get(lost[0].key)
            cause = f"{rows}, for example {_described(lost[0], there)}{_others(lost[0], there)}"
            yield Finding(wrote.name, cause, _AGAIN, rule=WRITTEN_LOST, object=wrote.name)
        elif translated:
            come = "comes" if len(translated) == 1 else "come"
            rows = f"{_of(translated, wrote)} written by the app {come} back with another value"
            why = "rollback.sql writes a value that the old CHECK accepts, and migrate.sql does not restore the app's"
            cause = f"{rows}: {why}, for example {_described(translated[0])}"
            yield Finding(wrote.name, cause, _AGAIN, rule=WRITTEN_LOST, severity=Severity.WARNING, object=wrote.name)


def changed_by_migrating_again(
    moved: Diff, written: Diff, regained: Diff, renames: Renames, reported: Collection[str]
) -> Iterator[Finding]:
    """Yield findings about rows that differ after migrating again although the app did not write them.

    These include rows that the app wrote once and that came back twice. Two differences are allowed. A column that the
    migration itself adds or changes may have another value each time. A row that the migration itself adds may get
    another number, as in a list of applied migrations, unless the app wrote that number. `moved`, `written`,
    `regained`: as in the functions above. `reported`: the tables to leave out, in lower case.
    """
    values = _written_values(written.values())
    for name, found in regained.items():
        way, wrote = _Way.of(moved.get(name), renames.get(name, {})), written.get(name)
        if wrote is None or is_too_many(wrote) or is_too_many(found) or name in reported:
            continue
        own = {row.key: row for row in wrote.rows if row.key}
        extra = [*_lacking(found.rows, Counter(map(content, found.rows)) - Counter(map(content, wrote.rows)))]
        twice = [row for row in extra if _is_twice(row, wrote, found)]
        others = [row for row in extra if _is_changed_without_reason(row, own.get(row.key), moved.get(name), way)]
        others = [row for row in others if not _is_numbered_anew(row, found, moved.get(name), values)]
        differ = "differs, and the app did not write that", "differ, and the app did not write that"
        for rows, (one, several) in ((twice, ("came back twice",) * 2), (others, differ)):
            if rows:
                what = counted(len(rows), f"row {one}", f"rows {several}")
                cause = f"after migrating again {what}, for example {_described(rows[0])}"
                yield Finding(found.name, cause, _ONLY_WRITTEN)


def _is_twice(row: Row, wrote: TableDiff, found: TableDiff) -> bool:
    """Return True if an added row equals a row that the app wrote, except for its key.

    Return False if an equal row is gone: then the migration itself wrote that row, and wrote it again under another
    key.
    """
    keys, came = {name for name, _ in row.key}, row.kind is Kind.ADDED
    own = _rest(row.new, keys)
    there = (_rest(each.after, keys) for each in wrote.rows if each.kind is not Kind.REMOVED)
    gone = (_rest(each.old, keys) for each in found.rows if each.kind is Kind.REMOVED)
    return came and any(map(is_telling, own.values())) and own in there and own not in gone


def _is_numbered_anew(row: Row, found: TableDiff, moved: TableDiff | None, written: Collection[Typed]) -> bool:
    """Return True if the migration added a row that is gone now, and adds it again under another number.

    `written`: the values that the app wrote. If the row's number is one of them, return False, because the app's value
    may reference the row.
    """
    match row.key:
        case ((name, int(number)),) if row.kind is Kind.REMOVED and typed(number) not in written:
            own = _rest(row.old, {name})
            mine, again = ([_rest(each.new, {name}) for each in rows] for rows in _added_rows(moved, found))
            gone = [_rest(each.old, {name}) for each in found.rows if each.kind is Kind.REMOVED]
            return any(map(is_telling, own.values())) and own in mine and gone.count(own) == again.count(own)
    return False


def _added_rows(*several: TableDiff | None) -> Iterator[list[Row]]:
    return ([row for row in found.rows if row.kind is Kind.ADDED] if found else [] for found in several)


def _written_values(several: Iterable[TableDiff]) -> set[Typed]:
    """Return the values that the app wrote outside of primary keys."""
    rows = (row for found in several for row in found.rows)
    return {typed(value) for row in rows for value in _rest(row.new, {name for name, _ in row.key}).values()}


def _rest(values: Mapping[str, Value], keys: Collection[str]) -> dict[str, Value]:
    return {name: value for name, value in values.items() if name not in keys}


def _is_changed_without_reason(row: Row, wrote: Row | None, moved: TableDiff | None, way: "_Way") -> bool:
    """Return True if a row differs after migrating again in columns that neither the app nor the migration writes."""
    if moved is None or moved.before is None or moved.after is None:
        return False
    if not row.key or not moved.by_key:
        return way.is_plain and not moved.total
    match row.kind:
        case Kind.CHANGED:
            theirs = {*way.only_after, *way.changed, *way.renamed, *(wrote.new if wrote else ())}
            return not row.new.keys() <= theirs and (wrote is None or wrote.kind is Kind.CHANGED)
        case Kind.ADDED:
            return wrote is None and not moved.added
    return wrote is None and not way.touches(row)


def _lacking(rows: Sequence[Row], lacking: Mapping[Content, int], without: Collection[str] = ()) -> Iterator[Row]:
    """Yield, for each content, as many rows as are lacking.

    `lacking`: how many rows are lacking, by content. `without`: columns that do not count as content.
    """
    left = dict(lacking)
    for row in rows:
        what = content(_bare(row, without))
        if left.get(what, 0):
            left[what] -= 1
            yield row


def _too_large_a_sample(wrote: TableDiff) -> Finding:
    cause = f"writes.sql changes {counted(wrote.total, 'row')}, too many to follow each of them"
    return Finding(wrote.name, cause, _SMALLER)


def _of(rows: Sequence[Row], wrote: TableDiff) -> str:
    return f"{len(rows):,} of {wrote.total:,} rows"


def _are(rows: Sequence[Row]) -> str:
    return "is" if len(rows) == 1 else "are"


@dataclass(frozen=True, slots=True)
class _Way:
    """What the migration did to a table.

    `only_before`, `only_after`: the columns that only one side has. `renamed`: the old names of renamed columns by
    their new names. `changed`: the columns whose values the migration changed. `rows`: the rows that the migration
    changed, by key; None if there are too many. `referring`: for each changed column that references another table, a
    mapping from its new values to the old ones; a new value that replaced several old ones is left out. `rewritten`:
    the same as `changed`, for rows without a key; None if not known. `keeps_rest`: whether no column was renamed, and
    all values outside `rewritten` are known to be the same on both sides.
    """

    only_before: Collection[str] = ()
    only_after: Collection[str] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    changed: Collection[str] = ()
    rows: Mapping[Key, Row] | None = field(default_factory=dict)
    referring: Mapping[str, Mapping[Typed, Typed]] = field(default_factory=dict)
    rewritten: Collection[str] | None = ()
    keeps_rest: bool = False

    @classmethod
    def of(cls, moved: TableDiff | None, renamed: Mapping[str, str], references: Collection[str] = ()) -> "_Way":
        if moved is None:
            return cls()
        only_before = {folded(column.name) for column in moved.only_before} - {*renamed.values()}
        only_after = {*map(folded, moved.only_after)} - renamed.keys()
        rows = None if is_too_many(moved) else {row.key: row for row in moved.rows if row.key}
        changed = {*map(folded, moved.columns)}
        referring = {name: _old_values(rows.values(), name) for name in changed & {*references}} if rows else {}
        rewritten = () if moved.by_key else _rewritten(moved)
        keeps_rest = not renamed and (bool(rewritten) or not moved.total)
        return cls(only_before, only_after, renamed, changed, rows, referring, rewritten, keeps_rest)

    @property
    def is_plain(self) -> bool:
        """Return True if the table has the same columns, with the same values, on both sides."""
        is_same = self.rewritten is not None and not self.rewritten
        return is_same and not (self.only_before or self.only_after or self.renamed or self.changed)

    @property
    def of_one_side(self) -> set[str]:
        """Return the columns that only one of the schemas has, and those whose values the migration rewrote."""
        return {*self.only_before, *self.only_after, *(self.rewritten or ())}

    def back(self, row: Row) -> Row:
        """Return a row of the new schema with the column names of the old schema."""
        key = tuple(sorted((self.renamed.get(name, name), value) for name, value in row.key))
        old, new = (
            {self.renamed.get(name, name): value for name, value in side.items()} for side in (row.old, row.new)
        )
        return replace(row, key=key, old=old, new=new)

    def common(self, row: Row) -> dict[str, Value]:
        """Return the values of a written row, by column, that mean the same in both schemas."""
        return {name: value for name, value in row.new.items() if name not in self._of_its_own(row)}

    def drives(self, row: Row) -> bool:
        """Return True if the app's write to a row may explain changes in columns that only the old schema has."""
        return row.kind is not Kind.CHANGED or not row.new.keys().isdisjoint(self._of_its_own(row))

    def touches(self, row: Row) -> bool:
        """Return True if the migration itself adds or removes the row with this key; then the row proves nothing."""
        mine = (self.rows or {}).get(row.key)
        return mine is not None and mine.kind is not Kind.CHANGED

    def stamped(self, row: Row) -> list[str]:
        """Return the columns of a row into which both the migration and a later statement wrote the time of writing."""
        mine = (self.rows or {}).get(row.key)
        times = (name for name, value in row.new.items() if isinstance(value, TimeOfWriting))
        return [name for name in times if mine and mine.new.get(name) == row.new[name]]

    def references(self, row: Row) -> dict[str, Typed]:
        """Return, by column, the old value of each reference in a row whose target got another key."""
        known = {name: values.get(typed(row.new[name])) for name, values in self.referring.items() if name in row.new}
        return {name: old for name, old in known.items() if old is not None}

    def _of_its_own(self, row: Row) -> set[str]:
        """Return the columns of a row whose values only the new schema has, because they are new or were converted."""
        mine = (self.rows or {}).get(row.key)
        converted = self.changed if self.rows is None or row.kind is Kind.ADDED else mine.new if mine else ()
        return {*self.only_after, *converted}


def _old_values(rows: Iterable[Row], column: str) -> Mapping[Typed, Typed]:
    """Return, by new value, the old value of a column. A new value that replaced several old ones is left out."""
    found = dict[Typed, set[Typed]]()
    for row in rows:
        if column in row.new and column in row.old:
            found.setdefault(typed(row.new[column]), set()).add(typed(row.old[column]))
    return {new: next(iter(old)) for new, old in found.items() if len(old) == 1}


def _rewritten(moved: TableDiff) -> Collection[str] | None:
    """Return the columns that changed, if the rows are otherwise the same; None if it is not known which changed."""
    if not moved.added or not moved.removed:
        return ()
    old, new = ([row for row in moved.rows if row.kind is kind] for kind in (Kind.REMOVED, Kind.ADDED))
    if is_too_many(moved) or len(old) != len(new):
        return None
    changed = {
        name
        for name in old[0].old
        if Counter(typed(row.old[name]) for row in old) != Counter(typed(row.new.get(name)) for row in new)
    }
    same = Counter(_values(row.old, changed) for row in old) == Counter(_values(row.new, changed) for row in new)
    return changed if same else None


def _keyed_alike(found: TableDiff, wrote: TableDiff, way: _Way) -> bool:
    """Return True if all rows of both diffs have a primary key of the same columns."""
    keys = {tuple(name for name, _ in row.key) for row in (*found.rows, *map(way.back, wrote.rows))}
    return len(keys) < 2 and () not in keys  # noqa: PLR2004 - there is one kind of key, or no row at all


@dataclass(frozen=True, slots=True)
class _Trip:
    """One table through migration, writes and rollback.

    `found`: the rows that differ after the rollback. `wrote`: the rows that the app wrote. `way`: what the migration
    did to the table.
    """

    name: str
    found: TableDiff
    wrote: TableDiff
    way: _Way

    @property
    def is_unlike(self) -> bool:
        """Return True if, by the columns of both schemas, rows were added or removed that the app did not write.

        Return False too if the migration changes values in these columns, because then the rows cannot be compared.
        """
        own = self.way.of_one_side
        came, went = (
            Counter(_values(row.after, own) for row in self.found.rows),
            Counter(_values(row.before, own) for row in self.found.rows),
        )
        added, removed = (
            Counter(_values(row.after, own) for row in self.wrote.rows),
            Counter(_values(row.before, own) for row in self.wrote.rows),
        )
        return self.way.keeps_rest and bool((came - added) or (went - removed))


def _values(values: Mapping[str, Value], without: Collection[str]) -> frozenset[tuple[str, Typed]]:
    return frozenset((name, typed(value)) for name, value in values.items() if name not in without)


def _followed(trip: _Trip, elsewhere: Elsewhere, refused: Refused, written: Diff) -> Iterator[Finding]:
    found, wrote, way = trip.found, trip.wrote, trip.way
    since = {way.back(row).key: row for row in wrote.rows}
    there = {row.key: row for row in found.rows}
    strange = [row for row in found.rows if not _is_of(row, since.get(row.key), trip, elsewhere)]
    unexplained = elsewhere.unexplained(trip.name, strange)
    lost = [row for key, row in since.items() if not _is_safe(row, there.get(key), trip, elsewhere, refused)]
    if lost:
        cause = f"{_of(lost, wrote)} that the app wrote {_are(lost)} lost or changed after the rollback"
        one = way.back(lost[0])
        now = there.get(one.key)
        yield Finding(found.name, f"{cause}, for example {_described(one, now)}{_others(one, now)}", _KEEP)
    by_app = _written_elsewhere(trip.name, unexplained, written) if unexplained else {}
    others = [row for row in unexplained if id(row) not in by_app]
    if by_app:
        rows = [row for row in unexplained if id(row) in by_app]
        differ = counted(len(rows), "row differs", "rows differ")
        cause = f"{differ} after the rollback from what the app wrote to {', '.join(dict.fromkeys(by_app.values()))}"
        yield Finding(found.name, f"{cause}, for example {_described(rows[0])}", _KEEP)
    if others:
        words = "that the app did not write"
        cause = f"{counted(len(others), f'row {words} differs', f'rows {words} differ')} after the rollback"
        wanted = since.get(others[0].key)
        only = f", where the app wrote only {', '.join(way.back(wanted).new)}" if wanted and wanted.new else ""
        yield Finding(found.name, f"{cause}, for example {_described(others[0])}{only}", _BACK)


def _written_elsewhere(table: str, rows: Iterable[Row], written: Diff) -> dict[int, str]:
    """Return, by id() of a row, the other table to which the app wrote the row's key and another of its values."""
    places = defaultdict[Typed, list[tuple[str, set[Typed]]]](list)
    for wrote in (found for name, found in written.items() if name != table):
        for own in wrote.rows:
            values = {*map(typed, own.after.values()), *map(typed, own.before.values())}
            for _, value in own.key:
                places[typed(value)].append((wrote.name, values))
    found = dict[int, str]()
    for row in rows:
        keys = {typed(value) for _, value in row.key}
        others = {typed(value) for value in (row.new or row.old).values() if is_telling(value)} - keys
        near = (each for key in keys for each in places.get(key, ()))
        name = next((name for name, values in near if keys <= values and others & values), None)
        found.update({id(row): name} if name else {})
    return found


def _is_of(row: Row, wrote: Row | None, trip: _Trip, elsewhere: Elsewhere) -> bool:
    """Return True if the app's write explains why a row differs after the rollback.

    The row may also be missing until the next migration, if that brings the row back.
    """
    if wrote is None:
        return False
    if row.kind is Kind.REMOVED and wrote.kind is Kind.CHANGED and elsewhere.came_back(trip.name, wrote):
        return True
    borrows = row.kind is Kind.ADDED and elsewhere.contradicts(trip.name, row, trip.way.only_before)
    return _explained(row, trip.way.back(wrote), trip.way) and not borrows


def _is_safe(wrote: Row, there: Row | None, trip: _Trip, elsewhere: Elsewhere, refused: Refused) -> bool:
    """Return True if a written row is safe: the old schema has it, or the next migration brings it back.

    If the old schema has the row, only values that the old schema refuses may be replaced.
    """
    own, comes_back = trip.way.back(wrote), elsewhere.came_back(trip.name, wrote)
    if _kept(own, there, trip.way) or elsewhere.explains(trip.name, wrote):
        return True
    if wrote.kind is Kind.REMOVED:
        return False
    if _is_absent(own, there):
        return comes_back
    why = [refused.get((trip.name, own.key, column), "") for column in _other_values(own, there, trip.way)]
    return bool(why) and all(reason and (comes_back or _CHECK in reason) for reason in why)


def _is_absent(wrote: Row, there: Row | None) -> bool:
    return there.kind is Kind.REMOVED if there else wrote.kind is Kind.ADDED


def _other_values(wrote: Row, there: Row | None, way: _Way) -> list[str]:
    """Return the columns in which a written row has another value after the rollback; none if the row is missing."""
    if wrote.kind is Kind.REMOVED or _is_absent(wrote, there) or _kept(wrote, there, way):
        return []
    common, values = way.common(wrote), there.new if there else {}
    needed = common.keys() & values.keys() if wrote.kind is Kind.ADDED else common.keys()
    return [name for name in common if name in needed and not _same(name, values, common[name])]


def _is_translated(name: str, way: _Way, wrote: Row, there: Row | None, refused: Refused) -> bool:
    """Return True if a written row came back, and only values that the old CHECK refuses were replaced."""
    if wrote.kind is Kind.REMOVED or (there.kind is not wrote.kind if there else wrote.kind is Kind.ADDED):
        return False
    values, own = there.new if there else {}, way.back(wrote)
    others = [column for column, value in wrote.new.items() if not _same(column, values, value)]
    return all(_CHECK in refused.get((name, own.key, way.renamed.get(each, each)), "") for each in others)


def _same(name: str, values: Mapping[str, Value], value: Value) -> bool:
    return name in values and _equal(values[name], value)


def _kept(wrote: Row, there: Row | None, way: _Way) -> bool:
    """Return True if the old schema has a written row, with its values in the columns that mean the same in both."""
    if way.touches(wrote):
        return True
    common = way.common(wrote)
    if there is None:
        return wrote.kind is Kind.CHANGED and not common and not way.references(wrote)
    referred = way.references(wrote).items()
    if there.kind is not wrote.kind or any(typed(there.new.get(name)) != old for name, old in referred):
        return False
    needed = common.keys() & there.new.keys() if wrote.kind is Kind.ADDED else common.keys()
    return all(name in there.new and _equal(there.new[name], common[name]) for name in needed)


def _explained(row: Row, wrote: Row | None, way: _Way) -> bool:
    """Return True if the row that the app wrote explains why a row with the same key differs from before."""
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


def _as_many(trip: _Trip, elsewhere: Elsewhere) -> Iterator[Finding]:
    """Yield a finding if the numbers of added and removed rows do not match, for a table whose rows no key identifies.

    A changed row counts as removed and added.
    """
    found, wrote, way = trip.found, trip.wrote, trip.way
    added, wanted = found.added + found.changed, wrote.added + wrote.changed
    removed, taken = found.removed + found.changed, wrote.removed + wrote.changed
    # if the table is not plain, the app may have written to a column that only the new schema has
    is_less = way.is_plain and added < wanted
    differs = way.is_plain and Counter(map(content, found.rows)) != Counter(map(content, wrote.rows))
    is_other = added - removed != wanted - taken or added > wanted or is_less or trip.is_unlike
    if is_other or (differs and _is_keyless(found, wrote)):
        lost, strange = _apart(trip, elsewhere)
        if lost or strange:
            by_app = f"the app added or changed {counted(wanted, 'row')} and removed or changed {taken:,}"
            cause = f"{by_app}; after the rollback the numbers are {added:,} and {removed:,}"
            yield Finding(found.name, f"{cause}, for example {_described([*lost, *strange][0])}", _KEEP)


def _apart(trip: _Trip, elsewhere: Elsewhere) -> tuple[list[Row], list[Row]]:
    """Return the written rows that are missing and do not come back, and the rows that no written row explains."""
    found, back, own = trip.found.rows, [*map(trip.way.back, trip.wrote.rows)], trip.way.of_one_side
    there, since = _contents(found, own), _contents(back, own)
    strange = elsewhere.unexplained(trip.name, _lacking(found, there - since, own))
    gone = [*_lacking(back, since - there, own)]
    rows = [row for row in trip.wrote.rows if trip.way.back(row) in gone]
    waiting = [row for row in rows if elsewhere.came_back(trip.name, row) and row.kind is not Kind.REMOVED]
    lost = [row for row in rows if row not in waiting and not elsewhere.explains(trip.name, row)]
    return lost, strange


def _contents(rows: Iterable[Row], without: Collection[str]) -> Counter[Content]:
    """Count rows by content, without some columns.

    A removed row and an added row that are equal in the other columns cancel out.
    """
    bare = [_bare(row, without) for row in rows]
    gone, came = (
        Counter(_values(row.new or row.old, ()) for row in bare if row.kind is kind and not row.key)
        for kind in (Kind.REMOVED, Kind.ADDED)
    )
    both = {Kind.REMOVED: gone & came, Kind.ADDED: gone & came}
    found = Counter[Content]()
    for row in bare:
        values = _values(row.new or row.old, ())
        if not row.key and both.get(row.kind, Counter())[values]:
            both[row.kind][values] -= 1
        else:
            found[content(row)] += 1
    return found


def _bare(row: Row, without: Collection[str]) -> Row:
    old, new = ({name: value for name, value in side.items() if name not in without} for side in (row.old, row.new))
    return replace(row, old=old, new=new)


def _is_keyless(found: TableDiff, wrote: TableDiff) -> bool:
    return not any(row.key for row in (*found.rows, *wrote.rows))


def _equal(one: Value, other: Value) -> bool:
    return type(one) is type(other) and one == other


def _other(wrote: Row, there: Row | None) -> dict[str, Value]:
    """Return the values that a row has now in each column where the app wrote a different value."""
    values = there.after if there and there.kind is wrote.kind else {}
    return {
        name: values[name] for name, value in wrote.new.items() if name in values and not _equal(values[name], value)
    }


def _others(wrote: Row, there: Row | None) -> str:
    """Return, in words, the values that differ now from what the app wrote; empty if none differs."""
    other = _other(wrote, there)
    words = (f"{name} {sample_value(name, value)}" for name, value in [*other.items()][:_SHOWN])
    return f", which now has {', '.join(words)}" if other else ""


def _described(row: Row, there: Row | None = None) -> str:
    """Return a row in words.

    `there`: the row as it is now, if it exists; the columns in which it differs come first.
    """
    keys = [f"{name} {sample_value(name, value, is_key=True)}" for name, value in row.key]
    values = row.old if row.kind is Kind.REMOVED else row.new
    first = _other(row, there)
    own = sorted(
        (each for each in values.items() if each[0] not in dict(row.key)), key=lambda each: each[0] not in first
    )
    others = [f"{name} {sample_value(name, value)}" for name, value in own[:_SHOWN]]
    return f"{row.kind} {', '.join([*keys, *others])}"
