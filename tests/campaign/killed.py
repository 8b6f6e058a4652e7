"""Real deaths: `python -m tests.campaign.killed [RUNS] [--seed N]`.

The tool runs as a process, on the real database server and real git, and gets a real SIGKILL at a random moment while
the app writes. Then --rollback (also killed in every third case) must restore exactly the earlier state, plus all
writes since.
"""

import asyncio
import signal
import sys
from argparse import ArgumentParser
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from shutil import copyfile
from tempfile import TemporaryDirectory
from time import monotonic, time
from typing import Any
from unittest.mock import patch

from steps.support.change.folder import read_change
from steps.support.core.errors import Problem
from steps.support.core.events import line_of
from steps.support.proof.rehearsal import sqld
from steps.support.run.run_record import JOURNAL, read
from steps.support.sql.change import DatabaseChange
from steps.support.sql.statement import Statement
from steps.support.standin.drill.drill import BUILD, HEALTH, MOVE
from steps.support.standin.drill.trial import ROOT, Event, RunResult, State, Trial
from steps.support.standin.faults import Faults
from steps.support.standin.world import local_production
from tests.campaign.app import Book, Write
from tests.campaign.contents import Contents, contents, differences
from tests.campaign.scenario import ACTS, BACK, LOOKS, Moment
from tests.support.production.base import LOST
from tests.support.production.sample import sampled
from tests.support.virtual.database import MemoryStore

RUNS, ABREAST = 200, 2
SETTLED = 2.5  # seconds within which an interrupted push may still arrive, and a build end
FIRST_ID = 10_000_000  # of the app's readings
BUDGET, LIMITS = "total = 60\nreserve = 20", "vercel_deployment = 20"
UNWELL = HEALTH.replace('"body.latest"]', f'"{LOST}"]')
ZONELESS = "user_systems"  # its times are those of the commit, accurate to about a second
READ = """INSERT INTO readings (id, system_id, inverter_time, received_time, solar_w, solar_inverter_w, shunt_w, load_w,
  battery_w, grid_w, battery_soc, fault_code, fault_timestamp, generator_status, created_at)
VALUES (?1, 1, ?2, ?2, 500, 500, 0, 300, 0, -200, 90.0, 0, 0, 0, ?2)"""
NAMED = "UPDATE systems SET display_name = ?1, updated_at = ?2 WHERE id = 2"
COMMITTED = "SELECT at FROM _orchestrate_migrations WHERE state = 'applied'"
STATES = "SELECT state FROM _orchestrate_migrations"
EXISTS = "SELECT count(*) FROM sqlite_schema WHERE name = '_orchestrate_migrations'"


@dataclass(frozen=True, slots=True)
class Death:
    """A SIGKILL, `seconds` after an event of the journal."""

    event: str
    step: str
    seconds: float

    def __str__(self) -> str:
        """Return a short description."""
        return f"killed {self.seconds * 1000:.0f} ms after {self.event} {self.step}".strip()

    def is_due(self, event: Event) -> bool:
        """Return True if this is the event."""
        return (self.event, self.step) == (event["event"], event.get("step", ""))


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan drawn for a seed. `again`: the rollback is killed too."""

    seed: int
    staged: bool
    unwell: bool
    first: Death
    again: Death | None
    pace: float

    def __str__(self) -> str:
        """Return it in one line."""
        kind = f"{'staged' if self.staged else 'auto-assign'}{', unwell' if self.unwell else ''}"
        back = f", and its rollback {self.again}" if self.again else ""
        return f"seed {self.seed}: {kind}, a write every {self.pace:g} s, {self.first}{back}"


def drawn(seed: int) -> Plan:
    """Draw a plan."""
    rng = Random(seed)  # noqa: S311 - a seed must give the same plan every time
    staged, unwell, again = rng.random() < 0.5, rng.random() < 0.4, rng.random() < 1 / 3
    moments = (*LOOKS[-2:], *ACTS, *(BACK if unwell else ()))
    first, second = _death(rng, moments), _death(rng, BACK)
    return Plan(seed, staged, unwell, first, second if again else None, rng.choice((0.1, 0.3)))


def _death(rng: Random, moments: Sequence[Moment]) -> Death:
    event, step = rng.choice(moments)
    return Death(event, step, rng.choice((0.0, 0.0, rng.random() * 0.03, rng.random() * 0.3, rng.random() * 1.2)))


@dataclass
class Outcome:
    """The outcome of a seed."""

    plan: Plan
    endings: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        """Return the seed, its plan, how its runs ended, and the errors found."""
        wrongs = "".join(f"\n    {each}" for each in self.wrong)
        return f"{self.plan}\n  {' -> '.join(self.endings)}{wrongs}"


@dataclass
class Tale:
    """One seed under way: the production, the app's writes, and the moves of the platform's traffic."""

    outcome: Outcome
    trial: Trial
    before: State
    sample: bytes
    book: Book
    moves: list[str]
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)  # held to write, or to inspect while no one writes

    async def writing(self) -> None:
        """Write until cancelled, as an app does that carries on when the database is busy."""
        for number in range(FIRST_ID, 2 * FIRST_ID):
            await asyncio.sleep(self.outcome.plan.pace)
            now = int(time())
            statement = Statement(READ, (number, number - FIRST_ID + 1_500_000_000))
            if number % 5 == 0:
                statement = Statement(NAMED, (f"Name {number}", now))
            with suppress(Problem):
                async with self.lock:
                    await self.trial.world.database.query(statement)
                    self.book.writes.append(Write(time(), is_new=False, old=(statement,), new=(statement,)))

    async def run(self, death: Death | None, *words: str) -> RunResult:
        """Run the tool until it ends or dies."""
        health = UNWELL if self.outcome.plan.unwell else HEALTH
        config = self.trial.configure(limits=LIMITS, budget=BUDGET, health=health)
        async with self.trial.started("--prod", "--yes", "--json", "--config", str(config), *words) as process:

            async def react(event: Event) -> None:
                if death and death.is_due(event):
                    await asyncio.sleep(death.seconds)
                    process.send_signal(signal.SIGKILL)

            result = await self.trial.watched(process, react)
        mode = "rollback" if words else "prod"
        self.outcome.endings.append(f"{mode} {result.code if result.code >= 0 else 'killed'}")
        return result

    def journal(self) -> list[Event]:
        """Read the release's journal from disk, without a torn last line."""
        journals = sorted((self.trial.folder / "runs").glob(f"*/{JOURNAL}"))[:1]
        return [line_of(event) for path in journals for event in read(path)[0]]

    async def as_before(self, what: str) -> None:
        """Compare the world with the state before the release."""
        async with self.lock:
            now, expected = await self.trial.state(), self.book.as_old(self.sample)
        with closing(expected) as store:
            self.record(what, list(differences(contents(store), (now.schema, _sorted(now.rows)))))
        self.record(what, [f"{now.live} is live"] if now.live != self.before.live else [])
        self.record(what, ["the branch has other files"] if now.tree != self.before.tree else [])
        states = [state for (state,) in await self.marker_rows(STATES)]
        self.record(what, [f"the marker row is {states}"] if states not in ([], ["fenced"], ["rolled_back"]) else [])
        subjects = (await self.trial.git("log", "--format=%s", "main")).splitlines()
        restoring = [subject for subject in subjects if subject.startswith("Roll back to")]
        self.record(what, [f"{len(restoring)} restoring commits"] if len(restoring) > 1 else [])
        self.record(what, [f"rolled back {len(self.moves)} times"] if self.moves.count("rollback") > 1 else [])

    async def as_new(self, what: str, change: DatabaseChange) -> None:
        """Compare the world with the released state."""
        await self.lock.acquire()  # never released
        now = await self.trial.state()
        committed = [at for (at,) in await self.marker_rows(COMMITTED)]
        if not committed:
            self.record(what, ["the change is not in the database"])
            return
        at = float(str(committed[0]))
        self.book.writes = [Write(each.at, each.at > at, each.old, each.new) for each in self.book.writes]
        with closing(self.book.as_new(self.sample, change, at)) as store:
            expected = contents(store)
        found: Contents = (now.schema, _sorted(now.rows))
        self.record(what, list(differences(_timeless(expected), _timeless(found))))
        head = await self.trial.head()
        self.record(what, ["the branch is elsewhere"] if await self.trial.git("rev-parse", "main") != head else [])
        live = self.trial.world.platform.live_sha()
        self.record(what, [f"{live} is live"] if live != head else [])

    async def marker_rows(self, sql: str) -> list[Any]:
        """Query the tool's own table, if it exists."""
        return await self.trial.sql(sql) if (await self.trial.sql(EXISTS))[0][0] else []

    def record(self, what: str, wrong: Sequence[str]) -> None:
        """Record errors."""
        self.outcome.wrong += [f"{what}: {each}" for each in wrong]


def _sorted(rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
    return {**rows, "sqlite_sequence": sorted(rows["sqlite_sequence"])}


def _timeless(found: Contents) -> Contents:
    schema, rows = found
    return schema, {**rows, ZONELESS: [row[:4] for row in rows.get(ZONELESS, [])]}


@asynccontextmanager
async def _tale(plan: Plan, folder: Path, sample: Path, binary: Path) -> AsyncIterator[Tale]:
    faults, copy = Faults(), await asyncio.to_thread(copyfile, sample, folder / "copy.db")
    content = await asyncio.to_thread(sample.read_bytes)
    async with local_production(folder, ROOT / "sql", binary, faults, staged=plan.staged, copy=copy) as made:
        made.platform.build_seconds, made.platform.alias_seconds = BUILD, MOVE
        moves, move = list[str](), made.platform.move

        def counted(kind: str, identifier: str) -> bool:
            begun = move(kind, identifier)
            moves.append(kind)
            return begun

        trial = Trial(made, faults, folder)
        with patch.object(made.platform, "move", counted), closing(MemoryStore()) as store:
            tale = Tale(Outcome(plan), trial, await trial.state(), content, Book(store, time), moves)
            writing = asyncio.ensure_future(tale.writing())
            try:
                yield tale
            finally:
                writing.cancel()


def small(folder: Path) -> Path:
    """Write the database that every run starts with to a file."""
    (file := folder / "sample.db").write_bytes(sampled())
    return file


async def play(seed: int, sample: Path, binary: Path) -> Outcome:
    """Play a seed from beginning to end."""
    plan, began = drawn(seed), monotonic()
    with TemporaryDirectory(prefix="killed-") as folder:
        async with _tale(plan, Path(folder), sample, binary) as tale:
            await _play(tale, plan)
            tale.outcome.seconds = monotonic() - began
            return tale.outcome


async def _play(tale: Tale, plan: Plan) -> None:
    first = await tale.run(plan.first)
    journal = tale.journal()
    ended = journal[-1] if journal and journal[-1]["event"] == "ended" else {}
    if ended.get("verdict") == "deployed":
        tale.record("deployed", [f"exit code {first.code}"] if first.code > 0 else [])
        await asyncio.sleep(SETTLED)
        await tale.as_new("deployed", read_change(ROOT / "sql"))
        return
    if ended:
        await tale.as_before("rolled back by itself")
    # A run without a journal is unknown, so --rollback refuses; one that began nothing needs no rollback.
    expected = {0} if journal else {3}
    # a run without a journal is unknown, so --rollback refuses; one that began nothing needs no rollback
    if plan.again:
        again = await tale.run(plan.again, "--rollback")
        tale.record(
            "the first --rollback", [] if again.code in {*expected, -9} else [f"exit code {again.code}: {again.said}"]
        )
    back = await tale.run(None, "--rollback")
    tale.record("--rollback", [] if back.code in expected else [f"exit code {back.code}: {back.report.get('cause')}"])
    await tale.as_before("rolled back")
    once_more = await tale.run(None, "--rollback")
    done = [event["event"] for event in once_more.events if event["event"] in ("undo_begun", "resumed")]
    tale.record("the last --rollback", [f"it rolled back again: {done}"] if done else [])
    tale.record("the last --rollback", [] if once_more.code in expected else [f"exit code {once_more.code}"])
    await asyncio.sleep(SETTLED)
    await tale.as_before("at the end")


async def _campaign(seeds: Sequence[int]) -> int:
    turns, binary, endings, failed, began = (
        asyncio.Semaphore(ABREAST),
        sqld.fetch(),
        Counter[str](),
        list[int](),
        monotonic(),
    )
    with TemporaryDirectory(prefix="killed-") as folder:
        sample = small(Path(folder))

        async def turn(seed: int) -> Outcome:
            async with turns:
                return await play(seed, sample, binary)

        for done in asyncio.as_completed([asyncio.ensure_future(turn(seed)) for seed in seeds]):
            outcome = await done
            endings.update(outcome.endings)
            if outcome.wrong or len(seeds) == 1:
                sys.stdout.write(f"{outcome}\n")
            failed += [outcome.plan.seed] if outcome.wrong else []
            sys.stdout.flush()
    counts = ", ".join(f"{ending}: {number}" for ending, number in sorted(endings.items()))
    deaths = sum(number for ending, number in endings.items() if "killed" in ending)
    seconds = monotonic() - began
    sys.stdout.write(
        f"{len(seeds)} runs, {deaths} deaths, {counts}, {seconds:.0f} s, {len(failed)} failures: {failed}\n"
    )
    return 1 if failed else 0


def main(words: list[str]) -> int:
    """Play many seeds, or one."""
    parser = ArgumentParser(prog="tests.campaign.killed", description=__doc__)
    parser.add_argument("runs", nargs="?", type=int, default=RUNS)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="replay this one")
    options = parser.parse_args(words)
    seeds = range(options.first, options.first + options.runs) if options.seed is None else [options.seed]
    return asyncio.run(_campaign(seeds))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
