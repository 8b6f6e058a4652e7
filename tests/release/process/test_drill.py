"""Every row of the drill, as `--dry-run --drill` runs them."""

from pathlib import Path

import pytest

from steps.support.core.errors import Problem, Refused
from steps.support.standin.drill import drill
from steps.support.standin.drill.drill import Row
from tests.support.production.base import ROOT

pytestmark = [pytest.mark.anyio, pytest.mark.on("process")]

ROWS = drill.rows(drill.read(drill.FAULTS))


def test_the_readme_has_the_table() -> None:
    """The README has the expected outcome of each fault in each step, as the drill has it."""
    assert drill.markdown(drill.read(drill.FAULTS)) in (ROOT / "README.md").read_text()


def test_every_step_is_broken_in_every_way() -> None:
    """No fault leaves out a step that could have it; only reversible steps can fail to roll back."""
    changes = {"git_push", "vercel_deployment", "activation", "turso_migration"}
    for each in drill.read(drill.FAULTS):
        assert set(each.expected) == (changes if each.name.startswith("undo_") else set(drill.STEPS))


@pytest.mark.parametrize("row", ROWS, ids=[f"{step}-{each.name}" for each, step in ROWS])
async def test_a_row_of_the_drill(row: Row, sampled: Path, sqld_binary: Path, tmp_path: Path) -> None:
    """The outcome of this fault in this step is the one in the table; the number of readings is not what is drilled."""
    outcome, said = await drill.drill_row(row, ROOT / "sql", sampled / "small.db", sqld_binary, tmp_path)
    assert outcome == row[0].expected[row[1]], said


def test_no_drills_are_no_success(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """If the folder of faults is missing, the drill says so instead of passing without a case."""
    monkeypatch.setattr(drill, "FAULTS", tmp_path / "nowhere")
    with pytest.raises(Problem, match="there are no faults"):
        drill.chosen(None)


async def test_temporary_folder_too_long_for_sockets_is_refused(
    monkeypatch: pytest.MonkeyPatch, sqld_binary: Path
) -> None:
    """The drill says which folder is too long, and that TMPDIR sets another, before it starts anything."""
    monkeypatch.setattr("steps.support.standin.drill.drill.gettempdir", lambda: "/" + "x" * 75)
    with pytest.raises(Refused, match="the temporary folder has 76 bytes") as refused:
        await drill.run(ROWS[:1], ROOT / "sql", sqld_binary, pytest.fail)
    assert "TMPDIR" in refused.value.remedy
