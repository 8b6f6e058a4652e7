"""Set-ups of real teams: each release ends with its verdict, exit code and words, and leaves production as it should."""

import json
from dataclasses import replace

import pytest

from steps.support.standin.agenda import Agenda
from tests.release.platform.judging import HOUR, Ahead
from tests.release.platform.setups import COMMANDS, NONE, SETUPS, Setup
from tests.release.platform.situations import LIVE, OFF, OLD, ON, OURS, Whose
from tests.support.production.base import FAILING, READING, RunResult
from tests.support.virtual.production import VirtualProduction

pytestmark = pytest.mark.anyio

TOTAL, RESERVE = 60.0, 24.0  # seconds


def _prepare(production: VirtualProduction, row: Setup, clock: Ahead) -> None:
    platform = production.world.platform
    platform.agenda = Agenda(clock)
    platform.build_seconds, platform.alias_seconds = row.seconds
    platform.auto_assign = row.auto is ON
    clock.seconds += 60
    platform.quirks = replace(row.quirks, pushes=(row.build, row.again))
    if row.merged is None:
        return
    if row in COMMANDS:
        production.remote.tip = production.checkout.head  # merged where nothing deploys by itself
        return
    production.remote.advance(production.checkout.head)
    clock.seconds += row.merged
    platform.catch_up()


async def _released(production: VirtualProduction, row: Setup) -> RunResult:
    tables = {
        "limits": "vercel_deployment = 20\nactivation = 10\nhealth_checks = 10",
        "budget": f"total = {TOTAL}\nreserve = {RESERVE}",
        "health": FAILING if row.late else READING,
        **row.tables,
    }
    vercel = f'project = "liveone"\napi = "{production.world.api_url}"\n{row.tables.get("vercel", "")}'
    source = row.tables.get("top") or (NONE if row.merged is not None else "")
    top = f'repository = "{production.world.checkout}"\n{source}'
    production.settings = dict(row.secrets)
    return await production.release(react=None, **{**tables, "top": top, "vercel": vercel})


def _whose(production: VirtualProduction, identifier: str | None) -> Whose:
    if identifier == LIVE:
        return OLD
    each = production.world.platform.find(identifier or "")
    if each.subject.startswith("Roll back to "):
        return Whose.RESTORING
    return OURS if each.sha == production.checkout.head else Whose.OTHER


@pytest.mark.parametrize("row", SETUPS, ids=lambda row: row.name)
async def test_release_in_the_setup(production: VirtualProduction, row: Setup) -> None:
    """The run ends with the row's verdict, code and words, and leaves code, schema and branch as the row says."""
    platform, clock = production.world.platform, Ahead()
    _prepare(production, row, clock)
    if row.prepare:
        await row.prepare(production)
        clock.seconds += row.settles
        platform.catch_up()
    before, auto = await production.state(), platform.auto_assign
    ending = await _released(production, row)
    assert (ending.report["verdict"], ending.code) == (row.end.verdict, row.end.code), ending.report
    report = json.dumps(ending.report, ensure_ascii=False).replace('\\"', '"')
    assert row.end.cause in (ending.report["cause"] or "")
    assert [words for words in row.says if words not in report] == []
    assert ending.said == ""
    assert (ending.report["budget"]["used_seconds"] or 0) < row.most
    after = await production.state()
    if row.end.verdict == "refused":
        assert after == before
    else:
        assert _whose(production, platform.served) == _whose(production, platform.production) == row.end.serves
        assert platform.auto_assign == (auto if row.end.auto is None else row.end.auto)
        assert (after.schema != before.schema) == (ending.code == 0)
        assert (after.tree != before.tree) == (ending.code == 0 and row.merged is None)
        clock.seconds += HOUR
        platform.catch_up()
        assert _whose(production, platform.served) == row.end.later


def test_table_is_large() -> None:
    """The table keeps at least 60 set-ups, each with a name of its own."""
    assert len({row.name for row in SETUPS}) == len(SETUPS) >= 60
    assert {row.auto for row in SETUPS} == {ON, OFF}
