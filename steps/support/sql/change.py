"""A change of the database, from any source."""

from collections.abc import Mapping
from dataclasses import dataclass

from steps.support.sql.checks import SqlCheck
from steps.support.sql.contract import Block
from steps.support.sql.directives import Declaration, Range, Waiver
from steps.support.sql.findings import Finding
from steps.support.sql.script import Script
from steps.support.sql.statement import Statement


@dataclass(frozen=True, slots=True)
class DatabaseChange:
    """A database change as its folder or file describes it.

    `changes`: by table, how many rows may change, as (minimum, maximum), or None if any number may.
    `allowed`: the waivers in migrate.sql and rollback.sql. `scripts`: migrate.sql and rollback.sql, in this order,
    split into statements. `old_code`: the statements that the live code sends to the database. `new_code`: the
    statements that the new code will send. `writes`: the statements by which the app writes to the new schema.
    `changed_columns`: the `-- changes:` lines that allow changes to the values of the named columns only.
    `notes`: a note for each statement of the scripts that was left out or rewritten.
    `keys_off`: the names of the scripts that switch foreign keys off themselves when a person runs them in a shell.
    """

    name: str
    sha256: str
    migrate: tuple[Statement, ...]
    rollback: tuple[Statement, ...]
    verify: tuple[SqlCheck, ...]
    verify_rollback: tuple[SqlCheck, ...]
    rollback_text: str
    verify_rollback_text: str
    changes: Mapping[str, Range | None]
    allowed: tuple[Waiver, ...]
    scripts: tuple[Script, ...]
    old_code: tuple[Block, ...]
    new_code: tuple[Block, ...]
    writes: tuple[Statement, ...]
    changed_columns: tuple[Declaration, ...] = ()
    notes: tuple[Finding, ...] = ()
    keys_off: tuple[str, ...] = ()


def named_change(name: str, sha256: str) -> DatabaseChange:
    """Return a change known only by its name and hash. A rollback reads everything else from the marker row."""
    return DatabaseChange(name, sha256, (), (), (), (), "", "", {}, (), (), (), (), ())
