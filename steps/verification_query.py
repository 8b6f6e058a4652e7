"""Ask the migrated database every question of verify.sql, show what it answers, and see that it still takes writes."""

from dataclasses import dataclass

from steps.support.core.errors import Failed, Rejected
from steps.support.core.retry import retry
from steps.support.gateways.database.protocol import Rows
from steps.support.operations import prove
from steps.support.operations.taking_writes import refuse_locked_out
from steps.support.run.release import Gateways, Release
from steps.support.run.step import Done, Step
from steps.support.sql.checks import SqlCheck
from steps.support.sql.known_names import VERIFY

SHOWN, KEPT = 2, 20  # rows of an answer: on the screen, in the report
_UNASKED = f"not shown that the change did what it should: {VERIFY} asks nothing"
_HARMLESS = f"not shown that the change did what it should: no check of {VERIFY} can fail"


@dataclass(frozen=True, slots=True)
class VerificationQuery(Step[None]):
    """The named checks of verify.sql, after the commit, and a write."""

    release: Release
    name = "verification_query"

    async def preflight(self, gateways: Gateways) -> None:
        """There is nothing to see before: the checks are about what is to come."""

    def plan(self, observed: None) -> str:  # noqa: ARG002
        """Name the checks, or say that none could fail."""
        names = ", ".join(check.name for check in self.release.change.verify)
        asked = f"ask: {names}" if names else _UNASKED
        return f"{asked}{f'; {_HARMLESS}' if names and not self._can_fail else ''}; then write once more"

    def expected_seconds(self, observed: None) -> float:  # noqa: ARG002
        """Go by the rehearsal."""
        proof = self.release.proof
        return max(1.0, prove.seconds_in_production(proof, "verify")) if proof else 1.0

    async def apply(self, gateways: Gateways, observed: None) -> Done:  # noqa: ARG002
        """Ask each, and name all that fail; then write."""
        answers = [(check, await _ask(gateways, check)) for check in self.release.change.verify]
        if wrong := [
            f"{check.name}: {_shown(rows) or 'no rows'}"
            for check, rows in answers
            if check.expects_rows not in (None, bool(rows.values))
        ]:
            raise Failed(
                "verifying", "the database", "; ".join(wrong), "Read rows like these on a copy before releasing again."
            )
        await refuse_locked_out(gateways.turso, self.release.run)
        shown = {check.name: rows for check, rows in answers if check.expects_rows is not False}
        facts = {"rows": {name: rows.records[:KEPT] for name, rows in shown.items()}}
        held = f"{len(answers)} checks hold" if self._can_fail else _HARMLESS if answers else _UNASKED
        told = [held, *(f"{name}: {_shown(rows)}" for name, rows in shown.items()), "writes are taken"]
        return Done("; ".join(told), facts)

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
