"""Two database files side by side in one connection of the engine."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from steps.support.problem import Problem

BEFORE, AFTER = "main", "after"  # as the connection calls the two files
CACHE = 16_000  # KiB for each file, and for what is put aside


@contextmanager
def side_by_side(before: Path, after: Path) -> Iterator[sqlite3.Connection]:
    """Open two files for reading only, as `main` and `after`; they must not change meanwhile.

    Raises Problem where one of them cannot be read, or is not the whole database.
    """
    for file in (before, after):
        _refuse_unfinished(file)
    try:
        with closing(sqlite3.connect(_address(before), uri=True, isolation_level=None)) as connection:
            connection.text_factory = lambda text: text.decode(errors="replace")
            connection.execute("ATTACH ? AS after", (_address(after),))
            connection.execute("PRAGMA temp_store = FILE")
            for schema in (BEFORE, AFTER, "temp"):
                connection.execute(f"PRAGMA {schema}.cache_size = -{CACHE}")
            yield connection
    except sqlite3.Error as error:
        raise Problem(
            "comparing", f"{before.name} and {after.name}", str(error), "Make both copies anew; nothing was changed."
        ) from error


def put_aside(connection: sqlite3.Connection, query: str) -> None:
    """Keep what a query finds as `temp.differing`, in a temporary file, until the next one is kept."""
    connection.execute("DROP TABLE IF EXISTS temp.differing")
    connection.execute(f"CREATE TEMP TABLE differing AS {query}")


def _refuse_unfinished(file: Path) -> None:
    for left in (file.with_name(f"{file.name}-{end}") for end in ("wal", "journal")):
        if left.is_file() and left.stat().st_size:
            cause = f"{left.name} beside it is not empty, so the file alone is not the whole database"
            raise Problem("comparing", file.name, cause, "Checkpoint a copy of the two, and compare that.")


def _address(file: Path) -> str:
    return f"{file.resolve().as_uri()}?mode=ro&immutable=1"
