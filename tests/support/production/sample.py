"""The sample as databases, whole and with few readings, and the proof of the shipped change on the small one."""

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from steps.support.change.folder import read_change
from steps.support.proof.config import ProofConfig
from steps.support.proof.copy.copy import Limits
from steps.support.proof.proof import prove
from steps.support.proof.result import Proof
from steps.support.sql.script import split
from steps.support.standin.drill import drill
from tests.support.production.base import ROOT
from tests.support.virtual.clock import START
from tests.support.virtual.database import MemoryStore
from tests.support.virtual.proving import on_server

SQL = ROOT / "sql"
BEAT = 0.1  # seconds of each stage of the rehearsal, in place of the measured ones


def samples(folder: Path) -> Path:
    """Load sample.sql into large.db, and keep few of its readings in small.db; return the folder."""
    drill.load_sample(SQL, folder / "large.db")
    shutil.copyfile(folder / "large.db", folder / "small.db")
    with closing(sqlite3.connect(folder / "small.db", isolation_level=None)) as database:
        _thin(database)
    return folder


def sampled() -> bytes:
    """Load sample.sql, as of the time at which every run in virtual time begins, and keep few of its readings."""
    with closing(MemoryStore(lambda: START)) as store:
        for statement in split((SQL / "sample.sql").read_text(encoding="utf-8"), "sample.sql"):
            store.connection.execute(statement.sql)
        _thin(store.connection)
        return store.snapshot()


def _thin(database: sqlite3.Connection) -> None:
    """Keep a hundredth of the readings: tests that do not depend on their number need not compare them all."""
    for table in ("readings", "readings_agg_5m"):
        database.execute(f"DELETE FROM {table} WHERE id % 100 > 0")
    database.execute("VACUUM")


def proved(sample: bytes, binary: Path, folder: Path) -> Proof:
    """Prove the shipped change on the real server, on such a database."""
    config = ProofConfig(folder / "runs", binary, Limits(60.0, 10**9))
    made = on_server(sample, binary, lambda turso: prove(turso, read_change(SQL), config))
    return replace(made, seconds=dict.fromkeys(made.seconds, BEAT))
