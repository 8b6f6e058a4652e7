"""Rolling back: in order, each change has its turn whatever the others do, and only verified results count."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from steps.support.core.errors import Failed, NeedsHuman, Rejected
from steps.support.core.redaction import Redactor
from steps.support.run.budget import Budget
from steps.support.run.journal import Journal
from steps.support.run.rollback import roll_back
from steps.support.run.step import Done, PlannedStep, ReversibleStep
from tests.support.virtual.loop import run

NOWHERE: Any = None  # no gateways: these changes use none


@dataclass
class _Change(ReversibleStep[None]):
    """A change that notes its rollback, and fails or leaves something behind if configured to.

    `refusals`: how many of its rollbacks are refused at first. `unread`: how many readings of it are refused.
    """

    name: str  # type: ignore[misc]
    undone: list[str]
    fails: bool = False
    left: str = ""
    is_foundation: bool = False
    refusals: int = 0
    unread: int = 0
    rollback_share: float = field(default=0.5)  # type: ignore[misc]
    writes = "nothing"

    @property
    def blocks_earlier_rollbacks(self) -> bool:
        """Return the configured value."""
        return self.is_foundation

    async def preflight(self, gateways: Any) -> None:
        """Observe nothing."""

    async def apply(self, gateways: Any, observed: None) -> Done:
        """Do nothing."""
        return Done("")

    def plan(self, observed: None) -> str:
        """Plan nothing."""
        return ""

    def rollback_plan(self, observed: None) -> str:
        """Plan nothing."""
        return ""

    async def rollback(self, gateways: Any, observed: None) -> Done:
        """Note the rollback."""
        self.undone.append(self.name)
        if self.fails:
            raise Failed(
                code="rollback-failed", operation="undoing", subject=self.name, cause="it does not work", remedy="Look."
            )
        if self.refusals:
            self.refusals -= 1
            raise _refusal(self.name)
        return Done("")

    async def verify_rollback(self, gateways: Any, observed: None) -> str:
        """Return what is left."""
        if self.unread:
            self.unread -= 1
            raise _refusal(self.name)
        return self.left

    async def superseded_by(self, gateways: Any, observed: None) -> str:
        """Return that no one has changed anything since."""
        return ""


def _refusal(name: str) -> Rejected:
    return Rejected(code="vercel-access", operation="asking for", subject=name, cause="403", remedy="Look.")


def _rolled_back(folder: Path, *changes: _Change) -> str:
    """Roll back; return what a human is needed for, or nothing if everything is rolled back."""

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


def test_newest_change_is_rolled_back_first(tmp_path: Path) -> None:
    """Each change rests on the earlier ones, so they are rolled back in reverse order."""
    undone: list[str] = []
    assert _rolled_back(tmp_path, *(_Change(name, undone) for name in "abc")) == ""
    assert undone == ["c", "b", "a"]


def test_failed_rollback_does_not_stop_the_others(tmp_path: Path) -> None:
    """A failed rollback needs a human even if nothing is left of it, and the other changes are still rolled back."""
    undone: list[str] = []
    changes = [_Change("a", undone), _Change("b", undone, fails=True), _Change("c", undone)]
    assert _rolled_back(tmp_path, *changes) == "b failed to roll back"
    assert undone == ["c", "b", "a"]


def test_leftovers_need_a_human(tmp_path: Path) -> None:
    """Rollbacks that all succeeded prove nothing: production is read again, and what it shows counts."""
    undone: list[str] = []
    assert _rolled_back(tmp_path, _Change("a", undone, left="a is there"), _Change("b", undone)) == "a is there"


@pytest.mark.parametrize(("is_foundation", "order"), [(True, ["c", "b"]), (False, ["c", "b", "a"])])
def test_failed_foundation_stops_earlier_rollbacks(tmp_path: Path, is_foundation: bool, order: Sequence[str]) -> None:  # noqa: FBT001
    """Only a change that blocks earlier rollbacks stops them when its own rollback fails."""
    undone: list[str] = []
    changes = [
        _Change("a", undone),
        _Change("b", undone, fails=True, is_foundation=is_foundation),
        _Change("c", undone),
    ]
    assert _rolled_back(tmp_path, *changes)
    assert undone == order


def test_refused_rollback_is_tried_again_within_the_reserve(tmp_path: Path) -> None:
    """A rollback that was refused is tried again in the time that the others leave unused."""
    undone: list[str] = []
    assert _rolled_back(tmp_path, _Change("a", undone), _Change("b", undone, refusals=3), _Change("c", undone)) == ""
    assert undone == ["c", "b", "a", "b", "b", "b"]


def test_rollback_that_is_refused_for_good_ends_with_the_reserve(tmp_path: Path) -> None:
    """What stays stuck is tried again until the reserve ends, and then needs a human."""
    undone: list[str] = []
    assert _rolled_back(tmp_path, _Change("a", undone, refusals=1000)) == "a failed to roll back"
    assert 10 < len(undone) < 40


def test_rollback_that_waited_for_another_follows_it(tmp_path: Path) -> None:
    """A step that depends on a stuck one is rolled back as soon as that one is."""
    undone: list[str] = []
    foundation = _Change("b", undone, refusals=2, is_foundation=True)
    assert _rolled_back(tmp_path, _Change("a", undone), foundation, _Change("c", undone)) == ""
    assert undone == ["c", "b", "b", "b", "a"]


def test_judgement_of_a_step_is_not_asked_for_again(tmp_path: Path) -> None:
    """A step that says that it cannot be rolled back is not tried again."""
    undone: list[str] = []
    assert _rolled_back(tmp_path, _Change("a", undone, fails=True)) == "a failed to roll back"
    assert undone == ["a"]


def test_refused_reading_does_not_end_a_verification(tmp_path: Path) -> None:
    """A verification whose reading is refused once reads again."""
    undone: list[str] = []
    assert (
        _rolled_back(tmp_path, _Change("a", undone, unread=2), _Change("b", undone, left="b is there")) == "b is there"
    )
    assert _rolled_back(tmp_path / "2", _Change("a", undone, unread=2)) == ""
