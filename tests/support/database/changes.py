"""Changes of a database, written as a folder and read from it."""

from pathlib import Path

from steps.support.change.folder import read_change
from steps.support.sql.change import DatabaseChange
from steps.support.sql.findings import FILES


def changed(folder: Path, migrate: str, rollback: str = "SELECT 1;") -> DatabaseChange:
    """Return a change with this migration and that rollback, as its folder would give it."""
    scripts = {"migrate.sql": migrate, "rollback.sql": rollback}
    for name in FILES:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(scripts.get(name, "-- nothing to do\n"), encoding="utf-8")
    return read_change(folder)
