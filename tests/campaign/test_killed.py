"""Real deaths, twenty times: the first seeds of the campaign (`python -m tests.campaign.killed`)."""

from pathlib import Path

import pytest

from tests.campaign.killed import play, small

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Load the sample once."""
    return small(tmp_path_factory.mktemp("sample"))


@pytest.mark.parametrize("seed", range(20))
async def test_a_killed_run_is_rolled_back(seed: int, sample: Path, sqld_binary: Path) -> None:
    """The earlier state is restored, with every row written since, and no step is rolled back twice."""
    outcome = await play(seed, sample, sqld_binary)
    assert not outcome.wrong, str(outcome)
