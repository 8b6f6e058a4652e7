"""Measure the row diff on a large table, against sqldiff if installed: uv run python -m tests.bench.rows [ROWS]."""

import multiprocessing
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from steps.support.proof.rows.diff import row_diff

MOST_MEGABYTES = 100
UNIT = 1e6 if sys.platform == "darwin" else 1e6 / 1024  # of a peak, in a megabyte

BIG = """CREATE TABLE big (id INTEGER PRIMARY KEY, system_id INTEGER NOT NULL, at INTEGER NOT NULL, solar_w INTEGER,
  load_w INTEGER, battery_w INTEGER, soc REAL NOT NULL, kwh REAL, name TEXT, note TEXT)"""
INDEX = "CREATE INDEX big_at ON big (system_id, at)"
ROW = """n, n % 7, 1754000000 + 60 * n, n * 37 % 3000, n * 11 % 900, n * 13 % 500 - 250, n % 1000 / 10.0, n * 0.012,
  'reading ' || n, iif(n % 3, NULL, 'ok')"""
FILL = "INSERT INTO big WITH RECURSIVE i (n) AS (SELECT {} UNION ALL SELECT n + 1 FROM i WHERE n < {}) SELECT {} FROM i"
HEAD = (
    "| case | seconds | processor | peak MB | sqldiff, seconds | processor | peak MB |\n|---|---|---|---|---|---|---|"
)
SMALL = "CREATE TABLE small (id INTEGER PRIMARY KEY, v); INSERT INTO small VALUES (1, 1), (2, 2)"


@dataclass(frozen=True, slots=True)
class Case:
    """A change, the expected row diff of the big table after it, and the most seconds it may take for 5 million rows."""

    name: str
    change: str
    added: int
    removed: int
    changed: int
    most_seconds: float


@dataclass(frozen=True, slots=True)
class Figures:
    """The duration, as wall time and processor time in seconds, and the peak in megabytes."""

    seconds: float
    processor: float
    peak: float

    def __str__(self) -> str:
        """Return three cells of a table."""
        return f"{self.seconds:.2f} | {self.processor:.2f} | {self.peak:.0f}"


def cases(rows: int) -> tuple[Case, ...]:
    """Return the changes for a table of so many rows."""
    thousand, gap = min(1000, rows // 4), max(4, rows // 1000)
    in_place = f"""UPDATE big SET load_w = -1 WHERE id % 1000 = 0; DELETE FROM big WHERE id % {gap} = 1;
      {FILL.format(rows + 1, rows + thousand, ROW)}"""
    anew = f"CREATE TABLE kept AS SELECT * FROM big; DROP TABLE big; {BIG}; INSERT INTO big SELECT * FROM kept; DROP TABLE kept; {INDEX}"
    return (
        Case("a: another table changed", "UPDATE small SET v = 7", 0, 0, 0, 1.0),
        Case("b: one in 1000 changed, 1000 added, 1000 removed", in_place, thousand, thousand, rows // 1000, 15.0),
        Case("c: rebuilt with the same rows", anew, 0, 0, 0, 15.0),
        Case("d: 1000 rows appended", FILL.format(rows + 1, rows + 1000, ROW), 1000, 0, 0, 2.0),
    )


def made(file: Path, script: str) -> None:
    """Run a script on a file as fast as possible."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN; {script}; COMMIT")


def ours(before: Path, after: Path, case: Case) -> Figures:
    """Compare in this process, which has done nothing else; check the result."""
    began, worked = time.perf_counter(), time.process_time()
    found = row_diff(before, after)["big"]
    seconds, processor = time.perf_counter() - began, time.process_time() - worked
    assert (found.added, found.removed, found.changed) == (case.added, case.removed, case.changed)
    assert found.by_pages == case.name.startswith("a")
    return Figures(seconds, processor, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / UNIT)


def theirs(sqldiff: str, before: Path, after: Path) -> Figures:
    """Let sqldiff count the differing rows of the same two files."""
    began = time.perf_counter()
    process = subprocess.Popen([sqldiff, "--summary", before, after], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return Figures(time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / UNIT)


def measured(before: Path, after: Path, case: Case) -> tuple[Figures, Figures | None]:
    """Measure both on one change, each in its own process."""
    shutil.copyfile(before, after)
    made(after, case.change)
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawned) as pool:
        own = pool.submit(ours, before, after, case).result()
    sqldiff = shutil.which("sqldiff")
    return own, theirs(sqldiff, before, after) if sqldiff else None


def main(arguments: Sequence[str]) -> int:
    """Print a table; return 1 if a bound is exceeded. The bounds are for 5 million rows or fewer."""
    parser = ArgumentParser(prog="python -m tests.bench.rows", description=__doc__)
    parser.add_argument("rows", type=int, nargs="?", default=1_000_000)
    rows = parser.parse_args(arguments).rows
    is_well = True
    with TemporaryDirectory() as folder:
        before, after = Path(folder) / "before.db", Path(folder) / "after.db"
        made(before, f"{BIG}; {FILL.format(1, rows, ROW)}; {INDEX}; {SMALL}")
        sys.stdout.write(f"{rows:,} rows of ten columns, {before.stat().st_size / 1e6:,.0f} MB\n\n{HEAD}\n")
        for case in cases(rows):
            own, other = measured(before, after, case)
            sys.stdout.write(f"| {case.name} | {own} | {other or 'not installed | |'} |\n")
            sys.stdout.flush()
            is_well &= own.seconds < case.most_seconds and own.peak < MOST_MEGABYTES
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
