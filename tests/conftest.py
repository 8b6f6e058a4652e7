"""Fixtures for every test: the real libSQL server, on a fresh folder; and shared or exclusive use of the machine."""

import os
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from fcntl import LOCK_EX, LOCK_SH, flock
from pathlib import Path
from typing import IO

import pytest

from steps.support.proof.rehearsal import sqld
from tests.support.paths import ROOT

FOLDERS = {"standin", "official", "campaign", "bench", "runbook", "mutations"}
FILES = {  # processes, a browser, or many cases
    "test_git.py", "test_hostile.py", "test_untrusted.py", "test_page_in_chromium.py",
    "test_random_tables.py", "test_round_trip.py", "test_moments.py",
}  # fmt: skip
SERVER = "sqld_binary"  # the fixture of the real server
MEMORY, ENOUGH = Path("/dev/shm"), 4 << 30  # noqa: S108 - a folder in memory, and the free bytes that all tests fit in


def pytest_configure() -> None:
    """Have the folders of tests in memory if it is there: they need not survive, and a disk makes each COMMIT wait."""
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ENOUGH:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))
    if sys.dont_write_bytecode:
        _keep_bytecode(ROOT / ".cache" / "bytecode")


def _keep_bytecode(folder: Path) -> None:
    """Keep bytecode away from the sources: without any, each worker and process would compile all of them again."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = str(folder)
    sys.dont_write_bytecode = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test as slow that needs the real server, processes, a browser or an official client.

    Tests that need the machine alone come last, when fewer others have to stop for them.
    """
    items.sort(key=lambda item: item.get_closest_marker("alone") is not None)
    for item in items:
        if SERVER in getattr(item, "fixturenames", ()) or {*FOLDERS, *FILES} & set(
            item.path.relative_to(Path(__file__).parent).parts
        ):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio, the loop that the tool itself uses."""
    return "asyncio"


@pytest.fixture(scope="session")
def sqld_binary() -> Path:
    """Return the real server, fetched into the project's cache if missing; no test is skipped for lack of it."""
    return sqld.fetch()


@pytest.fixture(autouse=True)
def _machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Share the machine with other workers' tests, or have it exclusively if the mark `alone` asks for that.

    A test that waits to be alone holds the gate, so that no more of the others start.
    """
    folder = tmp_path_factory.getbasetemp().parent
    with ExitStack() as locks:
        gate = _locked(locks, folder / "gate.lock", LOCK_EX)
        alone = request.node.get_closest_marker("alone") is not None
        _locked(locks, folder / "machine.lock", LOCK_EX if alone else LOCK_SH)
        gate.close()
        yield


def _locked(locks: ExitStack, path: Path, kind: int) -> IO[str]:
    file = locks.enter_context(path.open("w"))
    flock(file, kind)
    return file


@pytest.fixture
async def server(sqld_binary: Path, tmp_path: Path) -> AsyncIterator[str]:
    """Return the URL of a real server on an empty database for this test alone."""
    async with sqld.serve(sqld_binary, tmp_path / "sqld") as url:
        yield url
