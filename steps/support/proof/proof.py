"""Prove a change before production is touched: copy production, rehearse the change on the copy, reach a verdict."""

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from steps.support.core.errors import Problem
from steps.support.core.files import make_private
from steps.support.core.text import counted
from steps.support.gateways.guards import Guards
from steps.support.gateways.turso import Turso
from steps.support.proof.config import ProofConfig
from steps.support.proof.copy.copy import Copy, copy_database
from steps.support.proof.guards.choose import bound_row_changes, guards_for
from steps.support.proof.guards.declared import hold_declared_counts
from steps.support.proof.guards.moved_rows import hold_rewritten_tables, with_moved_rows
from steps.support.proof.rehearsal import sqld
from steps.support.proof.rehearsal.contract import Contract
from steps.support.proof.rehearsal.rehearsal import RehearsalLog, rehearse
from steps.support.proof.rehearsal.server import Engine
from steps.support.proof.rehearsal.target import ENGINE, refuse_turso_engine, unlike
from steps.support.proof.result import Backup, Proof
from steps.support.proof.rows.result import TableDiff
from steps.support.proof.verdict.verdict import Verdict, before_as_renamed, judge, listed
from steps.support.schema.comparison.diff import schema_diff
from steps.support.schema.reader import open_file
from steps.support.sql.change import DatabaseChange
from steps.support.sql.findings import entries

ELSEWHERE = (
    f"The rehearsal ran on SQLite, which lacks some features of the real server. To get the server: {sqld.FETCH}."
)
WAY_OUT = "Each finding says how to fix or accept it; production was not touched."


async def prove(turso: Turso, change: DatabaseChange, proof_config: ProofConfig) -> Proof:
    """Copy a database, rehearse the change on the copy, and return the proof. Production is only read.

    Raise Problem with all findings if any of them blocks the change, or if the copy or the rehearsal is impossible. The
    backup stays in the folder of `proof_config`.
    """
    await refuse_turso_engine(turso)
    target = (await turso.read(ENGINE)).records[0]
    engine = Engine(proof_config.binary, foreign_keys=target["foreign_keys"] == 1)
    name = engine.name
    make_private(proof_config.folder)
    copy = await copy_database(turso.database, proof_config.folder, proof_config.limits)
    try:
        log, guards = await _rehearsed(copy, change, engine, proof_config)
    finally:
        copy.path.unlink()
    verdict, contract = judge(log, change), Contract(log.contract_before, log.contract_after)
    _refuse(verdict, contract, log, change, engine)
    backup = Backup(str(copy.backup), copy.sha256, copy.bytes, sum(copy.tables.values()), copy.seconds)
    warned = [*unlike(target, log.engine), *verdict.warnings]
    warnings, notes, accepted = (tuple(entries(each)) for each in (warned, verdict.notes, verdict.accepted))
    seconds = {phase: round(took, 4) for phase, took in log.seconds.items()}
    return Proof(
        name, backup, seconds, guards, contract.table, contract.ruled_out, _schema_changes(log, change),
        _changed_rows(log), verdict.lossless, verdict.unshown, warnings, notes, accepted, verdict.unasked,
        tuple(log.lock_uses), verdict.waiting,
    )  # fmt: skip


async def _rehearsed(
    copy: Copy, change: DatabaseChange, engine: Engine, proof_config: ProofConfig
) -> tuple[RehearsalLog, Guards]:
    """Rehearse the change on the copy; return the log, and the guards bounded by what the rehearsal measured."""
    with open_file(copy.path) as connection:
        guards = with_moved_rows(guards_for(connection, copy.tables, change), connection, copy.tables, change)
    log = await _rehearse_in_time(copy.path, change, guards, engine, proof_config)
    guards = replace(guards, respelled=log.respelled)
    if log.migrated and log.after_migration:
        guards = bound_row_changes(guards, log.migrated.growth, log.after_migration.objects)
        guards = hold_declared_counts(
            hold_rewritten_tables(guards, change, log.rollbacks), change, log.migrated.touched, log.counts
        )
    return log, guards


async def _rehearse_in_time(
    copy: Path, change: DatabaseChange, guards: Guards, engine: Engine, proof_config: ProofConfig
) -> RehearsalLog:
    """Rehearse in a folder of its own, which is removed afterwards. Raise Problem if it takes longer than allowed."""
    folder = proof_config.folder / "rehearsal"
    folder.mkdir(mode=0o700)
    try:
        async with asyncio.timeout(proof_config.limits.most_seconds) as scope:
            return await rehearse(copy, change, guards, engine, folder, proof_config.allowed)
    except TimeoutError:
        if not scope.expired():
            raise
        cause = f"the rehearsal did not finish within {proof_config.limits.most_seconds:g} s"
        raise Problem(
            code="copy-failed",
            operation="rehearsing",
            subject=change.name,
            cause=cause,
            remedy="Allow more with rehearsal.most_seconds, in seconds.",
        ) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _refuse(verdict: Verdict, contract: Contract, log: RehearsalLog, change: DatabaseChange, engine: Engine) -> None:
    """Raise Problem if any finding is an error. It lists errors first, then warnings, notes and accepted findings."""
    errors, number = entries(verdict.errors), len(verdict.errors)
    if (log.after_migration or not change.migrate) and not contract.orders:
        errors.append(f"{'. '.join(contract.refusal)} No `-- allow` line accepts it.")
        number += 1
    if not errors:
        return
    others = entries((*verdict.warnings, *verdict.notes, *verdict.accepted))
    also = f"\nalso found:{listed(others)}" if others else ""
    lacking = f" {ELSEWHERE}" if engine.binary is None and log.failures else ""
    count = counted(number, "finding blocks this change", "findings block this change")
    raise Problem(
        code="blocking-findings",
        operation="proving",
        subject=change.name,
        cause=f"{count}:{listed(errors)}{also}",
        remedy=f"{WAY_OUT}{lacking}",
    )


def _schema_changes(log: RehearsalLog, change: DatabaseChange) -> tuple[str, ...]:
    if not log.after_migration:
        return ()
    return tuple(map(str, schema_diff(before_as_renamed(log, change), log.after_migration.schema)))


def _changed_rows(log: RehearsalLog) -> dict[str, dict[str, Any]]:
    """Return, by table that is new or has changed rows, the numbers of rows and samples of them."""
    diffs = (log.rows_migrated or {}).values()
    return {found.name: _rows(found) for found in diffs if found.total or found.before is None}


def _rows(found: TableDiff) -> dict[str, Any]:
    counts = {"before": found.before, "after": found.after, "added": found.added, "removed": found.removed}
    samples = [str(sample) for sample in found.samples]
    return {**counts, "changed": found.changed, "columns": dict(found.columns), "samples": samples}
