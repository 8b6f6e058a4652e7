"""One table before and after as SQL puts the two together: `b` is a row before, `a` one after."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from steps.support.proof.rows.tables import Column, Table
from steps.support.sql.tokens import quoted


@dataclass(frozen=True, slots=True)
class Pair:
    """A table before and after; `common` are the columns to compare, each with what it is called after.

    `ranges`: the rowids between which rows may differ, where that is known.
    """

    old: Table
    new: Table
    common: tuple[tuple[str, str], ...]
    ranges: tuple[tuple[int, int], ...] | None = None

    def may_differ(self, side: str) -> str:
        """Build the condition that a row, `b` or `a`, is one of those that may not be the same before and after."""
        if self.ranges is None:
            return "1"
        rowid = f"{side}.{(self.old if side == 'b' else self.new).rowid}"
        return f"({' OR '.join(f'{rowid} BETWEEN {low} AND {high}' for low, high in self.ranges)})"

    @property
    def names(self) -> list[str]:
        """Give what the compared columns were called before."""
        return [old for old, _ in self.common]

    @property
    def differ(self) -> str:
        """Build the condition that a row is not the same before and after."""
        if not self.common:
            return "0"
        old, new = (", ".join([*map(plain, side), *map(kind, side)]) for side in self._sides())
        return f"({old}) IS NOT ({new})"

    @property
    def differences(self) -> Iterator[str]:
        """Build that condition for each compared column."""
        for old, new in zip(*self._sides(), strict=True):
            yield f"({plain(old)}, {kind(old)}) IS NOT ({plain(new)}, {kind(new)})"

    @property
    def by_key(self) -> str:
        """Build the condition that two rows have the same primary key."""
        names = ((self.old.by_name[part.name].name, self.new.by_name[part.name].name) for part in self.old.key)
        return " AND ".join(f"b.{quoted(old)} = a.{quoted(new)}" for old, new in names)

    def _sides(self) -> tuple[list[str], list[str]]:
        return [f"b.{quoted(old)}" for old, _ in self.common], [f"a.{quoted(new)}" for _, new in self.common]


def plain(column: str) -> str:
    """Build a value as it is stored: no other column's type converts it, no collation takes two texts for one."""
    return f"+{column} COLLATE BINARY"


def kind(column: str) -> str:
    """Build what tells 1 from 1.0."""
    return f"typeof({column})"


def pair(old: Table, new: Table, ranges: tuple[tuple[int, int], ...] | None = None) -> Pair:
    """Put a table's two sides together; what is computed on both is not compared, for it follows from the rest."""
    after = new.by_name
    both = ((column, after[name]) for name, column in old.by_name.items() if name in after)
    return Pair(old, new, tuple((b.name, a.name) for b, a in both if not (b.is_generated and a.is_generated)), ranges)


def only_in(one: Table, other: Table) -> list[Column]:
    """Give the columns that one side has alone."""
    names = other.by_name
    return [column for name, column in one.by_name.items() if name not in names]


def listed(expressions: Iterable[str]) -> str:
    """Build a list that goes on after something: each expression behind a comma."""
    return "".join(f", {expression}" for expression in expressions)
