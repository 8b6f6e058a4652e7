"""The page beside the report of a run: there at every end, its owner's alone, and no reason for a run to fail."""

from pathlib import Path

import pytest

from steps.support.console.report import page
from steps.support.standin.world import TOKEN
from tests.world.production import FAILING, RunResult
from tests.world.virtual import VirtualProduction

pytestmark = pytest.mark.anyio


def _page(production: VirtualProduction, ending: RunResult) -> Path:
    return production.folder / "runs" / str(ending.report["run_id"]) / "report.html"


async def test_it_is_written_at_the_end_of_a_run(production: VirtualProduction) -> None:
    """A release, its regret and a refusal each leave a page that nobody else can read, and that holds no key."""
    ends = [await production.release(), await production.release("--rollback"), await production.release("--rollback")]
    for ending, verdict in zip(ends, ("deployed", "rolled_back", "rolled_back"), strict=True):
        file = _page(production, ending)
        text = file.read_text()
        assert file.stat().st_mode & 0o777 == 0o600
        assert f"<title>{verdict} - run {ending.report['run_id']}</title>" in text
        assert TOKEN not in text


async def test_a_page_that_cannot_be_made_fails_nothing(
    production: VirtualProduction, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken template costs a warning: verdict, exit code and report.json are what they would have been."""
    monkeypatch.setattr(page, "html", lambda *_: 1 / 0)
    ending = await production.release(health=FAILING)
    assert (ending.code, ending.report["verdict"]) == (1, "rolled_back")
    assert "report.html is not written: division by zero" in ending.said
    assert not _page(production, ending).exists()
