"""Compare the indexes, primary keys and unique constraints of a table: which are lost, and what stays unique."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from steps.support.schema.comparison.difference import Difference
from steps.support.schema.model import Index, Part, Table, listed

_WEAKER = ", which lets more rows in"

Key = tuple[Sequence[Part], str]  # the parts that are unique together, and the condition of a partial index


@dataclass(frozen=True, slots=True)
class Keyed:
    """A table with its indexes."""

    table: Table
    indexes: Sequence[Index]

    @property
    def constraints(self) -> list[tuple[str, Sequence[Part]]]:
        """The primary key and the unique constraints in the table's definition, each with its keyword."""
        primary = [("PRIMARY KEY", self.table.primary_key)] if self.table.primary_key else []
        return [*primary, *(("UNIQUE", parts) for parts in self.table.uniques)]

    @property
    def unique(self) -> list[Key]:
        """The columns that are unique together, by a constraint or by an index."""
        constraints: list[Key] = [(parts, "") for _, parts in self.constraints]
        return [*constraints, *((index.parts, index.where) for index in self.indexes if index.unique)]


def key_differences(before: Keyed, after: Keyed) -> Iterator[Difference]:
    """Yield the differences between the keys, unique constraints and indexes of a table."""
    yield from _constraints(before, after)
    for index in before.indexes:
        yield from _index(index, before, after)
    known = {index.name for index in before.indexes} | {each.name for each in _successors(before, after)}
    for index in after.indexes:
        if index.name not in known:
            yield Difference("index-added", f"index {index.name}", f"{_described(index)} is new")


def _constraints(before: Keyed, after: Keyed) -> Iterator[Difference]:
    place = before.table.name
    for word, parts in before.constraints:
        if (word, parts) not in after.constraints:
            kind, fate = _lost_or_enforced((parts, ""), before, after)
            yield Difference(kind, place, f"{word} {listed(parts)} {fate}")
    for word, parts in after.constraints:
        if (word, parts) not in before.constraints:
            yield Difference("unique-added", place, f"{word} {listed(parts)} is new")


def _index(index: Index, before: Keyed, after: Keyed) -> Iterator[Difference]:
    place, successor = f"index {index.name}", _successor(index, before, after)
    kind, fate = _lost_or_enforced((index.parts, index.where), before, after)
    redefined = next((f"became {_described(each)}" for each in after.indexes if each.name == index.name), "")
    if index.unique and kind == "unique-lost":
        yield Difference(kind, place, f"{_described(index)} {f'{redefined}{_WEAKER}' if redefined else fate}")
    elif successor:
        yield from _changed(index, successor)
    elif index.unique and (index.parts, "") in [(parts, index.where) for _, parts in after.constraints]:
        yield Difference("index-renamed", place, "is now a table constraint")
    else:
        yield Difference("index-lost", place, f"{_described(index)} {redefined or 'is gone'}")


def _changed(index: Index, successor: Index) -> Iterator[Difference]:
    if successor.name != index.name:
        yield Difference("index-renamed", f"index {index.name}", f"is now called {successor.name}")
    if successor.unique != index.unique:
        words = "is now unique" if successor.unique else "is no longer unique itself"
        yield Difference("index-changed", f"index {index.name}", words)


def _successors(before: Keyed, after: Keyed) -> Iterator[Index]:
    return filter(None, (_successor(index, before, after) for index in before.indexes))


def _successor(index: Index, before: Keyed, after: Keyed) -> Index | None:
    """Return the index, the same or a new one, that now has the same parts and condition; None if there is none."""
    others = {each.name for each in before.indexes if each.name != index.name}
    equivalent = [each for each in after.indexes if (each.parts, each.where) == (index.parts, index.where)]
    candidates = [each for each in equivalent if each.name not in others]
    return min(candidates, key=lambda each: (each.name != index.name, each.unique != index.unique), default=None)


def _lost_or_enforced(key: Key, before: Keyed, after: Keyed) -> tuple[str, str]:
    """Return the kind of the difference, and what became of the key.

    The kind is `unique-changed` if another key still enforces uniqueness, and `unique-lost` if none does.
    """
    wanted, where = _columns(key[0]), key[1]
    if any(_columns(parts) <= wanted and condition in {"", where} for parts, condition in after.unique):
        return "unique-changed", "is gone; another key still enforces it"
    wider = [each[0] for each in after.unique if each not in before.unique and _columns(each[0]) >= wanted]
    return "unique-lost", f"became {listed(wider[0])}{_WEAKER}" if wider else "is gone"


def _columns(parts: Collection[Part]) -> set[tuple[str, str]]:
    return {(part.what, part.collation) for part in parts}


def _described(index: Index) -> str:
    return f"{'UNIQUE ' * index.unique}on {index.table} {index.key}"
