"""Find out which engine runs the target database, and how the engine of a rehearsal differs from it.

A change for libSQL or SQLite is rehearsed on the same kind of engine. A change for the new Turso engine is refused,
because no rehearsal and no guard in production could check references there. Measured on pyturso 0.8.3, the same engine
as a library (`tests/contract/test_turso_engine.py`): `PRAGMA foreign_key_check` reports no orphan, the table
`pragma_foreign_key_check` is missing, and `PRAGMA foreign_keys` takes effect inside a transaction. Besides, FTS5 is
missing, WITHOUT ROWID tables and generated columns are experimental, libSQL's `ALTER TABLE ... ALTER COLUMN` is
refused, and the engine stores definitions in other words than they were written in.
"""

from collections.abc import Iterator, Mapping

from steps.support.core.errors import Refused
from steps.support.gateways.database.protocol import StatementFailed
from steps.support.gateways.turso import Turso
from steps.support.sql.findings import Finding, Severity
from steps.support.sql.statement import Statement, Value

ENGINE = Statement(
    "SELECT sqlite_version() AS version, sqlite_source_id() AS build,"
    " (SELECT foreign_keys FROM pragma_foreign_keys) AS foreign_keys",
    name="the engine's version and build, and whether foreign keys are on",
)
_TURSO = Statement("SELECT turso_version()", name="asking for the Turso engine")
_MISSING = (
    "which cannot be rehearsed: its foreign_key_check finds no broken reference, and foreign keys can be switched in a"
    " transaction, so no guard would hold; FTS5 is missing, WITHOUT ROWID and generated columns are experimental; and a"
    " rehearsal on libSQL would prove nothing about this engine"
)
_LIBSQL = "Move the database to libSQL, the default of Turso Cloud; or make this change without the tool."
_REHEARSE_THERE = "Rehearse on the engine of the target: set rehearsal.sqld to a server of that version."


async def refuse_turso_engine(turso: Turso) -> None:
    """Raise Refused if the database runs on the new Turso engine."""
    if version := await _turso_version(turso):
        raise Refused(
            code="other-engine",
            operation="recognizing the engine of",
            subject=turso.address,
            cause=f"the database runs on the new Turso engine {version}, {_MISSING}",
            remedy=_LIBSQL,
        )


async def _turso_version(turso: Turso) -> str:
    """Return the version of the new Turso engine if the database runs on it; empty for libSQL and SQLite."""
    try:
        return str((await turso.read(_TURSO)).scalar)
    except StatementFailed as failed:
        if "no such function" not in failed.message:
            raise
        return ""


def unlike(target: Mapping[str, Value], engine: Mapping[str, Value]) -> Iterator[Finding]:
    """Yield a warning for each difference between the target's engine and the rehearsal's.

    Both arguments are answers to ENGINE. Builds are compared only if the versions are equal, because builds of
    different versions always differ.
    """
    differing = [what for what, expected in target.items() if engine[what] != expected]
    for what in differing:
        if what != "build" or "version" not in differing:
            cause = f"{what} is {target[what]!s} on the target, but was {engine[what]!s} in the rehearsal"
            yield Finding("the target's engine", cause, _REHEARSE_THERE, severity=Severity.WARNING)
