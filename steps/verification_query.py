"""Run the checks of verify.sql on the migrated database, show the answers, and check that it still accepts writes."""

import asyncio
from dataclasses import dataclass
from functools import partial

from steps.support.core.errors import Failed, Rejected
from steps.support.core.retry import read_when_settled
from steps.support.gateways.database.protocol import Rows
from steps.support.gateways.turso import Turso
from steps.support.operations import prove
from steps.support.operations.prove import round_trip
from steps.support.operations.taking_writes import refuse_locked_out
from steps.support.run.release import Gateways, Release
from steps.support.run.step import Done, Step
from steps.support.sql.checks import SqlCheck
from steps.support.sql.findings import VERIFY

SHOWN, KEPT = 2, 20  # how many rows of an answer the screen shows, and the report keeps
_NO_CHECKS = f"not shown that the change did what it should: {VERIFY} asks nothing"
_CANNOT_FAIL = f"not shown that the change did what it should: no check of {VERIFY} can fail"


@dataclass(frozen=True, slots=True)
class VerificationQuery(Step[float]):
    """Runs the named checks of verify.sql after the commit, and then writes once."""

    release: Release
    name = "verification_query"

    async def preflight(self, gateways: Gateways) -> float:
        """Return the seconds that one query takes. The checks themselves are about the migrated database."""
        return await round_trip(gateways.turso)

    def plan(self, observed: float) -> str:  # noqa: ARG002
        """Describe the checks, or say that none can fail."""
        names = ", ".join(check.name for check in self.release.change.verify)
        checks = f"run checks: {names}" if names else _NO_CHECKS
        return f"{checks}{f'; {_CANNOT_FAIL}' if names and not self._can_fail else ''}; then write once"

    def expected_seconds(self, observed: float) -> float:
        """Estimate the seconds from the rehearsal: the marker row, all checks at once, and a write."""
        proof = self.release.proof
        return max(1.0, (prove.seconds_in_production(proof, "verify") if proof else 0.0) + 3 * observed)

    async def apply(self, gateways: Gateways, observed: float) -> Done:  # noqa: ARG002
        """Run all checks, then write once. Raise Failed if a check or the write fails.

        A replica that is behind may answer, so the marker row is waited for, and a check that fails is asked again.
        """
        await read_when_settled(partial(gateways.turso.marker, self.release.run), bool, gateways.turso.behind)
        asked = (_ask(gateways.turso, check) for check in self.release.change.verify)
        answers = [*zip(self.release.change.verify, await asyncio.gather(*asked), strict=True)]
        if wrong := [
            f"{check.name}: {_shown(rows) or 'no rows'}" for check, rows in answers if not _holds(check, rows)
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


async def _ask(turso: Turso, check: SqlCheck) -> Rows:
    """Return the answer to a check. Raise Failed if the check itself fails, on the schema of the primary, too."""

    async def ask() -> Rows | Rejected:
        try:
            return await turso.read(check.statement)
        except Rejected as error:
            return error

    answer = await read_when_settled(
        ask, lambda answer: isinstance(answer, Rows) and _holds(check, answer), turso.behind
    )
    if isinstance(answer, Rejected):
        raise Failed.because(answer)
    return answer


def _holds(check: SqlCheck, rows: Rows) -> bool:
    return check.expects_rows in (None, bool(rows.values))


def _shown(rows: Rows) -> str:
    texts = [", ".join(f"{column}={value!r}" for column, value in record.items()) for record in rows.records[:SHOWN]]
    return " | ".join(texts) + (f" and {len(rows.values) - SHOWN} more" if len(rows.values) > SHOWN else "")
