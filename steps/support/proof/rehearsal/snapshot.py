"""Take a snapshot of a database file: everything about the database that a verdict needs, except its rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from steps.support.gateways.transaction import OBJECTS, SCHEMA
from steps.support.proof.lint.facts import Facts, facts
from steps.support.proof.rehearsal.integrity import Integrity
from steps.support.schema.broken import broken_objects, sequences
from steps.support.schema.connection import Connection
from steps.support.schema.reader import ENGINE_ERRORS, open_file
from steps.support.schema.reading import Schema, read_schema
from steps.support.sql.findings import Finding


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A database at one moment, without its rows.

    `sequences`: by table, the highest id that AUTOINCREMENT ever assigned. `broken`: findings about views, triggers and
    virtual tables that cannot run. `facts`: keys and foreign keys, for the lint. `objects`: the names of all objects.
    `fingerprint`: the text of the schema. `definitions`: the statements that create the schema. `orphans`: by child and
    parent, the number of rows whose parent row is missing, and the rowid of one such row. `mismatched`: by table, the
    error of the engine if it cannot follow the table's foreign keys. `user_version`: the number that the application
    keeps in the file's header. `integrity`: the result of the integrity check.
    """

    schema: Schema
    sequences: Mapping[str, int]
    broken: tuple[Finding, ...]
    facts: Facts
    objects: str
    fingerprint: str
    definitions: tuple[str, ...]
    orphans: Mapping[tuple[str, str], tuple[int, int | None]]
    mismatched: Mapping[str, str]
    user_version: int
    integrity: Integrity = field(default_factory=Integrity)


def take_snapshot(file: Path) -> Snapshot:
    """Return a snapshot of a file that contains a whole database. Nothing may write to the file meanwhile."""
    with open_file(file) as connection:
        return _snapshot(connection)


def _snapshot(connection: Connection) -> Snapshot:
    schema = read_schema(connection)
    return Snapshot(
        schema,
        sequences(connection, schema),
        tuple(broken_objects(connection, schema)),
        facts(connection),
        str(connection.execute(OBJECTS).fetchone()[0]),
        str(connection.execute(SCHEMA).fetchone()[0]),
        tuple(sql for (sql,) in connection.execute(_DEFINITIONS)),
        *_orphans(connection),
        int(connection.execute("PRAGMA user_version").fetchone()[0]),
    )


def _orphans(connection: Connection) -> tuple[dict[tuple[str, str], tuple[int, int | None]], dict[str, str]]:
    """Return the fields `orphans` and `mismatched` of a snapshot."""
    found: dict[tuple[str, str], tuple[int, int | None]] = {}
    mismatched: dict[str, str] = {}
    for (table,) in connection.execute(_TABLES).fetchall():
        try:
            found |= {(child, to): (count, one) for child, to, count, one in connection.execute(_ORPHANS, (table,))}
        except ENGINE_ERRORS as error:  # a foreign key mismatch
            mismatched[table] = str(error)
    return found, mismatched


_DEFINITIONS = """SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT GLOB 'sqlite_*'
ORDER BY type <> 'table', rowid"""
_TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'"
_ORPHANS = """SELECT "table", parent, count(*), min(rowid) FROM pragma_foreign_key_check(?) GROUP BY 1, 2"""
