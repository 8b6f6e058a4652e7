"""The database that every virtual run begins with, and the proof of the shipped change on it, made once."""

from contextlib import aclosing, closing
from dataclasses import replace
from pathlib import Path

from steps.support.engine import clock
from steps.support.gateways.transport import connect
from steps.support.gateways.turso import Turso
from steps.support.proof.copy import Limits
from steps.support.proof.proof import Proof, prove
from steps.support.proof.workbench import Workbench
from steps.support.sql_folder import read_change, split
from steps.support.standin import sqld
from tests.world.clock import START
from tests.world.database import MemoryStore
from tests.world.production import ROOT

SQL = ROOT / "sql"
BEAT = 0.1  # seconds of each beat of the rehearsal, as if it had been measured


def sampled() -> bytes:
    """Load sample.sql, as of the moment at which every run begins, and leave few of its readings."""
    with closing(MemoryStore(lambda: START)) as store:
        for statement in split((SQL / "sample.sql").read_text(encoding="utf-8"), "sample.sql"):
            store.connection.execute(statement.sql)
        for table in ("readings", "readings_agg_5m"):
            store.connection.execute(f"DELETE FROM {table} WHERE id % 100 > 0")
        store.connection.execute("VACUUM")
        return store.snapshot()


def proved(sample: bytes, binary: Path, folder: Path) -> Proof:
    """Prove the shipped change on the real server, on a database like this."""
    made = clock.run(_proved(sample, binary, folder))
    return replace(made, seconds=dict.fromkeys(made.seconds, BEAT))


async def _proved(sample: bytes, binary: Path, folder: Path) -> Proof:
    place = folder / "database" / sqld.PLACE
    place.parent.mkdir(parents=True)
    place.write_bytes(sample)
    async with sqld.serve(binary, folder / "database") as url, aclosing(connect(url, None)) as database:
        return await prove(Turso(database), read_change(SQL), Workbench(folder / "runs", binary, Limits(60.0, 10**9)))
