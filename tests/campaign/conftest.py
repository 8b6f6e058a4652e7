"""The data that all runs of a campaign share, created once per worker."""

from pathlib import Path

import pytest

from tests.campaign.virtual import Material, material


@pytest.fixture(scope="session")
def shared(sqld_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Material:
    """Load the database that every run starts with, and prove the change on it."""
    assert sqld_binary
    return material(tmp_path_factory.mktemp("proof"))
