"""What a schema consists of, by meaning: two parts are equal where they mean the same to the engine."""

from collections.abc import Iterable
from dataclasses import dataclass

from steps.support.schema.text import Name


@dataclass(frozen=True, slots=True)
class Column:
    """One column. What it does not have is empty text: a default, a collation other than BINARY, an origin.

    `given` says what the engine itself fills it with: `rowid` for an INTEGER PRIMARY KEY, or a generated value.
    """

    name: Name
    type: str
    not_null: bool
    default: str = ""
    given: str = ""
    collation: str = ""

    def __str__(self) -> str:
        """Give it nearly as it is written."""
        words = (self.name, self.type, "NOT NULL" * self.not_null, self.default and f"DEFAULT {self.default}")
        return " ".join(filter(None, words))


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """One reference; its columns are in the order of the alphabet, those of the parent beside them.

    `parent_columns` is empty where the parent has no primary key to stand for them, or is not there.
    """

    columns: tuple[Name, ...]
    parent: Name
    parent_columns: tuple[Name, ...]
    on_update: str
    on_delete: str
    deferred: bool

    @property
    def target(self) -> str:
        """Give the parent with its columns."""
        return f"{self.parent} ({', '.join(self.parent_columns)})" if self.parent_columns else self.parent


@dataclass(frozen=True, slots=True)
class Part:
    """One column or expression of an index or key."""

    what: str  # a Name, where it is a column
    collation: str = "BINARY"
    descending: bool = False

    def __str__(self) -> str:
        """Give it as it is written, leaving out what is usual."""
        collation = "" if self.collation == "BINARY" else f" COLLATE {self.collation}"
        return f"{self.what}{collation}{' DESC' * self.descending}"


@dataclass(frozen=True, slots=True)
class Index:
    """One index that somebody created; those of constraints stand in the table."""

    name: Name
    table: Name
    unique: bool
    parts: tuple[Part, ...]
    where: str

    @property
    def key(self) -> str:
        """Give what it covers, as it is written."""
        return listed(self.parts) + (f" WHERE {self.where}" if self.where else "")


@dataclass(frozen=True, slots=True)
class Table:
    """One table. `virtual` is what follows USING, empty for one that holds its rows itself."""

    name: Name
    columns: tuple[Column, ...]
    primary_key: tuple[Part, ...]
    foreign_keys: tuple[ForeignKey, ...]
    uniques: tuple[tuple[Part, ...], ...]
    checks: tuple[str, ...]
    conflicts: tuple[str, ...]
    without_rowid: bool
    strict: bool
    autoincrement: bool
    virtual: str


@dataclass(frozen=True, slots=True)
class Trigger:
    """One trigger; `sql` is what follows its name."""

    name: Name
    table: Name
    sql: str


@dataclass(frozen=True, slots=True)
class View:
    """One view; `sql` is what follows its name."""

    name: Name
    sql: str


def listed(parts: Iterable[object]) -> str:
    """Give a list in parentheses."""
    return f"({', '.join(map(str, parts))})"
