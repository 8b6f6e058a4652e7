"""A database or a platform behind a slow link, or a replica that lags: a release is carried, or refused beforehand."""

from dataclasses import dataclass
from functools import partial

import pytest

from tests.support.production.base import FAILING, READING
from tests.support.virtual.far import FarDatabase
from tests.support.virtual.production import VirtualProduction

pytestmark = pytest.mark.anyio

ROOMY = {"limits": "verification_query = 12\nturso_migration = 20", "budget": "total = 180\nreserve = 60"}
NONE: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Row:
    """A link and its replicas, in seconds, the settings, and how the run must end. `says`: words of the cause."""

    name: str
    latency: float
    lag: float
    code: int
    settings: dict[str, str]
    health: str = READING
    staged: bool = False
    says: str = ""


ROWS = (
    Row("0.4 s", 0.4, 0, 0, NONE),
    Row("0.4 s, staged", 0.4, 0, 0, NONE, staged=True),
    Row("0.4 s, red", 0.4, 0, 1, NONE, FAILING, says="not !committed_at"),
    Row("2 s, usual limits", 2, 0, 3, NONE, says="verification_query will take"),
    Row("2 s, usual reserve", 2, 0, 3, NONE, says="are reserved for it"),
    Row("2 s, roomy", 2, 0, 0, ROOMY),
    Row("2 s, roomy, red", 2, 0, 1, ROOMY, FAILING),
    Row("a replica of 0.5 s", 0, 0.5, 0, NONE),
    Row("a replica of 2 s", 0, 2, 0, NONE),
    Row("a replica of 2 s, staged", 0, 2, 0, NONE, staged=True),
    Row("a replica of 2 s, red", 0, 2, 1, NONE, FAILING),
    Row("a replica of 2 s, staged, red", 0, 2, 1, NONE, FAILING, staged=True),
    Row("0.4 s and a replica of 2 s", 0.4, 2, 0, NONE),
    Row("0.4 s and a replica of 2 s, red", 0.4, 2, 1, NONE, FAILING),
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_far_database_carries_a_release_or_refuses_it(production: VirtualProduction, row: Row) -> None:
    """No slow answer and no old answer fails a release or a rollback; what will not fit is refused beforehand."""
    production.reaches = partial(FarDatabase, latency=row.latency, lag=row.lag)
    production.world.platform.auto_assign = not row.staged
    before = await production.state()
    ending = await production.release(react=None, health=row.health, **row.settings)
    after = await production.state()
    assert ending.code == row.code, [ending.report[key] for key in ("cause", "remains", "undo", "steps")]
    assert row.says in (ending.report["cause"] or "")
    assert (after == before) == (row.code != 0)
    assert ending.report["warnings"] == []


async def test_rollback_of_a_release_behind_a_replica(production: VirtualProduction) -> None:
    """A release that is regretted is rolled back and verified although each reading is two seconds old."""
    production.reaches = partial(FarDatabase, lag=2.0)
    before = await production.state()
    assert (await production.release()).code == 0
    ending = await production.release("--rollback")
    assert (ending.code, ending.report["verdict"]) == (0, "rolled_back"), ending.report
    assert await production.state() == before


SLOW = {
    "limits": "vercel_deployment = 60\nactivation = 40\nturso_migration = 20",
    "budget": "total = 400\nreserve = 180",
}


@dataclass(frozen=True, slots=True)
class Link:
    """A link to the platform, the settings, and how the run must end. `says`: words of the cause."""

    name: str
    latency: float
    code: int
    settings: dict[str, str]
    health: str = READING
    staged: bool = False
    says: str = ""


LINKS = (
    Link("0.4 s", 0.4, 0, NONE),
    Link("0.4 s, staged", 0.4, 0, NONE, staged=True),
    Link("0.4 s, red", 0.4, 1, NONE, FAILING),
    Link("0.4 s, staged, red", 0.4, 1, NONE, FAILING, staged=True),
    Link("2 s, usual limits", 2, 3, NONE, says="rolling back vercel_deployment will take"),
    Link("2 s, usual limits, staged", 2, 3, NONE, staged=True, says="activation will take"),
    Link("2 s, roomy", 2, 0, SLOW),
    Link("2 s, roomy, staged", 2, 0, SLOW, staged=True),
    Link("2 s, roomy, red", 2, 1, SLOW, FAILING),
    Link("2 s, roomy, staged, red", 2, 1, SLOW, FAILING, staged=True),
)


@pytest.mark.parametrize("row", LINKS, ids=lambda row: row.name)
async def test_far_platform_carries_a_release_or_refuses_it(production: VirtualProduction, row: Link) -> None:
    """No slow answer of the platform fails a release or a rollback; what will not fit is refused beforehand."""
    production.network.latency = row.latency
    production.world.platform.auto_assign = not row.staged
    before = await production.state()
    ending = await production.release(react=None, health=row.health, **row.settings)
    assert ending.code == row.code, [ending.report[key] for key in ("cause", "remains", "undo", "steps")]
    assert row.says in (ending.report["cause"] or "")
    assert (await production.state() == before) == (row.code != 0)
