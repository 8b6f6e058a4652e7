"""A whole small production: in memory and in virtual time, or of real processes, as the mark `on` of the test says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from steps.support.proof.rehearsal import sqld
from steps.support.proof.result import Proof
from tests.support.production import sample as samples
from tests.support.production.base import AnyProduction
from tests.support.production.process import process_production
from tests.support.virtual.loop import VirtualLoop
from tests.support.virtual.production import virtual_production

VIRTUAL, PROCESS = "virtual", "process"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test on the kinds of production that its mark `on` names; without one, in virtual time.

    A test that is run both ways has the kind in its id.
    """
    if "on" in metafunc.fixturenames:
        mark = metafunc.definition.get_closest_marker("on")
        kinds = mark.args if mark else (VIRTUAL,)
        metafunc.parametrize("on", [_param(kind, shown=len(kinds) > 1) for kind in kinds])


def _param(kind: str, *, shown: bool) -> Any:
    marks = {VIRTUAL: (), PROCESS: (pytest.mark.slow,)}[kind]
    return pytest.param(kind, id=kind if shown else pytest.HIDDEN_PARAM, marks=marks)


@pytest.fixture
def anyio_backend(on: str) -> tuple[str, dict[str, Any]]:
    """Run asynchronous tests on a loop whose clock jumps, or on the one that the tool itself uses."""
    return "asyncio", {"loop_factory": VirtualLoop} if on == VIRTUAL else {}


@pytest.fixture(scope="session")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Load sample.sql once for all processes; return a folder with large.db and small.db."""
    return samples.samples(tmp_path_factory.mktemp("sampled"))


@pytest.fixture(scope="session")
def sample() -> bytes:
    """Load the database that every run in virtual time begins with."""
    return samples.sampled()


@pytest.fixture(scope="session")
def proof(sample: bytes, tmp_path_factory: pytest.TempPathFactory) -> Proof:
    """Prove the shipped change on the real server, on the database that every run in virtual time begins with."""
    return samples.proved(sample, sqld.fetch(), tmp_path_factory.mktemp("proof"))


@pytest.fixture
def opened(request: pytest.FixtureRequest, on: str, tmp_path: Path) -> AbstractAsyncContextManager[AnyProduction]:
    """Return the test's production, not yet opened; nothing is loaded that its kind does not need."""
    if on == VIRTUAL:
        return virtual_production(tmp_path, request.getfixturevalue("sample"), request.getfixturevalue("proof"))
    mark = request.node.get_closest_marker("on")
    database = request.getfixturevalue("sampled") / ("large.db" if mark.kwargs.get("large") else "small.db")
    return process_production(tmp_path, database, request.getfixturevalue("sqld_binary"))


@pytest.fixture
async def production(opened: AbstractAsyncContextManager[AnyProduction], on: str) -> AsyncIterator[AnyProduction]:
    """Return a production whose builds take a moment; one release waits in its checkout."""
    jumps = isinstance(asyncio.get_running_loop(), VirtualLoop)
    assert jumps == (on == VIRTUAL), "a fixture of another module still holds its own loop"
    async with opened as made:
        made.world.platform.build_seconds, made.world.platform.alias_seconds = 1.5, 0.1
        yield made
