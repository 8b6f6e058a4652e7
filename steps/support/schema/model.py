"""The parts of a schema: columns, keys, tables and so on. Two parts are equal if they mean the same to the engine."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from steps.support.schema.text import Name


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    `default`: empty if there is none. `collation`: empty if it is BINARY. `given`: how the engine itself fills in the
    value, as INTEGER PRIMARY KEY or as the AS of a generated column; empty if a statement must give the value.
    """

    name: Name
    type: str
    not_null: bool
    default: str = ""
    given: str = ""
    collation: str = ""

    def __str__(self) -> str:
        """Return the column nearly as SQL writes it."""
        words = (self.name, self.type, "NOT NULL" * self.not_null, self.default and f"DEFAULT {self.default}")
        return " ".join(filter(None, words))


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """One foreign key of a table.

    `columns`: the referencing columns in alphabetical order. `parent_columns`: the referenced columns in the matching
    order; empty if the key names none and the parent does not exist, or has no primary key.
    """

    columns: tuple[Name, ...]
    parent: Name
    parent_columns: tuple[Name, ...]
    on_update: str
    on_delete: str
    deferred: bool

    @property
    def target(self) -> str:
        """The parent with the referenced columns in parentheses."""
        return f"{self.parent} ({', '.join(self.parent_columns)})" if self.parent_columns else self.parent


@dataclass(frozen=True, slots=True)
class Part:
    """One column or expression of an index or key."""

    what: str  # a Name if it is a column
    collation: str = "BINARY"
    descending: bool = False

    def __str__(self) -> str:
        """Return the part as SQL writes it; a default collation or direction is left out."""
        collation = "" if self.collation == "BINARY" else f" COLLATE {self.collation}"
        return f"{self.what}{collation}{' DESC' * self.descending}"


@dataclass(frozen=True, slots=True)
class Index:
    """One index that CREATE INDEX made. The engine's own indexes for constraints are not listed."""

    name: Name
    table: Name
    unique: bool
    parts: tuple[Part, ...]
    where: str

    @property
    def key(self) -> str:
        """The columns, expressions and condition of the index, as SQL writes them."""
        return listed(self.parts) + (f" WHERE {self.where}" if self.where else "")


@dataclass(frozen=True, slots=True)
class Table:
    """One table. `virtual`: the text after the name of a virtual table; empty for an ordinary table."""

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
    """One trigger. `sql`: the normalized text after its name."""

    name: Name
    table: Name
    sql: str


@dataclass(frozen=True, slots=True)
class View:
    """One view. `sql`: the normalized text after its name. `shown`: its column names, in their exact spelling."""

    name: Name
    sql: str
    shown: tuple[str, ...] = field(default=(), compare=False)


def listed(parts: Iterable[object]) -> str:
    """Return parts as text, separated by commas and in parentheses."""
    return f"({', '.join(map(str, parts))})"
