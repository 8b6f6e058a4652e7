"""Measure what a migration does to writers: uv run python -m tests.bench.writers [ROWS ...] [--anew ROWS ...] [--times N].

A writer inserts into a child table continuously, on the real server, while the tool releases the shipped change; and,
on the same database, while the plan as first written runs as it was run by hand: create, copy, drop, rename, one
statement after the other. Then three writers during a change that rebuilds a table of so many rows, with the tool and
without it: is it refused beforehand, and does the server accept writes afterwards?
"""

import asyncio
import sqlite3
import sys
from argparse import ArgumentParser
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from time import monotonic

import httpx

from steps.support.core.errors import Problem
from steps.support.gateways.database.connect import connect
from steps.support.gateways.database.hrana_stream import Stream
from steps.support.gateways.database.protocol import Database, StatementFailed
from steps.support.proof.rehearsal import sqld
from steps.support.sql.script import split
from steps.support.sql.statement import Statement
from steps.support.standin.drill.trial import Event
from tests.bench import beside
from tests.bench.repeated import Spread, gaps, production, row, small_database
from tests.support.paths import SEED

BUILD_SECONDS = 1.0
AROUND = 0.5  # seconds of writing before and after the plan as first written
FIRST = 100_000_000  # the writer's ids and the times of its readings begin here, above those of all other rows
SEED_MIGRATE = SEED / "seed_migrate.sql"
READING = """INSERT INTO readings (id, system_id, inverter_time, received_time, solar_w, solar_inverter_w, shunt_w, load_w,
  battery_w, grid_w, battery_soc, fault_code, fault_timestamp, generator_status, created_at)"""
ONE = f"{READING} VALUES (?1, 1, ?1, ?1, 500, 500, 0, 300, 0, -200, 90.0, 0, 0, 0, ?1)"
MANY = f"""{READING} WITH RECURSIVE n(i) AS (SELECT 10000000 UNION ALL SELECT i + 1 FROM n WHERE i < 9999999 + ?1)
  SELECT i, 1, i, i, i % 3000, i % 3000, 0, 300, 0, -200, i % 101, 0, 0, 0, i FROM n"""
COUNT = Statement("SELECT count(*) FROM readings")


@dataclass(frozen=True, slots=True)
class Held:
    """How long a writer was blocked, in seconds: the longest pause, and the total beyond its usual pauses.

    `lost`: rows that are gone. `failed`: the error code of the migration, empty if it succeeded.
    """

    longest: float
    beyond: float
    lost: int
    failed: str


@dataclass
class Writer:
    """Inserts one row after the other; continues after a rejected one."""

    database: Database
    moments: list[float] = field(default_factory=list)  # at which an insert was done

    async def writing(self) -> None:
        """Write until cancelled."""
        for number in count(FIRST):
            with suppress(Problem):
                await self.database.query(Statement(ONE, (number,)))
                self.moments.append(monotonic())


def held(moments: Sequence[float], begun: float, done: float) -> tuple[float, float]:
    """Return a writer's longest pause while something ran, and the total of what all pauses took beyond the usual one."""
    pauses = gaps(moments)
    usual = Spread(pauses).median
    during = [pause for pause, after in zip(pauses, moments[1:], strict=True) if after > begun and after - pause < done]
    return max(during), sum(max(0.0, pause - usual) for pause in during)


@asynccontextmanager
async def written(database: Database) -> AsyncIterator[Writer]:
    """Run a writer during the block."""
    writer = Writer(database)
    working = asyncio.ensure_future(writer.writing())
    try:
        yield writer
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def by_tool(file: Path) -> Held:
    """Release the shipped change."""
    times: dict[str, float] = {}

    async def react(event: Event) -> None:
        if event.get("step") == "turso_migration":
            times[event["event"]] = monotonic()

    async with production(file, build_seconds=BUILD_SECONDS) as trial:
        before = (await trial.world.database.query(COUNT)).scalar
        async with written(trial.world.database) as writer:
            result = await trial.release(react=react)
        assert result.code == 0, result.report.get("cause") or result.said
        return await _held(trial.world.database, writer, before, times["begun"], times["done"], "")


async def by_hand(file: Path) -> Held:
    """Run the plan as first written."""
    with TemporaryDirectory(prefix="bench-") as temporary:
        place = Path(temporary) / "database" / sqld.PLACE
        place.parent.mkdir(parents=True)
        await asyncio.to_thread(copyfile, file, place)
        async with (
            sqld.serve(sqld.fetch(), Path(temporary) / "database") as url,
            aclosing(connect(url, None)) as database,
        ):
            before = (await database.query(COUNT)).scalar
            async with written(database) as writer:
                await asyncio.sleep(AROUND)
                begun = monotonic()
                failed = await _seeded(url)
                done = monotonic()
                await asyncio.sleep(AROUND)
            return await _held(database, writer, before, begun, done, failed)


async def _held(database: Database, writer: Writer, before: object, begun: float, done: float, failed: str) -> Held:
    left = (await database.query(COUNT)).scalar
    lost = int(str(before)) + len(writer.moments) - int(str(left))
    return Held(*held(writer.moments, begun, done), max(0, lost), failed)


async def _seeded(url: str) -> str:
    async with httpx.AsyncClient(timeout=None) as client:  # noqa: S113 - a long statement must not time out
        stream = Stream(client, url, None)
        try:
            for statement in split(SEED_MIGRATE.read_text(encoding="utf-8"), SEED_MIGRATE.name):
                await stream.rows(statement)
        except StatementFailed as failed:
            return failed.engine_code
        await stream.close()
    return ""


@contextmanager
def filled(sample: Path, rows: int) -> Iterator[Path]:
    """Yield a copy of the sample with so many additional child rows."""
    with TemporaryDirectory(prefix="bench-") as folder:
        file = Path(copyfile(sample, Path(folder) / "filled.db"))
        with closing(sqlite3.connect(file, isolation_level=None)) as database:
            database.execute("PRAGMA synchronous = OFF")
            database.execute(MANY, (rows,))
        yield file


def rows(children: int, tool: Sequence[Held], hand: Sequence[Held]) -> list[str]:
    """Return the README's rows for so many child rows."""
    what = (
        f"writers blocked by the migration, {children:,} child rows: longest pause, and total beyond the usual pauses"
    )
    return [
        row(what, _summary(tool), "writers"),
        row("for comparison: the change as first written, statement by statement", _summary(hand)),
    ]


def _summary(several: Sequence[Held]) -> str:
    longest, beyond = Spread([each.longest for each in several]), Spread([each.beyond for each in several])
    failed = [each.failed for each in several if each.failed]
    ended = f"; {len(failed)} of {len(several)} times ended with {failed[0]}" if failed else ""
    lost = max(each.lost for each in several)
    return f"{longest.milliseconds}; {beyond.milliseconds}; {lost:,} rows lost{ended}"


async def main(words: Sequence[str]) -> int:
    """Print the rows."""
    parser = ArgumentParser(prog="python -m tests.bench.writers", description=__doc__)
    parser.add_argument("rows", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--anew", type=int, nargs="*", default=[100_000, 500_000, 1_000_000, 2_000_000])
    parser.add_argument("--times", type=int, default=3)
    options = parser.parse_args(words)
    with small_database() as sample:
        for children in options.rows:
            with filled(sample, children) as file:
                tool = [await by_tool(file) for _ in range(options.times)]
                hand = [await by_hand(file) for _ in range(options.times)]
            _put(rows(children, tool, hand))
        for many in options.anew:
            with beside.filled(sample, many) as file:
                met = [await beside.by_tool(file) for _ in range(options.times)]
                alone = [await beside.by_itself(file) for _ in range(options.times)]
            _put(beside.rows(many, met, alone))
    return 0


def _put(lines: Sequence[str]) -> None:
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
