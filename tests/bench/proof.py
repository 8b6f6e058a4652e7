"""Measure the proof of the shipped change on a large database: uv run --no-sync python -m tests.bench.proof [ROWS].

For comparison, on the same data in the same run: `sqlite3 .dump | sqlite3` for the copy, and sqldiff, if installed, for
one pair of files. The proof compares four.
"""

import asyncio
import multiprocessing
import resource
import shutil
import sqlite3
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import aclosing, closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

from steps.support.change.folder import read_change
from steps.support.gateways.database.connect import connect
from steps.support.gateways.turso import Turso
from steps.support.proof.config import ProofConfig
from steps.support.proof.copy.copy import Limits
from steps.support.proof.proof import prove
from steps.support.proof.rehearsal import sqld
from steps.support.proof.result import Proof
from steps.support.sql.script import split
from tests.support.paths import SQL

LIMITS = Limits(most_seconds=900, most_bytes=10**11)
MOST_SECONDS, MOST_MEGABYTES = 60, 300  # for 5 million rows
TABLE = """CREATE TABLE history (id INTEGER PRIMARY KEY AUTOINCREMENT,
  system_id INTEGER NOT NULL REFERENCES systems(id) ON DELETE CASCADE, at INTEGER NOT NULL, solar REAL, load REAL,
  battery REAL, grid REAL, soc INTEGER, fault INTEGER, note TEXT)"""
INDEX = "CREATE INDEX history_of_system ON history (system_id, at)"
ROWS = """INSERT INTO history WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
  SELECT i, 1 + i % 2, 1700000000 + i * 60, abs(random() % 90000) / 10.0, abs(random() % 50000) / 10.0,
    i % 3000 - 1500.5, NULL, i % 101, 0, iif(i % 10, 'ok', 'it''s; ok') FROM n"""
WRITE = "\nINSERT INTO history (system_id, at, soc) SELECT id, unixepoch(), 50 FROM systems;\n"


@dataclass(frozen=True, slots=True)
class Measured:
    """The proof, its duration in seconds, and the peak memory of tool and server, in megabytes."""

    proof: Proof
    seconds: float
    tool: float
    server: float


def fill(path: Path, rows: int) -> None:
    """Create the sample with a table of so many rows of ten columns that references it, where a server expects it."""
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        for setting in ("journal_mode = OFF", "synchronous = OFF"):
            database.execute(f"PRAGMA {setting}")
        text = (SQL / "sample.sql").read_text(encoding="utf-8").replace("n < 20159", "n < 119")
        for statement in split(text, "sample.sql"):
            database.execute(statement.sql)
        database.execute(TABLE)
        database.execute(ROWS, (rows,))
        database.execute(INDEX)


def changed(folder: Path) -> Path:
    """Return the shipped change, with an app that also writes to the large table."""
    shutil.copytree(SQL, folder)
    writes = folder / "writes.sql"
    writes.write_text(writes.read_text(encoding="utf-8") + WRITE, encoding="utf-8")
    return folder


def proved(url: str, folder: Path) -> Measured:
    """Prove the change in this process, which has done nothing else."""

    async def prove_it() -> Proof:
        async with aclosing(connect(url, None)) as database:
            change = read_change(changed(folder / "sql"))
            return await prove(Turso(database), change, ProofConfig(folder / "run", sqld.fetch(), LIMITS))

    began = monotonic()
    proof = asyncio.run(prove_it())
    took, unit = monotonic() - began, 1024
    peaks = [resource.getrusage(who).ru_maxrss / unit for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return Measured(proof, took, *peaks)


def timed(*words: str | Path) -> float | None:
    """Return the seconds that a command takes, or None if the program is not installed."""
    if shutil.which(str(words[0])) is None:
        return None
    began = monotonic()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    return monotonic() - began


def others(file: Path, folder: Path) -> dict[str, float | None]:
    """Measure the two programs on the same data; they prove nothing."""
    dump = timed("sh", "-c", 'sqlite3 "$1" .dump | sqlite3 "$2"', "-", file, folder / "theirs.db")
    return {
        "sqlite3 .dump | sqlite3": dump,
        "sqldiff --summary, one pair": timed("sqldiff", "--summary", file, folder / "theirs.db"),
    }


async def measured(folder: Path) -> Measured:
    """Serve the data, and prove the change in another process."""
    async with sqld.serve(sqld.fetch(), folder / "production") as url:
        spawned = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=spawned) as pool:
            return await asyncio.get_running_loop().run_in_executor(pool, proved, url, folder)


def main(arguments: Sequence[str]) -> int:
    """Print the figures; return 1 if a bound is exceeded. The bounds are for 5 million rows or fewer."""
    parser = ArgumentParser(prog="python -m tests.bench.proof", description=__doc__)
    parser.add_argument("rows", type=int, nargs="?", default=1_000_000)
    rows = parser.parse_args(arguments).rows
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        file = folder / "original.db"
        fill(folder / "filled" / "db", rows)
        (folder / "filled" / "db").rename(file)
        place = folder / "production" / sqld.PLACE
        place.parent.mkdir(parents=True)
        shutil.copyfile(file, place)
        sys.stdout.write(f"{rows:,} rows of ten columns, {file.stat().st_size / 1e6:,.0f} MB\n")
        found = asyncio.run(measured(folder))
        stages = {"copy, backup, check": found.proof.backup.seconds, **found.proof.seconds}
        for name, seconds in {**stages, "all of the proof": found.seconds, **others(file, folder)}.items():
            sys.stdout.write(f"{name:<30}{'not installed' if seconds is None else f'{seconds:8.2f} s'}\n")
        sys.stdout.write(f"peak memory: tool {found.tool:.0f} MB, server {found.server:.0f} MB\n")
        assert found.proof.lossless
    return int(found.seconds > MOST_SECONDS or found.tool + found.server > MOST_MEGABYTES)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
