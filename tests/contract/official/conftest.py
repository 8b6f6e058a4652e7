"""The platform's own clients, installed once for all tests."""

from pathlib import Path

import pytest

from tests.support import npm

PACKAGES = {"@vercel/sdk": "1.28.35", "vercel": "64.0.2"}  # the newest ones of November 2026
OVERRIDES = {"sandbox": "4.5.0"}  # the registry does not have the version that this CLI asks for


@pytest.fixture(scope="session")
def packages() -> Path:
    """Return the folder of the installed clients; no test is skipped if they are missing: they are fetched."""
    return npm.install("npm-clients-64", PACKAGES, OVERRIDES)
