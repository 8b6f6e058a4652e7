"""One table before and after, joined in SQL: `b` is a row before, `a` a row after."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from steps.support.proof.rows.tables import Column, Table
from steps.support.sql.tokens import quoted


@dataclass(frozen=True, slots=True)
class Pair:
    """A table before and after; `common`: the columns to compare, each with its names before and after.

    `ranges`: the rowid ranges in which rows may differ, if they are known. `same`: an SQL function that also makes two
    values equal; empty if there is none.
    """

    old: Table
    new: Table
    common: tuple[tuple[str, str], ...]
    ranges: tuple[tuple[int, int], ...] | None = None
    same: str = ""

    def may_differ(self, side: str) -> str:
        """Build the condition that a row of `side`, `b` or `a`, is in a range in which rows may differ."""
        if self.ranges is None:
            return "1"
        rowid = f"{side}.{(self.old if side == 'b' else self.new).rowid}"
        return f"({' OR '.join(f'{rowid} BETWEEN {low} AND {high}' for low, high in self.ranges)})"

    @property
    def names(self) -> list[str]:
        """Return the names of the compared columns before the change."""
        return [old for old, _ in self.common]

    @property
    def differ(self) -> str:
        """Build the condition that a row differs before and after."""
        if not self.common:
            return "0"
        old, new = (", ".join([*map(plain, side), *map(kind, side)]) for side in self._sides())
        whole = f"({old}) IS NOT ({new})"
        return f"{whole} AND ({' OR '.join(self.differences)})" if self.same else whole

    @property
    def differences(self) -> Iterator[str]:
        """Build the same condition for each compared column."""
        for old, new in zip(*self._sides(), strict=True):
            differs = f"({plain(old)}, {kind(old)}) IS NOT ({plain(new)}, {kind(new)})"
            yield f"({differs} AND NOT {self.same}({old}, {new}))" if self.same else differs

    @property
    def by_key(self) -> str:
        """Build the condition that two rows have the same primary key."""
        names = ((self.old.by_name[part.name].name, self.new.by_name[part.name].name) for part in self.old.key)
        return " AND ".join(f"b.{quoted(old)} = a.{quoted(new)}" for old, new in names)

    def _sides(self) -> tuple[list[str], list[str]]:
        return [f"b.{quoted(old)}" for old, _ in self.common], [f"a.{quoted(new)}" for _, new in self.common]


def plain(column: str) -> str:
    """Build a value as it is stored: no other column's type converts it, and no collation makes two texts equal."""
    return f"+{column} COLLATE BINARY"


def kind(column: str) -> str:
    """Build the expression that distinguishes 1 from 1.0."""
    return f"typeof({column})"


def pair(old: Table, new: Table, ranges: tuple[tuple[int, int], ...] | None = None) -> Pair:
    """Pair a table's two sides; columns generated on both are not compared, because they follow from the rest."""
    after = new.by_name
    both = ((column, after[name]) for name, column in old.by_name.items() if name in after)
    return Pair(old, new, tuple((b.name, a.name) for b, a in both if not (b.is_generated and a.is_generated)), ranges)


def only_in(one: Table, other: Table) -> list[Column]:
    """Return the columns that only `one` has."""
    names = other.by_name
    return [column for name, column in one.by_name.items() if name not in names]


def listed(expressions: Iterable[str]) -> str:
    """Build the continuation of a list: each expression after a comma."""
    return "".join(f", {expression}" for expression in expressions)
