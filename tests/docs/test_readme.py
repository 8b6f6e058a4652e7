"""The README: its commands are real, its drawing shows this tree, and its first page is in order."""

import re
import shlex
from pathlib import Path

import pytest

from orchestrate import parse
from steps.support.console.report import fold
from tests.support.paths import ROOT

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def test_readme_commands_are_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line itself parses each of them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.db").touch()
    calls = re.findall(r"orchestrate\.py (--[^`\n]*)", TEXT)
    assert len(calls) > 8
    for call in calls:
        parse(shlex.split(call, comments=True))


def test_first_page_is_in_order() -> None:
    """What it is, the two commands, the picture, then the guarantees; CI runs the second command."""
    rehearsing, testing = re.findall(r"^    python3 -m pip install uv && (.+)$", TEXT, re.MULTILINE)
    assert "orchestrate.py --dry-run" in rehearsing
    assert re.findall(r"^    .*pytest.*$", TEXT, re.MULTILINE)[0].endswith(testing)
    places = [TEXT.index(part) for part in (rehearsing, testing, "timeline", "## What it guarantees", "## Settings")]
    assert places == sorted(places)


def test_exit_codes_are_complete() -> None:
    """Each exit code of a run has its row."""
    rows = {int(code) for code in re.findall(r"^\| (\d+) \| ", TEXT, re.MULTILINE)}
    assert rows == {*fold.EXIT_CODES.values(), 2, fold.INTERRUPTED}


def test_drawing_shows_this_tree() -> None:
    """Every folder that the steps rest on is in it, and nothing else."""
    folders = {path.parent.name for path in (ROOT / "steps/support").glob("*/__init__.py")}
    assert set(re.findall(r"^          (\w+)/ ", TEXT, re.MULTILINE)) == folders


def test_linked_files_exist() -> None:
    """Every linked file of this tree is there."""
    linked = re.findall(r"\]\((?!http|#)([^)#]+)", TEXT)
    assert linked
    assert [path for path in linked if not (ROOT / path).exists()] == []
