"""Vercel's API in trouble over real connections, the tool a process: trouble that passes, and trouble that stays."""

import pytest

from steps.support.standin.vercel.quirks import Answer
from tests.release.api_troubles import Row, passes, stays
from tests.release.conftest import Production

pytestmark = pytest.mark.anyio


async def test_resets_that_pass(production: Production) -> None:
    """Connections that are reset a few times delay a release and do not end it."""
    await passes(production, Row(Answer.RESET, staged=True, times=3))


async def test_dripping_that_stays(production: Production) -> None:
    """Where answers never end, git is put back, the database was not touched, and the report says what is not known."""
    await stays(production, Row(Answer.DRIP, staged=False))
