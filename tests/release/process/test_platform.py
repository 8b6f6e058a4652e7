"""Two situations on the platform as an operator meets them: the tool a process, all else over real connections."""

import pytest

from tests.release.platform.judging import hold
from tests.release.platform.situations import HONEST, Situation
from tests.support.production.process import Production

pytestmark = [pytest.mark.anyio, pytest.mark.on("process")]


@pytest.mark.parametrize("row", [HONEST[0], HONEST[-1]], ids=lambda row: row.name)
async def test_platform_situation(production: Production, row: Situation) -> None:
    """A release arrives, or is rolled back; what it says is true of the platform, then and an hour later."""
    await hold(production, row)
