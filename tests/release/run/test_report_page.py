"""The page beside the report of a run: written at every end, private to its owner, and never why a run fails."""

from pathlib import Path

import pytest

from steps.support.console.report import page
from steps.support.standin.world import TOKEN
from tests.support.production.base import FAILING, RunResult
from tests.support.virtual.production import VirtualProduction

pytestmark = pytest.mark.anyio


def _page(production: VirtualProduction, ending: RunResult) -> Path:
    return production.folder / "runs" / str(ending.report["run_id"]) / "report.html"


async def test_page_is_written_at_every_end(production: VirtualProduction) -> None:
    """A release, its rollback and a refusal each leave a page that only its owner can read, without any key."""
    ends = [await production.release(), await production.release("--rollback"), await production.release("--rollback")]
    for ending, verdict in zip(ends, ("deployed", "rolled_back", "rolled_back"), strict=True):
        file = _page(production, ending)
        text = file.read_text()
        assert file.stat().st_mode & 0o777 == 0o600
        assert f"<title>{verdict} - run {ending.report['run_id']}</title>" in text
        assert TOKEN not in text


async def test_failing_page_does_not_fail_the_run(
    production: VirtualProduction, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken template costs a warning: verdict, exit code and report.json are unchanged."""
    monkeypatch.setattr(page, "html", lambda *_: 1 / 0)
    ending = await production.release(health=FAILING)
    assert (ending.code, ending.report["verdict"]) == (1, "rolled_back")
    assert "report.html is not written: division by zero" in ending.said
    assert not _page(production, ending).exists()
