"""Journals of earlier versions, read by this one: any installed version must be able to settle a run."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.orders import reversible_steps
from steps.support.console.report.fold import report
from steps.support.core.errors import Refused
from steps.support.core.events import event_of
from steps.support.core.run_state import state_of
from steps.support.proof.config import ProofConfig
from steps.support.proof.copy.copy import Limits
from steps.support.run.recovery import refuse_open
from steps.support.run.release import previous_release
from steps.support.run.run_record import JOURNAL, RunRecord, choose, observed_of, records, unreadable
from steps.support.run.step import ReversibleStep
from steps.support.sql.change import named_change
from tests.support.journals import stored

BENCH = ProofConfig(Path(), None, Limits(1.0, 1))
BEGUN = ["git_push", "vercel_deployment", "activation", "turso_migration"]
REWORDED = {"next_action"}  # words that this version may choose itself


def _laid(folder: Path, events: Sequence[Mapping[str, Any]], run: str = "") -> Path:
    """Write a journal to the path where the run would have written it."""
    place = folder / (run or str(events[0]["run"])) / JOURNAL
    place.parent.mkdir()
    place.write_text("".join(json.dumps(event) + "\n" for event in events))
    return place


def _changes(record: RunRecord) -> tuple[ReversibleStep[Any], ...]:
    again = previous_release(record.run, named_change(**record.change), record.order, BENCH)
    return reversible_steps(again, record.saw)


def _leaves(value: Any) -> Iterator[str]:
    """Return every single value inside a value, whatever names they stand under."""
    if isinstance(value, Mapping | list | tuple):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _leaves(each)
    else:
        yield repr(value)


@pytest.mark.parametrize("version", stored.VERSIONS)
@pytest.mark.parametrize(
    ("run", "is_open", "arrived", "settled"),
    [("arrived", False, True, ""), ("rolled_back", False, False, "rolled_back"), ("killed", True, False, "")],
)
def test_stored_run_has_the_state_it_was_written_with(
    tmp_path: Path, version: str, run: str, *, is_open: bool, arrived: bool, settled: str
) -> None:
    """Each run is open, arrived or settled as it was for the version that wrote it, and all of it is readable."""
    _laid(tmp_path, stored.journal(version, run))
    (record,) = records(tmp_path)
    assert (record.is_open, record.arrived, record.resolution) == (is_open, arrived, settled)
    assert (list(record.saw), record.migrates, record.order, record.damaged) == (BEGUN, True, "CODE_FIRST", 0)
    assert (record.change["name"], unreadable(tmp_path)) == ("vendor-sites", [])


@pytest.mark.parametrize("version", stored.VERSIONS)
@pytest.mark.parametrize("run", stored.RUNS)
def test_stored_observations_are_read_without_loss(tmp_path: Path, version: str, run: str) -> None:
    """What a step observed is read into this version's type, and no value is lost."""
    _laid(tmp_path, stored.journal(version, run))
    (record,) = records(tmp_path)
    steps = _changes(record)
    assert [step.name for step in steps] == BEGUN
    for step in steps:
        observed = observed_of(step, record.saw[step.name])
        assert Counter(_leaves(record.saw[step.name])) <= Counter(_leaves(asdict(observed))), step.name


@pytest.mark.parametrize("version", stored.VERSIONS)
@pytest.mark.parametrize("run", ["arrived", "rolled_back"])
def test_report_of_a_stored_run_is_the_same(version: str, run: str) -> None:
    """The report that this version makes of the journal has every key of the original one, and the same values."""
    then = stored.report(version, run)
    events = [event for event in stored.journal(version, run) if event["event"] != "ended"]
    now = json.loads(json.dumps(report(state_of(map(event_of, events))), default=str))
    assert {key: now.get(key, "is missing") for key in then if key not in REWORDED} == {
        key: value for key, value in then.items() if key not in REWORDED
    }
    assert now.keys() >= then.keys()


TEXTS = st.text(max_size=5) | st.sampled_from([*BEGUN, "begun", "ended", "prod", "zap"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
)


@pytest.mark.parametrize("version", stored.VERSIONS)
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_edited_journal_is_read_or_named(version: str, data: st.DataObject) -> None:
    """With any value replaced or added, the run is read or named, and a malformed step is refused."""
    kept = {"opened", "planned", "begun"}
    events = [event for event in stored.journal(version, "killed") if event["event"] in kept]
    run, (opened, planned, *begun) = str(events[0]["run"]), events
    places = [opened, opened["change"], planned, planned["steps"][0], *begun, *(event["saw"] for event in begun)]
    place = data.draw(st.sampled_from([*places, *(saw for event in begun for saw in event["saw"].values())]))
    place[data.draw(st.sampled_from([*place, "more"]))] = data.draw(VALUES)
    with TemporaryDirectory() as folder:
        journal = _laid(Path(folder), events, run)
        known, named = records(Path(folder)), unreadable(Path(folder))
        assert named in ([], [journal])
        assert not (known and named)
        assert [choose(Path(folder), name) for name in ("", run)] == [next(iter(known), None)] * 2
        with suppress(Refused):
            refuse_open(Path(folder), "", ("python",))
        for record in known:
            assert (record.run, set(record.change)) == (run, {"name", "sha256"})
            with suppress(Refused):
                for step in _changes(record):
                    observed_of(step, record.saw[step.name])
