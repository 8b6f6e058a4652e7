"""Roll a change back as its marker row says: what was rehearsed at the time, not what the folder holds today."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

from steps.support.change.folder import read_script
from steps.support.core.errors import Failed, Problem, Rejected
from steps.support.core.files import make_private
from steps.support.core.limits import KEPT_ROWS_READ
from steps.support.core.retry import read_when_settled
from steps.support.gateways.marker import ROLLED_BACK, take_over
from steps.support.gateways.turso import RolledBack, Row, Turso
from steps.support.proof.config import ProofConfig
from steps.support.proof.copy.copy import copy_database
from steps.support.proof.rehearsal.server import Engine, place_database
from steps.support.proof.rehearsal.target import ENGINE, refuse_turso_engine
from steps.support.proof.rehearsal.write_lock import STOP_OTHERS, lock_findings, measure
from steps.support.proof.result import LockUse
from steps.support.sql.checks import SqlCheck, stored_checks
from steps.support.sql.findings import ROLLBACK

REHEARSAL = "rehearsal"  # the run that holds the lock on a copy
WAYS_BACK = f"Go forward with a new change instead; or {STOP_OTHERS}."


async def roll_back(
    turso: Turso, marker: Row, run: str, refuse: Callable[[], Awaitable[None]] | None = None
) -> RolledBack:
    """Roll the change back once. Raise Failed if the database rejects that.

    An earlier try whose answer was lost may have done it already, or may do it while this one is under way. `refuse` is
    called immediately before the transaction: if it raises, the schema stays as it is.
    """
    if await _is_rolled_back(turso, marker):
        return RolledBack({})
    statements = read_script(str(marker["rollback_sql"]), ROLLBACK)
    try:
        lease = await turso.lease(run)
        if refuse:
            await refuse()
        return await turso.roll_back(marker, statements, _checks(marker), lease)
    except Rejected as error:
        if await read_when_settled(partial(_is_rolled_back, turso, marker), bool, turso.behind):
            return RolledBack({})
        cause = f"{error.subject}: {error.cause}"
        raise Failed(
            code="rollback-failed",
            operation="rolling back",
            subject=str(marker["name"]),
            cause=cause,
            remedy="The database is as the migration left it.",
        ) from None


async def _is_rolled_back(turso: Turso, marker: Row) -> bool:
    now = await turso.marker(str(marker["attempt"]))
    return now is not None and now["state"] == ROLLED_BACK


async def rehearse_rollback(turso: Turso, marker: Row, proof_config: ProofConfig) -> None:
    """Roll the change back on a fresh copy of the database. Production is only read.

    The copy is removed afterwards; a compressed backup of it stays in the proof's folder. Raise Problem if no copy can
    be made, if the rollback fails on it, or if it would hold up other writers for too long.
    """
    await refuse_turso_engine(turso)
    enforces_keys = (await turso.read(ENGINE)).records[0]["foreign_keys"] == 1
    make_private(proof_config.folder)
    copy, folder, run = (
        await copy_database(turso.database, proof_config.folder, proof_config.limits),
        proof_config.folder / "rehearsal",
        REHEARSAL,
    )
    try:
        await place_database(copy.path, folder)
        async with (
            asyncio.timeout(proof_config.limits.most_seconds),
            Engine(proof_config.binary, enforces_keys).opened(folder) as running,
        ):
            await running.database.query(take_over(run))
            measured = list[LockUse]()
            await measure(
                running,
                ROLLBACK,
                proof_config.allowed,
                lambda: roll_back(Turso(running.database), marker, run),
                measured.append,
            )
        if found := [str(each) for one in measured for each in lock_findings(one, WAYS_BACK)]:
            raise Problem(
                code="rollback-refused",
                operation="proving",
                subject=str(marker["name"]),
                cause="; ".join(found),
                remedy="Nothing of production was touched.",
            )
    except TimeoutError:
        cause = f"the rollback is not done after {proof_config.limits.most_seconds:g} s on a copy"
        raise Problem(
            code="copy-failed",
            operation="rehearsing",
            subject=str(marker["name"]),
            cause=cause,
            remedy="Allow more with rehearsal.most_seconds.",
        ) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        copy.path.unlink()


async def kept_rows(turso: Turso, marker: Row) -> dict[str, list[Row]]:
    """Return the rows that the old schema cannot hold, which are kept for the next migration, by the name of a check.

    They are found by the checks that expect nothing and only show rows. If these cannot be read in time, rows are
    missing.
    """
    shown = [check for check in _checks(marker) if check.expects_rows is None]
    answers: dict[str, list[Row]] = {}
    with suppress(Problem, TimeoutError):  # this is only for the report
        async with asyncio.timeout(KEPT_ROWS_READ):
            if shown:
                await read_when_settled(partial(_is_rolled_back, turso, marker), bool, turso.behind)
            found = await asyncio.gather(*(turso.read(check.statement) for check in shown))
            answers = {check.name: list(rows.records) for check, rows in zip(shown, found, strict=True)}
    return {name: rows for name, rows in answers.items() if rows}


def _checks(marker: Row) -> tuple[SqlCheck, ...]:
    return stored_checks(str(marker["verify_rollback_sql"]), "verify_rollback.sql")
