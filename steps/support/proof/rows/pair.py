"""Build SQL that compares a table before and after: in it, `b` is a row before and `a` is a row after."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from steps.support.proof.rows.tables import Column, Table
from steps.support.schema.reader import sample_text
from steps.support.sql.tokens import quoted


@dataclass(frozen=True, slots=True)
class Pair:
    """A table before and after.

    `common`: the columns to compare, each as its names before and after. `ranges`: the ranges of rowids in which rows
    may differ; None if rows may differ anywhere. `same`: the name of an SQL function that decides for two different
    values whether they count as equal; empty if no such values do.
    """

    old: Table
    new: Table
    common: tuple[tuple[str, str], ...]
    ranges: tuple[tuple[int, int], ...] | None = None
    same: str = ""

    def may_differ(self, side: str) -> str:
        """Build the condition that a row of one side, `b` or `a`, is in a range in which rows may differ."""
        if self.ranges is None:
            return "1"
        rowid = f"{side}.{(self.old if side == 'b' else self.new).rowid}"
        return f"({' OR '.join(f'{rowid} BETWEEN {low} AND {high}' for low, high in self.ranges)})"

    @property
    def names(self) -> list[str]:
        """Return the names that the compared columns have before the change."""
        return [old for old, _ in self.common]

    @property
    def differ(self) -> str:
        """Build the condition that a row before and a row after differ in a compared column."""
        if not self.common:
            return "0"
        old, new = (", ".join([*map(plain, side), *map(kind, side)]) for side in self._sides())
        whole = f"({old}) IS NOT ({new})"
        return f"{whole} AND ({' OR '.join(self.differences)})" if self.same else whole

    @property
    def differences(self) -> Iterator[str]:
        """Build, for each compared column, the condition that its values differ."""
        for old, new in zip(*self._sides(), strict=True):
            differs = f"({plain(old)}, {kind(old)}) IS NOT ({plain(new)}, {kind(new)})"
            both = f"{sample_text(old)}, {sample_text(new)}"  # a function cannot take a text that is not UTF-8
            yield f"({differs} AND NOT {self.same}({both}))" if self.same else differs

    @property
    def by_key(self) -> str:
        """Build the condition that a row before and a row after have the same primary key."""
        names = ((self.old.by_name[part.name].name, self.new.by_name[part.name].name) for part in self.old.key)
        return " AND ".join(f"b.{quoted(old)} = a.{quoted(new)}" for old, new in names)

    def _sides(self) -> tuple[list[str], list[str]]:
        return [f"b.{quoted(old)}" for old, _ in self.common], [f"a.{quoted(new)}" for _, new in self.common]


def plain(column: str) -> str:
    """Build the expression of a value as stored: no type converts it, and no collation makes different texts equal."""
    return f"+{column} COLLATE BINARY"


def kind(column: str) -> str:
    """Build the expression of a value's storage type, which distinguishes 1 from 1.0."""
    return f"typeof({column})"


def pair(old: Table, new: Table, ranges: tuple[tuple[int, int], ...] | None = None) -> Pair:
    """Pair a table before with the table after. Columns generated on both sides are not compared."""
    after = new.by_name
    both = ((column, after[name]) for name, column in old.by_name.items() if name in after)
    return Pair(old, new, tuple((b.name, a.name) for b, a in both if not (b.is_generated and a.is_generated)), ranges)


def only_in(one: Table, other: Table) -> list[Column]:
    """Return the columns that `one` has and `other` lacks."""
    names = other.by_name
    return [column for name, column in one.by_name.items() if name not in names]


def listed(expressions: Iterable[str]) -> str:
    """Build SQL that continues a list: a comma before each expression."""
    return "".join(f", {expression}" for expression in expressions)
