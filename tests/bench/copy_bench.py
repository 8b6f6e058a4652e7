"""Measure a copy of a real server against curl and sqlite3: uv run --no-sync python -m tests.bench.copy_bench [rows]."""

import asyncio
import os
import resource
import sqlite3
import subprocess
import sys
from contextlib import aclosing, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

from steps.support.gateways.database.connect import connect
from steps.support.proof.copy.copy import Copy, Limits, copy_database
from steps.support.proof.rehearsal import sqld

LIMITS = Limits(most_seconds=600, most_bytes=10**11)
TABLE = """CREATE TABLE readings (id INTEGER PRIMARY KEY AUTOINCREMENT, system_id INTEGER NOT NULL, at TEXT NOT NULL,
  solar REAL, load REAL, battery REAL, grid REAL, soc INTEGER, fault INTEGER, note TEXT)"""
ROWS = """INSERT INTO readings WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
  SELECT i, i % 7, strftime('%Y-%m-%dT%H:%M:%SZ', 1700000000 + i * 60, 'unixepoch'), abs(random() % 90000) / 10.0,
    abs(random() % 50000) / 10.0, i % 3000 - 1500.5, NULL, i % 101, 0, iif(i % 10, 'ok', 'it''s; ok') FROM n"""
INDEX = "CREATE INDEX readings_of_system ON readings (system_id, at)"


def fill(path: Path, rows: int) -> None:
    """Create a database of so many rows of ten columns, in the place where a server expects it."""
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("PRAGMA synchronous = OFF")
        database.execute(TABLE)
        database.execute(ROWS, (rows,))
        database.execute(INDEX)
        database.execute("PRAGMA journal_mode = WAL")


async def ours(url: str, folder: Path) -> Copy:
    """Copy with the tool."""
    async with aclosing(connect(url, None)) as database:
        return await copy_database(database, folder, LIMITS)


def theirs(url: str, folder: Path) -> float:
    """Load with the two programs, without a backup or a check; return the seconds."""
    began = monotonic()
    subprocess.run(["sh", "-c", 'curl -s "$1/dump" | sqlite3 "$2"', "-", url, folder / "theirs.db"], check=True)  # noqa: S607 - the installed programs are what is measured
    return monotonic() - began


def line(what: str, seconds: float, size: int) -> str:
    """Format one measurement."""
    return f"{what:<24}{seconds:8.1f} s {size / seconds / 1e6:8.1f} MB/s   load {os.getloadavg()[0]:.1f}"


async def measure(rows: int) -> None:
    """Fill a server, copy it both ways and print the duration of each."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        fill(folder / "sqld" / "dbs" / "default" / "data", rows)
        async with sqld.serve(sqld.fetch(), folder / "sqld") as url:
            seconds = await asyncio.to_thread(theirs, url, folder)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            copy = await ours(url, folder)
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        lines = (
            f"{rows:,} rows of ten columns, {copy.bytes / 1e6:,.0f} MB, on {os.cpu_count()} processors",
            line("curl | sqlite3", seconds, copy.bytes),
            line("copy, backup, proof", copy.seconds, copy.bytes),
            f"peak memory {most:.0f} MB, before the copy {peak:.0f} MB",
        )
        sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    asyncio.run(measure(int(sys.argv[1]) if sys.argv[1:] else 1_000_000))
