"""Vercel's API in trouble over real connections, the tool a process: passing and permanent trouble."""

import pytest

from steps.support.standin.vercel.quirks import Answer
from tests.release.platform.api_troubles import Row, passes, stays
from tests.support.production.process import Production

pytestmark = [pytest.mark.anyio, pytest.mark.on("process")]


async def test_passing_resets_only_delay_the_release(production: Production) -> None:
    """Connections that are reset a few times delay a release and do not end it."""
    await passes(production, Row(Answer.RESET, staged=True, times=3))


async def test_permanent_dripping_rolls_back_git_and_reports_the_unknown(production: Production) -> None:
    """If answers never end, git is rolled back, the database was not touched, and the report names what is unknown."""
    await stays(production, Row(Answer.DRIP, staged=False))
