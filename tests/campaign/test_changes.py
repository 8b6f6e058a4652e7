"""Random changes: the first seeds of `python -m tests.campaign.changes`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.campaign.changes.case import drawn
from tests.campaign.changes.play import play

CASES, CHUNK = 50, 10


@pytest.mark.parametrize("first", range(0, CASES, CHUNK))
def test_right_changes_pass_and_harms_are_refused(sqld_binary: Path, first: int) -> None:
    """A right change of a random database passes, and a change that loses or changes anything is refused."""
    assert sqld_binary
    wrong = [str(outcome) for outcome in map(play, _seeds(first)) if outcome.is_wrong]
    assert not wrong, "\n".join(wrong)


def test_a_seed_gives_the_same_case() -> None:
    """A seed gives the same database and the same change every time."""
    assert [drawn(seed).files for seed in range(CHUNK)] == [drawn(seed).files for seed in range(CHUNK)]


def _seeds(first: int) -> Iterator[int]:
    yield from range(first, first + CHUNK)
