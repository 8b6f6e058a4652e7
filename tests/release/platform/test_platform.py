"""Odd situations on the platform: what the tool says at the end is true of the platform, then and an hour later."""

import pytest

from tests.release.platform.judging import hold
from tests.release.platform.situations import SITUATIONS, Situation
from tests.support.virtual.production import VirtualProduction

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("row", SITUATIONS, ids=lambda row: row.name)
async def test_platform_situation(production: VirtualProduction, row: Situation) -> None:
    """The run ends as it should, in time, and what it says is true of the platform, then and an hour later."""
    await hold(production, row)
