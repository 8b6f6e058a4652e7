"""Every row of the drill, as `--dry-run --drill` runs them."""

from pathlib import Path

import pytest

from steps.support.core.errors import Problem
from steps.support.standin.drill import drill
from steps.support.standin.drill.drill import Row
from tests.world.sample import samples

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
ROWS = drill.rows(drill.read(drill.DRILLS))


def test_the_readme_has_the_table() -> None:
    """What is to come of each fault in each step stands in the README, as the drill holds it."""
    assert drill.markdown(drill.read(drill.DRILLS)) in (ROOT / "README.md").read_text()


def test_every_step_is_broken_in_every_way() -> None:
    """No drill leaves out a step that could have the fault; only changes can be undone."""
    changes = {"git_push", "vercel_deployment", "activation", "turso_migration"}
    for each in drill.read(drill.DRILLS):
        assert set(each.expected) == (changes if each.name.startswith("undo_") else set(drill.STEPS))


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a sample with few readings: how many there are is not what is drilled."""
    return samples(tmp_path_factory.mktemp("sampled")) / "small.db"


@pytest.mark.parametrize("row", ROWS, ids=[f"{step}-{each.name}" for each, step in ROWS])
async def test_a_row_of_the_drill(row: Row, sample: Path, sqld_binary: Path, tmp_path: Path) -> None:
    """What comes of this fault in this step is what the table of expectations says."""
    outcome, said = await drill.drill_row(row, ROOT / "sql", sample, sqld_binary, tmp_path)
    assert outcome == row[0].expected[row[1]], said


def test_no_drills_are_no_success(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the folder of drills is missing, the drill says so instead of passing with nothing tried."""
    monkeypatch.setattr(drill, "DRILLS", tmp_path / "nowhere")
    with pytest.raises(Problem, match="there are no drills"):
        drill.chosen(None)
