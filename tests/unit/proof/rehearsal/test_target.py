"""The engine of the target: the new Turso engine is refused, and another version or build gives a warning."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from steps.support.change.folder import read_change
from steps.support.core.errors import Refused
from steps.support.gateways.database.protocol import Rows
from steps.support.gateways.database.sqlite_file import SqliteFile
from steps.support.gateways.turso import Row, Turso
from steps.support.operations.roll_back_schema import rehearse_rollback
from steps.support.proof.config import Limits, ProofConfig
from steps.support.proof.proof import prove
from steps.support.proof.rehearsal.target import refuse_turso_engine, unlike
from steps.support.sql.statement import Statement, Value
from tests.support.paths import SQL

pytestmark = pytest.mark.anyio

OURS: Mapping[str, Value] = {"version": "3.45.1", "build": "2024-01-30 e876", "foreign_keys": 1}
NO_MARKER: Row = {}


class TursoEngine(SqliteFile):
    """A database that answers `turso_version()`, and refuses everything else."""

    async def query(self, statement: Statement) -> Rows:
        """Answer what the new engine answers."""
        assert statement.sql == "SELECT turso_version()", "it was asked for something else before"
        return Rows(("turso_version()",), (("0.8.3",),))


@pytest.fixture
def file(tmp_path: Path) -> str:
    """Create a database, and return its URL."""
    with closing(sqlite3.connect(tmp_path / "db")) as connection:
        connection.execute("CREATE TABLE t (a)")
    return f"file:{tmp_path / 'db'}"


async def test_neither_rehearsal_runs_for_the_new_engine(file: str, tmp_path: Path) -> None:
    """A proof and the rehearsal of a rollback are refused before anything is copied."""
    turso, config = Turso(TursoEngine(file)), ProofConfig(tmp_path / "run", None, Limits(60, 10**9))
    with pytest.raises(Refused, match=r"the new Turso engine 0\.8\.3"):
        await prove(turso, read_change(SQL), config)
    with pytest.raises(Refused, match=r"the new Turso engine 0\.8\.3"):
        await rehearse_rollback(turso, NO_MARKER, config)
    assert not config.folder.exists()


async def test_other_engines_pass(file: str) -> None:
    """SQLite and libSQL pass, because they do not know the function `turso_version()`."""
    await refuse_turso_engine(Turso(SqliteFile(file)))


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ({}, []),
        ({"version": "3.50.4", "build": "2026-10-12"}, ["version is 3.50.4 on the target, but was 3.45.1 in the rehearsal"]),
        ({"build": "2026-10-12"}, ["build is 2026-10-12 on the target, but was 2024-01-30 e876 in the rehearsal"]),
        ({"foreign_keys": 0}, ["foreign_keys is 0 on the target, but was 1 in the rehearsal"]),
    ],
)  # fmt: skip
def test_different_engine_gives_a_warning(target: Mapping[str, Value], said: list[str]) -> None:
    """A warning names each difference; if the version differs, the build is not compared."""
    assert [each.cause for each in unlike({**OURS, **target}, OURS)] == said
