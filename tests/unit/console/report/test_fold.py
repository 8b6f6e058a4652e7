"""What a report says is live at the end of a run."""

import pytest

from steps.support.console.report import fold
from tests.support.journals.runs import NEW, OLD, RUNS, state


@pytest.mark.parametrize(
    ("run", "code", "schema", "serves"),
    [
        ("deployed", "new", "new", ("dpl_2", NEW)),
        ("code alone", "new", "unchanged", ("dpl_2", NEW)),
        ("looked", "unchanged", "unchanged", ("dpl_1", OLD)),
        ("rolled_back", "old", "old", ("dpl_1", OLD)),
        ("interrupted", "old", "old", ("dpl_1", OLD)),
        ("refused without a plan", "unchanged", "unchanged", (None, None)),
        ("refused by the first change", "unchanged", "unchanged", ("dpl_1", OLD)),
        ("needs_human", "new", "in doubt", ("dpl_2", NEW)),
        ("killed by a second signal", "new", "in doubt", ("dpl_2", NEW)),
        ("rollback", "old", "old", ("dpl_1", OLD)),
        ("rollback of nothing", "unchanged", "unchanged", (None, None)),
        ("rollback that sticks", "in doubt", "old", (None, None)),
    ],
)
def test_live_code_is_reported_only_if_known(
    run: str, code: str, schema: str, serves: tuple[str | None, str | None]
) -> None:
    """New if it arrived undisturbed, old if the rollback was verified; otherwise nothing is claimed."""
    live = fold.report(state(RUNS[run]))["live"]
    assert (live["code"], live["schema"], (live["deployment"], live["sha"])) == (code, schema, serves)
