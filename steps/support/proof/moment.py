"""A database file at one moment: everything about it but its rows."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from steps.support.gateways.migration import OBJECTS
from steps.support.proof.lint_facts import Facts, facts
from steps.support.proof.objection import Objection
from steps.support.proof.schema import Schema, read_schema
from steps.support.proof.schema_broken import broken
from steps.support.proof.schema_sequences import sequences


@dataclass(frozen=True, slots=True)
class Moment:
    """Schema, highest ids ever given, what cannot run, keys and references, and the names of all objects."""

    schema: Schema
    sequences: Mapping[str, int]
    broken: tuple[Objection, ...]
    facts: Facts
    objects: str


def moment(file: Path) -> Moment:
    """Look at a file that is all of its database; nobody may write to it meanwhile."""
    with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        objects = str(connection.execute(OBJECTS).fetchone()[0])
        defects = tuple(broken(connection))
        return Moment(read_schema(connection), sequences(connection), defects, facts(connection), objects)
