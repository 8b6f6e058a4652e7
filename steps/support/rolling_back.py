"""Taking a change back by what its marker row keeps: what was rehearsed then, not what the folder holds today."""

import asyncio
from contextlib import suppress

from steps.support.engine.step import Failed
from steps.support.gateways import ledger
from steps.support.gateways.answers import Rejected
from steps.support.gateways.turso import Row, Turso
from steps.support.problem import Problem
from steps.support.sql_folder import SqlCheck, read_checks, read_script

TOLD = 2.0  # seconds for what is only told


async def roll_back(turso: Turso, marker: Row, run: str) -> None:
    """Roll back once: where an earlier answer was lost, it may be done already."""
    now = await turso.marker(str(marker["attempt"]))
    if now and now["state"] == ledger.ROLLED_BACK:
        return
    statements = read_script(str(marker["rollback_sql"]), "rollback.sql")
    try:
        await turso.roll_back(marker, statements, _checks(marker), await turso.lease(run))
    except Rejected as error:
        cause = f"{error.subject}: {error.cause}"
        raise Failed("rolling back", str(marker["name"]), cause, "The database is as the migration left it.") from None


async def kept(turso: Turso, marker: Row) -> dict[str, list[Row]]:
    """Ask what the checks only show: rows that the old schema cannot hold and that wait for the next migration."""
    asked = [check for check in _checks(marker) if check.expects_rows is None]
    answers: dict[str, list[Row]] = {}
    with suppress(Problem, TimeoutError):  # only the report wants to know
        async with asyncio.timeout(TOLD):
            for check in asked:
                answers[check.name] = list((await turso.read(check.statement)).records)
    return {name: rows for name, rows in answers.items() if rows}


def _checks(marker: Row) -> tuple[SqlCheck, ...]:
    return read_checks(str(marker["verify_rollback_sql"]), "verify_rollback.sql")
