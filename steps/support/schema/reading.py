"""Read a schema: from the engine's pragmas, and if no pragma returns a property, from the text of its definition."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

from steps.support.schema import definition
from steps.support.schema.connection import Connection
from steps.support.schema.definition import after_name, shown_names
from steps.support.schema.model import Column, ForeignKey, Index, Part, Table, Trigger, View, listed
from steps.support.schema.own_tables import is_owned, vector_shadows
from steps.support.schema.reader import is_random, original
from steps.support.schema.text import Name, keyword, meaningful, normalized
from steps.support.sql.tokens import folded

Elements = Sequence[definition.Element]
Row = Sequence[Any]

_COLUMNS = 'SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?) ORDER BY cid'
_CONSTRAINTS = "SELECT origin, name FROM pragma_index_list(?) WHERE origin <> 'c' ORDER BY origin"
_PARTS = 'SELECT name, coll, "desc" FROM pragma_index_xinfo(?) WHERE key ORDER BY seqno'
_REFERENCES = """SELECT id, "from", "table", coalesce("to", (SELECT name FROM pragma_table_info(f."table")
  WHERE pk = f.seq + 1)) AS "to", on_update, on_delete FROM pragma_foreign_key_list(?) AS f
ORDER BY id DESC, seq"""  # the engine numbers foreign keys from the last one written
_GENERATED = {2: "VIRTUAL", 3: "STORED"}


def read_table(connection: Connection, name: str, sql: str, kind: Row) -> Table:
    """Read one table. `sql`: its definition. `kind`: the flags for WITHOUT ROWID and STRICT, from pragma table_list."""
    virtual = keyword(meaningful(sql)[1]) == "virtual"
    elements = () if virtual else definition.elements(sql)
    defined = {element.column: element for element in reversed(elements)}
    rows = connection.execute(_COLUMNS, (name,)).fetchall()
    names = {Name(row[0]) for row in rows}
    keys = _keys(connection, name)
    rowid = [Part(Name(row[0])) for row in rows if row[4] and "pk" not in keys]  # the only kind of key without an index
    return Table(
        name=Name(name),
        columns=tuple(_column(row, defined.get(Name(row[0])), names, rowid) for row in rows),
        primary_key=keys.get("pk", [tuple(rowid)])[0],
        foreign_keys=tuple(sorted(_references(connection, name, elements), key=lambda each: folded(repr(each)))),
        uniques=tuple(sorted(keys.get("u", []), key=lambda each: folded(listed(each)))),
        checks=definition.checks(elements, names),
        conflicts=definition.conflicts(elements),
        without_rowid=bool(kind[0]),
        strict=bool(kind[1]),
        autoincrement=any("autoincrement" in element.words for element in elements),
        virtual=definition.after_name(sql, names) if virtual else "",
        random_rowid=is_random(sql) and not virtual,
    )


def read_index(connection: Connection, name: str, table: str, sql: str) -> Index:
    """Read one index of a table. `sql`: its definition."""
    names = {Name(row[0]) for row in connection.execute(_COLUMNS, (table,))}
    texts = definition.indexed(sql, names)
    rows = connection.execute(_PARTS, (name,)).fetchall()
    parts = tuple(_part(row, text) for row, text in zip(rows, texts, strict=True))
    unique = keyword(meaningful(sql)[1]) == "unique"
    return Index(Name(name), Name(table), unique, parts, definition.where(original(sql), names))


def _keys(connection: Connection, table: str) -> dict[str, list[tuple[Part, ...]]]:
    """Return the keys that the engine enforces with its own indexes: the primary key as `pk`, UNIQUE as `u`."""
    indexes = groupby(connection.execute(_CONSTRAINTS, (table,)).fetchall(), itemgetter(0))
    return {
        origin: [tuple(map(_part, connection.execute(_PARTS, (name,)))) for _, name in rows] for origin, rows in indexes
    }


def _part(row: Row, text: str = "") -> Part:
    name, collation, down = row
    return Part(text if name is None else Name(name), folded(collation).upper(), bool(down))


def _column(row: Row, defined: definition.Element | None, names: Collection[Name], rowid: Collection[Part]) -> Column:
    name, kind, not_null, default, key, hidden = row
    element = defined or definition.Element(())
    numbered = bool(rowid and key)
    generated = f"AS ({definition.computed(element, names)}) {_GENERATED[hidden]}" if hidden in _GENERATED else ""
    return Column(
        name=Name(name),
        type=normalized(meaningful(kind), ()).upper(),
        not_null=bool(not_null) and not numbered,
        default=definition.default(default),
        given="INTEGER PRIMARY KEY" if numbered else generated,
        collation=definition.collation(element),
    )


def _references(connection: Connection, table: str, elements: Elements) -> Iterator[ForeignKey]:
    groups = groupby(connection.execute(_REFERENCES, (table,)).fetchall(), itemgetter(0))
    for (_, rows), deferred in zip(groups, definition.deferred(elements), strict=True):
        yield _reference(sorted(rows, key=lambda row: folded(row[1])), deferred=deferred)


def _reference(rows: Sequence[Row], *, deferred: bool) -> ForeignKey:
    _, _, parent, _, on_update, on_delete = rows[0]
    targets = tuple(Name(row[3]) for row in rows if row[3] is not None)
    return ForeignKey(tuple(Name(row[1]) for row in rows), Name(parent), targets, on_update, on_delete, deferred)


_DEFINED = "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY lower(name)"
_TABLES = "SELECT name, wr, strict FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'virtual')"


@dataclass(frozen=True, slots=True)
class Schema:
    """The user's part of a schema, without objects of the tool or the engine, in the order of names."""

    tables: tuple[Table, ...]
    indexes: tuple[Index, ...]
    triggers: tuple[Trigger, ...]
    views: tuple[View, ...]


def read_schema(connection: Connection) -> Schema:
    """Read the schema. Raise apsw.Error if the file is not a database that this engine can read."""
    defined: dict[str, list[tuple[str, str, str]]] = {"table": [], "index": [], "trigger": [], "view": []}
    shadows = vector_shadows(connection)
    for kind, name, table, sql in connection.execute(_DEFINED):
        if not (is_owned(name) or is_owned(table) or folded(name) in shadows):
            defined[kind].append((name, table, sql))
    kinds = {name: kind for name, *kind in connection.execute(_TABLES)}  # without the shadow tables of virtual tables
    tables = [read_table(connection, name, sql, kinds[name]) for name, _, sql in defined["table"] if name in kinds]
    names = {name for table in tables for name in (table.name, *(column.name for column in table.columns))}
    return Schema(
        tables=tuple(tables),
        indexes=tuple(read_index(connection, *index) for index in defined["index"]),
        triggers=tuple(Trigger(Name(n), Name(table), after_name(sql, names)) for n, table, sql in defined["trigger"]),
        views=tuple(View(Name(n), after_name(sql, names), shown_names(sql)) for n, _, sql in defined["view"]),
    )
