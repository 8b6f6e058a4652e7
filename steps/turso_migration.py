"""Migrate the database in one transaction that checks itself. A rollback loses no row written since."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from steps.support.core.errors import Failed, NotSent, Refused, Rejected
from steps.support.core.retry import preflight_read, read_when_settled, retry
from steps.support.gateways.marker import APPLIED, FENCED, Attempt
from steps.support.gateways.turso import Row
from steps.support.operations import platform_ready, production, prove
from steps.support.operations.fit_code import Tried, refuse_unfit
from steps.support.operations.foreign_moves import refuse_others
from steps.support.operations.prove import refuse_applied, refuse_unparsable
from steps.support.operations.roll_back_schema import kept_rows, roll_back
from steps.support.operations.taking_writes import refuse_locked_out
from steps.support.proof.rehearsal.target import refuse_turso_engine
from steps.support.proof.result import UNKNOWN, Proof
from steps.support.run.release import Gateways, Release
from steps.support.run.step import Done, ReversibleStep
from steps.support.schema.comparison.fingerprint import differing
from steps.support.sql.findings import MIGRATE, ROLLBACK, WRITES

KEPT = ("previous_deployment", "previous_commit", "release_commit", "previous_head")  # columns about the code
LOCKED = 600  # seconds after a commit in which no one else can have released
UNTRIED = "and the schema changes only under code that was tried with it"


@dataclass(frozen=True, slots=True)
class Observed:
    """The previous schema, the code that the marker row will keep, and the proof of the change.

    `deployment` and `commit`: what was live before the change. `release`: the commit released with the change. `head`:
    the previous head of the branch. `round_trip`: the seconds that one query takes.
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
    """Runs migrate.sql, all of it or nothing. Earlier steps are rolled back only after this one."""

    release: Release
    name = "turso_migration"
    rollback_share = 12 / 30
    writes = "what migrate.sql names, and the tool's own _orchestrate_* tables"

    @property
    def blocks_earlier_rollbacks(self) -> bool:
        """Return True, because the previous code may not run on the new schema."""
        return True

    async def preflight(self, gateways: Gateways) -> Observed:
        """Check what the database is and that the change is not applied yet, and prove it on a copy.

        Raise Refused with the findings.
        """
        expires, lasts = gateways.turso.token_expiry, self.release.demands.lasts
        platform_ready.refuse_expiring("the database token", expires, lasts, "database-access", "TURSO_AUTH_TOKEN")
        await preflight_read(refuse_turso_engine, gateways.turso)
        await preflight_read(refuse_unparsable, gateways.turso, self.release.change)
        await preflight_read(refuse_applied, gateways.turso, self.release.change)
        now, round_trip = await _situation(gateways, self.release), await prove.round_trip(gateways.turso)
        return Observed(*now, await prove.prove_change(gateways.turso, self.release), round_trip)

    async def recheck(self, gateways: Gateways, observed: Observed) -> None:
        """Check that the change is still not applied and that production is unchanged. Raise Refused otherwise."""
        await preflight_read(refuse_applied, gateways.turso, self.release.change)
        if await _situation(gateways, self.release) != (
            observed.schema,
            observed.deployment,
            observed.commit,
            observed.release,
            observed.head,
        ):
            cause = "the schema, the code or the live deployment changed between the plan and the lock"
            raise Refused(
                code="production-changed",
                operation=self.name,
                subject="checked again",
                cause=cause,
                remedy="Run again.",
            )

    def settle(self, release: Release, observed: Observed) -> Release:
        """Return the release with the proof, and without the orders that the proof rules out."""
        return prove.with_proof(release, observed.proof)

    def plan(self, observed: Observed) -> str:
        """Describe what will run, what is checked before the commit, and what the rehearsal measured."""
        change, proof = self.release.change, observed.proof
        checks = sum(check.can_fail for check in change.verify)
        return (
            f"{change.name} in one transaction: {len(change.migrate)} statements, {checks or 'no'} checks\n"
            f"checked before it commits: {proof.guards.measured}"
            + (f"\n{words}" if (words := proof.lock(MIGRATE)) else "")
        )

    def rollback_plan(self, observed: Observed) -> str:
        """Describe the rollback, and what was proved about it."""
        lock = f"; {words}" if (words := observed.proof.lock(ROLLBACK)) else ""
        return f"rollback.sql in one transaction{rollback_words(observed.proof)}{lock}"

    def facts(self, observed: Observed) -> dict[str, object]:
        """Return what the report keeps of the proof."""
        return prove.report_facts(observed.proof)

    def expected_seconds(self, observed: Observed) -> float:
        """Estimate the seconds from the rehearsal: one transaction, and the queries around it."""
        return max(1.0, prove.seconds_in_production(observed.proof, "migrate") + 4 * observed.round_trip)

    def expects_rollback(self, observed: Observed) -> float:
        """Estimate the seconds from the rehearsal: a rollback fences, rolls back, and verifies."""
        return prove.seconds_in_production(observed.proof, "rollback") + 8 * observed.round_trip

    async def apply(self, gateways: Gateways, observed: Observed) -> Done:
        """Commit the change. Raise Refused if certainly nothing has changed.

        If the answer to COMMIT is lost, Unknown is raised, and the rollback finds out what happened.
        """
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
        """Return the deployments that may be live when the schema changes: their code was tried on both schemas."""
        if self.release.order == "DATA_FIRST":
            return {observed.deployment}
        return {each.id for each in await retry(gateways.vercel.production_deployments, observed.release)}

    async def rollback(self, gateways: Gateways, observed: Observed) -> Done:
        """Roll the change back if it was committed; otherwise fence it, so that it can never be committed.

        The text of the rollback is the one in the marker row. Raise Failed if the change was accepted or cannot be
        rolled back.
        """
        marker = await retry(gateways.turso.fence, self.release.run, self.release.change.name)
        if marker["state"] == FENCED:
            return Done("the change is not in the database, and can no longer arrive")
        if marker["state"] == APPLIED:
            _refuse_accepted(marker)
        fit = partial(refuse_unfit, gateways, _fit_for_old_schema(observed, marker))
        await retry(roll_back, gateways.turso, marker, self.release.run, fit, patience=None)
        await refuse_locked_out(gateways.turso, self.release.run)
        kept = await kept_rows(gateways.turso, marker)
        counts = "".join(f"; {name}: {len(rows)}" for name, rows in kept.items())
        return Done(f"{self.release.change.name} is rolled back{counts}", {"kept": kept})

    async def superseded_by(self, gateways: Gateways, observed: Observed) -> str:  # noqa: ARG002 - the marker row tells
        """Return what became of the change if it is no longer applied or was accepted; otherwise an empty string."""
        marker = await read_when_settled(partial(gateways.turso.marker, self.release.run), bool, gateways.turso.behind)
        if not marker or marker["state"] != APPLIED:
            return f"{self.release.change.name} is {marker['state']!s}" if marker else "it is not in the database"
        accepted = marker["accepted_at"] is not None
        return f"{self.release.change.name} was accepted: the data for a rollback was dropped" if accepted else ""

    async def prove_rollback(self, gateways: Gateways, observed: Observed) -> None:  # noqa: ARG002 - the marker row tells
        """If the change is applied, rehearse its rollback on a fresh copy. Raise Refused if that fails.

        The text of the rollback is the one in the marker row.
        """
        marker = await preflight_read(gateways.turso.marker, self.release.run)
        if marker and marker["state"] == APPLIED:
            await prove.prove_rollback(gateways.turso, self.release, marker)

    async def recall(self, gateways: Gateways, marker: Mapping[str, Any]) -> Observed | None:  # noqa: ARG002 - it is all there
        """Return the previous schema and code, as the marker row says, or None if the row has no schema."""
        if marker["schema_before"] is None:
            return None
        live, commit, release, head = (str(marker[key]) for key in KEPT)
        return Observed(str(marker["schema_before"]), live, commit, release, head, UNKNOWN, 0.0)

    async def verify_rollback(self, gateways: Gateways, observed: Observed) -> str:  # noqa: ARG002 - the marker row tells
        """Return how the schema differs from the previous one.

        Return an empty string if it does not differ, or if this run did not change it.
        """
        marker = await read_when_settled(
            partial(gateways.turso.marker, self.release.run), _is_not_applied, gateways.turso.behind
        )
        if not marker or marker["state"] == FENCED:
            return ""
        if marker["state"] == APPLIED:
            return f"{self.release.change.name} is applied in {gateways.turso.address}"
        before = str(marker["schema_before"])
        now = await read_when_settled(
            gateways.turso.schema, lambda now: not differing(before, now), gateways.turso.behind
        )
        found = differing(before, now)
        texts = "".join(f"\n{each}" for each in found)
        return f"the schema of {gateways.turso.address} is not the previous one:{texts}" if found else ""


def _is_not_applied(marker: Row | None) -> bool:
    return marker is None or marker["state"] != APPLIED


def rollback_words(proof: Proof) -> str:
    """Return what the rehearsal showed about the rollback: what it keeps, what waits, and what was not shown."""
    if WRITES in proof.unasked:
        return f"; not shown that it keeps the rows written since: {WRITES} writes nothing"
    kept = ", which loses no row written since" if proof.lossless else "; not all that was written since comes back"
    exceptions = f"; not shown for {', '.join(proof.unshown)}: {WRITES} writes nothing there" if proof.unshown else ""
    return f"{kept}{_waiting(proof)}{exceptions}"


def _waiting(proof: Proof) -> str:
    """Return how many of the rows written in the rehearsal wait for the next migration, and where."""
    rows, places = sum(proof.waiting.values()), proof.waiting.items()
    where = (
        f"in {next(iter(proof.waiting))}" if len(places) == 1 else ", ".join(f"{n:,} in {name}" for name, n in places)
    )
    verb = "row written since waits" if rows == 1 else "rows written since wait"
    return f"; {rows:,} {verb} until the change is made again, {where}" if rows else ""


def _refuse_accepted(marker: Row) -> None:
    if marker["accepted_at"] is not None:
        raise Failed(
            code="rollback-refused",
            operation="rolling back",
            subject=str(marker["name"]),
            cause="it was accepted",
            remedy="The data for a rollback was dropped.",
        )


def _fit_for_old_schema(observed: Observed, marker: Row) -> Tried:
    """Return the code that can run on the previous schema.

    That is the previous commit, and also the new commit if the code was released before the data. While the run's lock
    keeps others out, a platform that does not answer is assumed to have only this code live.
    """
    commits = (observed.commit,) if marker["code_order"] == "DATA_FIRST" else (observed.commit, observed.release)
    alone = observed.release in commits and int(str(marker["age"])) <= LOCKED
    return Tried(observed.deployment, tuple(filter(None, commits)), observed.release, alone)


async def _situation(gateways: Gateways, release: Release) -> tuple[str, str, str, str, str]:
    """Return the schema, the live deployment and its commit, the commit to release, and the remote head.

    If the commit to release is live already, the deployment is the one that was live before it.
    """
    schema, head = await preflight_read(gateways.turso.schema), await preflight_read(gateways.git.remote_head)
    now = await production.preflight(gateways, release)
    return schema, now.production.id, now.production.sha, now.sha, head
