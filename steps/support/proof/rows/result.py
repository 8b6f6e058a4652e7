"""What a comparison of rows finds, table by table."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from steps.support.proof.rows.values import SampleValue, sample_value
from steps.support.sql.statement import Value

SAMPLES = 3  # of each kind, for each table


class Kind(StrEnum):
    """What became of a row."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Sample:
    """One row: of a changed one the primary key and what differs, of another all of it."""

    kind: Kind
    row: tuple[SampleValue, ...]

    def __str__(self) -> str:
        """Give it as one line."""
        return f"{self.kind} " + ", ".join(map(str, self.row))


Key = tuple[tuple[str, Value], ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One row that is not as it was, in full: of a changed one the columns that differ, of another all of them.

    `key`: the columns of the primary key and their values, in the order of their names; none where there is no key.
    `old` and `new`: values by the names of columns, in lower case.
    """

    kind: Kind
    key: Key
    old: Mapping[str, Value] = field(default_factory=dict)
    new: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dropped:
    """A column that only the table before has: how many values other than NULL it held.

    `became` is a column of the table after that holds the same values in every row that is still there.
    """

    name: str
    values: int
    became: str | None = None


@dataclass(frozen=True, slots=True)
class TableDiff:
    """What became of the rows of a table; `before` and `after` are their numbers, None where there is no such table.

    `columns`: how many rows changed in that column, if any did. Without a primary key that both sides have, rows are
    told apart by all their values, and one that was changed counts as removed and as added. `by_pages`: whether equal
    pages proved that nothing changed, so that no row had to be read. `by_key`: whether a primary key told rows apart.
    `retyped`: of the rows that changed in a column, how many hold a value of another type there, NULL not counted.
    `rows`: every row that is not as it was, where they were asked for and are no more than that.
    """

    name: str
    before: int | None
    after: int | None
    added: int = 0
    removed: int = 0
    changed: int = 0
    columns: Mapping[str, int] = field(default_factory=dict)
    samples: tuple[Sample, ...] = ()
    only_before: tuple[Dropped, ...] = ()
    only_after: tuple[str, ...] = ()
    by_pages: bool = False
    by_key: bool = field(default=False, compare=False)
    retyped: Mapping[str, int] = field(default_factory=dict)
    rows: tuple[Row, ...] = ()

    @property
    def total(self) -> int:
        """Count all rows that are not as they were."""
        return self.added + self.removed + self.changed


def whole(kind: Kind, columns: Sequence[str], row: Sequence[Value], key: Collection[str] = ()) -> Sample:
    """Show all of a row that is there on one side only; `key` names the columns of its primary key."""
    texts = (sample_value(column, value, is_key=column in key) for column, value in zip(columns, row, strict=True))
    return Sample(kind, tuple(SampleValue(column, (text,)) for column, text in zip(columns, texts, strict=True)))
