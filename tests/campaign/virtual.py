"""Random faults in virtual time: `python -m tests.campaign.virtual [RUNS] [--seed N]`.

Each seed is its own production in memory, with a disturbed release and disturbed rollbacks; after each run the world is
compared with the tool's report. A seed that fails is printed, and can be replayed.
"""

import asyncio
import gc
import os
import sys
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Coroutine, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from steps.support.change.folder import read_change
from steps.support.proof.rehearsal import sqld
from steps.support.proof.result import Proof
from steps.support.sql.change import DatabaseChange
from tests.campaign.oracle import Oracle, facts
from tests.campaign.scenario import RECOVERIES, drawn
from tests.campaign.story import Run, Story, opened
from tests.support.production.sample import SQL, proved, sampled
from tests.support.virtual.loop import VirtualLoop

RUNS, BATCH = 10_000, 25
PAUSE, QUIET = 3.0, 90.0  # seconds between two runs of the tool, and until everything under way has finished


@dataclass(frozen=True, slots=True)
class Material:
    """What all runs share: the database that each starts with, and the proof of the change."""

    sample: bytes
    proof: Proof


@dataclass
class Outcome:
    """The outcome of a seed: the endings of its runs, in order, the faults that struck, and the errors found."""

    seed: int
    said: str
    endings: list[str] = field(default_factory=list)
    struck: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    journals: list[list[dict[str, object]]] = field(default_factory=list)
    used: float = 0.0

    def __str__(self) -> str:
        """Return the seed, the scenario, how its runs ended, and the errors found."""
        wrongs = "".join(f"\n    {each}" for each in self.wrong)
        return f"{self.said}\n  {' -> '.join(self.endings)}{wrongs}"


def material(folder: Path) -> Material:
    """Create what all runs share."""
    sample = sampled()
    return Material(sample, proved(sample, sqld.fetch(), folder))


def play(seed: int, shared: Material) -> Outcome:
    """Play a seed from beginning to end."""
    began, scenario = time.process_time(), drawn(seed)
    outcome = Outcome(seed, str(scenario))
    gc.disable()  # collecting would take a large part of a run
    try:
        with TemporaryDirectory(prefix="campaign-") as folder:
            _run_to_completion(_played(outcome, Path(folder), shared))
    finally:
        gc.enable()
    outcome.used = time.process_time() - began
    return outcome


def _run_to_completion(main: Coroutine[Any, Any, None]) -> None:
    """Run it to completion; leave what dead processes left in the loop."""
    loop = VirtualLoop()
    try:
        loop.run_until_complete(main)
    finally:
        loop.close()


async def _played(outcome: Outcome, folder: Path, shared: Material) -> None:
    scenario = drawn(outcome.seed)
    async with opened(scenario, folder, shared.sample, shared.proof) as story:
        await asyncio.sleep(PAUSE)
        oracle = Oracle(story, _change(), facts(story))
        try:
            last = await _run(story, oracle, outcome, scenario.faults)
            for turn in range(RECOVERIES + 1):
                if not _is_open(last, regret=scenario.regret and turn == 0):
                    break
                await asyncio.sleep(PAUSE)
                faults = scenario.recoveries[turn] if turn < RECOVERIES else ()
                last = await _run(story, oracle, outcome, faults, "--rollback")
            if _is_open(last, regret=False) and not story.done_by_others:
                outcome.wrong.append("never rolled back")
            await story.quiet(QUIET)
            outcome.wrong += await oracle.at_the_end(last)
        finally:
            outcome.journals = [[dict(event) for event in run.events] for run in story.runs]


async def _run(story: Story, oracle: Oracle, outcome: Outcome, faults: tuple[object, ...], *words: str) -> Run:
    before = facts(story)
    run = await story.tool(faults, *words)  # type: ignore[arg-type]
    mode = "rollback" if words else "prod"
    outcome.endings.append(f"{mode} {'killed' if run.line.life.dead else run.code} {run.report.get('verdict', '')}")
    outcome.struck += run.line.struck
    outcome.wrong += [f"after {len(story.runs)}. {mode}: {each}" for each in await oracle.after(run, before)]
    return run


def _is_open(run: Run, *, regret: bool) -> bool:
    """Return True if this run leaves something to roll back."""
    if run.line.life.dead or run.code == 4:
        return True
    if run.words:  # the rollback was refused, or stopped before it began
        return run.code in (3, 130) and any(event["event"] == "recalled" for event in run.events)
    return regret and run.code == 0


@lru_cache
def _change() -> DatabaseChange:
    return read_change(SQL)


@dataclass
class Tally:
    """The outcome of many seeds."""

    runs: int = 0
    endings: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)
    failed: list[int] = field(default_factory=list)
    cpu: float = 0.0

    def add(self, outcome: Outcome) -> None:
        """Count one outcome."""
        self.runs += 1
        self.endings.update(outcome.endings)
        self.struck += outcome.struck
        self.cpu += outcome.used
        if outcome.wrong:
            self.failed.append(outcome.seed)

    def __str__(self) -> str:
        """Return a summary of a few lines."""
        deaths = sum(number for ending, number in self.endings.items() if "killed" in ending)
        recoveries = sum(number for ending, number in self.endings.items() if ending.startswith("rollback"))
        endings = ", ".join(f"{name.strip()}: {number}" for name, number in sorted(self.endings.items()))
        struck = ", ".join(f"{name}: {number}" for name, number in sorted(self.struck.items()))
        return (
            f"{self.runs} runs, {deaths} deaths, {recoveries} recoveries, {self.cpu:.0f} s of CPU\n"
            f"endings: {endings}\nfaults: {struck}\n{len(self.failed)} failures: {self.failed}"
        )


_shared: list[Material] = []


def _batch(seeds: range) -> list[Outcome]:
    outcomes = [_guarded(seed) for seed in seeds]
    for each in outcomes:
        each.journals = []
    return outcomes


def _guarded(seed: int) -> Outcome:
    try:
        return play(seed, _shared[0])
    except BaseException as error:  # noqa: BLE001 - any exception is a failure of this seed
        return Outcome(seed, str(drawn(seed)), wrong=[f"the campaign itself failed: {error!r}"])


def _outcomes(first: int, runs: int) -> Iterator[Outcome]:
    batches = [range(each, min(each + BATCH, first + runs)) for each in range(first, first + runs, BATCH)]
    with ProcessPoolExecutor(os.cpu_count(), get_context("fork"), max_tasks_per_child=None) as pool:
        for outcomes in pool.map(_batch, batches):
            yield from outcomes


def main(words: list[str]) -> int:
    """Play many seeds, or one."""
    parser = ArgumentParser(prog="tests.campaign.virtual", description=__doc__)
    parser.add_argument("runs", nargs="?", type=int, default=RUNS)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="replay this one")
    options = parser.parse_args(words)
    with TemporaryDirectory(prefix="campaign-") as folder:
        _shared.append(material(Path(folder)))
    if options.seed is not None:
        return _replay(options.seed)
    tally, began = Tally(), time.monotonic()
    for outcome in _outcomes(options.first, options.runs):
        tally.add(outcome)
        if outcome.wrong:
            _say(str(outcome))
        if tally.runs % 500 == 0:
            _say(f"{tally.runs} runs, {len(tally.failed)} failures, {time.monotonic() - began:.0f} s")
    _say(f"{tally}\n{time.monotonic() - began:.0f} s")
    return 1 if tally.failed else 0


def _replay(seed: int) -> int:
    outcome = play(seed, _shared[0])
    for journal in outcome.journals:
        for event in journal:
            fields = {
                name: value for name, value in event.items() if name not in ("at", "run", "event", "saw", "clock")
            }
            _say(f"{event['clock']:>9} {event['event']} {str(fields)[:400]}")
        _say("")
    _say(str(outcome))
    return 1 if outcome.wrong else 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
