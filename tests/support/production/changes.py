"""Changes to release in place of the shipped one, and how a release that must not begin ends."""

import shutil
from pathlib import Path

from tests.support.production.base import ROOT, AnyProduction, RunResult

EXPANDING = {  # only adds what the new code needs, so it has to go first
    "migrate.sql": """-- name: notes
CREATE TABLE notes (id INTEGER PRIMARY KEY, system_id INTEGER NOT NULL REFERENCES systems(id) ON DELETE CASCADE, note TEXT NOT NULL);
CREATE INDEX notes_system_idx ON notes (system_id);
CREATE TABLE IF NOT EXISTS _orchestrate_kept_notes (id INTEGER, system_id INTEGER, note TEXT);
INSERT INTO notes SELECT id, system_id, note FROM _orchestrate_kept_notes;
DROP TABLE _orchestrate_kept_notes;
""",
    "rollback.sql": """CREATE TABLE _orchestrate_kept_notes AS SELECT * FROM notes;
DROP TABLE notes;
""",
    "verify.sql": "-- check: no note of nobody\nSELECT id FROM notes WHERE system_id NOT IN (SELECT id FROM systems);\n",
    "verify_rollback.sql": "-- check: no notes\nSELECT 1 FROM sqlite_schema WHERE name = 'notes';\n",
    "writes.sql": "-- nothing yet\n",
}
NEEDS_NOTES = "\nSELECT id, system_id, note FROM notes;\n"
UNTOUCHED = dict.fromkeys(
    ("migrate.sql", "rollback.sql", "verify.sql", "verify_rollback.sql", "writes.sql"), "-- nothing\n"
)


def code_alone(folder: Path) -> Path:
    """Make a change that leaves the database unchanged; both versions of the code can run on it."""
    shutil.copytree(ROOT / "sql", folder)
    for name, text in UNTOUCHED.items():
        (folder / name).write_text(text)
    return folder


def changed(folder: Path, files: dict[str, str], needs: str = "") -> Path:
    """Make a SQL folder of these files, whose new code is the old code with one more query."""
    shutil.copytree(ROOT / "sql", folder)
    for name, text in files.items():
        (folder / name).write_text(text)
    old = (folder / "contract" / "old.sql").read_text()
    (folder / "contract" / "new.sql").write_text(old + needs)
    return folder


async def refused(production: AnyProduction, *words: str, **extra: str) -> RunResult:
    """Check that a release is refused with these words, and nothing is touched."""
    before = await production.state()
    ending = await production.release(react=None, **extra)
    assert (ending.code, ending.report["verdict"]) == (3, "refused"), ending.report
    for word in words:
        assert word in ending.report["cause"] + ending.report["next_action"]
    assert await production.state() == before
    assert "Traceback" not in ending.said
    return ending
