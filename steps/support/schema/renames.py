"""A schema with its columns renamed, so that what RENAME COLUMN updates by itself does not count as lost."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress

from steps.support.schema.reading import Schema, read_schema
from steps.support.sql.script import Script
from steps.support.sql.verbs import read_statement


def renames(script: Script) -> dict[str, dict[str, str]]:
    """Return the old names of the columns that a script renames, by table and new name, all in lower case."""
    found: dict[str, dict[str, str]] = {}
    for each in map(read_statement, script.pieces):
        if each.verb == "RENAME COLUMN":
            found.setdefault(each.table, {})[each.renamed] = each.column
    return found


def apply_renames(schema: Schema, definitions: Sequence[str], script: Script) -> Schema:
    """Return a schema after a script's column renames, which the engine itself applies to `definitions`.

    Objects that the local engine cannot create or rename, such as a virtual table, stay unchanged.
    """
    renames = [piece.statement.sql for piece in script.pieces if read_statement(piece).verb == "RENAME COLUMN"]
    if not renames:
        return schema
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for sql in (*definitions, *renames):
            with suppress(sqlite3.Error):
                connection.execute(sql)
        renamed = read_schema(connection)
    known = {table.name for table in renamed.tables}
    others = tuple(table for table in schema.tables if table.name not in known)
    if not others:
        return renamed
    return Schema((*renamed.tables, *others), renamed.indexes, renamed.triggers, renamed.views)
