"""The platform's own clients, installed once for all tests."""

from pathlib import Path

import pytest

from tests.support import npm

PACKAGES = {"@vercel/sdk": "1.28.35", "vercel": "60.1.3"}


@pytest.fixture(scope="session")
def packages() -> Path:
    """Return the folder of the installed clients; no test is skipped if they are missing: they are fetched."""
    return npm.install("npm-clients", PACKAGES)
