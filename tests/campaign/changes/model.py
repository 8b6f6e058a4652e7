"""A database as the campaign draws it: tables with keys and references, and what stands beside them."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from steps.support.sql.statement import Value
from steps.support.sql.tokens import quoted

ROWID = "_r"  # a column of a kept table: the implicit rowid


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `default`, `check` and `generated` are SQL, empty if there is none."""

    name: str
    type: str = ""
    not_null: bool = False
    default: str = ""
    check: str = ""
    collate: str = ""
    generated: str = ""
    stored: bool = False

    @property
    def sql(self) -> str:
        """Return its definition."""
        words = [quoted(self.name), self.type]
        words += [f"COLLATE {self.collate}"] * bool(self.collate)
        words += ["NOT NULL"] * self.not_null + [f"DEFAULT {self.default}"] * bool(self.default)
        words += [f"CHECK ({self.check})"] * bool(self.check)
        if self.generated:
            words.append(f"GENERATED ALWAYS AS ({self.generated}) {'STORED' if self.stored else 'VIRTUAL'}")
        return " ".join(filter(None, words))


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key."""

    columns: tuple[str, ...]
    parent: str
    parents: tuple[str, ...]
    action: str = ""

    @property
    def sql(self) -> str:
        """Return its definition."""
        return f"FOREIGN KEY ({listed(self.columns)}) REFERENCES {quoted(self.parent)} ({listed(self.parents)}){self.action}"


@dataclass(frozen=True, slots=True)
class Table:
    """A table. `style`: `rowid` and `autoincrement` have one INTEGER PRIMARY KEY, `keyed` any other key, `none` none."""

    name: str
    columns: tuple[Column, ...]
    style: str
    key: tuple[str, ...] = ()
    uniques: tuple[tuple[str, ...], ...] = ()
    references: tuple[Reference, ...] = ()
    without_rowid: bool = False
    strict: bool = False

    @property
    def sql(self) -> str:
        """Return the statement that creates it."""
        parts = [self._key if column.name in self.key and self.numbered else column.sql for column in self.columns]
        parts += [f"PRIMARY KEY ({listed(self.key)})"] * (self.style == "keyed")
        parts += [f"UNIQUE ({listed(columns)})" for columns in self.uniques]
        parts += [reference.sql for reference in self.references]
        options = ["WITHOUT ROWID"] * self.without_rowid + ["STRICT"] * self.strict
        return f"CREATE TABLE {quoted(self.name)} ({', '.join(parts)}) {', '.join(options)}".rstrip()

    @property
    def _key(self) -> str:
        return f"{quoted(self.key[0])} INTEGER PRIMARY KEY{' AUTOINCREMENT' * (self.style == 'autoincrement')}"

    @property
    def numbered(self) -> bool:
        """Return True if its key is its rowid."""
        return self.style in {"rowid", "autoincrement"}

    @property
    def implicit(self) -> bool:
        """Return True if it has a rowid that no column shows."""
        return not self.numbered and not self.without_rowid

    @property
    def stored(self) -> list[Column]:
        """Return the columns that can be written."""
        return [column for column in self.columns if not column.generated]

    @property
    def names(self) -> list[str]:
        """Return the names of the columns that can be written."""
        return [column.name for column in self.stored]

    def has(self, name: str) -> bool:
        """Return True if it has a column of that name."""
        return any(each.name == name for each in self.columns)

    def column(self, name: str) -> Column:
        """Return the column of that name."""
        return next(each for each in self.columns if each.name == name)

    @property
    def bound(self) -> set[str]:
        """Return the columns on which something rests: keys, references, uniqueness, checks, generated columns."""
        rests = {*self.key, *(name for each in self.uniques for name in each)}
        rests |= {name for reference in self.references for name in reference.columns}
        rests |= {column.name for column in self.columns if column.check or column.generated}
        expressions = " ".join(f"{column.generated} {column.check}" for column in self.columns)
        return rests | {column.name for column in self.columns if quoted(column.name) in expressions}

    def with_column(self, changed: Column, name: str = "") -> "Table":
        """Return the table with one column in the place of the one of that name."""
        name = name or changed.name
        return replace(self, columns=tuple(changed if each.name == name else each for each in self.columns))

    def without(self, name: str) -> "Table":
        """Return the table without a column."""
        return replace(self, columns=tuple(each for each in self.columns if each.name != name))

    def row_of(self, alias: str) -> str:
        """Return all that a kept table holds of a row: the columns, and the rowid that no column shows."""
        return f"{alias}.rowid AS {quoted(ROWID)}, {alias}.*" if self.implicit else f"{alias}.*"

    def same(self, one: str, other: str, *, kept: bool = True) -> str:
        """Return the condition that two rows are the same one; `kept`: both are rows of kept tables."""
        if self.key:
            return " AND ".join(f"{one}.{quoted(name)} IS {other}.{quoted(name)}" for name in self.key)
        return f"{one}.{quoted(ROWID) if kept else 'rowid'} = {other}.{quoted(ROWID)}"

    def identity(self, alias: str) -> str:
        """Return the columns that identify a row, as a kept table holds them."""
        own = [f"{alias}.{quoted(name)}" for name in self.key]
        return ", ".join(own) if own else f"{alias}.rowid AS {quoted(ROWID)}"


@dataclass(frozen=True, slots=True)
class Object:
    """An index, a trigger or a view: the statement that creates it, the table that it is on, the columns it names."""

    kind: str
    name: str
    table: str
    sql: str
    columns: tuple[str, ...] = ()

    @property
    def falls_with_table(self) -> bool:
        """Return True if DROP TABLE drops it too."""
        return self.kind in {"INDEX", "TRIGGER"}


@dataclass(frozen=True, slots=True)
class Search:
    """A full-text index; `content`: the table that it reads, empty if it holds its own text."""

    name: str
    content: str
    columns: tuple[str, ...]
    sql: str


@dataclass
class Drawn:
    """A database: what creates it, and its rows in the order in which they are inserted."""

    tables: list[Table] = field(default_factory=list)
    objects: list[Object] = field(default_factory=list)
    searches: list[Search] = field(default_factory=list)
    rows: list[tuple[str, tuple[Value, ...]]] = field(default_factory=list)

    @property
    def definitions(self) -> list[str]:
        """Return the statements that create it."""
        found = [each.sql for each in self.tables] + [each.sql for each in self.searches]
        return found + [each.sql for each in self.objects]

    def table(self, name: str) -> Table:
        """Return the table of that name."""
        return next(each for each in self.tables if each.name == name)

    def on(self, table: Table, *kinds: str) -> list[Object]:
        """Return the objects on a table."""
        return [each for each in self.objects if each.table == table.name and (not kinds or each.kind in kinds)]

    def children(self, table: Table) -> list[Table]:
        """Return the tables that reference a table."""
        return [each for each in self.tables if any(one.parent == table.name for one in each.references)]

    def is_searched(self, table: Table) -> bool:
        """Return True if a full-text index reads the table."""
        return any(each.content == table.name for each in self.searches)

    def used(self, table: Table) -> set[str]:
        """Return the columns that an object or a full-text index names."""
        named = {name for each in self.on(table) for name in each.columns}
        parents = {
            name for each in self.tables for one in each.references if one.parent == table.name for name in one.parents
        }
        return named | parents | {name for each in self.searches if each.content == table.name for name in each.columns}


def listed(names: Iterable[str]) -> str:
    """Return names as a list in SQL."""
    return ", ".join(map(quoted, names))


def literal(value: Value) -> str:
    """Return a value as it is written in SQL."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    if isinstance(value, str):
        return f"CAST(x'{value.encode().hex()}' AS TEXT)" if "\0" in value else "'{}'".format(value.replace("'", "''"))
    return repr(value).replace("inf", "9e999")
