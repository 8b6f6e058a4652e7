"""A change of the database, whatever it was read from."""

from collections.abc import Mapping
from dataclasses import dataclass

from steps.support.sql import directives as said
from steps.support.sql.checks import SqlCheck
from steps.support.sql.contract import Block
from steps.support.sql.script import Script
from steps.support.sql.statement import Statement


@dataclass(frozen=True, slots=True)
class DatabaseChange:
    """What the folder says. `changes`: table -> rows that may change (least, most), None for any number.

    `scripts`: migrate.sql and rollback.sql as they were divided. `old_code`, `new_code`: what the code that is live and
    the code about to go live ask of the database. `writes`: what the app writes while the new schema is live.
    `allowed`: what the scripts say is meant.
    """

    name: str
    sha256: str
    migrate: tuple[Statement, ...]
    rollback: tuple[Statement, ...]
    verify: tuple[SqlCheck, ...]
    verify_rollback: tuple[SqlCheck, ...]
    rollback_text: str
    verify_rollback_text: str
    changes: Mapping[str, said.Range | None]
    allowed: tuple[said.Waiver, ...]
    scripts: tuple[Script, ...]
    old_code: tuple[Block, ...]
    new_code: tuple[Block, ...]
    writes: tuple[Statement, ...]


def named_change(name: str, sha256: str) -> DatabaseChange:
    """Give a change of which nothing but the name is to be known: the marker row keeps what is needed of it."""
    return DatabaseChange(name, sha256, (), (), (), (), "", "", {}, (), (), (), (), ())
