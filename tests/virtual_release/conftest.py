"""Productions in memory, in virtual time: tests of the platform and the site need no process and no waiting."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from steps.support.proof.result import Proof
from tests.support.production.sample import proved, sampled
from tests.support.virtual.loop import VirtualLoop
from tests.support.virtual.production import VirtualProduction, virtual_production


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Run asynchronous tests on a loop whose clock jumps."""
    return "asyncio", {"loop_factory": VirtualLoop}


@pytest.fixture(scope="session")
def sample() -> bytes:
    """Load the database that every run begins with."""
    return sampled()


@pytest.fixture(scope="session")
def proof(sample: bytes, sqld_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Proof:
    """Prove the shipped change on the real server, on the database that every run begins with."""
    return proved(sample, sqld_binary, tmp_path_factory.mktemp("proof"))


@pytest.fixture
async def production(tmp_path: Path, sample: bytes, proof: Proof) -> AsyncIterator[VirtualProduction]:
    """Return a production whose builds take a moment."""
    assert isinstance(asyncio.get_running_loop(), VirtualLoop), "a fixture of another module still holds its own loop"
    async with virtual_production(tmp_path, sample, proof) as made:
        made.world.platform.build_seconds, made.world.platform.alias_seconds = 1.5, 0.1
        yield made
