"""The journal: on disk, redacted, passed on to listeners, and never the reason that a run fails."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from steps.support.console.report.fold import report
from steps.support.core.errors import Failed, Refused
from steps.support.core.events import (
    Event,
    Opened,
    Reason,
    Started,
    StepBegun,
    StepDone,
    StepFailed,
    Stopped,
    TurnedBack,
    Warned,
    event_of,
    line_of,
)
from steps.support.core.redaction import Redactor
from steps.support.core.run_state import RunState, state_of
from steps.support.run.journal import APPLY_EVENTS, ROLLBACK_EVENTS, Journal, reason
from steps.support.run.run_record import records
from steps.support.run.step import Done

pytestmark = pytest.mark.anyio

BEGUN = StepBegun(step="git_push", begins=["git_push"], saw={}, prepares=False, limit=10.0)
DONE = StepDone(step="git_push", detail="pushed")


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_event_is_on_disk_before_the_call_returns(tmp_path: Path) -> None:
    """Each event is one JSON line with wall time and clock, complete before the call returns."""
    journal = Journal(tmp_path / "runs" / "journal.jsonl", Redactor(), "r")
    journal.intend(BEGUN)
    (line,) = _lines(tmp_path / "runs" / "journal.jsonl")
    journal.close()
    assert (line["event"], line["step"]) == ("begun", "git_push")
    assert line["at"].endswith("+00:00")
    assert line["clock"] == pytest.approx(asyncio.get_running_loop().time(), abs=1)


async def test_line_is_flushed_before_listeners_hear_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every event is on disk, not only in the kernel, before the run continues: a power cut loses none."""
    order: list[str] = []
    journal = Journal(tmp_path / "r" / "journal.jsonl", Redactor(), "r")
    monkeypatch.setattr("os.fsync", lambda _: order.append("flushed"))
    journal.listen(lambda event, _: order.append(event.kind))
    journal.intend(BEGUN)
    journal.note(DONE)
    journal.close()
    assert order == ["flushed", "begun", "flushed", "done"]


async def test_journal_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    """No other user may read what a run wrote."""
    Journal(tmp_path / "runs" / "journal.jsonl", Redactor(), "r").close()
    assert (tmp_path / "runs").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "runs" / "journal.jsonl").stat().st_mode & 0o777 == 0o600


async def test_secrets_never_reach_the_disk_or_a_listener(tmp_path: Path) -> None:
    """Everything written or passed on went through the redactor."""
    told: list[Event] = []
    journal = Journal(tmp_path / "journal.jsonl", Redactor(["hunter22"]), "r")
    journal.listen(lambda event, _: told.append(event))
    why = Reason(cause="the token hunter22 is bad")
    journal.note(StepFailed(step="git_push", why=why, facts={"deep": {"x": ["hunter22"]}}))
    journal.close()
    assert "hunter22" not in (tmp_path / "journal.jsonl").read_text() + str(told) + str(journal.events)


async def test_failing_listener_does_not_fail_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An exception of a listener becomes a warning, and the next listener still gets the event."""
    told: list[Event] = []

    def broken(_event: Event, _state: RunState) -> None:
        raise ValueError("no screen")

    journal = Journal(tmp_path / "journal.jsonl", Redactor(), "r")
    journal.listen(broken)
    journal.listen(lambda event, _: told.append(event))
    journal.note(Started(total=120.0, reserve=30.0))
    journal.close()
    assert len(told) == 1
    assert "no screen" in capsys.readouterr().err


async def test_full_disk_stops_an_intent_but_not_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An intent that cannot be written is refused; a note that cannot be written still reaches the listeners."""
    (tmp_path / "journal.jsonl").symlink_to("/dev/full")
    journal = Journal(tmp_path / "journal.jsonl", Redactor(), "r")
    with pytest.raises(Refused, match="No space left"):
        journal.intend(BEGUN)
    journal.note(TurnedBack(why=Reason(cause="no"), used=1.0))
    journal.close()
    assert [event.kind for event in journal.events] == ["turned_back"]
    assert "No space left" in capsys.readouterr().err


async def test_timed_block_records_how_it_ended(tmp_path: Path) -> None:
    """Success keeps its details, failure its reason and next action, interruption its name; all keep seconds."""
    journal = Journal(tmp_path / "journal.jsonl", Redactor(), "r")
    with journal.timed(APPLY_EVENTS, "git_push") as said:
        said(Done("pushed", {"pushed": {"sha": "abc"}}))
    with pytest.raises(Failed), journal.timed(ROLLBACK_EVENTS, "git_push"):
        raise Failed(code="push-refused", operation="pushing", subject="main", cause="no", remedy="Mend it.")
    with pytest.raises(asyncio.CancelledError), journal.timed(APPLY_EVENTS, "health_checks"):
        raise asyncio.CancelledError
    journal.close()
    done, failed, interrupted = map(line_of, journal.events)
    assert (done["event"], done["detail"], done["pushed"]) == ("done", "pushed", {"sha": "abc"})
    assert (failed["event"], failed["cause"], failed["next_action"]) == ("undo_failed", "pushing main: no", "Mend it.")
    assert (interrupted["event"], interrupted["interrupted"]) == ("failed", True)
    assert all(line_of(event)["seconds"] >= 0 for event in journal.events)


async def test_code_of_a_problem_reaches_the_report_and_no_line(tmp_path: Path) -> None:
    """The report of a refused run leads to the code's section; the fields of its lines are as they always were."""
    journal = Journal(tmp_path / "journal.jsonl", Redactor(["held"]), "r")
    journal.intend(Opened(mode="prod", change={}, target="", target_id="t", budget={}))
    refused = Refused(code="lock-held", operation="taking", subject="the lock", cause="no", remedy="Wait.")
    journal.note(Stopped(why=reason(Refused.because(refused))))
    journal.note(Warned(text="and after it, an event without a reason"))
    journal.close()
    lines = _lines(tmp_path / "journal.jsonl")
    fields = ["event", "at", "clock", "run", "operation", "cause", "next_action", "refused", "human"]
    assert [*lines[1]] == fields
    assert report(journal.state)["runbook"] == "runbook.md#lock-held"
    assert report(state_of(map(event_of, lines)))["runbook"] == "runbook.md#refused"


async def test_no_secret_can_hide_a_run_from_recovery(tmp_path: Path) -> None:
    """A secret equal to a word of the journal is masked in free text, but not where recovery relies on it."""
    words = ["prod", "opened", "git_push", "begun", "2026"]
    journal = Journal(tmp_path / "2026-r" / "journal.jsonl", Redactor(words), "2026-r")
    journal.intend(Opened(mode="prod", change={"name": "prod", "sha256": ""}, target="", target_id="t", budget={}))
    journal.intend(replace(BEGUN, saw={"git_push": {"sha": "a", "note": "prod"}}))
    journal.close()
    (run,) = records(tmp_path, ("t",))
    assert (run.run, run.is_open, run.saw) == ("2026-r", True, {"git_push": {"sha": "a", "note": "***"}})
    assert run.change["name"] == "***"
