"""The sample as database files: all of it, and one with few readings, for whatever is not about how many there are."""

import sqlite3
from contextlib import closing
from pathlib import Path

from steps.support.sql_folder import split
from steps.support.standin.trial import ROOT


def samples(folder: Path) -> Path:
    """Load sample.sql into large.db, and a hundredth of its readings into small.db; gives the folder."""
    with closing(sqlite3.connect(folder / "large.db", isolation_level=None)) as database:
        database.execute("PRAGMA synchronous = OFF")
        for statement in split((ROOT / "sql" / "sample.sql").read_text(encoding="utf-8"), "sample.sql"):
            database.execute(statement.sql)
        database.execute("VACUUM INTO ?", (str(folder / "small.db"),))
    with closing(sqlite3.connect(folder / "small.db", isolation_level=None)) as database:
        for table in ("readings", "readings_agg_5m"):
            database.execute(f"DELETE FROM {table} WHERE id % 100 > 0")
        database.execute("VACUUM")
    return folder
