"""Every row of the drill, as `--dry-run --drill` runs them."""

from pathlib import Path
from typing import Any

import pytest

from steps.support.core.errors import Problem, Refused
from steps.support.standin.drill import drill
from steps.support.standin.drill.drill import Row
from tests.support.production.base import ROOT, AnyProduction

pytestmark = [pytest.mark.anyio, pytest.mark.on("process")]

ROWS = drill.rows(drill.read(drill.FAULTS))
OVER_HTTP = {"vercel_deployment", "activation", "health_checks"}  # their worlds are the real stand-ins on both kinds


def _needs_process(row: Row) -> bool:
    """Return True if memory cannot show what comes of a fault: of a signal, a full disk, or of git or the server."""
    fault, step = row
    return step not in OVER_HTTP or any(deed.signal or deed.disk or deed.operator for deed in fault.deeds)


def _rows(*, on_process: bool) -> list[Any]:
    chosen = [row for row in ROWS if _needs_process(row) == on_process]
    return [pytest.param(row, id=f"{row[1]}-{row[0].name}") for row in chosen]


def test_the_readme_has_the_table() -> None:
    """The README has the expected outcome of each fault in each step, as the drill has it."""
    assert drill.markdown(drill.read(drill.FAULTS)) in (ROOT / "README.md").read_text()


def test_every_step_is_broken_in_every_way() -> None:
    """No fault leaves out a step that could have it; only reversible steps can fail to roll back."""
    changes = {"git_push", "vercel_deployment", "activation", "turso_migration"}
    for each in drill.read(drill.FAULTS):
        assert set(each.expected) == (changes if each.name.startswith("undo_") else set(drill.STEPS))


@pytest.mark.parametrize("row", _rows(on_process=True))
async def test_a_row_of_the_drill(row: Row, sampled: Path, sqld_binary: Path, tmp_path: Path) -> None:
    """The outcome of this fault in this step is the one in the table; the number of readings is not what is drilled."""
    outcome, said = await drill.drill_row(row, ROOT / "sql", sampled / "small.db", sqld_binary, tmp_path)
    assert outcome == row[0].expected[row[1]], said


@pytest.mark.on("virtual")
@pytest.mark.parametrize("row", _rows(on_process=False))
async def test_a_row_over_http(row: Row, production: AnyProduction) -> None:
    """The outcome is the one in the table, too, where platform or site is broken, which needs no process to be seen."""
    outcome, said = await drill.play(row, production)
    assert outcome == row[0].expected[row[1]], said


def test_no_drills_are_no_success(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """If the folder of faults is missing, the drill says so instead of passing without a case."""
    monkeypatch.setattr(drill, "FAULTS", tmp_path / "nowhere")
    with pytest.raises(Problem, match="the folder contains no faults"):
        drill.chosen(None)


async def test_temporary_folder_too_long_for_sockets_is_refused(
    monkeypatch: pytest.MonkeyPatch, sqld_binary: Path
) -> None:
    """The drill says which folder is too long, and that TMPDIR sets another, before it starts anything."""
    monkeypatch.setattr("steps.support.standin.drill.drill.gettempdir", lambda: "/" + "x" * 75)
    with pytest.raises(Refused, match="the temporary folder has 76 bytes") as refused:
        await drill.run(ROWS[:1], ROOT / "sql", sqld_binary, pytest.fail)
    assert "TMPDIR" in refused.value.remedy
