"""The journal: on disk, redacted, told to listeners, and never the end of a run."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from steps.support.core.errors import Failed, Refused
from steps.support.core.redaction import Redactor
from steps.support.run.journal import Journal
from steps.support.run.run_record import records
from steps.support.run.step import Done

pytestmark = pytest.mark.anyio


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_an_event_is_on_disk_when_it_is_written(tmp_path: Path) -> None:
    """Each event is one JSON line with wall time and clock, complete before the call returns."""
    journal = Journal(tmp_path / "runs" / "journal.jsonl", Redactor(), "r")
    journal.intend("begun", step="git_push")
    (line,) = _lines(tmp_path / "runs" / "journal.jsonl")
    journal.close()
    assert (line["event"], line["step"]) == ("begun", "git_push")
    assert line["at"].endswith("+00:00")
    assert line["clock"] == pytest.approx(asyncio.get_running_loop().time(), abs=1)


async def test_a_line_is_flushed_before_anybody_hears_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every event reaches the disk, and not only the kernel, before the run goes on: a power cut takes none away."""
    order: list[str] = []
    journal = Journal(tmp_path / "r" / "journal.jsonl", Redactor(), "r")
    monkeypatch.setattr("os.fsync", lambda _: order.append("flushed"))
    journal.listen(lambda event: order.append(str(event["event"])))
    journal.intend("begun")
    journal.note("done")
    journal.close()
    assert order == ["flushed", "begun", "flushed", "done"]


async def test_the_journal_is_the_users_alone(tmp_path: Path) -> None:
    """Nobody else may read what a run wrote."""
    Journal(tmp_path / "runs" / "journal.jsonl", Redactor(), "r").close()
    assert (tmp_path / "runs").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "runs" / "journal.jsonl").stat().st_mode & 0o777 == 0o600


async def test_secrets_never_reach_the_disk_or_a_listener(tmp_path: Path) -> None:
    """What is written and what is told went through the redactor."""
    told: list[Mapping[str, Any]] = []
    journal = Journal(tmp_path / "journal.jsonl", Redactor(["hunter22"]), "r")
    journal.listen(told.append)
    journal.note("failed", cause="the token hunter22 is bad", deep={"x": ["hunter22"]})
    journal.close()
    assert "hunter22" not in (tmp_path / "journal.jsonl").read_text() + str(told) + str(journal.events)


async def test_a_listener_cannot_fail_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a listener raises becomes a warning, and the next listener is told all the same."""
    told: list[Mapping[str, Any]] = []

    def broken(_event: Mapping[str, Any]) -> None:
        raise ValueError("no screen")

    journal = Journal(tmp_path / "journal.jsonl", Redactor(), "r")
    journal.listen(broken)
    journal.listen(told.append)
    journal.note("started")
    journal.close()
    assert len(told) == 1
    assert "no screen" in capsys.readouterr().err


async def test_a_full_disk_stops_an_intent_and_not_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An intent that cannot be written is refused; a note that cannot be written is still told."""
    (tmp_path / "journal.jsonl").symlink_to("/dev/full")
    journal = Journal(tmp_path / "journal.jsonl", Redactor(), "r")
    with pytest.raises(Refused, match="No space left"):
        journal.intend("begun", step="git_push")
    journal.note("turned_back")
    journal.close()
    assert [event["event"] for event in journal.events] == ["turned_back"]
    assert "No space left" in capsys.readouterr().err


async def test_a_timed_block_says_how_it_ended(tmp_path: Path) -> None:
    """Success keeps what was said, failure the reason and the next action, interruption its name; all keep seconds."""
    journal = Journal(tmp_path / "journal.jsonl", Redactor(), "r")
    with journal.timed("", "git_push") as said:
        said(Done("pushed", {"pushed": {"sha": "abc"}}))
    with pytest.raises(Failed), journal.timed("undo_", "git_push"):
        raise Failed("pushing", "main", "no", "Mend it.")
    with pytest.raises(asyncio.CancelledError), journal.timed("", "health_checks"):
        raise asyncio.CancelledError
    journal.close()
    done, failed, interrupted = journal.events
    assert (done["event"], done["detail"], done["pushed"]) == ("done", "pushed", {"sha": "abc"})
    assert (failed["event"], failed["cause"], failed["next_action"]) == ("undo_failed", "pushing main: no", "Mend it.")
    assert (interrupted["event"], interrupted["interrupted"]) == ("failed", True)
    assert all(event["seconds"] >= 0 for event in journal.events)


async def test_no_secret_can_hide_a_run_from_recovery(tmp_path: Path) -> None:
    """A secret that is a word of the journal is masked where it is said, and not where recovery goes by it."""
    words = ["prod", "opened", "git_push", "begun", "2026"]
    journal = Journal(tmp_path / "2026-r" / "journal.jsonl", Redactor(words), "2026-r")
    journal.intend("opened", mode="prod", change={"name": "prod", "sha256": ""}, target_id="t")
    journal.intend("begun", step="git_push", begins=["git_push"], saw={"git_push": {"sha": "a", "note": "prod"}})
    journal.close()
    (run,) = records(tmp_path, "t")
    assert (run.run, run.is_open, run.saw) == ("2026-r", True, {"git_push": {"sha": "a", "note": "***"}})
    assert run.change["name"] == "***"
