"""The proof as a whole, on the shipped change: what it runs on, what it leaves behind, and when it ends."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from steps.support.change.folder import read_change
from steps.support.core.deadline import listening
from steps.support.core.errors import Problem
from steps.support.gateways.database.connect import connect
from steps.support.gateways.marker import Claim
from steps.support.gateways.turso import Turso
from steps.support.proof.config import ProofConfig
from steps.support.proof.copy.copy import Limits
from steps.support.proof.proof import prove
from steps.support.proof.rehearsal import sqld
from steps.support.sql.script import split
from steps.support.sql.statement import Statement
from tests.support.paths import SQL

pytestmark = pytest.mark.anyio

LIBSQL_ONLY = "ALTER TABLE readings_agg_1d ALTER COLUMN version TO version INTEGER DEFAULT 2;\n"


@pytest.fixture
async def production(server: str) -> AsyncIterator[Turso]:
    """Yield a server with the sample, cut down to two hours of readings."""
    text = (SQL / "sample.sql").read_text().replace("n < 20159", "n < 119")
    async with aclosing(connect(server, None)) as database:
        await database.transaction(split(text, "sample.sql"))
        yield Turso(database)


@pytest.fixture
def proof_config(tmp_path: Path, sqld_binary: Path) -> ProofConfig:
    """Return a configuration on the real server."""
    return ProofConfig(tmp_path / "run", sqld_binary, Limits(60, 10**9))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of the shipped folder that a test may change."""
    return Path(shutil.copytree(SQL, tmp_path / "sql"))


async def test_shipped_change_is_lossless_on_the_server(production: Turso, proof_config: ProofConfig) -> None:
    """On the target's engine nothing is lost, there is no warning, and code goes first because old code needs that."""
    proof = await prove(production, read_change(SQL), proof_config)
    assert (proof.lossless, proof.warnings) == (True, ())
    assert proof.engine == sqld.version(proof_config.binary or Path())
    assert list(proof.ruled_out) == ["DATA_FIRST"]
    assert proof.rows["systems"]["changed"] == 2
    assert proof.guards.there[-1].slack < 1000


async def test_without_a_server_sqlite_enforces_foreign_keys(production: Turso, proof_config: ProofConfig) -> None:
    """Without a server, SQLite is used, named as such, and the difference in version is reported."""
    proof = await prove(production, read_change(SQL), replace(proof_config, binary=None))
    assert proof.lossless
    assert proof.engine.endswith("foreign keys on")
    assert [line.split(":")[0] for line in proof.warnings] == ["the target's engine"]


async def test_libsql_statement_is_refused_on_sqlite(
    production: Turso, proof_config: ProofConfig, folder: Path
) -> None:
    """A statement that only libSQL knows is proved on the server; SQLite refuses it and says how to get a server."""
    migrate = folder / "migrate.sql"
    migrate.write_text(migrate.read_text() + LIBSQL_ONLY)
    rollback = folder / "rollback.sql"
    rollback.write_text(rollback.read_text() + LIBSQL_ONLY.replace("DEFAULT 2", "DEFAULT 1"))
    with pytest.raises(Problem) as caught:
        await prove(production, read_change(folder), replace(proof_config, binary=None))
    assert 'near "ALTER"' in str(caught.value) or 'near "COLUMN"' in str(caught.value)
    assert sqld.FETCH in str(caught.value)
    with pytest.raises(Problem) as another:
        await prove(production, read_change(folder), replace(proof_config, folder=proof_config.folder / "again"))
    assert "syntax" not in str(another.value)
    assert "version" in str(another.value)


async def test_only_the_backup_stays(production: Turso, proof_config: ProofConfig, folder: Path) -> None:
    """Whether the change passes or not, the run's folder holds the backup and nothing of the rehearsal."""
    await prove(production, read_change(SQL), proof_config)
    assert [path.name for path in proof_config.folder.iterdir()] == ["backup.sql.gz"]
    (folder / "rollback.sql").write_text("DROP TABLE user_systems;\n")
    again = replace(proof_config, folder=proof_config.folder / "again")
    with pytest.raises(Problem):
        await prove(production, read_change(folder), again)
    assert [path.name for path in again.folder.iterdir()] == ["backup.sql.gz"]


async def test_production_is_only_read(production: Turso, proof_config: ProofConfig) -> None:
    """The proof leaves no table of the tool, no lock and no row on the server it copies."""
    objects = Statement("SELECT group_concat(name || sql) FROM sqlite_schema")
    rows = Statement("SELECT (SELECT count(*) FROM systems), (SELECT count(*) FROM readings), total_changes()")
    before = (await production.read(objects)).scalar, (await production.read(rows)).values
    await prove(production, read_change(SQL), proof_config)
    assert ((await production.read(objects)).scalar, (await production.read(rows)).values) == before


async def test_copy_of_a_locked_database_can_be_rehearsed(production: Turso, proof_config: ProofConfig) -> None:
    """A lock that a run held when the copy was taken does not stop the rehearsal on the copy."""
    assert (await production.lock(Claim("another-run", "somebody", "elsewhere", 600)))[0]
    assert (await prove(production, read_change(SQL), proof_config)).lossless


async def test_rehearsal_that_takes_too_long_ends(production: Turso, proof_config: ProofConfig, folder: Path) -> None:
    """A change that would run forever ends when its time is up, and names the setting that allows more."""
    forever = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT json(max(i)) FROM n;\n"
    (folder / "migrate.sql").write_text("CREATE TABLE x (a);\n" + forever)
    slow = replace(proof_config, limits=Limits(2, 10**9))
    with pytest.raises(Problem, match=r"did not finish within 2 s.+rehearsal\.most_seconds"):
        await prove(production, read_change(folder), slow)


async def test_cancelled_proof_leaves_only_the_backup(production: Turso, proof_config: ProofConfig) -> None:
    """A cancelled proof ends within a moment, and no server stays behind."""
    reached = asyncio.Event()

    async def watched() -> None:
        with listening(lambda what: reached.set() if what == "rehearsal: rollback" else None):
            await prove(production, read_change(SQL), proof_config)

    proving = asyncio.ensure_future(watched())
    await asyncio.wait_for(reached.wait(), 30)
    proving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(proving, 5)
    assert {path.name for path in proof_config.folder.iterdir()} <= {"backup.sql.gz"}


async def test_rehearsal_reports_its_progress(production: Turso, proof_config: ProofConfig) -> None:
    """The copy and each stage of the rehearsal are reported while they run."""
    heard: list[str] = []
    with listening(heard.append):
        await prove(production, read_change(SQL), proof_config)
    assert any(what.startswith("a copy of production: ") for what in heard)
    beats = ["migrate", "rollback", "migrate again", "writes", "rollback after writes", "migrate after writes"]
    assert [what for what in heard if what.removeprefix("rehearsal: ") in beats] == [
        f"rehearsal: {beat}" for beat in beats
    ]
