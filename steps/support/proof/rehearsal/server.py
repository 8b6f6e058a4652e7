"""Run a rehearsal's database: on the target's own server, or on SQLite with the same foreign key setting.

A SQLite file at `dbs/default/data` under sqld's folder opens as its database; while the server is idle,
another process may checkpoint its log into that file, and read it (measured on sqld 0.24.32).
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
    """How a rehearsal runs a database; `binary` is the server, None if there is none.

    `foreign_keys`: whether the target enforces them by default. The server does so by itself; SQLite has to be told.
    """

    binary: Path | None
    foreign_keys: bool

    @property
    def name(self) -> str:
        """Return its name for the plan and the report. Raise Problem if the server cannot be run."""
        enforced = "on" if self.foreign_keys else "off"
        own = f"SQLite {sqlite3.sqlite_version}, foreign keys {enforced}"
        return sqld.version(self.binary) if self.binary else own

    @asynccontextmanager
    async def opened(self, folder: Path) -> AsyncIterator["Running"]:
        """Run on the file that `place_database` put into the folder."""
        running = Running(self, folder)
        try:
            await running.start()
            yield running
        finally:
            await running.stop()


class Running:
    """An engine running on a folder. After a restart, everything that was committed is there.

    `file`: its database. `database`: the connection to it since the last start.
    """

    database: Database

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine, self.file = engine, folder / sqld.PLACE
        self._folder = folder
        self._stack = AsyncExitStack()

    @property
    def log(self) -> Path | None:
        """Return the write-ahead log, to which a transaction adds every page it writes; None if there is no server."""
        return self.file.with_name(f"{self.file.name}-wal") if self.engine.binary else None

    async def start(self) -> None:
        """Start the engine and connect to it."""
        if self.engine.binary is None:
            self.database = SqliteFile(f"file:{self.file}", foreign_keys=self.engine.foreign_keys)
        else:
            url = await self._stack.enter_async_context(sqld.serve(self.engine.binary, self._folder))
            self.database = connect(url, None)
        self._stack.push_async_callback(self.database.aclose)

    async def stop(self) -> None:
        """Stop it at once, even in the middle of a statement."""
        await self._stack.aclose()

    async def restart(self) -> None:
        """Stop it and start it again, on everything that was committed."""
        await self.stop()
        await self.start()


async def place_database(file: Path, folder: Path) -> Path:
    """Copy a database file to where `Engine.opened` expects it, and return that path."""
    place = folder / sqld.PLACE
    place.parent.mkdir(parents=True)
    await asyncio.to_thread(shutil.copyfile, file, place)
    return place


def checkpoint(file: Path) -> Path:
    """Move the content of the write-ahead log into the database file, so that the file alone is complete; return it."""
    with closing(apsw.Connection(str(file))) as connection:
        connection.execute("PRAGMA writable_schema = ON")  # a definition that SQLite cannot parse is no hindrance
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return file
