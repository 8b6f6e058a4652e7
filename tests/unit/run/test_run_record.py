"""Earlier runs, read from the journals on disk."""

import json
from errno import EBADF
from fcntl import F_GETFL, LOCK_EX, fcntl, flock
from os import O_ACCMODE, O_RDONLY
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
def test_run_is_open_while_parts_remain(tmp_path: Path, events: tuple[dict[str, Any], ...], is_open: bool) -> None:  # noqa: FBT001
    """While something that a run began may remain, no release is allowed, and the command to resolve it is named."""
    _run(tmp_path, "1", *events)
    assert records(tmp_path)[0].is_open is is_open
    if is_open:
        with pytest.raises(Refused) as refused:
            refuse_open(tmp_path, (), ("python", "orchestrate.py", "--prod"))
        assert "python orchestrate.py --prod --rollback 1" in refused.value.remedy
    else:
        refuse_open(tmp_path, (), ())


@pytest.mark.parametrize("mode", ["rollback", "accept", "unlock"])
def test_settled_run_is_not_open(tmp_path: Path, mode: str) -> None:
    """A run that was successfully rolled back, accepted or unlocked is no longer open; before that it is."""
    _run(tmp_path, "1", PUSH)
    _run(tmp_path, "2", _ended("refused", 3), mode=mode, of="1")
    assert records(tmp_path)[0].is_open
    _run(tmp_path, "3", _ended("whatever", 0), mode=mode, of="1")
    assert not records(tmp_path)[0].is_open


def test_only_production_runs_count(tmp_path: Path) -> None:
    """Rehearsals, and folders without a readable journal, are skipped."""
    _run(tmp_path, "1", PUSH, mode="dry-run")
    (tmp_path / "2").mkdir()
    (tmp_path / "3").mkdir()
    (tmp_path / "3" / JOURNAL).write_bytes(b"\xff\x00 nothing")
    assert records(tmp_path) == []


def test_run_is_chosen_by_name_or_newest(tmp_path: Path) -> None:
    """Without a name it is the newest open run, else the newest; with a name it is that run, or the one it was about."""
    _run(tmp_path, "1", PUSH, _ended("deployed", 0))
    _run(tmp_path, "2", PUSH)
    _run(tmp_path, "3", PUSH, _ended("rolled_back", 1))
    _run(tmp_path, "4", _ended("refused", 3))
    assert [getattr(choose(tmp_path, name), "run", None) for name in ("", "1", "4", "5")] == ["2", "1", "4", None]
    _run(tmp_path, "5", _ended("rolled_back", 0), mode="rollback", of="2")
    assert [getattr(choose(tmp_path, name), "run", None) for name in ("", "5")] == ["4", "2"]


def test_release_is_open_while_it_is_rolled_back(tmp_path: Path) -> None:
    """An arrived release is open from the beginning of its rollback until that rollback succeeds."""
    _run(tmp_path, "1", PUSH, {"event": "arrived"}, _ended("deployed", 0))
    assert (records(tmp_path)[0].arrived, records(tmp_path)[0].is_open) == (True, False)
    _run(tmp_path, "2", {"event": "resumed", "begins": ["git_push"], "saw": {}}, mode="rollback", of="1")
    assert (records(tmp_path)[0].arrived, records(tmp_path)[0].is_open) == (False, True)
    _run(tmp_path, "3", _ended("rolled_back", 0), mode="rollback", of="1")
    assert not records(tmp_path)[0].is_open


@pytest.mark.parametrize("verdict", [_ended("needs_human", 4), _ended("rolled_back", 1)], ids=["unlocked", "put back"])
def test_later_failed_rollback_reopens_a_run(tmp_path: Path, verdict: dict[str, Any]) -> None:
    """A run that was unlocked or rolled back is open again if a later rollback began and failed."""
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
    assert (records(tmp_path)[0].is_open, records(tmp_path)[0].resolution) == (True, "")
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
def test_malformed_journal_is_named_and_skipped(tmp_path: Path, events: list[dict[str, Any]]) -> None:
    """A journal that this tool did not write is named, and the others are still read."""
    _run(tmp_path, "2", PUSH)
    (tmp_path / "1").mkdir()
    journal = tmp_path / "1" / JOURNAL
    journal.write_text("".join(json.dumps(event) + "\n" for event in events))
    assert [each.run for each in records(tmp_path)] == ["2"]
    assert getattr(choose(tmp_path, ""), "run", None) == "2"
    assert choose(tmp_path, "1") is None
    assert unreadable(tmp_path) == ([journal] if events else [])


def test_renamed_run_folder_is_named_and_ignored(tmp_path: Path) -> None:
    """A run whose folder was renamed is named in a warning, and no other command uses it."""
    journal = _run(tmp_path, "1", PUSH, _ended("deployed", 0))
    moved = journal.parent.rename(tmp_path / "1-bak") / JOURNAL
    _run(tmp_path, "2", PUSH, _ended("deployed", 0))
    assert unreadable(tmp_path) == [moved]
    assert [getattr(choose(tmp_path, name), "run", None) for name in ("", "1", "1-bak")] == ["2", None, None]
    refuse_open(tmp_path, (), ())


def test_vanished_journal_ends_no_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dangling link, or a journal removed meanwhile, is named and stops nothing: some Python versions list it."""
    (tmp_path / "1").mkdir()
    journal = tmp_path / "1" / JOURNAL
    journal.symlink_to(tmp_path / "nowhere")
    monkeypatch.setattr(Path, "glob", lambda *_: iter([journal]))
    assert (records(tmp_path), unreadable(tmp_path)) == ([], [journal])


def test_extra_fields_of_a_later_version_are_ignored(tmp_path: Path) -> None:
    """Fields of a change other than its name and digest are skipped, and the run is read."""
    journal = _run(tmp_path, "1")
    opened = {**_opened("1"), "change": {"name": "x", "sha256": "y", "source": "drizzle"}}
    journal.write_text(json.dumps(opened) + "\n" + json.dumps(PUSH) + "\n")
    assert (unreadable(tmp_path), records(tmp_path)[0].change) == ([], {"name": "x", "sha256": "y"})


@pytest.mark.parametrize("begun", [{}, {"saw": {}}, {"saw": {"git_push": {"sha": "a"}}}], ids=json.dumps)
def test_step_without_an_observation_counts_as_begun(tmp_path: Path, begun: dict[str, Any]) -> None:
    """A run is open because of what it began, whether or not the step's observation is in the journal."""
    _run(tmp_path, "1", {"event": "begun", "step": "git_push", "begins": ["git_push"], **begun})
    assert (records(tmp_path)[0].is_open, list(records(tmp_path)[0].saw)) == (True, ["git_push"])


@pytest.mark.parametrize("order", ["CODE_FIRST", "DATA_FIRST", ""])
@pytest.mark.parametrize(
    ("names", "unknown"),
    [(["zap"], "zap"), (["zap", "git_push", "zop"], "zap, zop"), (["health_checks"], "health_checks"), (["7"], "7")],
)
def test_unknown_step_is_refused_with_a_remedy(order: str, names: list[str], unknown: str) -> None:
    """A step that this version does not know cannot be rolled back here: it is refused, never skipped."""
    proof_config = ProofConfig(Path(), None, Limits(1.0, 1))
    with pytest.raises(Refused, match="Use the version of this tool that wrote it") as refused:
        reversible_steps(previous_release("1", named_change("x", "y"), order, proof_config), names)
    assert f"it began {unknown}, which" in refused.value.cause


def test_runs_against_another_target_are_ignored(tmp_path: Path) -> None:
    """Two projects may keep their runs in one folder: neither resolves the other's."""
    journal = _run(tmp_path, "1", PUSH)
    journal.write_text(json.dumps({**_opened("1"), "target_id": "a"}) + "\n" + json.dumps(PUSH) + "\n")
    assert ([each.run for each in records(tmp_path, ("a", "c"))], records(tmp_path, ("b", "c"))) == (["1"], [])


def test_dry_run_of_production_is_not_a_release(tmp_path: Path) -> None:
    """--rollback does not choose a run of --prod --dry-run as the last run."""
    _run(tmp_path, "1", PUSH, _ended("deployed", 0))
    journal = _run(tmp_path, "2")
    journal.write_text(json.dumps({**_opened("2"), "dry_run": True}) + "\n")
    assert getattr(choose(tmp_path, ""), "run", None) == "1"


@pytest.mark.parametrize(
    "torn",
    [b'{"event": "begun", "step": "turso', b'{"event": "begun"}{"ev', b"\x00" * 512, b'"text"', b"[1]", b'{"at": 1}', b"[" * 100_000],
    ids=["half a line", "two lines in one", "zeros", "no object", "a list", "no event", "deep"],
)  # fmt: skip
def test_unreadable_lines_are_counted_and_skipped(tmp_path: Path, torn: bytes) -> None:
    """Lines damaged by a power cut or a full disk are counted and skipped; those around them are read."""
    journal = _run(tmp_path, "1", PUSH)
    with journal.open("ab") as file:
        file.write(torn + b"\n" + json.dumps(MIGRATE).encode() + b"\n" + torn)
    events, damaged = read(journal)
    assert ([event.kind for event in events], damaged) == (["opened", "begun", "begun"], 2)
    assert list(records(tmp_path)[0].saw) == ["git_push", "turso_migration"]


def test_locked_journal_belongs_to_a_live_run(tmp_path: Path) -> None:
    """A locked journal cannot be opened by another process; releases are then refused by the lock row instead."""
    journal = _run(tmp_path, "1", PUSH)
    with journal.open("rb") as held:
        flock(held, LOCK_EX)
        with pytest.raises(Refused, match="its process is alive"), journal_lock(tmp_path, "1"):
            pass
        refuse_open(tmp_path, (), ())
    with journal_lock(tmp_path, "1"):
        pass


def test_journal_on_nfs_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NFS refuses an exclusive lock on a file that is open for reading only: the journal is opened for writing."""

    def nfs(file: Any, operation: int) -> None:
        if fcntl(file, F_GETFL) & O_ACCMODE == O_RDONLY:
            raise OSError(EBADF, "Bad file descriptor")
        flock(file, operation)

    journal = _run(tmp_path, "1", PUSH)
    before = journal.read_bytes()
    monkeypatch.setattr("steps.support.run.run_record.flock", nfs)
    with journal_lock(tmp_path, "1"):
        pass
    assert journal.read_bytes() == before


def test_copies_of_an_interrupted_rehearsal_are_removed(tmp_path: Path) -> None:
    """An interrupted rehearsal's copies are removed and its backup stays; files of a live run all stay."""
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
