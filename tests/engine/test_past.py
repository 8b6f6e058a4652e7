"""Runs of before, read from journals as they lie on a disk."""

import json
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Any

import pytest

from steps.orders import reversible_steps
from steps.support.core.errors import Refused
from steps.support.proof.config import ProofConfig
from steps.support.proof.copy.copy import Limits
from steps.support.run.recovery import refuse_open
from steps.support.run.release import previous_release
from steps.support.run.run_record import JOURNAL, choose, journal_lock, read, records, sweep, unreadable
from steps.support.sql.change import named_change

PUSH = {"event": "begun", "step": "git_push", "begins": ["git_push"], "saw": {"git_push": {"sha": "a"}}}
MIGRATE = {"event": "begun", "step": "turso_migration", "begins": ["turso_migration"], "saw": {"turso_migration": {}}}


def _opened(run: str, mode: str = "prod", of: str | None = None) -> dict[str, Any]:
    return {"event": "opened", "run": run, "mode": mode, "of": of, "change": {"name": "x", "sha256": "y"}}


def _ended(verdict: str, code: int) -> dict[str, Any]:
    return {"event": "ended", "verdict": verdict, "exit_code": code}


def _run(folder: Path, run: str, *events: dict[str, Any], mode: str = "prod", of: str | None = None) -> Path:
    (folder / run).mkdir()
    journal = folder / run / JOURNAL
    journal.write_text("".join(json.dumps(event) + "\n" for event in (_opened(run, mode, of), *events)))
    return journal


@pytest.mark.parametrize(
    ("events", "is_open"),
    [
        pytest.param((), False, id="killed before anything began"),
        pytest.param((PUSH,), True, id="killed after the first change began"),
        pytest.param((PUSH, {"event": "arrived"}), True, id="killed before its end was written"),
        pytest.param((PUSH, _ended("deployed", 0)), False, id="deployed"),
        pytest.param((PUSH, _ended("rolled_back", 1)), False, id="put back"),
        pytest.param((PUSH, _ended("needs_human", 4)), True, id="not put back"),
        pytest.param(({**PUSH, "event": "begun"}, {"event": "failed", "step": "git_push", "refused": True}), False, id="the only change was refused"),
    ],
)  # fmt: skip
def test_whether_a_run_is_open(tmp_path: Path, events: tuple[dict[str, Any], ...], is_open: bool) -> None:  # noqa: FBT001
    """A run is open while something that it began may still be there; then nothing else is released, and the command is said."""
    _run(tmp_path, "1", *events)
    assert records(tmp_path)[0].is_open is is_open
    if is_open:
        with pytest.raises(Refused) as refused:
            refuse_open(tmp_path, "", ("python", "orchestrate.py", "--prod"))
        assert "python orchestrate.py --prod --rollback 1" in refused.value.remedy
    else:
        refuse_open(tmp_path, "", ())


@pytest.mark.parametrize("mode", ["rollback", "accept", "unlock"])
def test_a_run_that_was_settled(tmp_path: Path, mode: str) -> None:
    """Once it was put back, accepted or unlocked to a good end, a run is not open any more; before that end it is."""
    _run(tmp_path, "1", PUSH)
    _run(tmp_path, "2", _ended("refused", 3), mode=mode, of="1")
    assert records(tmp_path)[0].is_open
    _run(tmp_path, "3", _ended("whatever", 0), mode=mode, of="1")
    assert not records(tmp_path)[0].is_open


def test_only_production_counts(tmp_path: Path) -> None:
    """Rehearsals, and folders without a journal that can be read, are passed over."""
    _run(tmp_path, "1", PUSH, mode="dry-run")
    (tmp_path / "2").mkdir()
    (tmp_path / "3").mkdir()
    (tmp_path / "3" / JOURNAL).write_bytes(b"\xff\x00 nothing")
    assert records(tmp_path) == []


def test_which_run_is_meant(tmp_path: Path) -> None:
    """Without a name it is the newest that is open, else the newest; with one that one, or the one that one was about."""
    _run(tmp_path, "1", PUSH, _ended("deployed", 0))
    _run(tmp_path, "2", PUSH)
    _run(tmp_path, "3", PUSH, _ended("rolled_back", 1))
    _run(tmp_path, "4", _ended("refused", 3))
    assert [getattr(choose(tmp_path, name), "run", None) for name in ("", "1", "4", "5")] == ["2", "1", "4", None]
    _run(tmp_path, "5", _ended("rolled_back", 0), mode="rollback", of="2")
    assert [getattr(choose(tmp_path, name), "run", None) for name in ("", "5")] == ["4", "2"]


def test_a_release_that_is_being_put_back_is_open(tmp_path: Path) -> None:
    """Once somebody has begun to put a release back that had arrived, it is cut off until that comes to a good end."""
    _run(tmp_path, "1", PUSH, {"event": "arrived"}, _ended("deployed", 0))
    assert (records(tmp_path)[0].arrived, records(tmp_path)[0].is_open) == (True, False)
    _run(tmp_path, "2", {"event": "resumed", "begins": ["git_push"], "saw": {}}, mode="rollback", of="1")
    assert (records(tmp_path)[0].arrived, records(tmp_path)[0].is_open) == (False, True)
    _run(tmp_path, "3", _ended("rolled_back", 0), mode="rollback", of="1")
    assert not records(tmp_path)[0].is_open


@pytest.mark.parametrize("verdict", [_ended("needs_human", 4), _ended("rolled_back", 1)], ids=["unlocked", "put back"])
def test_a_run_that_went_half_back_later_is_open(tmp_path: Path, verdict: dict[str, Any]) -> None:
    """A run whose lock was released, or that was put back, is open again once somebody began to put it back and failed."""
    _run(tmp_path, "1", PUSH, verdict)
    _run(tmp_path, "2", _ended("unlocked", 0), mode="unlock", of="1")
    assert not records(tmp_path)[0].is_open
    _run(
        tmp_path,
        "3",
        {"event": "resumed", "begins": ["git_push"], "saw": {}},
        _ended("needs_human", 4),
        mode="rollback",
        of="1",
    )
    assert (records(tmp_path)[0].is_open, records(tmp_path)[0].settled) == (True, "")
    _run(tmp_path, "4", _ended("refused", 3), mode="rollback", of="1")
    assert records(tmp_path)[0].is_open
    _run(tmp_path, "5", _ended("unlocked", 0), mode="unlock", of="1")
    assert not records(tmp_path)[0].is_open


@pytest.mark.parametrize(
    "events",
    [
        [{"event": "opened"}],
        [{**_opened("1"), "run": 7}],
        [{**_opened("1"), "change": "x"}],
        [{**_opened("1"), "change": {}}, PUSH],
        [{**_opened("1"), "change": {"name": "x"}}, PUSH],
        [{**_opened("1"), "change": {"name": 1, "sha256": None}}, PUSH],
        [_opened("1-bak"), PUSH],
        [_opened("../1"), PUSH],
        [_opened("1\0"), PUSH],
        [_opened("1" * 5000), PUSH],
        [_opened("1"), {"event": "failed", "step": "git_push"}],
        [_opened("1"), {"event": "begun", "step": "git_push", "begins": 7}],
        [_opened("1"), {**PUSH, "saw": ["git_push"]}],
        [_opened("1"), {"event": "planned", "steps": [{}]}],
        [_opened("1"), {"event": "ended"}],
        [PUSH],
        [],
    ],
    ids=lambda events: json.dumps(events)[:40],
)
def test_a_journal_that_tells_of_no_run(tmp_path: Path, events: list[dict[str, Any]]) -> None:
    """One journal that is not as this tool writes them is named, and the others are read all the same."""
    _run(tmp_path, "2", PUSH)
    (tmp_path / "1").mkdir()
    journal = tmp_path / "1" / JOURNAL
    journal.write_text("".join(json.dumps(event) + "\n" for event in events))
    assert [each.run for each in records(tmp_path)] == ["2"]
    assert getattr(choose(tmp_path, ""), "run", None) == "2"
    assert choose(tmp_path, "1") is None
    assert unreadable(tmp_path) == ([journal] if events else [])


def test_a_folder_that_was_moved(tmp_path: Path) -> None:
    """The run of a folder that was given another name is named, and is nobody's: no other command goes by it."""
    journal = _run(tmp_path, "1", PUSH, _ended("deployed", 0))
    moved = journal.parent.rename(tmp_path / "1-bak") / JOURNAL
    _run(tmp_path, "2", PUSH, _ended("deployed", 0))
    assert unreadable(tmp_path) == [moved]
    assert [getattr(choose(tmp_path, name), "run", None) for name in ("", "1", "1-bak")] == ["2", None, None]
    refuse_open(tmp_path, "", ())


def test_a_journal_that_is_not_there_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link to nothing, or a journal removed meanwhile, is named and ends no command: some versions of Python list it."""
    (tmp_path / "1").mkdir()
    journal = tmp_path / "1" / JOURNAL
    journal.symlink_to(tmp_path / "nowhere")
    monkeypatch.setattr(Path, "glob", lambda *_: iter([journal]))
    assert (records(tmp_path), unreadable(tmp_path)) == ([], [journal])


def test_a_later_version_may_write_more(tmp_path: Path) -> None:
    """What a change has beyond its name and its digest is passed over, and the run is read."""
    journal = _run(tmp_path, "1")
    opened = {**_opened("1"), "change": {"name": "x", "sha256": "y", "source": "drizzle"}}
    journal.write_text(json.dumps(opened) + "\n" + json.dumps(PUSH) + "\n")
    assert (unreadable(tmp_path), records(tmp_path)[0].change) == ([], {"name": "x", "sha256": "y"})


@pytest.mark.parametrize("begun", [{}, {"saw": {}}, {"saw": {"git_push": {"sha": "a"}}}], ids=json.dumps)
def test_a_step_that_does_not_tell_what_it_saw_was_begun(tmp_path: Path, begun: dict[str, Any]) -> None:
    """A run is open by what it began, whether or not what that saw is there."""
    _run(tmp_path, "1", {"event": "begun", "step": "git_push", "begins": ["git_push"], **begun})
    assert (records(tmp_path)[0].is_open, list(records(tmp_path)[0].saw)) == (True, ["git_push"])


@pytest.mark.parametrize("order", ["CODE_FIRST", "DATA_FIRST", ""])
@pytest.mark.parametrize(
    ("names", "unknown"),
    [(["zap"], "zap"), (["zap", "git_push", "zop"], "zap, zop"), (["health_checks"], "health_checks"), (["7"], "7")],
)
def test_a_step_of_another_version_is_not_passed_over(order: str, names: list[str], unknown: str) -> None:
    """What this version does not know it cannot roll back: it is refused, with the remedy, and never left out."""
    proof_config = ProofConfig(Path(), None, Limits(1.0, 1))
    with pytest.raises(Refused, match="Use the version of this tool that wrote it") as refused:
        reversible_steps(previous_release("1", named_change("x", "y"), order, proof_config), names)
    assert f"it began {unknown}, which" in refused.value.cause


def test_runs_to_another_target_are_not_meant(tmp_path: Path) -> None:
    """Two projects may keep their runs in one folder: neither settles the other's."""
    journal = _run(tmp_path, "1", PUSH)
    journal.write_text(json.dumps({**_opened("1"), "target_id": "a"}) + "\n" + json.dumps(PUSH) + "\n")
    assert ([each.run for each in records(tmp_path, "a")], records(tmp_path, "b")) == (["1"], [])


def test_a_look_is_no_release(tmp_path: Path) -> None:
    """What --prod --dry-run leaves is not what --rollback means by the last run."""
    _run(tmp_path, "1", PUSH, _ended("deployed", 0))
    journal = _run(tmp_path, "2")
    journal.write_text(json.dumps({**_opened("2"), "dry_run": True}) + "\n")
    assert getattr(choose(tmp_path, ""), "run", None) == "1"


@pytest.mark.parametrize(
    "torn",
    [b'{"event": "begun", "step": "turso', b'{"event": "begun"}{"ev', b"\x00" * 512, b'"text"', b"[1]", b'{"at": 1}', b"[" * 100_000],
    ids=["half a line", "two lines in one", "zeros", "no object", "a list", "no event", "deep"],
)  # fmt: skip
def test_lines_that_cannot_be_read(tmp_path: Path, torn: bytes) -> None:
    """What a power cut or a full disk made of a line is counted and passed over; the lines round it are read."""
    journal = _run(tmp_path, "1", PUSH)
    with journal.open("ab") as file:
        file.write(torn + b"\n" + json.dumps(MIGRATE).encode() + b"\n" + torn)
    events, damaged = read(journal)
    assert ([event.kind for event in events], damaged) == (["opened", "begun", "begun"], 2)
    assert list(records(tmp_path)[0].saw) == ["git_push", "turso_migration"]


def test_a_journal_that_somebody_holds(tmp_path: Path) -> None:
    """Whoever has locked a run's journal is alive: nobody else gets it, and releases are refused by the lock row instead."""
    journal = _run(tmp_path, "1", PUSH)
    with journal.open("rb") as held:
        flock(held, LOCK_EX)
        with pytest.raises(Refused, match="its process is alive"), journal_lock(tmp_path, "1"):
            pass
        refuse_open(tmp_path, "", ())
    with journal_lock(tmp_path, "1"):
        pass


def test_copies_of_production_do_not_stay(tmp_path: Path) -> None:
    """What a rehearsal that was cut off left is removed, and the backup stays; of a run that is alive all stays."""
    dead, alive = _run(tmp_path, "1"), _run(tmp_path, "2")
    for journal in (dead, alive):
        (journal.parent / "rehearsal" / "live").mkdir(parents=True)
        for name in ("copy.db", "copy.db-wal", "backup.sql.gz", "backup.sql.gz.part"):
            (journal.parent / name).touch()
    with alive.open("rb") as held:
        flock(held, LOCK_EX)
        sweep(tmp_path)
    assert {path.name for path in dead.parent.iterdir()} == {JOURNAL, "backup.sql.gz"}
    assert len(list(alive.parent.iterdir())) == 6
