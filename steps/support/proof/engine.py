"""What a rehearsal runs on: the target's own server on a file of ours, else SQLite told to mind foreign keys alike.

A SQLite file at `dbs/default/data` under sqld's folder opens as its database (measured on sqld 0.24.32). Whatever else
the server leaves beside it is thrown away between two uses, so that it begins from the file alone.
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

PLACE = Path("dbs") / "default" / "data"


@dataclass(frozen=True, slots=True)
class Engine:
    """How a rehearsal runs a database; `binary` is the server, None where there is none.

    `foreign_keys` is whether the target minds them by default: the server does so by itself, SQLite is told.
    """

    binary: Path | None
    foreign_keys: bool

    @property
    def name(self) -> str:
        """Name it for the plan and the report."""
        minded = "on" if self.foreign_keys else "off"
        return f"sqld {sqld.VERSION}" if self.binary else f"SQLite {sqlite3.sqlite_version}, foreign keys {minded}"

    @asynccontextmanager
    async def opened(self, folder: Path) -> AsyncIterator[Database]:
        """Run on the file that `placed` put into the folder; when the block ends, all of it is in that file again."""
        file = folder / PLACE
        if self.binary is None:
            async with aclosing(SqliteFile(f"file:{file}", foreign_keys=self.foreign_keys)) as database:
                yield database
        else:
            async with sqld.serve(self.binary, folder) as url, aclosing(connect(url, None)) as database:
                yield database
        await asyncio.to_thread(_alone, folder, file)


async def placed(file: Path, folder: Path) -> Path:
    """Copy a database file to where `Engine.opened` looks for it; gives that place."""
    place = folder / PLACE
    place.parent.mkdir(parents=True)
    await asyncio.to_thread(shutil.copyfile, file, place)
    return place


def _alone(folder: Path, file: Path) -> None:
    """Bring what stands beside the file into it, and throw away what else the server left."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode=DELETE")
    for path in (*folder.rglob("*"), folder.parent / f"{folder.name}.log"):
        if path.is_file() and path != file:
            path.unlink()
