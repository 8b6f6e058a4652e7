"""Random faults, five hundred times: the first seeds of the campaign (`python -m tests.campaign.virtual`)."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from tests.campaign.virtual import Material, Outcome, play

RUNS, CHUNK = 500, 50


@pytest.mark.parametrize("first", range(0, RUNS, CHUNK))
def test_the_world_matches_the_report_after_any_fault(shared: Material, first: int) -> None:
    """The world is all old or all new, with every row written since; on time, journalled, and reported truthfully."""
    failures = [str(outcome) for seed in range(first, first + CHUNK) if (outcome := play(seed, shared)).wrong]
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("seed", [1, 3, 37, 746])
def test_a_seed_replays(shared: Material, seed: int) -> None:
    """The same seed gives the same journals, apart from times and paths."""
    assert _comparable(play(seed, shared)) == _comparable(play(seed, shared))


def _comparable(outcome: Outcome) -> list[str]:
    return [_without_places(event) for journal in outcome.journals for event in journal]


def _without_places(event: Mapping[str, Any]) -> str:
    timeless = {key: value for key, value in event.items() if key not in ("at", "started_at")}
    return re.sub(r"campaign-\w+", "", json.dumps(timeless, default=str))
