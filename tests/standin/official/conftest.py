"""The official clients, installed once for all tests."""

from pathlib import Path

import pytest

from tests.standin.official import npm


@pytest.fixture(scope="session")
def packages() -> Path:
    """Give the folder of the installed clients; no test is skipped for want of them."""
    return npm.install()
