"""A production on Turso's new engine: it is refused by name before anything else is asked of it."""

import pytest

from steps.support.gateways.database.protocol import Rows
from steps.support.sql.statement import Statement
from tests.support.virtual.database import MemoryDatabase
from tests.support.virtual.production import VirtualProduction

pytestmark = pytest.mark.anyio


async def test_the_new_turso_engine_is_refused_by_name(
    production: VirtualProduction, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The migration asks for turso_version() first; if that answers, the run is refused, and nothing is touched."""
    asked, before = list[str](), await production.state()
    query = MemoryDatabase.query

    async def recorded(self: MemoryDatabase, statement: Statement) -> Rows:
        asked.append(statement.sql)
        return await query(self, statement)

    monkeypatch.setattr(MemoryDatabase, "query", recorded)
    production.store.connection.create_function("turso_version", 0, lambda: "0.8.3")
    ending = await production.release()
    assert (ending.code, ending.report["verdict"]) == (3, "refused"), ending.report
    assert "the database runs on the new Turso engine 0.8.3" in ending.report["cause"]
    assert "Move the database to libSQL" in ending.report["cause"] + ending.report["next_action"]
    assert "runbook.md#other-engine" in ending.report["runbook"] + ending.report["next_action"]
    assert asked[-1] == "SELECT turso_version()"
    assert not [sql for sql in asked if sql.startswith("EXPLAIN")]
    assert await production.state() == before
