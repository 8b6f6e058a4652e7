"""Productions in memory, in virtual time: what is about the platform and the site needs no process and no waiting."""

from collections.abc import AsyncIterator
from contextlib import aclosing, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from steps.support.engine import clock
from steps.support.gateways.transport import connect
from steps.support.gateways.turso import Turso
from steps.support.proof.copy import Limits
from steps.support.proof.proof import Proof, prove
from steps.support.proof.workbench import Workbench
from steps.support.sql_folder import read_change, split
from steps.support.standin import sqld
from tests.virtual import VirtualLoop
from tests.world.clock import START
from tests.world.database import MemoryStore
from tests.world.production import ROOT
from tests.world.virtual import VirtualProduction, virtual_production

SQL = ROOT / "sql"
BEAT = 0.1  # seconds of each beat of the rehearsal, as if it had been measured


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Run asynchronous tests on a loop whose clock jumps."""
    return "asyncio", {"loop_factory": VirtualLoop}


@pytest.fixture(scope="session")
def sample() -> bytes:
    """Load sample.sql, as of the moment at which every run begins, and leave few of its readings."""
    with closing(MemoryStore(lambda: START)) as store:
        for statement in split((SQL / "sample.sql").read_text(encoding="utf-8"), "sample.sql"):
            store.connection.execute(statement.sql)
        for table in ("readings", "readings_agg_5m"):
            store.connection.execute(f"DELETE FROM {table} WHERE id % 100 > 0")
        store.connection.execute("VACUUM")
        return store.snapshot()


@pytest.fixture(scope="session")
def proof(sample: bytes, sqld_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Proof:
    """Prove the shipped change on the real server, on the database that every run begins with."""
    proved = clock.run(_proved(sample, sqld_binary, tmp_path_factory.mktemp("proof")))
    return replace(proved, seconds=dict.fromkeys(proved.seconds, BEAT))


async def _proved(sample: bytes, binary: Path, folder: Path) -> Proof:
    place = folder / "database" / sqld.PLACE
    place.parent.mkdir(parents=True)
    place.write_bytes(sample)
    async with sqld.serve(binary, folder / "database") as url, aclosing(connect(url, None)) as database:
        return await prove(Turso(database), read_change(SQL), Workbench(folder / "runs", binary, Limits(60.0, 10**9)))


@pytest.fixture
async def production(tmp_path: Path, sample: bytes, proof: Proof) -> AsyncIterator[VirtualProduction]:
    """Give one whose builds take a moment."""
    async with virtual_production(tmp_path, sample, proof) as made:
        made.world.platform.build_seconds, made.world.platform.alias_seconds = 1.5, 0.1
        yield made
