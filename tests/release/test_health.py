"""A site that is not well, over real connections, the tool a process."""

import pytest

from steps.support.standin.troubles import Way
from steps.support.standin.ways import cut, drip
from tests.release.conftest import Production
from tests.release.site_health import data_goes_wrong

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("way", "words"),
    [
        (drip, ["not done within its 2 s", "/api/data has not answered"]),
        (cut, ["/api/data gave no answer: the connection was reset"]),
    ],
)
async def test_data_that_goes_wrong_after_the_migration(production: Production, way: Way, words: list[str]) -> None:
    """Everything is put back, the site being as bad all the while, and the cause says what it answered."""
    await data_goes_wrong(production, way, words)
