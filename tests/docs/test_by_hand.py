"""What happens to production if the same change is made by hand, as it was planned: the figures in the README."""

from contextlib import aclosing
from typing import Any

import httpx
import pytest

from steps.support.gateways.database.connect import connect
from steps.support.sql.script import split
from steps.support.sql.statement import Statement
from tests.support.paths import ROOT, SEED

pytestmark = pytest.mark.anyio

COUNTS = ("systems", "readings", "polling_status")
LOST = "(user_id IS NULL), typeof(created_at) = 'text'"


async def _by_shell(url: str, script: str) -> list[Any]:
    """Run a script as a database shell does: one batch, each statement if the previous succeeded; return the errors."""
    statements = split((SEED / script).read_text(encoding="utf-8"), script)
    steps = [
        {"stmt": {"sql": each.sql}, "condition": {"type": "ok", "step": at - 1}} for at, each in enumerate(statements)
    ]
    steps[0].pop("condition")
    requests = [{"type": "batch", "batch": {"steps": steps}}, {"type": "close"}]
    async with httpx.AsyncClient() as client:
        answer = (await client.post(f"{url}/v3/pipeline", json={"requests": requests})).json()
    return [error for error in answer["results"][0]["response"]["result"]["step_errors"] if error]


async def test_change_by_hand_loses_every_reading_with_every_check_green(server: str) -> None:
    """No statement fails, every check of the plan passes, the readings are gone, and the rollback restores none."""
    async with aclosing(connect(server, None)) as database:

        async def ask(sql: str) -> Any:
            return (await database.query(Statement(sql))).values

        async def counted() -> dict[str, Any]:
            return {table: (await ask(f"SELECT count(*) FROM {table}"))[0][0] for table in COUNTS}

        await database.transaction(split((ROOT / "sql/sample.sql").read_text(encoding="utf-8"), "sample.sql"))
        before, zones = await counted(), await ask("SELECT id, timezone_offset FROM systems")
        assert await _by_shell(server, "seed_migrate.sql") == []
        assert await ask("SELECT vendor_type, vendor_site_id, timezone_offset_min FROM systems LIMIT 1")
        assert await ask("PRAGMA integrity_check") == (("ok",),)
        assert await ask("SELECT * FROM pragma_foreign_key_check") == ()
        after = await counted()
        assert await _by_shell(server, "seed_rollback.sql") == []
        back, now = await counted(), await ask("SELECT id, timezone_offset FROM systems")
        nameless = (await ask("SELECT count(*) FROM systems WHERE user_id IS NULL"))[0][0]
        indexes = await ask("SELECT name FROM pragma_index_list('systems')")
    assert before["systems"] == after["systems"] == back["systems"] == nameless == 6
    assert {**after, **back} == {"systems": 6, "readings": 0, "polling_status": 0}
    told = (
        f"| `readings` | {before['readings']:,} | 0 | 0 |",
        f"| zones of `systems` that are as before | {len(zones)} of 6 | 6 of 6 | {len(set(zones) & set(now))} of 6 |",
        f"| indexes of `systems` | 1 | 2 | {len(indexes)} |",
    )
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [line for line in told if line not in readme] == []
