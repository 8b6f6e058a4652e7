"""Measure how soon the tool starts, and its peak memory: uv run python -m tests.bench.startup [--times N]."""

import asyncio
import os
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

from steps.support.standin.drill.forked import TOOL
from steps.support.standin.drill.trial import ROOT
from tests.bench.repeated import Spread, production, row, small_database

MEGABYTE = 1024.0 if sys.platform != "darwin" else 1024.0**2  # of a peak


@dataclass(frozen=True, slots=True)
class Start:
    """One run of the tool: seconds to its first line, seconds to its end, and the peak of its largest process, in MB."""

    first: float
    whole: float
    peak: float


def started(folder: Path, environment: Mapping[str, str], *words: str) -> Start:
    """Run the tool until it ends, as a new process."""
    began = monotonic()
    process = subprocess.Popen(
        [sys.executable, TOOL, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=folder, env=environment
    )
    assert process.stdout
    assert process.stdout.readline()
    first = monotonic() - began
    process.stdout.read()
    process.stdout.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, words
    return Start(first, monotonic() - began, usage.ru_maxrss / MEGABYTE)


async def before_a_release(database: Path) -> Start:
    """Run `--prod --dry-run` on a small production: its first line appears as the preflight begins."""
    async with production(database, build_seconds=1.0) as trial:
        words = ("--prod", "--dry-run", "--json", "--config", str(trial.configure()))
        return await asyncio.to_thread(started, trial.folder, trial.environment, *words)


def rehearsed() -> Start:
    """Run a whole `--dry-run`, both rehearsals, in its own folder."""
    with TemporaryDirectory(prefix="bench-") as folder:
        config = Path(folder) / "orchestrate.toml"
        config.write_text(f'sql = "{ROOT / "sql"}"\n', encoding="utf-8")
        return started(Path(folder), os.environ, "--dry-run", "--config", str(config))


def main(words: Sequence[str]) -> int:
    """Print the rows."""
    parser = ArgumentParser(prog="python -m tests.bench.startup", description=__doc__)
    parser.add_argument("--times", type=int, default=5)
    turns = range(parser.parse_args(words).times)
    with small_database() as database:
        help_ = Spread([started(database.parent, os.environ, "--help").first for _ in turns])
        whole = [rehearsed() for _ in turns]
        prod = Spread([asyncio.run(before_a_release(database)).first for _ in turns])
    peak = Spread([each.peak for each in whole])
    rows = (
        row("from the command to the help text of `--help`", help_.seconds, "startup"),
        row("to the first line of `--dry-run`", Spread([each.first for each in whole]).seconds),
        row("to the first line of `--prod`, as the preflight begins", prod.seconds),
        row("a whole `--dry-run`, both rehearsals", Spread([each.whole for each in whole]).seconds),
        row("peak memory of its largest process", peak.summary("MB", 0)),
    )
    sys.stdout.write("\n".join(rows) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
