"""Measure the time from a failure to a verified rollback: uv run python -m tests.bench.restore [--times N]."""

import asyncio
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from steps.support.core.events import event_of
from steps.support.standin.drill.trial import Event
from steps.support.standin.faults import Faults, Kind
from tests.bench.repeated import ALIAS_SECONDS, Spread, between, production, row, small_database

MOST_SECONDS = 5.0  # from the failure to the verified rollback
BUILD_SECONDS = 1.0
LIMITS = "vercel_deployment = 6\nactivation = 4\nturso_migration = 4\nverification_query = 4\nhealth_checks = 4"  # how soon a step is given up is not measured


@dataclass(frozen=True, slots=True)
class Case:
    """One step broken in one way; `staged`: the build waits for its activation. `says` is the row's text."""

    step: str
    kind: Kind
    staged: bool
    says: str


CASES = (
    Case("vercel_deployment", "fail", staged=False, says="the build fails"),
    Case("vercel_deployment", "lost", staged=False, says="the platform's answers are lost while it goes live"),
    Case("activation", "fail", staged=True, says="the platform refuses to promote"),
    Case("turso_migration", "fail", staged=False, says="the database refuses"),
    Case("turso_migration", "lost", staged=False, says="the answer to COMMIT is lost"),
    Case("verification_query", "fail", staged=False, says="the verification queries fail after the commit"),
    Case("health_checks", "fail", staged=False, says="the site is unwell after the commit"),
    Case("health_checks", "fail", staged=True, says="the same, if the build was promoted"),
)


async def restored(database: Path, case: Case) -> float:
    """Break the step; return the seconds from its failure to the verified rollback."""
    faults = Faults(case.step, case.kind)

    async def react(event: Event) -> None:
        faults(event_of(event))

    async with production(database, build_seconds=BUILD_SECONDS, staged=case.staged, faults=faults) as trial:
        before = await trial.state()
        result = await trial.release(react=react, limits=LIMITS)
        assert result.report["verdict"] == "rolled_back", result.report
        assert await trial.state() == before
        return between(result.events, "failed", "verified")


async def main(words: Sequence[str]) -> int:
    """Print a row for each case; return 1 if the bound is exceeded."""
    parser = ArgumentParser(prog="python -m tests.bench.restore", description=__doc__)
    parser.add_argument("--times", type=int, default=3)
    times, is_well = parser.parse_args(words).times, True
    with small_database() as database:
        for number, case in enumerate(CASES):
            took = Spread([await restored(database, case) for _ in range(times)])
            first = f"from a failure to a verified rollback, with the alias taking {ALIAS_SECONDS} s to move: "
            command = "" if number else "restore"
            sys.stdout.write(row(f"{'' if number else first}{case.says} (`{case.step}`)", took.seconds, command) + "\n")
            sys.stdout.flush()
            is_well &= max(took.values) < MOST_SECONDS
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
