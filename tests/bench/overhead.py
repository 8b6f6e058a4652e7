"""Measure what the tool adds to the unavoidable waiting: uv run python -m tests.bench.overhead [--times N].

For comparison, on the same stand-ins in the same run: the same plan as a shell script (release.sh) with git, curl and
the pauses of the platform's own client. Each build takes a different fraction of a second, so that no pause happens to
match it.
"""

import asyncio
import json
import sys
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

from steps.support.change.folder import read_change
from steps.support.gateways.database import hrana_wire
from steps.support.gateways.database.hrana_wire import KNOWS_AUTOCOMMIT, statement_json
from steps.support.operations.health import IN_A_ROW
from steps.support.sql.change import DatabaseChange
from steps.support.standin.drill.trial import ROOT, Trial
from steps.support.standin.world import TOKEN
from tests.bench.repeated import Spread, between, production, row, small_database

MOST_SECONDS = 1.0  # that the tool may add, in a run of about twenty seconds
BUILD_SECONDS = 15.0  # and a fraction
LONGEST = 60.0  # seconds after which the script counts as hung
SCRIPT = Path(__file__).with_name("release.sh")
CLIENTS = {"deploy": "as `vercel deploy` pauses", "inspect": "as `vercel inspect --wait` pauses"}


@dataclass(frozen=True, slots=True)
class Unavoidable:
    """What every way of releasing must wait for, in seconds.

    `build`: from push to READY; `alias`: from there to live; `change` and `checks`: their SQL, as the rehearsal measured it;
    `health`: the site's answers that the plan requires.
    """

    build: float
    alias: float
    change: float
    checks: float
    health: float

    @property
    def seconds(self) -> float:
        """The total."""
        return self.build + self.alias + self.change + self.checks + self.health

    @property
    def by_step(self) -> dict[str, float]:
        """The unavoidable part of each step."""
        return {
            "vercel_deployment": self.build + self.alias,
            "turso_migration": self.change,
            "verification_query": self.checks,
            "health_checks": self.health,
        }


@dataclass(frozen=True, slots=True)
class Figures:
    """One release, in seconds: preflight, the tool on the clock, each script, and the unavoidable.

    `parts`: what the tool adds in each step, by the step's name; the rest of `tool` passes between the steps.
    """

    preflight: float
    tool: float
    scripts: Mapping[str, float]
    unavoidable: Unavoidable
    parts: Mapping[str, float]


def unavoidable(created: int, ended: int, aliased: int, report: Mapping[str, Any]) -> Unavoidable:
    """Split the waiting, from the platform's three timestamps in milliseconds and the report of the run."""
    stages, phases = report["rehearsal"]["seconds"], report["downtime"]["latency"]
    answer = next(phase["median_seconds"] for phase in (phases["after"], phases["during"], phases["before"]) if phase)
    build, alias = (ended - created) / 1000, (aliased - ended) / 1000
    return Unavoidable(build, alias, stages["migrate"], stages["verify"], IN_A_ROW * answer)


def parts(report: Mapping[str, Any], waited: Unavoidable) -> dict[str, float]:
    """Return what the tool adds in each step."""
    return {step["name"]: step["seconds"] - waited.by_step.get(step["name"], 0.0) for step in report["steps"]}


async def by_tool(database: Path, build: float) -> Figures:
    """Release with the tool."""
    async with production(database, build_seconds=build) as trial:
        result = await trial.release()
        assert result.code == 0, result.said or result.report["cause"]
        ours = trial.world.platform.find("127.0.0.1")
        assert ours.ended
        assert ours.aliased
        waited = unavoidable(ours.created, ours.ended, ours.aliased, result.report)
        preflight, clock = between(result.events, "opened", "planned"), between(result.events, "started", "arrived")
        return Figures(preflight, clock, {}, waited, parts(result.report, waited))


async def by_script(database: Path, build: float, client: str, change: DatabaseChange) -> float:
    """Release with the script; return the seconds."""
    async with production(database, build_seconds=build) as trial:
        environment = {**trial.environment, **_settings(trial, client, change)}
        began = monotonic()
        process = await asyncio.create_subprocess_exec("sh", SCRIPT, env=environment)
        async with asyncio.timeout(LONGEST):
            assert await process.wait() == 0
        return monotonic() - began


def _settings(trial: Trial, client: str, change: DatabaseChange) -> dict[str, str]:
    migrate = [hrana_wire.transaction(change.migrate, KNOWS_AUTOCOMMIT)]
    verify = [{"type": "execute", "stmt": statement_json(check.statement)} for check in change.verify]
    made = trial.world
    return {
        "CLIENT": client,
        "CHECKOUT": str(made.checkout),
        "API": made.api_url,
        "DATABASE": made.database_url,
        "MIGRATE": _body(trial.folder / "migrate.json", migrate),
        "VERIFY": _body(trial.folder / "verify.json", verify),
        "SITE": made.site_url,
        "SITE_AUTH_TOKEN": TOKEN,
    }


def _body(path: Path, requests: Sequence[Any]) -> str:
    path.write_text(json.dumps({"requests": requests}), encoding="utf-8")
    return str(path)


async def measured(database: Path, build: float, change: DatabaseChange) -> Figures:
    """Release once each way."""
    tool = await by_tool(database, build)
    return replace(tool, scripts={client: await by_script(database, build, client, change) for client in CLIENTS})


def rows(figures: Sequence[Figures]) -> list[str]:
    """Return the README's rows: the wall time of each, what it adds, and the ratio to the tool."""
    own = Spread([each.tool - each.unavoidable.seconds for each in figures])
    wall, waited = (
        Spread([each.tool for each in figures]).median,
        Spread([each.unavoidable.seconds for each in figures]).median,
    )
    first = row(
        f"what the tool adds to the unavoidable {waited:.1f} s (build, alias, SQL, the site's answers) of a release",
        f"{own.seconds}; {wall:.1f} s in all",
        "overhead",
    )
    preflight = row(
        "before the clock starts: preflight, with the proof on a copy",
        Spread([each.preflight for each in figures]).seconds,
    )
    return [first, _apart(figures), *(_beside(figures, client, own) for client in CLIENTS), preflight]


def _apart(figures: Sequence[Figures]) -> str:
    medians = {step: Spread([each.parts[step] for each in figures]).median for step in figures[0].parts}
    return row("of it, by step", ", ".join(f"`{step}` {seconds:.2f} s" for step, seconds in medians.items()))


def _beside(figures: Sequence[Figures], client: str, own: Spread) -> str:
    theirs = Spread([each.scripts[client] - each.unavoidable.seconds for each in figures])
    what = f"for comparison: the same plan as a shell script that proves nothing, {CLIENTS[client]}"
    return row(what, f"{theirs.seconds}: {theirs.median / own.median:.1f} times the tool's")


async def main(words: Sequence[str]) -> int:
    """Print the rows; return 1 if the bound is exceeded."""
    parser = ArgumentParser(prog="python -m tests.bench.overhead", description=__doc__)
    parser.add_argument("--times", type=int, default=5)
    times, change = parser.parse_args(words).times, read_change(ROOT / "sql")
    with small_database() as database:
        figures = [await measured(database, BUILD_SECONDS + turn / times, change) for turn in range(times)]
    sys.stdout.write("\n".join(rows(figures)) + "\n")
    return int(Spread([each.tool - each.unavoidable.seconds for each in figures]).median >= MOST_SECONDS)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
