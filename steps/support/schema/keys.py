"""Indexes, primary keys and constraints before and after: which are kept, and whether what was unique still is."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from steps.support.schema.difference import Difference
from steps.support.schema.model import Index, Part, Table, listed

Key = tuple[Sequence[Part], str]  # what together is unique, and the condition under which it is


@dataclass(frozen=True, slots=True)
class Keyed:
    """A table with the indexes on it."""

    table: Table
    indexes: Sequence[Index]

    @property
    def constraints(self) -> list[tuple[str, Sequence[Part]]]:
        """Give what its definition says of uniqueness."""
        primary = [("PRIMARY KEY", self.table.primary_key)] if self.table.primary_key else []
        return [*primary, *(("UNIQUE", parts) for parts in self.table.uniques)]

    @property
    def unique(self) -> list[Key]:
        """Give all that is unique."""
        constraints: list[Key] = [(parts, "") for _, parts in self.constraints]
        return [*constraints, *((index.parts, index.where) for index in self.indexes if index.unique)]


def key_differences(before: Keyed, after: Keyed) -> Iterator[Difference]:
    """Give the differences in constraints and indexes."""
    yield from _constraints(before, after)
    for index in before.indexes:
        yield from _index(index, before, after)
    known = {index.name for index in before.indexes} | {heir.name for heir in _heirs(before, after)}
    for index in after.indexes:
        if index.name not in known:
            yield Difference("index-added", f"index {index.name}", f"{_told(index)} is new")


def _constraints(before: Keyed, after: Keyed) -> Iterator[Difference]:
    place = before.table.name
    for word, parts in before.constraints:
        if (word, parts) not in after.constraints:
            kind, why = _lost_or_held((parts, ""), after)
            yield Difference(kind, place, f"{word} {listed(parts)} is gone{why}")
    for word, parts in after.constraints:
        if (word, parts) not in before.constraints:
            yield Difference("unique-added", place, f"{word} {listed(parts)} is new")


def _index(index: Index, before: Keyed, after: Keyed) -> Iterator[Difference]:
    place, heir = f"index {index.name}", _heir(index, before, after)
    kind, why = _lost_or_held((index.parts, index.where), after)
    if index.unique and kind == "unique-lost":
        yield Difference(kind, place, f"{_told(index)} is gone{why}")
    elif heir:
        yield from _changed(index, heir)
    elif index.unique and (index.parts, "") in [(parts, index.where) for _, parts in after.constraints]:
        yield Difference("index-renamed", place, "is a constraint of the table now")
    else:
        same = next((f" became {_told(each)}" for each in after.indexes if each.name == index.name), " is gone")
        yield Difference("index-lost", place, f"{_told(index)}{same}")


def _changed(index: Index, heir: Index) -> Iterator[Difference]:
    if heir.name != index.name:
        yield Difference("index-renamed", f"index {index.name}", f"is called {heir.name} now")
    if heir.unique != index.unique:
        now = "unique now" if heir.unique else "not unique itself any more"
        yield Difference("index-changed", f"index {index.name}", f"is {now}")


def _heirs(before: Keyed, after: Keyed) -> Iterator[Index]:
    return filter(None, (_heir(index, before, after) for index in before.indexes))


def _heir(index: Index, before: Keyed, after: Keyed) -> Index | None:
    """Give the index that serves what this one served: itself, or one that was not there before."""
    others = {each.name for each in before.indexes if each.name != index.name}
    alike = [each for each in after.indexes if (each.parts, each.where) == (index.parts, index.where)]
    fit = [each for each in alike if each.name not in others]
    return min(fit, key=lambda each: (each.name != index.name, each.unique != index.unique), default=None)


def _lost_or_held(key: Key, after: Keyed) -> tuple[str, str]:
    """Say whether what was unique still is, and if not, what lets more through."""
    wanted, where = _columns(key[0]), key[1]
    if any(_columns(parts) <= wanted and condition in {"", where} for parts, condition in after.unique):
        return "unique-changed", "; it still holds by another"
    wider = [parts for parts, _ in after.unique if _columns(parts) >= wanted]
    return "unique-lost", f"; {listed(wider[0])} lets more rows in" if wider else ""


def _columns(parts: Collection[Part]) -> set[tuple[str, str]]:
    return {(part.what, part.collation) for part in parts}


def _told(index: Index) -> str:
    return f"{'UNIQUE ' * index.unique}on {index.table} {index.key}"
