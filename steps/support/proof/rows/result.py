"""The result of comparing rows, table by table. Samples of rows are short and show no secrets or personal data."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from steps.support.core.redaction import MASK, Redactor
from steps.support.core.text import printable
from steps.support.sql.statement import Value

LONGEST = 40  # characters of a text that a sample shows
_SEARCHED = 400  # characters that are searched for secrets
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
    """A constant that replaces each value that is a time of writing. Its text is the unit of the time."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class SampleValue:
    """A value in a sample. `values`: the value as SQL writes it; the old and the new one if it changed."""

    column: str
    values: tuple[str, ...]

    def __str__(self) -> str:
        """Return the column with its value or values, as in `name 'a' -> 'b'`."""
        return f"{self.column} {' -> '.join(self.values)}"


def sample_value(column: str, value: Value, *, is_key: bool = False) -> str:
    """Return a value as SQL writes it, cut after 40 characters; return `***` if it may be a secret or private.

    `is_key`: whether the column belongs to the primary key; its numbers are shown even if its name looks private.
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


SAMPLES = 3  # rows of each kind and table, at most


class Kind(StrEnum):
    """What happened to a row."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Sample:
    """A row to show, with all its values; of a changed row, only the primary key and the columns that differ."""

    kind: Kind
    row: tuple[SampleValue, ...]

    def __str__(self) -> str:
        """Return the sample as one line."""
        return f"{self.kind} " + ", ".join(map(str, self.row))


Key = tuple[tuple[str, Value], ...]
Columns = tuple[str, ...]  # names of columns of one table, in lower case


@dataclass(frozen=True, slots=True)
class Row:
    """One row that differs. Column names are in lower case.

    `key`: the columns of the primary key with their values, ordered by name; empty without a key. `old`, `new`: by
    column, the values that differ if the row changed; all values if it was removed (`old`) or added (`new`).
    `unchanged`: the other values of a changed row.
    """

    kind: Kind
    key: Key
    old: Mapping[str, Value] = field(default_factory=dict)
    new: Mapping[str, Value] = field(default_factory=dict)
    unchanged: Mapping[str, Value] = field(default_factory=dict)

    @property
    def before(self) -> Mapping[str, Value]:
        """Return all values that the row had before; none if it was added."""
        return {**self.unchanged, **self.old}

    @property
    def after(self) -> Mapping[str, Value]:
        """Return all values that the row has afterwards; none if it was removed."""
        return {**self.unchanged, **self.new}


@dataclass(frozen=True, slots=True)
class Dropped:
    """A column that a table had before and lacks after. `values`: how many values other than NULL it had.

    `became`: a new column with the same values in every remaining row; None if there is none.
    """

    name: str
    values: int
    became: str | None = None


@dataclass(frozen=True, slots=True)
class TableDiff:
    """What happened to the rows of one table.

    `before`, `after`: the number of rows; None if there is no such table.
    `added`, `removed`, `changed`: how many rows; without a primary key, a changed row counts as removed and added.
    `columns`: by column, how many rows changed in it. Columns without a change are left out.
    `samples`: a few of the rows that differ. `rows`: all of them, if they were requested and are not too many.
    `only_before`, `only_after`: the columns that one side lacks.
    `by_pages`: whether equal pages proved that nothing changed, so that no row was read.
    `by_key`: whether a primary key identified the rows.
    `retyped`: by changed column, how many values have another type than before; changes from or to NULL do not count.
    `converted`: by changed column, how many of the retyped values still mean the same.
    `filled`: by changed column, how many values were NULL before and are not now.
    `emptied`: by changed column, how many values are NULL now and were not before.
    `examples`: by changed column, one change as text.
    `exchanged`: groups of columns that took over each other's values.
    `in_columns`: by requested group of columns, how many rows changed in at least one of them. Rows without a key count
    only if they are equal in all other columns.
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
        """Return how many rows differ: added, removed and changed ones."""
        return self.added + self.removed + self.changed


@dataclass(frozen=True, slots=True)
class Renamed:
    """A table under its new name. `source`: its name before. `found`: what became of its rows.

    `is_whole`: whether the new table has the rows of `source` and no others, and no other table has any of them; if
    not, only `found.exchanged` is known. `key`: the columns of its primary key, in lower case.
    """

    source: str
    found: TableDiff
    is_whole: bool
    key: Columns


def whole(kind: Kind, columns: Sequence[str], row: Sequence[Value], key: Collection[str] = ()) -> Sample:
    """Return a sample of an added or removed row, with all its values. `key`: the columns of the primary key."""
    texts = (sample_value(column, value, is_key=column in key) for column, value in zip(columns, row, strict=True))
    return Sample(kind, tuple(SampleValue(column, (text,)) for column, text in zip(columns, texts, strict=True)))
