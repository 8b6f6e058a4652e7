"""Change the database in one transaction that holds its own proof; going back loses no row written since."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from steps.support import proving
from steps.support.engine.step import Change, Done, Failed, Refused
from steps.support.gateways import ledger
from steps.support.gateways.answers import NotSent, Rejected
from steps.support.gateways.database import Statement
from steps.support.gateways.ledger import Attempt
from steps.support.gateways.migration import asserted
from steps.support.gateways.turso import Row, Turso
from steps.support.looking import looked
from steps.support.problem import Problem
from steps.support.proof.proof import Proof
from steps.support.release import Release
from steps.support.retry import insist
from steps.support.sql_folder import DatabaseChange, SqlCheck, read_checks, read_script
from steps.support.stage import Stage

PING = Statement("SELECT 1", name="a question")
TOLD = 2.0  # seconds for what is only told


@dataclass(frozen=True, slots=True)
class Seen:
    """The schema before, what the marker row keeps of what was live, and the proof of the change.

    `round_trip`: seconds that one question to the database takes.
    """

    schema: str
    deployment: str
    commit: str
    proof: Proof
    round_trip: float


@dataclass(frozen=True, slots=True)
class TursoMigration(Change[Seen]):
    """migrate.sql, whole or not at all. What came before rests on it: code goes back only once the schema has."""

    release: Release
    name = "turso_migration"
    undo_share = 12 / 30
    foundation = True

    async def look(self, stage: Stage) -> Seen:
        """See that the change is not there yet, then prove it on a copy. Raises Refused with all that is against it."""
        await looked(partial(_refuse_unparsable, stage.turso, self.release.change))
        await looked(partial(_refuse_applied, stage.turso, self.release.change))
        now, took = await _situation(stage), await _round_trip(stage.turso)
        return Seen(*now, await proving.proved(stage.turso, self.release), took)

    async def recheck(self, stage: Stage, seen: Seen) -> None:
        """Look again at all but the copy."""
        await looked(partial(_refuse_applied, stage.turso, self.release.change))
        if await _situation(stage) != (seen.schema, seen.deployment, seen.commit):
            cause = "the schema, or what is live, changed between the plan and the lock"
            raise Refused(self.name, "looked again", cause, "Run again.")

    def settle(self, release: Release, seen: Seen) -> Release:
        """Keep the proof, and the orders that it leaves."""
        return proving.settled(release, seen.proof)

    def plan(self, seen: Seen) -> str:
        """Say what runs, what is asserted before it commits, and what the rehearsal saw."""
        change, proof = self.release.change, seen.proof
        took = f"{proof.seconds['migrate']:.3f} s there, {proof.seconds['rollback']:.3f} s back"
        lines = (
            f"{change.name} in one transaction: {len(change.migrate)} statements, {len(change.verify)} checks",
            f"asserted in it: {proof.guards.measured}",
            f"rehearsed on {proof.engine}: {took}, {'lossless' if proof.lossless else 'with losses'}",
            "undone by rollback.sql, which loses no row written since",
        )
        return "\n".join((*lines, proving.told(proof)))

    def facts(self, seen: Seen) -> dict[str, object]:
        """Give the proof."""
        return proving.facts(seen.proof)

    def expects(self, seen: Seen) -> float:
        """Go by the rehearsal: one transaction, and the questions round it."""
        return max(1.0, proving.in_production(seen.proof, "migrate") + 3 * seen.round_trip)

    def expects_undo(self, seen: Seen) -> float:
        """Go by the rehearsal: fence, rollback, and looking at what is left."""
        return max(1.0, proving.in_production(seen.proof, "rollback") + 6 * seen.round_trip)

    async def act(self, stage: Stage, seen: Seen) -> Done:
        """Commit the change. A refusal is certain to have changed nothing; a lost answer is settled by undo."""
        change, run = self.release.change, self.release.run
        attempt = Attempt(run, self.release.order, seen.deployment, seen.commit, seen.schema)
        try:
            lease = await insist(lambda: stage.turso.lease(run))
            changed = (await stage.turso.migrate(change, attempt, seen.proof.guards, lease)).rows_changed
        except (Rejected, NotSent) as error:
            raise Refused(error.operation, error.subject, error.cause, error.remedy) from None
        facts = {"migration": {"name": change.name, "sha256": change.sha256, "rows_changed": changed}}
        return Done(f"{change.name} is committed, {changed} rows changed", facts)

    async def undo(self, stage: Stage, seen: Seen) -> Done:  # noqa: ARG002 - what was applied is in the marker row
        """Settle whether it committed, fencing it if not; then run the rollback that the marker row keeps."""
        marker = await insist(lambda: stage.turso.fence(self.release.run, self.release.change.name))
        if marker["state"] == ledger.FENCED:
            return Done("nothing of it is in the database, and nothing of it can come any more")
        await insist(lambda: _roll_back(stage.turso, marker, self.release.run), patience=None)
        kept = await _kept(stage.turso, marker)
        shown = "".join(f"; {name}: {len(rows)}" for name, rows in kept.items())
        return Done(f"{self.release.change.name} is rolled back{shown}", {"kept": kept})

    async def remains(self, stage: Stage, seen: Seen) -> str:
        """Compare the schema with the one before."""
        marker = await insist(lambda: stage.turso.marker(self.release.run))
        if marker and marker["state"] == ledger.APPLIED:
            return f"{self.release.change.name} is applied in {stage.turso.address}"
        same = await insist(stage.turso.schema) == seen.schema
        return "" if same else f"the schema of {stage.turso.address} is not the one before"


async def _refuse_unparsable(turso: Turso, change: DatabaseChange) -> None:
    checks = (*change.verify, *change.verify_rollback)
    shown = [check.statement for check in checks if check.expects_rows is None]
    statements = (*change.migrate, *change.rollback, *asserted(checks), *shown)
    errors = zip(statements, await turso.parse(statements), strict=True)
    if wrong := [f"{statement.name}: {error}" for statement, error in errors if error]:
        raise Refused("parsing", "the SQL folder", "; ".join(wrong), "Mend these statements; nothing was run.")


async def _refuse_applied(turso: Turso, change: DatabaseChange) -> None:
    if marker := await turso.applied(change.name):
        edited = "" if marker["sha256"] == change.sha256 else "; migrate.sql has been edited since"
        cause = f"it is already applied, by run {marker['attempt']!s}{edited}"
        remedy = "There is nothing to migrate; give a new change a new `-- name:`."
        raise Refused("planning", change.name, cause, remedy)


async def _situation(stage: Stage) -> tuple[str, str, str]:
    """Give the schema, the live deployment and its commit."""
    schema = await looked(stage.turso.schema)
    live = (await looked(stage.vercel.project)).production_id or ""
    return schema, live, (await looked(partial(stage.vercel.deployment, live))).sha if live else ""


async def _round_trip(turso: Turso) -> float:
    began = asyncio.get_running_loop().time()
    await looked(partial(turso.read, PING))
    return asyncio.get_running_loop().time() - began


async def _roll_back(turso: Turso, marker: Row, run: str) -> None:
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


async def _kept(turso: Turso, marker: Row) -> dict[str, list[Row]]:
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
