"""Runs of earlier versions: their journals, reports and marker rows as those versions wrote them.

Each folder of `versions` is named after the version's commit. Its three runs released the shipped change to the small
production of tests/release, on the real server; only paths and addresses have been replaced since.
"""

import json
from pathlib import Path
from typing import Any

JOURNALS = Path(__file__).with_name("versions")
VERSIONS = sorted(path.name for path in JOURNALS.iterdir())
RUNS = ("arrived", "rolled_back", "killed")  # the last one after its migration was committed


def journal(version: str, run: str) -> list[dict[str, Any]]:
    """Return the events of a stored run."""
    text = (JOURNALS / version / f"{run}.journal.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def report(version: str, run: str) -> dict[str, Any]:
    """Return the report that the version itself made of a stored run."""
    return dict(json.loads((JOURNALS / version / f"{run}.report.json").read_text(encoding="utf-8")))


def marker(version: str, run: str) -> dict[str, Any]:
    """Return the marker row that a stored run left in the database, by column."""
    return dict(json.loads((JOURNALS / version / f"{run}.marker.json").read_text(encoding="utf-8")))
