"""The result of comparing rows, table by table, with samples: short, on one line, without secrets or personal data."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from steps.support.core.redaction import MASK, Redactor
from steps.support.core.text import printable
from steps.support.sql.statement import Value

LONGEST = 40  # characters of a text
_SEARCHED = 400  # characters; later ones are never shown
_PRIVATE = re.compile(
    r"token|secret|passw|pwd|credential|mail|address|phone|contact|cookie|session_id|iban"
    r"|auth(?!or)|(?:^|_|api)key(?:_|s?$)|(?:^|_)(?:pw|otp|pin)(?:_|$)",
    re.IGNORECASE,
)
_TELLING = re.compile(
    r"[^\s@]+@[^\s@]+\.\w"  # an e-mail address
    r"|[0-9A-Fa-f]{32}"
    r"|\b[a-z]{2}_(?:live|test)_\w|\$2[aby]\$"  # a key of a payment service, a hashed password
    r"|(?=[\w+/-]*[a-z])(?=[\w+/-]*[A-Z])(?=[\w+/-]*\d)[\w+/-]{24}"  # random bytes as Base64
    r"|(?i:token|secret|passw\w*|credential|api_?key)\W{0,2}\s*[:=]"  # a secret within JSON, or a query
)
_REDACTOR = Redactor()


class TimeOfWriting(str):
    """Stands for every value that is a time of writing in one unit, which is its text."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class SampleValue:
    """A value of a row as SQL writes it: one, or two, before and after, if it changed."""

    column: str
    values: tuple[str, ...]

    def __str__(self) -> str:
        """Return it as a part of a line."""
        return f"{self.column} {' -> '.join(self.values)}"


def sample_value(column: str, value: Value, *, is_key: bool = False) -> str:
    """Return a value as SQL writes it, at most 40 characters of it; a secret, or what may be one, as `***`.

    A number in a primary key is shown under any column name.
    """
    if value is None:
        return "NULL"
    if isinstance(value, TimeOfWriting):
        return "the time of writing"
    if isinstance(value, bytes):
        return f"<{len(value):,} bytes>"
    if isinstance(value, str):
        return MASK if _PRIVATE.search(column) or _is_telling(value[:_SEARCHED]) else f"'{_short(value)}'"
    return MASK if _PRIVATE.search(column) and not is_key else repr(value)


def _is_telling(text: str) -> bool:
    return _TELLING.search(text) is not None or _REDACTOR.text(text) != text


def _short(text: str) -> str:
    cut = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    return printable(cut)


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
Columns = tuple[str, ...]  # names of columns of one table, in lower case


@dataclass(frozen=True, slots=True)
class Row:
    """One row that differs: the differing columns of a changed row, or all columns of any other.

    `key`: the columns of the primary key and their values, ordered by name; empty if there is no key. `old` and `new`:
    values by the names of columns, in lower case. `unchanged`: the other values of a changed row.
    """

    kind: Kind
    key: Key
    old: Mapping[str, Value] = field(default_factory=dict)
    new: Mapping[str, Value] = field(default_factory=dict)
    unchanged: Mapping[str, Value] = field(default_factory=dict)

    @property
    def before(self) -> Mapping[str, Value]:
        """All values of the row before; none if it was added."""
        return {**self.unchanged, **self.old}

    @property
    def after(self) -> Mapping[str, Value]:
        """All values of the row after; none if it was removed."""
        return {**self.unchanged, **self.new}


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
    changed in a column, how many have a value of another type there, without NULL. `converted`: how many of those still
    say the same. `filled` and `emptied`: how many were NULL there before, and how many are now. `examples`: one change
    of each changed column. `exchanged`: columns that took over each other's values. `in_columns`: how many rows changed
    in at least one of these columns, for each requested group; for rows without a key, only if they are the same apart
    from these columns. `rows`: every row that differs, if they were requested and are not more than requested.
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
    converted: Mapping[str, int] = field(default_factory=dict, compare=False)
    filled: Mapping[str, int] = field(default_factory=dict, compare=False)
    emptied: Mapping[str, int] = field(default_factory=dict, compare=False)
    examples: Mapping[str, str] = field(default_factory=dict, compare=False)
    exchanged: tuple[tuple[str, ...], ...] = field(default=(), compare=False)
    in_columns: Mapping[Columns, int] = field(default_factory=dict, compare=False)
    rows: tuple[Row, ...] = ()

    @property
    def total(self) -> int:
        """Return the number of all rows that differ."""
        return self.added + self.removed + self.changed


def whole(kind: Kind, columns: Sequence[str], row: Sequence[Value], key: Collection[str] = ()) -> Sample:
    """Return a sample with all of a row that only one side has; `key` names the columns of its primary key."""
    texts = (sample_value(column, value, is_key=column in key) for column, value in zip(columns, row, strict=True))
    return Sample(kind, tuple(SampleValue(column, (text,)) for column, text in zip(columns, texts, strict=True)))
