"""Change the database in one transaction that holds its own proof; going back loses no row written since."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from steps.support.core.errors import Failed, NotSent, Refused, Rejected
from steps.support.core.retry import preflight_read, retry
from steps.support.gateways.marker import APPLIED, FENCED, Attempt
from steps.support.gateways.turso import Row, Turso
from steps.support.operations import prove
from steps.support.operations.fit_code import Tried, refuse_unfit
from steps.support.operations.foreign_moves import refuse_others
from steps.support.operations.prove import refuse_applied, refuse_unparsable
from steps.support.operations.roll_back_schema import kept_rows, roll_back
from steps.support.operations.taking_writes import refuse_locked_out
from steps.support.proof.result import UNKNOWN, Proof
from steps.support.run.release import Gateways, Release
from steps.support.run.step import Done, ReversibleStep
from steps.support.sql.known_names import MIGRATE, ROLLBACK, WRITES
from steps.support.sql.statement import Statement

KEPT = ("previous_deployment", "previous_commit", "release_commit", "previous_head")  # of the code, in the marker row
LOCKED = 600  # seconds after a commit in which nobody else can have released
UNTRIED = "and the schema changes only under code that was tried with it"
PING = Statement("SELECT 1", name="a question")


@dataclass(frozen=True, slots=True)
class Observed:
    """The schema before, what the marker row keeps of the code, and the proof of the change.

    `deployment` and `commit` are live before; `release` is the commit that comes with the change, `head` the one that
    the branch is at before. `round_trip`: seconds that one question to the database takes.
    """

    schema: str
    deployment: str
    commit: str
    release: str
    head: str
    proof: Proof
    round_trip: float


@dataclass(frozen=True, slots=True)
class TursoMigration(ReversibleStep[Observed]):
    """migrate.sql, whole or not at all. What came before rests on it: code goes back only once the schema has."""

    release: Release
    name = "turso_migration"
    rollback_share = 12 / 30
    writes = "what migrate.sql names, and the tool's own _orchestrate_* tables"

    @property
    def blocks_earlier_rollbacks(self) -> bool:
        """The code that is live may not run on the schema of before."""
        return True

    async def preflight(self, gateways: Gateways) -> Observed:
        """See that the change is not there yet, then prove it on a copy. Raises Refused with all that is against it."""
        await preflight_read(refuse_unparsable, gateways.turso, self.release.change)
        await preflight_read(refuse_applied, gateways.turso, self.release.change)
        now, took = await _situation(gateways), await _round_trip(gateways.turso)
        return Observed(*now, await prove.prove_change(gateways.turso, self.release), took)

    async def recheck(self, gateways: Gateways, observed: Observed) -> None:
        """Look again at all but the copy."""
        await preflight_read(refuse_applied, gateways.turso, self.release.change)
        if await _situation(gateways) != (
            observed.schema,
            observed.deployment,
            observed.commit,
            observed.release,
            observed.head,
        ):
            cause = "the schema, the code, or what is live, changed between the plan and the lock"
            raise Refused(self.name, "looked again", cause, "Run again.")

    def settle(self, release: Release, observed: Observed) -> Release:
        """Keep the proof, and the orders that it leaves."""
        return prove.with_proof(release, observed.proof)

    def plan(self, observed: Observed) -> str:
        """Say what runs, what is asserted before it commits, and what the rehearsal saw."""
        change, proof = self.release.change, observed.proof
        checks = sum(check.can_fail for check in change.verify)
        return (
            f"{change.name} in one transaction: {len(change.migrate)} statements, {checks or 'no'} checks\n"
            f"asserted before it commits: {proof.guards.measured}"
            + (f"\n{words}" if (words := proof.lock(MIGRATE)) else "")
        )

    def rollback_plan(self, observed: Observed) -> str:
        """Say what runs, and what is known of it."""
        asked = f"; {words}" if (words := observed.proof.lock(ROLLBACK)) else ""
        return f"rollback.sql in one transaction{_keeps(observed.proof)}{asked}"

    def facts(self, observed: Observed) -> dict[str, object]:
        """Give the proof."""
        return prove.report_facts(observed.proof)

    def expected_seconds(self, observed: Observed) -> float:
        """Go by the rehearsal: one transaction, and the questions round it."""
        return max(1.0, prove.seconds_in_production(observed.proof, "migrate") + 3 * observed.round_trip)

    def expects_rollback(self, observed: Observed) -> float:
        """Go by the rehearsal: fence, rollback, and looking at what is left."""
        return prove.seconds_in_production(observed.proof, "rollback") + 6 * observed.round_trip

    async def apply(self, gateways: Gateways, observed: Observed) -> Done:
        """Commit the change. A refusal is certain to have changed nothing; a lost answer is settled by undo."""
        change, run = self.release.change, self.release.run
        code = observed.deployment, observed.commit, observed.release, observed.head
        attempt = Attempt(run, self.release.order, *code, observed.schema)
        try:
            lease = await retry(gateways.turso.lease, run)
            await refuse_others(gateways.vercel, await self._proved_live(gateways, observed), why=UNTRIED)
            changed = (await gateways.turso.migrate(change, attempt, observed.proof.guards, lease)).rows_changed
        except (Rejected, NotSent) as error:
            raise Refused.because(error) from None
        facts = {"migration": {"name": change.name, "sha256": change.sha256, "rows_changed": changed}}
        return Done(f"{change.name} is committed, {changed} rows changed", facts)

    async def _proved_live(self, gateways: Gateways, observed: Observed) -> set[str]:
        """Return the deployments that may be live when the schema changes: those whose code was tried on both sides."""
        if self.release.order == "DATA_FIRST":
            return {observed.deployment}
        return {each.id for each in await retry(gateways.vercel.production_deployments, observed.release)}

    async def rollback(self, gateways: Gateways, observed: Observed) -> Done:
        """Settle whether it committed, fencing it if not; then run the rollback that the marker row keeps."""
        marker = await retry(gateways.turso.fence, self.release.run, self.release.change.name)
        if marker["state"] == FENCED:
            return Done("nothing of it is in the database, and nothing of it can come any more")
        if marker["state"] == APPLIED:
            _refuse_accepted(marker)
        fit = partial(refuse_unfit, gateways, _tried(observed, marker))
        await retry(roll_back, gateways.turso, marker, self.release.run, fit, patience=None)
        await refuse_locked_out(gateways.turso, self.release.run)
        waiting = await kept_rows(gateways.turso, marker)
        shown = "".join(f"; {name}: {len(rows)}" for name, rows in waiting.items())
        return Done(f"{self.release.change.name} is rolled back{shown}", {"kept": waiting})

    async def superseded_by(self, gateways: Gateways, observed: Observed) -> str:  # noqa: ARG002 - the marker row tells
        """Say what the marker row is where it is not applied, or was accepted."""
        marker = await retry(gateways.turso.marker, self.release.run)
        if not marker or marker["state"] != APPLIED:
            return f"{self.release.change.name} is {marker['state']!s}" if marker else "it is not in the database"
        accepted = marker["accepted_at"] is not None
        return f"{self.release.change.name} was accepted: what going back needs is gone" if accepted else ""

    async def prove_rollback(self, gateways: Gateways, observed: Observed) -> None:  # noqa: ARG002 - the marker row tells
        """Roll back on a fresh copy, by what the marker row keeps."""
        marker = await preflight_read(gateways.turso.marker, self.release.run)
        if marker and marker["state"] == APPLIED:
            await prove.prove_rollback(gateways.turso, self.release, marker)

    async def recall(self, gateways: Gateways, marker: Mapping[str, Any]) -> Observed | None:  # noqa: ARG002 - it is all there
        """Take the schema of before from the marker row."""
        if marker["schema_before"] is None:
            return None
        live, commit, release, head = (str(marker[key]) for key in KEPT)
        return Observed(str(marker["schema_before"]), live, commit, release, head, UNKNOWN, 0.0)

    async def verify_rollback(self, gateways: Gateways, observed: Observed) -> str:  # noqa: ARG002 - the marker row tells
        """Compare the schema with the one before, where this run has changed it."""
        marker = await retry(gateways.turso.marker, self.release.run)
        if not marker or marker["state"] == FENCED:
            return ""
        if marker["state"] == APPLIED:
            return f"{self.release.change.name} is applied in {gateways.turso.address}"
        same = await retry(gateways.turso.schema) == marker["schema_before"]
        return "" if same else f"the schema of {gateways.turso.address} is not the one before"


def _keeps(proof: Proof) -> str:
    if WRITES in proof.unasked:
        return f"; not shown that it keeps the rows written since: {WRITES} writes nothing"
    but = f"; not shown for {', '.join(proof.unshown)}: {WRITES} writes nothing there" if proof.unshown else ""
    return f", which loses no row written since{but}"


def _refuse_accepted(marker: Row) -> None:
    if marker["accepted_at"] is not None:
        raise Failed("rolling back", str(marker["name"]), "it was accepted", "What going back needs is gone.")


def _tried(observed: Observed, marker: Row) -> Tried:
    """Return what can run on the previous schema: the previous code; the new code too, if it went first.

    While the run's lock keeps others away, a platform that does not answer is taken to have nobody else's code live.
    """
    commits = (observed.commit,) if marker["code_order"] == "DATA_FIRST" else (observed.commit, observed.release)
    alone = observed.release in commits and int(str(marker["age"])) <= LOCKED
    return Tried(observed.deployment, tuple(filter(None, commits)), observed.release, alone)


async def _situation(gateways: Gateways) -> tuple[str, str, str, str, str]:
    """Give the schema, the live deployment, its commit, the commit that is to be released, and the branch's before."""
    schema, release, head = (
        await preflight_read(gateways.turso.schema),
        await gateways.git.head(),
        await preflight_read(gateways.git.remote_head),
    )
    live = (await preflight_read(gateways.vercel.project)).production_id or ""
    return schema, live, (await preflight_read(gateways.vercel.deployment, live)).sha if live else "", release, head


async def _round_trip(turso: Turso) -> float:
    began = asyncio.get_running_loop().time()
    await preflight_read(turso.read, PING)
    return asyncio.get_running_loop().time() - began
