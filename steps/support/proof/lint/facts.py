"""What lint rules know of the tables: their keys and references, before a script and after each of its statements."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from steps.support.schema.connection import Connection
from steps.support.sql.tokens import folded
from steps.support.sql.verbs import Reading

_KEYS = """SELECT lower(m.name), i.name FROM sqlite_schema AS m
LEFT JOIN pragma_table_info(m.name) AS i ON i.pk > 0
WHERE m.type = 'table' AND m.sql NOT LIKE 'create virtual%' ORDER BY m.name, i.pk"""
_CHILDREN = """SELECT lower(f."table"), m.name, group_concat(f."from", char(10)), f.on_delete
FROM sqlite_schema AS m, pragma_foreign_key_list(m.name) AS f
WHERE m.type = 'table' AND m.sql NOT LIKE 'create virtual%' GROUP BY m.name, f.id ORDER BY m.name, f.id"""


@dataclass(frozen=True, slots=True)
class Child:
    """A table with a foreign key.

    `columns`: the referencing columns. `on_delete`: what the engine does to a row when its parent is deleted: CASCADE,
    SET NULL, SET DEFAULT, RESTRICT or NO ACTION.
    """

    table: str
    columns: tuple[str, ...]
    on_delete: str


@dataclass(frozen=True, slots=True)
class Facts:
    """The tables at one point of a script. Names have the case of the schema until `from_schema` folds them.

    `keys`: the columns of the primary key, for each table that existed before the script. `children`: by table, the
    foreign keys that reference it. `made`: the tables that the script created.
    """

    keys: Mapping[str, tuple[str, ...]]
    children: Mapping[str, tuple[Child, ...]]
    made: frozenset[str] = frozenset()

    def key(self, table: str) -> tuple[str, ...]:
        """Return the columns of a table's primary key in lower case; empty if the table has none, or is not known."""
        return tuple(folded(column) for column in self.keys.get(table, ()))

    def references(self, table: str) -> list[frozenset[str]]:
        """Return, for each foreign key of a table, its columns in lower case."""
        children = (child for several in self.children.values() for child in several)
        return [frozenset(map(folded, child.columns)) for child in children if folded(child.table) == table]

    def after(self, reading: Reading) -> "Facts":
        """Return the facts as they are after this statement."""
        table = reading.table
        if reading.verb == "CREATE TABLE" and table not in self.keys:
            return replace(self, made=self.made | {table})
        if reading.verb == "DROP TABLE":
            return Facts(_without(self.keys, table), self._without_child(table), self.made - {table})
        if reading.verb == "RENAME COLUMN":
            return self._with_column_renamed(reading)
        return self._renamed(table, reading.renamed) if reading.verb == "RENAME TABLE" else self

    def _with_column_renamed(self, reading: Reading) -> "Facts":
        def follow(column: str) -> str:
            return reading.renamed if folded(column) == reading.column else column

        def renamed(child: Child) -> Child:
            is_same_table = folded(child.table) == reading.table
            return replace(child, columns=tuple(map(follow, child.columns))) if is_same_table else child

        keys = {name: tuple(map(follow, key)) if name == reading.table else key for name, key in self.keys.items()}
        children = {parent: tuple(map(renamed, several)) for parent, several in self.children.items()}
        return replace(self, keys=keys, children=children)

    def _without_child(self, table: str) -> dict[str, tuple[Child, ...]]:
        return {
            parent: tuple(child for child in children if folded(child.table) != table)
            for parent, children in self.children.items()
        }

    def _renamed(self, old: str, new: str) -> "Facts":
        def follow(name: str) -> str:
            return new if folded(name) == old else name

        children: dict[str, tuple[Child, ...]] = {}
        for parent, several in self.children.items():
            moved = tuple(replace(child, table=follow(child.table)) for child in several)
            children[follow(parent)] = (*children.get(follow(parent), ()), *moved)
        keys = {follow(name): key for name, key in self.keys.items()}
        return Facts(keys, children, frozenset(map(follow, self.made)))


def facts(connection: Connection) -> Facts:
    """Read the primary keys and foreign keys of every table of a database, except virtual tables."""
    keys: dict[str, tuple[str, ...]] = {}
    for table, column in connection.execute(_KEYS):
        keys[table] = (*keys.get(table, ()), *([column] if column else []))
    return Facts(keys, _by_parent(connection.execute(_CHILDREN)))


def from_schema(known: Facts) -> Facts:
    """Return the same facts with table names in lower case, because statements are read with names in lower case."""
    keys = {folded(table): key for table, key in known.keys.items()}
    children = {folded(parent): several for parent, several in known.children.items()}
    return Facts(keys, children, known.made)


def _by_parent(rows: Iterable[tuple[str, str, str, str]]) -> dict[str, tuple[Child, ...]]:
    children: dict[str, tuple[Child, ...]] = {}
    for parent, table, columns, on_delete in rows:
        children[parent] = (*children.get(parent, ()), Child(table, tuple(columns.split("\n")), on_delete))
    return children


def _without(keys: Mapping[str, tuple[str, ...]], table: str) -> dict[str, tuple[str, ...]]:
    return {name: key for name, key in keys.items() if name != table}
