"""The proof of a change, before production is touched: a copy of production, a rehearsal on it, a judgement."""

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

from steps.support.core.errors import Problem
from steps.support.core.files import make_private
from steps.support.gateways.guards import Guards
from steps.support.gateways.turso import Turso
from steps.support.proof import sqld
from steps.support.proof.choose_guards import bounded, chosen, none_lost
from steps.support.proof.config import Workbench
from steps.support.proof.contract import Contract
from steps.support.proof.copy.copy import Copy, copied
from steps.support.proof.declared_changes import numbered
from steps.support.proof.rehearsal import ENGINE, Rehearsed, rehearsed
from steps.support.proof.result import Backup, Proof
from steps.support.proof.rows.result import TableDiff
from steps.support.proof.server import Engine
from steps.support.proof.verdict import Judgement, judged, listed, renamed_before
from steps.support.schema.diff import schema_diff
from steps.support.sql.change import DatabaseChange
from steps.support.sql.findings import Objection, Weight
from steps.support.sql.statement import Value

ELSEWHERE = f"It was rehearsed on SQLite; what that engine lacks, the real server may have: {sqld.FETCH}."
WAY_OUT = "Each line says how it is mended or accepted; nothing of production was touched."


async def prove(turso: Turso, change: DatabaseChange, bench: Workbench) -> Proof:
    """Copy a database, rehearse the change on the copy, and judge what was seen; production is only read.

    Raises Problem, which names everything that speaks against the change; also where there can be no copy or no
    rehearsal. What stays in the bench's folder is the backup.
    """
    target = (await turso.read(ENGINE)).records[0]
    engine = Engine(bench.binary, foreign_keys=target["foreign_keys"] == 1)
    name = engine.name
    make_private(bench.folder)
    copy = await copied(turso.database, bench.folder, bench.limits)
    try:
        seen, guards = await _rehearsed(copy, change, engine, bench)
    finally:
        copy.path.unlink()
    judgement, contract = judged(seen, change), Contract(seen.asked_before, seen.asked_after)
    _refuse(judgement, contract, seen, change, engine)
    backup = Backup(str(copy.backup), copy.sha256, copy.bytes, sum(copy.tables.values()), copy.seconds)
    schema = tuple(map(str, schema_diff(renamed_before(seen, change), seen.there.schema))) if seen.there else ()
    rows = {found.name: _rows(found) for found in (seen.moved or {}).values() if found.total or found.before is None}
    warned = [*_unlike(target, seen.engine), *judgement.warnings]
    warnings, notes, accepted = (tuple(map(str, each)) for each in (warned, judgement.notes, judgement.accepted))
    seconds = {beat: round(took, 4) for beat, took in seen.seconds.items()}
    return Proof(
        name, backup, seconds, guards, contract.table, contract.ruled_out, schema, rows,
        judgement.lossless, judgement.unshown, judgement.unasked, warnings, notes, accepted, seen.locks,
    )  # fmt: skip


async def _rehearsed(copy: Copy, change: DatabaseChange, engine: Engine, bench: Workbench) -> tuple[Rehearsed, Guards]:
    with closing(sqlite3.connect(copy.path)) as connection:
        guards = chosen(connection, copy.tables, change)
    folder = bench.folder / "rehearsal"
    folder.mkdir(mode=0o700)
    try:
        async with asyncio.timeout(bench.limits.most_seconds) as scope:
            seen = await rehearsed(copy.path, change, guards, engine, folder, bench.allowed)
    except TimeoutError:
        if not scope.expired():
            raise
        cause = f"it is not done after {bench.limits.most_seconds:g} s"
        raise Problem("rehearsing", change.name, cause, "Allow more with rehearsal.most_seconds, in seconds.") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if seen.migrated and seen.there:
        guards = bounded(guards, seen.migrated.growth, seen.there.objects)
        guards = numbered(none_lost(guards, change, seen.undone), change, seen.migrated.touched, seen.declared)
    return seen, guards


def _refuse(judgement: Judgement, contract: Contract, seen: Rehearsed, change: DatabaseChange, engine: Engine) -> None:
    """Raise Problem with everything that speaks against the change, what is only noted behind the rest."""
    errors = [str(each) for each in judgement.errors]
    if (seen.there or not change.migrate) and not contract.orders:
        errors.append(". ".join(contract.refusal))
    if not errors:
        return
    others = [str(each) for each in (*judgement.warnings, *judgement.notes, *judgement.accepted)]
    also = f"\nand beside that:{listed(others)}" if others else ""
    lacking = f" {ELSEWHERE}" if engine.binary is None and seen.failures else ""
    many = f"{len(errors)} thing{'s' * (len(errors) > 1)} speak{'s' * (len(errors) == 1)} against it"
    raise Problem("proving", change.name, f"{many}:{listed(errors)}{also}", f"{WAY_OUT}{lacking}")


def _unlike(target: Mapping[str, Value], engine: Mapping[str, Value]) -> Iterator[Objection]:
    """Warn where the rehearsal's engine is not as the target's."""
    for what, there in target.items():
        if engine[what] != there:
            cause = f"{what} is {there!s} there, and was {engine[what]!s} in the rehearsal"
            yield Objection("", "the target's engine", cause, "Rehearse on the engine of the target.", Weight.WARNING)


def _rows(found: TableDiff) -> dict[str, Any]:
    counts = {"before": found.before, "after": found.after, "added": found.added, "removed": found.removed}
    samples = [str(sample) for sample in found.samples]
    return {**counts, "changed": found.changed, "columns": dict(found.columns), "samples": samples}
