"""Going back: in order, each with its turn whatever the others do, and true only of what was looked at afterwards."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from steps.support.core.errors import Failed, NeedsHuman
from steps.support.core.redaction import Redactor
from steps.support.run.budget import Budget
from steps.support.run.journal import Journal
from steps.support.run.rollback import roll_back
from steps.support.run.step import Done, PlannedStep, ReversibleStep
from tests.virtual import run

NOWHERE: Any = None  # the stage, of which these changes want nothing


@dataclass
class _Deed(ReversibleStep[None]):
    """A change that notes when it is undone, and fails or leaves something if it is told to."""

    name: str  # type: ignore[misc]
    undone: list[str]
    fails: bool = False
    left: str = ""
    is_foundation: bool = False
    rollback_share: float = field(default=0.5)  # type: ignore[misc]
    writes = "nothing"

    @property
    def blocks_earlier_rollbacks(self) -> bool:
        """As it is told."""
        return self.is_foundation

    async def preflight(self, gateways: Any) -> None:
        """See nothing."""

    async def apply(self, gateways: Any, observed: None) -> Done:
        """Do nothing."""
        return Done("")

    def plan(self, observed: None) -> str:
        """Plan nothing."""
        return ""

    def rollback_plan(self, observed: None) -> str:
        """Say nothing."""
        return ""

    async def rollback(self, gateways: Any, observed: None) -> Done:
        """Note it."""
        self.undone.append(self.name)
        if self.fails:
            raise Failed("undoing", self.name, "it does not work", "Look.")
        return Done("")

    async def verify_rollback(self, gateways: Any, observed: None) -> str:
        """Tell what is left."""
        return self.left

    async def superseded_by(self, gateways: Any, observed: None) -> str:
        """Nobody was there."""
        return ""


def _gone_back(folder: Path, *changes: _Deed) -> str:
    """Go back; return what a human is needed for, or nothing if all of it is put back."""

    async def scenario() -> None:
        journal = Journal(folder / "r" / "journal.jsonl", Redactor(), "r")
        reserve = Budget(100.0, 40.0, {}).start().begin_rollback()
        try:
            await roll_back(NOWHERE, [PlannedStep(each, None) for each in changes], reserve, journal)
        finally:
            journal.close()

    try:
        run(scenario())
    except NeedsHuman as human:
        return human.cause
    return ""


def test_the_newest_goes_back_first(tmp_path: Path) -> None:
    """Each change rests on those before it, so they are undone in the other order."""
    undone: list[str] = []
    assert _gone_back(tmp_path, *(_Deed(name, undone) for name in "abc")) == ""
    assert undone == ["c", "b", "a"]


def test_one_that_fails_stops_no_other(tmp_path: Path) -> None:
    """Its failure needs a human, though the world shows nothing of it, and the others have had their turn."""
    undone: list[str] = []
    changes = [_Deed("a", undone), _Deed("b", undone, fails=True), _Deed("c", undone)]
    assert _gone_back(tmp_path, *changes) == "b failed to roll back"
    assert undone == ["c", "b", "a"]


def test_what_is_still_there_needs_a_human(tmp_path: Path) -> None:
    """That every undo went well is no proof: the world is asked, and what it shows counts."""
    undone: list[str] = []
    assert _gone_back(tmp_path, _Deed("a", undone, left="a is there"), _Deed("b", undone)) == "a is there"


@pytest.mark.parametrize(("is_foundation", "order"), [(True, ["c", "b"]), (False, ["c", "b", "a"])])
def test_what_rests_on_a_failure_stays(tmp_path: Path, is_foundation: bool, order: Sequence[str]) -> None:  # noqa: FBT001
    """A change that others need to be undone first holds up everything before it, and only such a change does."""
    undone: list[str] = []
    changes = [_Deed("a", undone), _Deed("b", undone, fails=True, is_foundation=is_foundation), _Deed("c", undone)]
    assert _gone_back(tmp_path, *changes)
    assert undone == order
