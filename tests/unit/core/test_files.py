"""A run's files are private to their owner, whatever the umask is and whatever was there before."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from steps.support.core.files import make_private
from steps.support.core.redaction import Redactor
from steps.support.proof.copy.fill import written_whole
from steps.support.run.journal import Journal


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o277], ids=oct)
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


@pytest.mark.usefixtures("_umask")
@pytest.mark.parametrize("before", [None, 0o700, 0o755, 0o777, 0o500], ids=str)
def test_run_is_readable_by_its_owner_only(tmp_path: Path, before: int | None) -> None:
    """`runs`, the run's folder, journal and backup are closed to others, also if `runs` was open to them."""
    tmp_path.chmod(0o755)
    runs = tmp_path / "runs"
    if before is not None:
        runs.mkdir()
        runs.chmod(before)
    Journal(runs / "run-1" / "journal.jsonl", Redactor(), "run-1").close()
    with written_whole(runs / "run-1" / "backup.sql.gz") as part:
        assert _mode(part) & 0o177 == 0
    assert (_mode(runs), _mode(runs / "run-1"), _mode(runs / "run-1" / "journal.jsonl")) == (0o700, 0o700, 0o600)
    assert _mode(runs / "run-1" / "backup.sql.gz") & 0o177 == 0
    assert _mode(tmp_path) == 0o755


@pytest.mark.parametrize("before", [0o644, 0o666])
def test_open_journal_is_made_private(tmp_path: Path, before: int) -> None:
    """A journal that is appended to has its permissions tightened first."""
    path = tmp_path / "runs" / "run-1" / "journal.jsonl"
    make_private(path.parent)
    path.touch()
    path.chmod(before)
    Journal(path, Redactor(), "run-1").close()
    assert _mode(path) == 0o600


def test_shared_folder_keeps_its_permissions(tmp_path: Path) -> None:
    """If `runs` is a place like /tmp, only the run's own folder is closed."""
    tmp_path.chmod(0o1777)
    make_private(tmp_path / "run-1")
    assert (_mode(tmp_path), _mode(tmp_path / "run-1")) == (0o1777, 0o700)
