"""Random changes: the first seeds of `python -m tests.campaign.changes`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from steps.support.proof.verdict import verdict
from tests.campaign.changes import play as player
from tests.campaign.changes.__main__ import main
from tests.campaign.changes.case import Case, NotRight, drawn
from tests.campaign.changes.play import play

CASES, CHUNK = 30, 10


@pytest.mark.parametrize("first", range(0, CASES, CHUNK))
def test_right_changes_pass_and_harms_are_refused(sqld_binary: Path, first: int) -> None:
    """A right change of a random database passes, and a change that loses or changes anything is refused."""
    assert sqld_binary
    wrong = [str(outcome) for outcome in map(play, _seeds(first)) if outcome.is_wrong]
    assert not wrong, "\n".join(wrong)


BROKEN = [("check_declared", "defaulted", 147), ("_other_schema", "strict forgotten", 56)]


@pytest.mark.parametrize(("rule", "harm", "seed"), BROKEN)
def test_a_proof_without_a_rule_lets_harms_pass(
    sqld_binary: Path, monkeypatch: pytest.MonkeyPatch, rule: str, harm: str, seed: int
) -> None:
    """If a rule of the proof is taken away, a harm that it alone finds passes: the campaign can fail."""
    assert sqld_binary
    assert drawn(seed).harm == harm
    monkeypatch.setattr(verdict, rule, lambda *_, **__: [])
    assert play(seed).is_wrong


def test_a_traceback_is_counted_as_wrong_with_its_seed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A seed that ends with a traceback is named and counted as wrong, and the campaign goes on."""

    def fail(seed: int) -> Case:
        raise NotRight(f"nothing is right about {seed}")

    monkeypatch.setattr(player, "drawn", fail)
    assert main(["2", "7"]) == 1
    said = capsys.readouterr().out
    assert "NotRight: nothing is right about 7" in said
    assert "replay: 1 8" in said
    assert "2 wrong: 7, 8" in said


def test_a_seed_gives_the_same_case() -> None:
    """A seed gives the same database and the same change every time."""
    assert [drawn(seed).files for seed in range(CHUNK)] == [drawn(seed).files for seed in range(CHUNK)]


def _seeds(first: int) -> Iterator[int]:
    yield from range(first, first + CHUNK)
