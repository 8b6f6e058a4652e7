"""A schema as it is once columns have their new names: what follows a RENAME COLUMN by itself is not lost."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress

from steps.support.schema.reading import Schema, read_schema
from steps.support.sql.script import Script
from steps.support.sql.verbs import read_statement


def renames(script: Script) -> dict[str, dict[str, str]]:
    """Give the old names of the columns that a script renames, by table and new name, all folded."""
    found: dict[str, dict[str, str]] = {}
    for each in map(read_statement, script.pieces):
        if each.verb == "RENAME COLUMN":
            found.setdefault(each.table, {})[each.renamed] = each.column
    return found


def apply_renames(schema: Schema, definitions: Sequence[str], script: Script) -> Schema:
    """Give a schema with the columns renamed that a script renames, by the engine itself.

    What the engine here cannot make or rename, such as a virtual table, is left as it was.
    """
    renames = [piece.statement.sql for piece in script.pieces if read_statement(piece).verb == "RENAME COLUMN"]
    if not renames:
        return schema
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for sql in (*definitions, *renames):
            with suppress(sqlite3.Error):
                connection.execute(sql)
        made = read_schema(connection)
    known = {table.name for table in made.tables}
    others = tuple(table for table in schema.tables if table.name not in known)
    return Schema((*made.tables, *others), made.indexes, made.triggers, made.views) if others else made
