"""Someone promotes their deployment at any moment of a run: it stays live, whatever the run does."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from steps.support.gateways.turso import RolledBack, Turso
from steps.support.proof.result import Proof
from tests.support.production.base import FAILING, READING, Event, RunResult
from tests.support.virtual.colleague import foreign_deployment, promote
from tests.support.virtual.production import Shape, VirtualProduction, virtual_production

pytestmark = [pytest.mark.anyio, pytest.mark.slow]  # many releases each

LATER = 60.0  # seconds in which everything under way arrives
LIMITS = "vercel_deployment = 10\nactivation = 10"
PARTS = 5  # into which the events of a run are divided, so that workers can try them in parallel
LEAST, MOST = 12, 200  # events of a run
ALIAS = (0.1, 1.5)  # seconds in which the alias of the hotfix moves
WAYS = {
    "auto-assign": (True, {}),
    "staged, code first": (False, {}),
    "staged, data first": (False, {"CODE_FIRST": "no"}),
}


@dataclass(frozen=True, slots=True)
class _Disturbed:
    """A run, the hotfix promoted during it (empty if it had no such event), and when the schema was rolled back.

    `under_hotfix`: for each transaction that rolled the schema back, whether the hotfix was live or on its way.
    """

    ending: RunResult
    hotfix: str
    under_hotfix: list[bool]


async def _disturbed(production: VirtualProduction, at: int, health: str, *words: str) -> _Disturbed:
    """Release, or roll back, and promote a hotfix at the run's event number `at`."""
    hotfix, told, moves, under = foreign_deployment(production), 0, list[asyncio.Task[None]](), list[bool]()
    roll_back, platform = Turso.roll_back, production.world.platform

    async def noted(turso: Turso, *what: Any) -> RolledBack:
        coming = platform.job.target if platform.job and platform.job.under_way else None
        under.append(hotfix.id in (platform.served, platform.production, coming))
        return await roll_back(turso, *what)

    async def react(_event: Event) -> None:
        nonlocal told
        if told == at:
            moves.append(asyncio.ensure_future(promote(production, hotfix, ALIAS[at % 2], 0.1)))
        told += 1

    with patch.object(Turso, "roll_back", noted):
        ending = await production.release(*words, react=react, health=health, limits=LIMITS)
    await asyncio.gather(*moves)
    await asyncio.sleep(LATER)
    platform.catch_up()
    return _Disturbed(ending, hotfix.id if moves else "", under)


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("run", ["well", "unwell", "regretted"])
@pytest.mark.parametrize("way", WAYS)
async def test_promotion_at_any_event_is_never_overwritten(
    tmp_path: Path, sample: bytes, proof: Proof, way: str, run: str, part: int
) -> None:
    """At no event of a run is a foreign promotion overwritten, or the schema changed under it.

    Each promotion is named, and ends the release.
    """
    auto_assign, ruled_out = WAYS[way]
    proof, wrong = replace(proof, ruled_out=ruled_out), list[str]()
    for at in range(part, MOST, PARTS):
        (folder := tmp_path / str(at)).mkdir()
        async with virtual_production(folder, sample, proof, Shape(auto_assign=auto_assign)) as production:
            production.world.platform.build_seconds, production.world.platform.alias_seconds = 1.5, 0.1
            words = ["--rollback"] if run == "regretted" and (await production.release()).code == 0 else []
            disturbed = await _disturbed(production, at, FAILING if run == "unwell" else READING, *words)
            if not disturbed.hotfix:
                break
            ending, found = disturbed.ending, [*_wrong(production, disturbed, at)]
            event = ending.events[at]
            if "turso_migration" in _to_come(ending, at, "begun") and await _is_applied(production):
                found.append("the schema was changed under it")
            wrong += [f"event {at}, {event['event']} {event.get('step', '')}: {each}" for each in found]
    assert wrong == []
    assert at > LEAST


def _to_come(ending: RunResult, at: int, *kinds: str) -> set[str]:
    """Return the steps that begin, or begin to roll back, after an event."""
    return {event["step"] for event in ending.events[at:] if event["event"] in kinds}


async def _is_applied(production: VirtualProduction) -> bool:
    return ("applied",) in await production.sql("SELECT state FROM _orchestrate_migrations")


def _wrong(production: VirtualProduction, disturbed: _Disturbed, at: int) -> Iterator[str]:
    ending, hotfix = disturbed.ending, disturbed.hotfix
    planned = ending.report["production"]
    if planned and planned["id"] == hotfix:
        return  # it was live when the plan was made: this release goes on top of it
    platform = production.world.platform
    if not platform.served == platform.production == hotfix:
        yield f"{platform.served} is live"
    if hotfix not in str(ending.report) and ending.code != 3 and _to_come(ending, at, "begun", "undo_begun"):
        yield f"it is not named, and the exit code is {ending.code}"
    if any(disturbed.under_hotfix):
        yield "the schema was rolled back under it"
