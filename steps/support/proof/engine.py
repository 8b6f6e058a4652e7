"""What a rehearsal runs on: the target's own server on a file of ours, else SQLite told to mind foreign keys alike.

A SQLite file at `dbs/default/data` under sqld's folder opens as its database; while the server has nothing to do,
anybody may bring its log into that file, and read it (measured on sqld 0.24.32).
"""

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

from steps.support.gateways.database import Database
from steps.support.gateways.sqlite_file import SqliteFile
from steps.support.gateways.transport import connect
from steps.support.standin import sqld


@dataclass(frozen=True, slots=True)
class Engine:
    """How a rehearsal runs a database; `binary` is the server, None where there is none.

    `foreign_keys` is whether the target minds them by default: the server does so by itself, SQLite is told.
    """

    binary: Path | None
    foreign_keys: bool

    @property
    def name(self) -> str:
        """Name it for the plan and the report. Raises Problem where the server cannot be run."""
        minded = "on" if self.foreign_keys else "off"
        own = f"SQLite {sqlite3.sqlite_version}, foreign keys {minded}"
        return sqld.version(self.binary) if self.binary else own

    @asynccontextmanager
    async def opened(self, folder: Path) -> AsyncIterator[Database]:
        """Run on the file that `placed` put into the folder."""
        if self.binary is None:
            async with aclosing(SqliteFile(f"file:{folder / sqld.PLACE}", foreign_keys=self.foreign_keys)) as database:
                yield database
        else:
            async with sqld.serve(self.binary, folder) as url, aclosing(connect(url, None)) as database:
                yield database


async def placed(file: Path, folder: Path) -> Path:
    """Copy a database file to where `Engine.opened` looks for it; gives that place."""
    place = folder / sqld.PLACE
    place.parent.mkdir(parents=True)
    await asyncio.to_thread(shutil.copyfile, file, place)
    return place


def settled(file: Path) -> Path:
    """Bring into a database file whatever of it still stands in its log, so that the file alone is all of it."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return file
