"""The highest id that each AUTOINCREMENT table ever gave."""

import sqlite3
from collections.abc import Mapping

from steps.support.proof.objection import Objection
from steps.support.proof.schema import Schema
from steps.support.proof.schema_text import Name

_SEQUENCES = (
    "SELECT name, CAST(seq AS INTEGER) FROM sqlite_sequence"  # the engine makes it with the first AUTOINCREMENT table
)


def sequences(connection: sqlite3.Connection, schema: Schema) -> dict[str, int]:
    """Give each AUTOINCREMENT table's highest id ever given; 0 where the engine keeps none."""
    names = [table.name for table in schema.tables if table.autoincrement]
    kept = {Name(name): int(highest or 0) for name, highest in (connection.execute(_SEQUENCES) if names else ())}
    return {str(name): kept.get(name, 0) for name in names}


def lowered(before: Mapping[str, int], after: Mapping[str, int]) -> list[Objection]:
    """Give the tables of both that would give ids again which deleted rows once had."""
    now = {Name(name): highest for name, highest in after.items()}
    remedy = "Keep its row of sqlite_sequence before DROP TABLE, and write it back."
    return [
        Objection(
            "sequence-lowered",
            name,
            f"the highest id ever given went from {highest} to {now[Name(name)]}",
            remedy,
            object=name,
        )
        for name, highest in before.items()
        if now.get(Name(name), highest) < highest
    ]
