"""Copies of a database, and what is in them and beside them."""

import sqlite3
import stat
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

from steps.support.gateways.database.connect import connect
from steps.support.proof.copy.copy import Copy, Limits, copy_database

ENOUGH = Limits(most_seconds=60, most_bytes=10**9)


async def copied(url: str, folder: Path, limits: Limits = ENOUGH) -> Copy:
    """Copy the database of a server."""
    made(folder)
    async with aclosing(connect(url, None)) as database:
        return await copy_database(database, folder, limits)


def names(folder: Path) -> set[str]:
    """Return the names of the files in a folder, or none if it does not exist."""
    return {path.name for path in folder.glob("*")}


def modes(folder: Path) -> dict[str, int]:
    """Return the permissions of the files in a folder."""
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def made(folder: Path) -> Path:
    """Return a folder, created if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def contents(path: Path) -> dict[str, list[Any]]:
    """Return the schema of a SQLite file, and every value of every table with its type."""
    with closing(sqlite3.connect(path)) as database:
        schema = database.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name").fetchall()
        tables = [name for kind, name, _, sql in schema if kind == "table" and name != "sqlite_stat1"]
        return {"": schema, **{name: _rows(database, name) for name in tables}}


def _rows(database: sqlite3.Connection, table: str) -> list[Any]:
    columns = [column for (column,) in database.execute("SELECT name FROM pragma_table_xinfo(?)", (table,))]
    values = ", ".join(f'typeof("{column}"), quote("{column}")' for column in columns)
    return sorted(database.execute(f'SELECT {values} FROM "{table}"').fetchall())
