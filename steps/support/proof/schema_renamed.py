"""A schema as it is once columns have their new names: what follows a RENAME COLUMN by itself is not lost."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing

from steps.support.proof.lint_reading import read
from steps.support.proof.schema import Schema, read_schema
from steps.support.sql_text import Script


def renamed(schema: Schema, definitions: Sequence[str], script: Script) -> Schema:
    """Give a schema with the columns renamed that a script renames, by the engine itself; as it is where it cannot."""
    renames = [piece.statement.sql for piece in script.pieces if read(piece).verb == "RENAME COLUMN"]
    if not renames:
        return schema
    try:
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
            for sql in (*definitions, *renames):
                connection.execute(sql)
            return read_schema(connection)
    except sqlite3.Error:
        return schema
