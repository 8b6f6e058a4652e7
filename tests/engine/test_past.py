"""What the journals of before tell of a run."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from steps.support.engine.past import JOURNAL, past

OPENED = {"event": "opened", "mode": "prod", "change": {"name": "c", "sha256": "0"}}
BEGUN = {"event": "begun", "step": "git_push", "begins": ["git_push"], "saw": {"git_push": {}}}
DEPLOYED = {"event": "ended", "verdict": "deployed", "exit_code": 0}
BACK, RESUMED = (
    {"event": "opened", "mode": "rollback", "of": "1"},
    {"event": "resumed", "begins": ["git_push"], "saw": {}},
)
REFUSED = {"event": "ended", "verdict": "refused", "exit_code": 3}
RESTORED = {"event": "ended", "verdict": "rolled_back", "exit_code": 0}


def _journal(folder: Path, run: str, *events: Mapping[str, object]) -> None:
    (folder / run).mkdir()
    (folder / run / JOURNAL).write_text("".join(json.dumps({"run": run, **event}) + "\n" for event in events))


@pytest.mark.parametrize(
    ("back", "known"),
    [
        pytest.param((), (True, False, False), id="never regretted"),
        pytest.param((BACK, REFUSED), (True, False, False), id="regretted, and refused"),
        pytest.param((BACK, RESUMED), (False, True, False), id="killed while it was put back"),
        pytest.param((BACK, RESUMED, RESTORED), (False, False, True), id="put back"),
    ],
)
def test_a_run_that_is_being_put_back_has_not_arrived_any_more(
    tmp_path: Path, back: tuple[Mapping[str, object], ...], known: tuple[bool, bool, bool]
) -> None:
    """Once going back has begun, the world is no longer as the run left it: it is open until it is settled."""
    _journal(tmp_path, "1", OPENED, BEGUN, DEPLOYED)
    if back:
        _journal(tmp_path, "2", *back)
    (told,) = past(tmp_path)
    assert (told.arrived, told.is_open, told.settled) == known
