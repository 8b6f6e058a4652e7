"""What runs the target database, and how the engine of a rehearsal differs from it.

libSQL and SQLite are rehearsed on their own kind. The new Turso engine cannot be, as measured on pyturso 0.8.3, which
is that engine in process (`tests/contract/test_turso_engine.py`): a transaction with foreign keys off drops and
recreates a parent as libSQL does, but `PRAGMA foreign_key_check` reports no orphan, its table
`pragma_foreign_key_check` is missing, and `PRAGMA foreign_keys` takes effect inside a transaction. So neither a
rehearsal nor the guards in production's transaction could hold references. FTS5 is missing; WITHOUT ROWID tables and
generated columns are experimental; libSQL's `ALTER TABLE ... ALTER COLUMN` is refused; definitions are stored in other
words than they were written in.
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
    " rehearsal on libSQL would prove nothing about it"
)
_LIBSQL = "Move the database to libSQL, the default of Turso Cloud; or make this change without the tool."
_REHEARSE_THERE = "Rehearse on the engine of the target: set rehearsal.sqld to a server of its version."


async def refuse_turso_engine(turso: Turso) -> None:
    """Raise Refused if the new Turso engine runs the database."""
    if version := await _turso_version(turso):
        raise Refused(
            code="other-engine",
            operation="recognizing the engine of",
            subject=turso.address,
            cause=f"it is the new Turso engine {version}, {_MISSING}",
            remedy=_LIBSQL,
        )


async def _turso_version(turso: Turso) -> str:
    """Return the version of the new Turso engine if it runs the database; empty on libSQL and SQLite."""
    try:
        return str((await turso.read(_TURSO)).scalar)
    except StatementFailed as failed:
        if "no such function" not in failed.message:
            raise
        return ""


def unlike(target: Mapping[str, Value], engine: Mapping[str, Value]) -> Iterator[Finding]:
    """Yield a warning for each way in which the rehearsal's engine differs from the target's.

    Both are answers to ENGINE. Builds are compared only if the versions are equal: otherwise they always differ.
    """
    differing = [what for what, expected in target.items() if engine[what] != expected]
    for what in differing:
        if what != "build" or "version" not in differing:
            cause = f"{what} is {target[what]!s} on the target, and was {engine[what]!s} in the rehearsal"
            yield Finding("the target's engine", cause, _REHEARSE_THERE, severity=Severity.WARNING)
