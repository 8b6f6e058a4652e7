"""The result of comparing rows, table by table."""

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
    """One row to show: the primary key and the differing columns of a changed row, or all of any other."""

    kind: Kind
    row: tuple[SampleValue, ...]

    def __str__(self) -> str:
        """Return it as one line."""
        return f"{self.kind} " + ", ".join(map(str, self.row))


Key = tuple[tuple[str, Value], ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One row that differs: the differing columns of a changed row, or all columns of any other.

    `key`: the columns of the primary key and their values, ordered by name; empty if there is no key. `old` and `new`:
    values by the names of columns, in lower case.
    """

    kind: Kind
    key: Key
    old: Mapping[str, Value] = field(default_factory=dict)
    new: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dropped:
    """A column that only the table before has; `values`: how many values other than NULL it held.

    `became`: a column of the table after that holds the same values in every remaining row, if there is one.
    """

    name: str
    values: int
    became: str | None = None


@dataclass(frozen=True, slots=True)
class TableDiff:
    """What became of the rows of a table; `before` and `after` are their numbers, None if there is no such table.

    `columns`: how many rows changed in that column, if any did. Without a primary key on both sides, rows are
    identified by all their values, and a changed row counts as removed and as added. `by_pages`: equal pages proved
    that nothing changed, and no row was read. `by_key`: a primary key identified the rows. `retyped`: of the rows that
    changed in a column, how many have a value of another type there, without NULL. `rows`: every row that differs, if
    they were requested and are not more than requested.
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
        """Return the number of all rows that differ."""
        return self.added + self.removed + self.changed


def whole(kind: Kind, columns: Sequence[str], row: Sequence[Value], key: Collection[str] = ()) -> Sample:
    """Return a sample with all of a row that only one side has; `key` names the columns of its primary key."""
    texts = (sample_value(column, value, is_key=column in key) for column, value in zip(columns, row, strict=True))
    return Sample(kind, tuple(SampleValue(column, (text,)) for column, text in zip(columns, texts, strict=True)))
