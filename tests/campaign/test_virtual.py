"""Random faults, five hundred times: the first seeds of the campaign (`python -m tests.campaign.virtual`)."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from tests.campaign.virtual import Material, Outcome, play

RUNS, CHUNK = 500, 50


@pytest.mark.parametrize("first", range(0, RUNS, CHUNK))
def test_whatever_goes_wrong_the_world_is_as_the_tool_says(shared: Material, first: int) -> None:
    """All of before with every row written since, or all of the release; on time, journalled, and truly told."""
    failures = [str(outcome) for seed in range(first, first + CHUNK) if (outcome := play(seed, shared)).wrong]
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("seed", [1, 3, 37, 746])
def test_a_seed_replays(shared: Material, seed: int) -> None:
    """The same seed has the same journals, but for the time of day and where they lie."""
    assert _told(play(seed, shared)) == _told(play(seed, shared))


def _told(outcome: Outcome) -> list[str]:
    return [_without_places(event) for journal in outcome.journals for event in journal]


def _without_places(event: Mapping[str, Any]) -> str:
    timeless = {key: value for key, value in event.items() if key not in ("at", "started_at")}
    return re.sub(r"campaign-\w+", "", json.dumps(timeless, default=str))
