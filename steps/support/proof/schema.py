"""The schema of a database by meaning: from its pragmas, and from its definitions where no pragma tells."""

import sqlite3
from dataclasses import dataclass

from steps.support.proof.schema_definition import after_name
from steps.support.proof.schema_parts import Index, Table, Trigger, View
from steps.support.proof.schema_table import read_index, read_table
from steps.support.proof.schema_text import Name, folded
from steps.support.sql_owned import is_owned, vector_shadows

_DEFINED = "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY lower(name)"
_TABLES = "SELECT name, wr, strict FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'virtual')"


@dataclass(frozen=True, slots=True)
class Schema:
    """Everything in a schema that is not the tool's or the engine's own, in the order of names."""

    tables: tuple[Table, ...]
    indexes: tuple[Index, ...]
    triggers: tuple[Trigger, ...]
    views: tuple[View, ...]


def read_schema(connection: sqlite3.Connection) -> Schema:
    """Read the schema. Raises sqlite3.Error where the file is no database that this engine can read."""
    defined: dict[str, list[tuple[str, str, str]]] = {"table": [], "index": [], "trigger": [], "view": []}
    shadows = vector_shadows(connection)
    for kind, name, table, sql in connection.execute(_DEFINED):
        if not (is_owned(name) or is_owned(table) or folded(name) in shadows):
            defined[kind].append((name, table, sql))
    kinds = {name: kind for name, *kind in connection.execute(_TABLES)}  # those behind a virtual table are left out
    tables = [read_table(connection, name, sql, kinds[name]) for name, _, sql in defined["table"] if name in kinds]
    names = {name for table in tables for name in (table.name, *(column.name for column in table.columns))}
    return Schema(
        tables=tuple(tables),
        indexes=tuple(read_index(connection, *index) for index in defined["index"]),
        triggers=tuple(Trigger(Name(n), Name(table), after_name(sql, names)) for n, table, sql in defined["trigger"]),
        views=tuple(View(Name(name), after_name(sql, names)) for name, _, sql in defined["view"]),
    )
