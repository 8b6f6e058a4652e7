"""Situations on the platform: what the tool says at the end is true of the platform, then and an hour later."""

import pytest

from tests.release.platform.judging import hold
from tests.release.platform.situations import HONEST, SITUATIONS, Situation
from tests.support.production.base import AnyProduction

pytestmark = pytest.mark.anyio


BOTH = (HONEST[0], HONEST[-1])


@pytest.mark.on("virtual", "process")
@pytest.mark.parametrize("row", BOTH, ids=lambda row: row.name)
async def test_honest_platform(production: AnyProduction, row: Situation) -> None:
    """A release arrives, or is rolled back; what it says is true of the platform, then and an hour later."""
    await hold(production, row)


@pytest.mark.parametrize("row", [row for row in SITUATIONS if row not in BOTH], ids=lambda row: row.name)
async def test_platform_situation(production: AnyProduction, row: Situation) -> None:
    """The run ends as it should, in time, and what it says is true of the platform, then and an hour later."""
    await hold(production, row)
