"""Check a change, prove it, and report the proof: the functions that the steps for the database call."""

import asyncio
from dataclasses import asdict, replace

from steps.support.core.errors import Problem, Refused
from steps.support.core.retry import preflight_read
from steps.support.gateways.transaction import check_assertions
from steps.support.gateways.turso import Row, Turso
from steps.support.operations.roll_back_schema import rehearse_rollback
from steps.support.proof.proof import prove
from steps.support.proof.result import Proof
from steps.support.run.release import Release
from steps.support.sql.change import DatabaseChange
from steps.support.sql.statement import Statement

PING = Statement("SELECT 1", name="a ping")
SLOWER = 7.0  # how many times slower production is: a back-fill of 26 s on a laptop took 3 minutes there


async def refuse_unparsable(turso: Turso, change: DatabaseChange) -> None:
    """Let the engine parse every statement. Raise Refused, which names the statements that it cannot parse."""
    checks = (*change.verify, *change.verify_rollback)
    shown = [check.statement for check in checks if check.expects_rows is None]
    statements = (*change.migrate, *change.rollback, *check_assertions(checks), *shown)
    errors = zip(statements, await turso.parse(statements), strict=True)
    if wrong := [f"{statement.name}: {error}" for statement, error in errors if error]:
        raise Refused(
            code="syntax-error",
            operation="parsing",
            subject="the SQL folder",
            cause="; ".join(wrong),
            remedy="Fix these statements; nothing was run.",
        )


async def refuse_applied(turso: Turso, change: DatabaseChange) -> None:
    """Raise Refused if the change is already applied."""
    if marker := await turso.applied(change.name):
        edited = "" if marker["sha256"] == change.sha256 else "; migrate.sql has been edited since"
        cause = f"it is already applied, by run {marker['attempt']!s}{edited}"
        remedy = "There is nothing to migrate; give a new change a new `-- name:`."
        raise Refused(code="already-applied", operation="planning", subject=change.name, cause=cause, remedy=remedy)


async def round_trip(turso: Turso) -> float:
    """Return the seconds that one query takes now."""
    began = asyncio.get_running_loop().time()
    await preflight_read(turso.read, PING)
    return asyncio.get_running_loop().time() - began


async def prove_change(turso: Turso, release: Release) -> Proof:
    """Prove the change on a copy, and return the proof. Raise Refused with every finding that blocks it."""
    try:
        return await prove(turso, release.change, release.proof_config)
    except Problem as problem:
        raise Refused.because(problem) from None


async def prove_rollback(turso: Turso, release: Release, marker: Row) -> None:
    """Roll an applied change back on a fresh copy. Raise Refused if that fails."""
    try:
        await rehearse_rollback(turso, marker, release.proof_config)
    except Problem as problem:
        raise Refused.because(problem) from None


def with_proof(release: Release, proof: Proof) -> Release:
    """Return the release with its proof, and without the orders that the contract forbids."""
    return replace(release.without(proof.ruled_out), proof=proof)


def seconds_in_production(proof: Proof, *beats: str) -> float:
    """Return the seconds that parts of the rehearsal will take in production, estimated from what they took here."""
    return SLOWER * sum(proof.seconds.get(beat, 0.0) for beat in beats)


def report_facts(proof: Proof) -> dict[str, object]:
    """Return what the report says about the proof."""
    seconds = {name: proof.seconds.get(name) for name in ("migrate", "rollback")}
    rehearsal = {
        "engine": proof.engine,
        "migrate_seconds": seconds["migrate"],
        "rollback_seconds": seconds["rollback"],
        "lossless": proof.lossless,
        "not_shown": proof.unshown,
        "unasked": proof.unasked,
        "seconds": proof.seconds,
        "lock": {held.script: asdict(held) for held in proof.locks},
        "warnings": proof.warnings,
        "notes": proof.notes,
        "accepted": proof.accepted,
    }
    changes = {"schema": proof.schema, "rows": proof.rows}
    return {"rehearsal": rehearsal, "backup": asdict(proof.backup), "contract": proof.contract, "changes": changes}
