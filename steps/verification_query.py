"""Run the checks of verify.sql on the migrated database, show the answers, and check that it still accepts writes."""

from dataclasses import dataclass

from steps.support.core.errors import Failed, Rejected
from steps.support.core.retry import retry
from steps.support.gateways.database.protocol import Rows
from steps.support.operations import prove
from steps.support.operations.taking_writes import refuse_locked_out
from steps.support.run.release import Gateways, Release
from steps.support.run.step import Done, Step
from steps.support.sql.checks import SqlCheck
from steps.support.sql.findings import VERIFY

SHOWN, KEPT = 2, 20  # how many rows of an answer the screen shows, and the report keeps
_NO_CHECKS = f"not shown that the change did what it should: {VERIFY} asks nothing"
_CANNOT_FAIL = f"not shown that the change did what it should: no check of {VERIFY} can fail"


@dataclass(frozen=True, slots=True)
class VerificationQuery(Step[None]):
    """Runs the named checks of verify.sql after the commit, and then writes once."""

    release: Release
    name = "verification_query"

    async def preflight(self, gateways: Gateways) -> None:
        """Observe nothing, because the checks are about the migrated database."""

    def plan(self, observed: None) -> str:  # noqa: ARG002
        """Describe the checks, or say that none can fail."""
        names = ", ".join(check.name for check in self.release.change.verify)
        checks = f"run checks: {names}" if names else _NO_CHECKS
        return f"{checks}{f'; {_CANNOT_FAIL}' if names and not self._can_fail else ''}; then write once"

    def expected_seconds(self, observed: None) -> float:  # noqa: ARG002
        """Estimate the seconds from the rehearsal."""
        proof = self.release.proof
        return max(1.0, prove.seconds_in_production(proof, "verify")) if proof else 1.0

    async def apply(self, gateways: Gateways, observed: None) -> Done:  # noqa: ARG002
        """Run all checks, then write once. Raise Failed if a check or the write fails."""
        answers = [(check, await _ask(gateways, check)) for check in self.release.change.verify]
        if wrong := [
            f"{check.name}: {_shown(rows) or 'no rows'}"
            for check, rows in answers
            if check.expects_rows not in (None, bool(rows.values))
        ]:
            raise Failed(
                code="migration-failed",
                operation="verifying",
                subject="the database",
                cause="; ".join(wrong),
                remedy="Find such rows on a copy before releasing again.",
            )
        await refuse_locked_out(gateways.turso, self.release.run)
        shown = {check.name: rows for check, rows in answers if check.expects_rows is not False}
        facts = {"rows": {name: rows.records[:KEPT] for name, rows in shown.items()}}
        held = f"{len(answers)} checks hold" if self._can_fail else _CANNOT_FAIL if answers else _NO_CHECKS
        lines = [held, *(f"{name}: {_shown(rows)}" for name, rows in shown.items()), "the database takes writes"]
        return Done("; ".join(lines), facts)

    @property
    def _can_fail(self) -> bool:
        return any(check.can_fail for check in self.release.change.verify)


async def _ask(gateways: Gateways, check: SqlCheck) -> Rows:
    try:
        return await retry(gateways.turso.read, check.statement)
    except Rejected as error:
        raise Failed.because(error) from None


def _shown(rows: Rows) -> str:
    texts = [", ".join(f"{column}={value!r}" for column, value in record.items()) for record in rows.records[:SHOWN]]
    return " | ".join(texts) + (f" and {len(rows.values) - SHOWN} more" if len(rows.values) > SHOWN else "")
