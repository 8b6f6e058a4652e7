"""Run the rehearsal as a command, and read the reports that it leaves."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.production.base import ROOT


def rehearse(
    folder: Path, *words: str, path: str = os.environ["PATH"], sqld: str = "", config: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run the tool with --dry-run, with temporary files and reports in the test's own folder.

    `config`: write the configuration; otherwise it is there already.
    """
    (folder / "temporary").mkdir()
    if config:
        (folder / "orchestrate.toml").write_text(f'sql = "{ROOT / "sql"}"\n{sqld}')
    environment = {"PATH": path, "HOME": str(folder), "TMPDIR": str(folder / "temporary")}
    command = [
        sys.executable,
        str(ROOT / "orchestrate.py"),
        "--dry-run",
        "--config",
        str(folder / "orchestrate.toml"),
        *words,
    ]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, cwd=folder)


def reports(folder: Path) -> list[dict[str, Any]]:
    """Read the reports of the runs, in their order."""
    return [
        json.loads(path.read_text())
        for path in sorted((folder / "runs").glob("*/report.json"), key=lambda path: path.stat().st_mtime)
    ]
