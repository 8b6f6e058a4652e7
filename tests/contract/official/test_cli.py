"""The official CLI works with the stand-in as it does with the platform: what it looks at, what it moves, what it misses."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from steps.support.standin.faults import Faults
from steps.support.standin.servers import serve
from steps.support.standin.vercel.api import application
from steps.support.standin.vercel.platform import Platform
from steps.support.standin.vercel.quirks import Moving, Quirks
from tests.contract.official.clients import TEAM, Ended, cli
from tests.support.servers.vercel_project import NEW, OLD, TOKEN

pytestmark = pytest.mark.anyio

HOST = "liveone.vercel.app"


@asynccontextmanager
async def _project(quirks: Quirks | None = None) -> AsyncIterator[tuple[Platform, str]]:
    """Serve a project on which OLD is live and NEW is staged."""
    terms = {"build_seconds": 0.0, "alias_seconds": 0.2, "auto_assign": False}
    platform = Platform(HOST, Faults(), TOKEN, team=TEAM, quirks=quirks or Quirks(), **terms)  # type: ignore[arg-type]
    platform.deployed(OLD, "main", "as it was")
    platform.pushed(NEW, "main", "a change")
    async with serve(application(platform)) as url:
        yield platform, url


def _where(platform: Platform) -> tuple[str | None, str | None, bool]:
    platform.catch_up()
    return platform.production, platform.served, platform.auto_assign


async def test_it_promotes_and_rolls_back(packages: Path, tmp_path: Path) -> None:
    """Promote moves production and alias and unpins; rollback moves them back and pins; `status` confirms each."""
    seen: list[tuple[int, tuple[str | None, str | None, bool]]] = []
    said: list[str] = []
    async with _project() as (platform, url):
        for words in (("promote", "dpl_2"), ("promote", "status"), ("rollback", "dpl_1"), ("rollback", "status")):
            ended = await cli(packages, tmp_path, url, TOKEN, *words, "--yes")
            seen.append((ended.code, _where(platform)))
            said.append(ended.stdout + ended.stderr)
    promoted, back = (0, ("dpl_2", "dpl_2", True)), (0, ("dpl_1", "dpl_1", False))
    assert seen == [promoted, promoted, back, back], said
    assert all("Success!" in each for each in said), said


async def test_it_inspects_and_lists(packages: Path, tmp_path: Path) -> None:
    """Inspect shows state, aliases and build of what is live; `ls` lists both deployments."""
    async with _project() as (platform, url):
        live, listed = await asyncio.gather(
            cli(packages, tmp_path, url, TOKEN, "inspect", "dpl_1"), cli(packages, tmp_path, url, TOKEN, "ls")
        )
        urls = {f"https://{each.url}" for each in platform.deployments}
    assert (live.code, listed.code) == (0, 0), (live, listed)
    assert all(each in live.stderr for each in ("dpl_1", "Ready", "production", HOST)), live
    assert set(listed.stdout.split()) == urls, listed


@pytest.mark.parametrize(
    ("moving", "code", "words"),
    [
        (Moving.FAILED, 1, HOST),
        (Moving.SKIPPED, 0, "skipped"),
        (Moving.UNRECORDED, 0, "No deployment"),
        (Moving.SKEWED, 0, "No deployment"),
    ],
)
async def test_it_takes_odd_answers_as_it_is_known_to(
    packages: Path, tmp_path: Path, moving: Moving, code: int, words: str
) -> None:
    """Each of these answers leads the CLI to the ending that was observed of it: mostly success, whatever happened."""
    async with _project(Quirks(moving=moving)) as (_, url):
        ended: Ended = await cli(packages, tmp_path, url, TOKEN, "promote", "dpl_2", "--yes")
    assert (ended.code, words in ended.stdout + ended.stderr) == (code, True), ended
