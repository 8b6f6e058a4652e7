"""The parts of a schema, by meaning: two parts are equal if they mean the same to the engine."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from steps.support.schema.text import Name


@dataclass(frozen=True, slots=True)
class Column:
    """One column. Without a default, a collation other than BINARY or a value given by the engine, the field is empty.

    `given`: the source of a value that the engine itself fills in: INTEGER PRIMARY KEY, or a generated column's AS.
    """

    name: Name
    type: str
    not_null: bool
    default: str = ""
    given: str = ""
    collation: str = ""

    def __str__(self) -> str:
        """Return it nearly as it is written in SQL."""
        words = (self.name, self.type, "NOT NULL" * self.not_null, self.default and f"DEFAULT {self.default}")
        return " ".join(filter(None, words))


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """One reference; its columns are in alphabetical order, and the parent's columns in the matching order.

    `parent_columns` is empty if none are named and the parent has no primary key, or does not exist.
    """

    columns: tuple[Name, ...]
    parent: Name
    parent_columns: tuple[Name, ...]
    on_update: str
    on_delete: str
    deferred: bool

    @property
    def target(self) -> str:
        """The parent with its columns."""
        return f"{self.parent} ({', '.join(self.parent_columns)})" if self.parent_columns else self.parent


@dataclass(frozen=True, slots=True)
class Part:
    """One column or expression of an index or key."""

    what: str  # a Name if it is a column
    collation: str = "BINARY"
    descending: bool = False

    def __str__(self) -> str:
        """Return it as written in SQL, without defaults."""
        collation = "" if self.collation == "BINARY" else f" COLLATE {self.collation}"
        return f"{self.what}{collation}{' DESC' * self.descending}"


@dataclass(frozen=True, slots=True)
class Index:
    """One index from a CREATE INDEX; the indexes of constraints belong to the Table."""

    name: Name
    table: Name
    unique: bool
    parts: tuple[Part, ...]
    where: str

    @property
    def key(self) -> str:
        """What it covers, as written in SQL."""
        return listed(self.parts) + (f" WHERE {self.where}" if self.where else "")


@dataclass(frozen=True, slots=True)
class Table:
    """One table. `virtual`: what follows the name of a virtual table; empty for an ordinary one."""

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
    random_rowid: bool = False


@dataclass(frozen=True, slots=True)
class Trigger:
    """One trigger; `sql` is what follows its name."""

    name: Name
    table: Name
    sql: str


@dataclass(frozen=True, slots=True)
class View:
    """One view; `sql` is what follows its name, `shown` the names that it gives to columns, letter by letter."""

    name: Name
    sql: str
    shown: tuple[str, ...] = field(default=(), compare=False)


def listed(parts: Iterable[object]) -> str:
    """Return the parts as a list in parentheses."""
    return f"({', '.join(map(str, parts))})"
