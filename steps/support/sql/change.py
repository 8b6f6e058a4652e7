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
    """The contents of a change folder. `changes`: table -> rows that may change (minimum, maximum), None for any.

    `changed_columns`: the `-- changes:` lines that declare only the values of some columns.
    `scripts`: migrate.sql and rollback.sql, split into statements. `old_code`, `new_code`: the statements that the live
    code and the code about to go live send to the database. `writes`: what the app writes while the new schema is live.
    `allowed`: the waivers in the scripts. `notes`: what of the scripts was left out or rewritten. `keys_off`: the
    scripts that, run by hand, switch foreign keys off themselves.
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
    """Return a change known only by name and hash; the marker row holds the rest of what is needed."""
    return DatabaseChange(name, sha256, (), (), (), (), "", "", {}, (), (), (), (), ())
