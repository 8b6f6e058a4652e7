"""A snapshot of a database file: everything about it except its rows."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from steps.support.gateways.transaction import OBJECTS, SCHEMA
from steps.support.proof.lint.facts import Facts, facts
from steps.support.schema.broken import broken_objects, sequences
from steps.support.schema.reading import Schema, read_schema
from steps.support.sql.findings import Finding


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A database at one moment, without its rows.

    `sequences`: the highest id ever given in each table. `broken`: objects that cannot run. `facts`: keys and
    references. `objects`: the names of all objects. `fingerprint`: the text of the schema. `definitions`: the SQL that
    creates it. `orphans`: by child and parent, the number of references that lead nowhere, and the rowid of one.
    """

    schema: Schema
    sequences: Mapping[str, int]
    broken: tuple[Finding, ...]
    facts: Facts
    objects: str
    fingerprint: str
    definitions: tuple[str, ...]
    orphans: Mapping[tuple[str, str], tuple[int, int | None]]


def take_snapshot(file: Path) -> Snapshot:
    """Return a snapshot of a file that is a complete database; it must not be written to meanwhile."""
    with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        schema = read_schema(connection)
        return Snapshot(
            schema,
            sequences(connection, schema),
            tuple(broken_objects(connection, schema)),
            facts(connection),
            str(connection.execute(OBJECTS).fetchone()[0]),
            str(connection.execute(SCHEMA).fetchone()[0]),
            tuple(sql for (sql,) in connection.execute(_DEFINITIONS)),
            _orphans(connection),
        )


def _orphans(connection: sqlite3.Connection) -> dict[tuple[str, str], tuple[int, int | None]]:
    """Count the references that lead nowhere; skip tables whose references the engine cannot follow."""
    found: dict[tuple[str, str], tuple[int, int | None]] = {}
    for (table,) in connection.execute(_TABLES).fetchall():
        with suppress(sqlite3.OperationalError):  # a foreign key mismatch
            found |= {(child, to): (count, one) for child, to, count, one in connection.execute(_ORPHANS, (table,))}
    return found


_DEFINITIONS = """SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT GLOB 'sqlite_*'
ORDER BY type <> 'table', rowid"""
_TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'"
_ORPHANS = """SELECT "table", parent, count(*), min(rowid) FROM pragma_foreign_key_check(?) GROUP BY 1, 2"""
