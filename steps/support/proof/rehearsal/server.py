"""Run the database of a rehearsal on the server's own engine, or on SQLite with the target's foreign key setting.

sqld opens a SQLite file at `dbs/default/data` in its folder as its database. While the server is idle, another process
may checkpoint the write-ahead log into that file, and read the file (measured on sqld 0.24.32).
"""

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import apsw

from steps.support.gateways.database.connect import connect
from steps.support.gateways.database.protocol import Database
from steps.support.gateways.database.sqlite_file import SqliteFile
from steps.support.proof.rehearsal import sqld


@dataclass(frozen=True, slots=True)
class Engine:
    """The engine of a rehearsal. `binary`: the libSQL server; None to use SQLite.

    `foreign_keys`: whether the target enforces foreign keys by default. SQLite is set to the same.
    """

    binary: Path | None
    foreign_keys: bool

    @property
    def name(self) -> str:
        """Return the engine's name and version, for plan and report. Raise Problem if the server does not run."""
        enforced = "on" if self.foreign_keys else "off"
        own = f"SQLite {sqlite3.sqlite_version}, foreign keys {enforced}"
        return sqld.version(self.binary) if self.binary else own

    @asynccontextmanager
    async def opened(self, folder: Path) -> AsyncIterator["Running"]:
        """Run the engine on the file that `place_database` put into a folder; stop it after the block."""
        running = Running(self, folder)
        try:
            await running.start()
            yield running
        finally:
            await running.stop()


class Running:
    """An engine that runs on a folder. After a restart it has everything that was committed before.

    `file`: the database file. `database`: a connection to the database; each start makes a new one.
    """

    database: Database

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine, self.file = engine, folder / sqld.PLACE
        self._folder = folder
        self._stack = AsyncExitStack()

    @property
    def log(self) -> Path | None:
        """Return the write-ahead log, a file to which transactions add their pages; None if the engine is SQLite."""
        return self.file.with_name(f"{self.file.name}-wal") if self.engine.binary else None

    async def start(self) -> None:
        """Start the engine and connect to it."""
        if self.engine.binary is None:
            self.database = SqliteFile(f"file:{self.file}", foreign_keys=self.engine.foreign_keys)
        else:
            key = sqld.new_key()
            url = await self._stack.enter_async_context(sqld.serve(self.engine.binary, self._folder, key=key))
            self.database = connect(url, key)
        self._stack.push_async_callback(self.database.aclose)

    async def stop(self) -> None:
        """Stop the engine at once, even in the middle of a statement."""
        await self._stack.aclose()

    async def restart(self) -> None:
        """Stop the engine and start it again; it then has everything that was committed."""
        await self.stop()
        await self.start()


async def place_database(file: Path, folder: Path) -> Path:
    """Copy a database file to the place in a folder where `Engine.opened` expects it; return the path of the copy."""
    place = folder / sqld.PLACE
    place.parent.mkdir(parents=True)
    await asyncio.to_thread(shutil.copyfile, file, place)
    return place


def checkpoint(file: Path) -> Path:
    """Move the content of the write-ahead log into a database file, so that the file alone is complete.

    Return the path of the file.
    """
    with closing(apsw.Connection(str(file))) as connection:
        connection.execute("PRAGMA writable_schema = ON")  # opens the file even if SQLite cannot parse a definition
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return file
