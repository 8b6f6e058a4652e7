"""Recognize the app's rows by their values, because a rollback may move them to another table or give them other keys.

A written row is a row that the app wrote. It came back if the next migration makes it exactly as the app wrote it. Only
such a row can explain another row that a rollback added, changed or removed, and it explains at most one row in each
table.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from steps.support.proof.rows.result import Key, Kind, Row, TableDiff, TimeOfWriting
from steps.support.sql.script import Script
from steps.support.sql.statement import Value
from steps.support.sql.tokens import unquoted_name

Diff = Mapping[str, TableDiff]
Content = tuple[Kind, Key, frozenset[tuple[str, type, Value]]]
Typed = tuple[type, Value]
_Used = set[tuple[int, Kind]]

LOOKED_AT = 1_000  # further written rows that are tried, to find one that explains a value better


def content(row: Row) -> Content:
    """Return how a row differs, in a form that can be compared and counted."""
    values = row.old if row.kind is Kind.REMOVED and not row.key else row.new
    return row.kind, row.key, frozenset((name, type(value), value) for name, value in values.items())


def typed(value: Value) -> Typed:
    """Return a value with its type, so that 1 and 1.0 are not equal."""
    return type(value), value


def is_telling(value: Value) -> bool:
    """Return True if a value helps to recognize a row. NULL and times of writing do not: many rows have them."""
    return value is not None and not isinstance(value, TimeOfWriting)


def texts_of(script: Script) -> set[str]:
    """Return the texts that a script contains, such as a constant that it writes into every row of a table."""
    tokens = (token for piece in script.pieces for token in piece.tokens if token.kind == "string")
    return {unquoted_name(token.text) for token in tokens}


def is_too_many(found: TableDiff) -> bool:
    """Return True if the diff does not contain all rows that differ, because there were too many."""
    return found.total > len(found.rows)


@dataclass(frozen=True, slots=True)
class _Source:
    """A written row that came back. `before`, `after`: its values before and after the write, with their types."""

    row: Row
    before: Collection[Typed]
    after: Collection[Typed]

    @classmethod
    def of(cls, row: Row) -> "_Source":
        return cls(row, {*map(typed, row.before.values())}, {*map(typed, row.after.values())})

    def has(self, key: Key) -> bool:
        """Return True if the written row contains all values of a key."""
        return bool(key) and all(typed(value) in self.before or typed(value) in self.after for _, value in key)

    def is_as(self, row: Row, free: Collection[str], named: Collection[Typed]) -> bool:
        """Return True if an added or removed row has the values of the written row. The values of its key may differ.

        `free`: columns that may differ, too. `named`: constants of the script, which the row may have in columns that
        the written row lacks.
        """
        is_added = row.kind is Kind.ADDED
        (values, own, there) = (
            (row.new, self.row.after, self.after) if is_added else (row.old, self.row.before, self.before)
        )
        keys = {name for name, _ in row.key}
        compared = {name: value for name, value in values.items() if name not in keys and name not in free}
        is_shared = any(is_telling(value) and typed(value) in there for value in values.values())
        return is_shared and all(_fits(name, value, own, {*there, *named}) for name, value in compared.items())

    def changes_alike(self, row: Row, free: Collection[str]) -> bool:
        """Return True if a changed row is the written row with other references.

        The two count as the same row if the written row contains the changed row's key, or has the same unchanged
        values.
        """
        return self.row.kind is Kind.CHANGED and (self.has(row.key) or self._keeps_the_same(row, free))

    def _keeps_the_same(self, row: Row, free: Collection[str]) -> bool:
        """Return True if a row has the written row's unchanged values, and one of these helps to recognize a row."""
        keys = {name for name, _ in row.key}
        rest = {name: value for name, value in row.unchanged.items() if name not in keys and name not in free}
        is_shared = any(is_telling(value) and typed(value) in self.after for value in rest.values())
        return is_shared and all(_fits(name, value, self.row.unchanged, self.after) for name, value in rest.items())

    def sets(self, row: Row, column: str, free: Collection[str]) -> bool:
        """Return True if the written row explains a changed value of another row.

        It does if the app changed a value of the written row in the same way, or if the written row has the other row's
        key and the new value.
        """
        old, new = typed(row.old[column]), typed(row.new[column])
        if self.makes_the_change(row, column, free):
            return True
        if not self.has(row.key):
            return False
        written = {typed(value) for value in self.row.new.values()}
        return new in written or (self.row.kind is Kind.REMOVED and row.new[column] is None and old in self.before)

    def makes_the_change(self, row: Row, column: str, free: Collection[str]) -> bool:
        """Return True if the app changed a value of the written row in the same way.

        A change to NULL or to a time of writing counts only if the written row also has the other row's unchanged
        values.
        """
        old, new = typed(row.old[column]), typed(row.new[column])
        alike = (old == typed(self.row.old[name]) and new == typed(self.row.new[name]) for name in self._changed)
        return any(alike) and (is_telling(row.new[column]) or self._keeps_the_same(row, free))

    @property
    def _changed(self) -> Iterable[str]:
        return self.row.new if self.row.kind is Kind.CHANGED else ()


def _is_used(source: _Source, kind: Kind, used: _Used) -> bool:
    """Return True if a written row already explains another row of this kind.

    Without a key, a changed row counts as one that was removed and one that was added, so a changed row uses up both of
    these kinds.
    """
    kinds = Kind if Kind.CHANGED is kind else (kind, Kind.CHANGED)
    return any((id(source), each) in used for each in kinds)


def _fits(name: str, value: Value, own: Mapping[str, Value], there: Collection[Typed]) -> bool:
    if name in own:
        return typed(own[name]) == typed(value)
    return value is None or typed(value) in there


@dataclass(slots=True)
class Elsewhere:
    """Finds out which of the written rows that came back explain rows in other tables or under other keys.

    `references`: for each table of the old schema, the columns that reference other tables; their values may differ.
    `named`: the texts that rollback.sql contains. `explaining`: the written rows that explain another row. `shown`:
    those of them that the old schema contains after the rollback.
    """

    references: Mapping[str, Collection[str]] = field(default_factory=dict)
    named: Collection[Typed] = ()
    explaining: set[tuple[str, Content]] = field(default_factory=set)
    shown: set[tuple[str, Content]] = field(default_factory=set)
    _back: Mapping[str, Counter[Content]] = field(default_factory=dict)
    _wrote: Mapping[str, Counter[Content]] = field(default_factory=dict)
    _by_value: Mapping[Typed, Sequence[tuple[str, _Source]]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, written: Diff, regained: Diff, references: Mapping[str, Collection[str]], named: Collection[Value] = ()
    ) -> "Elsewhere":
        """Find the written rows that came back.

        `written`: the rows that the app wrote. `regained`: the rows that differ after the last migration. Tables with
        too many written rows are left out. `references`, `named`: as in the class.
        """
        both = {name: found for name, found in written.items() if name in regained and not is_too_many(found)}
        wrote = {name: Counter(map(content, found.rows)) for name, found in both.items()}
        back = {name: Counter(map(content, regained[name].rows)) for name in both}
        made, by_value = (
            cls(references, {*map(typed, named)}, set(), set(), back, wrote),
            defaultdict[Typed, list[tuple[str, _Source]]](list),
        )
        for name, found in both.items():
            for row in found.rows:
                if made.came_back(name, row):
                    source = _Source.of(row)
                    for value in {*source.before, *source.after}:
                        by_value[value].append((name, source))
        made._by_value = by_value
        return made

    def came_back(self, table: str, row: Row) -> bool:
        """Return True if the last migration makes a written row exactly as the app wrote it."""
        what = content(row)
        return 0 < self._wrote.get(table, Counter())[what] <= self._back.get(table, Counter())[what]

    def unexplained(self, table: str, rows: Iterable[Row]) -> list[Row]:
        """Return the rows that no written row explains.

        `rows`: the rows of the table that differ after the rollback.
        """
        used, free = set[tuple[int, Kind]](), self.references.get(table, ())
        return [row for row in rows if not self._explains(row, used, free)]

    def explains(self, table: str, row: Row) -> bool:
        """Return True if a written row explains a row in another table or under another key."""
        return (table, content(row)) in self.explaining

    def shows(self, table: str, row: Row) -> bool:
        """Return True if the old schema contains a written row, in another table or under another key."""
        return (table, content(row)) in self.shown

    def contradicts(self, table: str, row: Row, columns: Collection[str]) -> bool:
        """Return True if one of these columns of an added row has a value that the app wrote for another row.

        Also return True if the app wrote a different value in that column for this row.
        """
        keyed = [each for _, value in row.key for each in self._by_value.get(typed(value), ())]
        for name in (name for name in columns if row.new.get(name) is not None):
            value = typed(row.new[name])
            own = {typed(each.row.after[name]) for to, each in keyed if to != table and self._is_of(each, row, name)}
            others = is_telling(row.new[name]) and any(
                typed(each.row.after.get(name)) == value for to, each in self._by_value.get(value, ()) if to != table
            )
            if value not in own if own else others:
                return True
        return False

    @staticmethod
    def _is_of(source: _Source, row: Row, column: str) -> bool:
        return column in source.row.after and source.has(row.key)

    def _explains(self, row: Row, used: _Used, free: Collection[str]) -> bool:
        if row.kind is not Kind.CHANGED:
            found = next((each for each in self._like(row, used, free) if each[1].is_as(row, free, self.named)), None)
            return self._use([found] if found else [], row, used)
        columns = [name for name in row.new if name not in free]
        if not columns:
            found = next((each for each in self._like(row, used, free) if each[1].changes_alike(row, free)), None)
            return self._use([found] if found else [], row, used)
        setting = [self._setting(row, used, free, column) for column in columns]
        return all(setting) and self._use([each for each in setting if each], row, used)

    def _setting(self, row: Row, used: _Used, free: Collection[str], column: str) -> tuple[str, _Source] | None:
        """Return a written row that explains a changed value, if possible one in which the app made the same change."""
        several = self._like(row, used, free, column)
        first = next((each for each in several if each[1].sets(row, column, free)), None)
        if first is None or first[1].makes_the_change(row, column, free):
            return first
        return next((each for each in islice(several, LOOKED_AT) if each[1].makes_the_change(row, column, free)), first)

    def _use(self, found: Sequence[tuple[str, _Source]], row: Row, used: _Used) -> bool:
        for table, source in found:
            used.add((id(source), row.kind))
            self.explaining.add((table, content(source.row)))
            if row.kind is not Kind.REMOVED:
                self.shown.add((table, content(source.row)))
        return bool(found)

    def _like(self, row: Row, used: _Used, free: Collection[str], column: str = "") -> Iterator[tuple[str, _Source]]:
        """Yield the written rows that share a value with a row. Those that contain the row's key come first."""
        by_key = [each for _, value in row.key for each in self._by_value.get(typed(value), ())]
        yield from (each for each in by_key if not _is_used(each[1], row.kind, used) and each[1].has(row.key))
        keys = {name for name, _ in row.key}
        own = [name for name in (row.new or row.old) if name not in keys and name not in free]
        values = [side[name] for name in ([column] if column else own) for side in (row.old, row.new) if name in side]
        shared = [self._by_value[each] for each in map(typed, values) if each[1] is not None and each in self._by_value]
        alike = min(shared, key=len) if shared else self._sharing({**row.unchanged, **(row.new or row.old)})
        yield from (each for each in alike if not _is_used(each[1], row.kind, used))

    def _sharing(self, own: Mapping[str, Value]) -> list[tuple[str, _Source]]:
        values = map(typed, own.values())
        return [each for value in values if value[1] is not None for each in self._by_value.get(value, ())]
