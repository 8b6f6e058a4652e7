"""Copy production as of one moment into a local file, check that the copy is complete, and write a backup of it."""

import gzip
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from steps.support.core.errors import Problem
from steps.support.gateways.database.pages import gives_pages
from steps.support.gateways.database.protocol import Database, Moment
from steps.support.gateways.transaction import SCHEMA
from steps.support.proof.config import Limits
from steps.support.proof.copy.check import State, damages, differences, read_pages, read_state
from steps.support.proof.copy.fill import by_file, by_file_pages, by_text, by_text_pages, written_whole
from steps.support.proof.copy.progress import Progress
from steps.support.proof.copy.threads import in_thread
from steps.support.schema.reader import as_written, open_file
from steps.support.sql.statement import Statement, Value

__all__ = ["Copy", "Limits", "copy_database", "from_file", "from_server"]

Fill = Callable[[Path, Path], Awaitable[str]]

COPY = "copy.db"
OF_TEXT, OF_FILE = "backup.sql.gz", "backup.db.gz"

_MAGIC = b"SQLite format 3\0"


@dataclass(frozen=True, slots=True)
class Copy:
    """A complete copy of a database.

    `path`: the copy, a SQLite file. `bytes`: the size of that file. `backup`: the copy as SQL text, or the copied file
    itself, compressed with gzip. `sha256`: the digest of the backup. `tables`: the number of rows of each table that
    belongs to the user. `seconds`: how long the copy took.
    """

    path: Path
    backup: Path
    sha256: str
    bytes: int
    tables: Mapping[str, int]
    seconds: float


async def copy_database(database: Database, folder: Path, limits: Limits) -> Copy:
    """Copy a database into an existing folder: a server's with `from_server`, a local file with `from_file`."""
    if reading := database.moment():
        return await from_server(database, reading, folder, limits)
    return await from_file(Path(urlsplit(database.address).path), folder, limits)


async def from_server(
    database: Database, reading: AbstractAsyncContextManager[Moment], folder: Path, limits: Limits
) -> Copy:
    """Copy a server's database as of one moment into an existing folder. The server is only read.

    Raise Problem if the copy is too big, too slow, impossible, damaged or different from the server; NotSent, Rejected
    or Unknown if the connection fails. After an error, the folder is empty again.
    """
    progress = Progress("a copy of production", database.address, limits)
    async with progress.bounded(), reading as moment:

        async def ask(sql: str) -> Sequence[tuple[Value, ...]]:
            return (await moment.rows(Statement(sql))).values

        count, page_size = await read_pages(ask)
        progress.room(folder, count * page_size)
        server = await read_state(ask)

        def check(copy: State) -> None:
            _refuse([*differences(copy, server)], database.address)

        by_pages = partial(by_file_pages, moment, progress)
        fill = by_pages if await gives_pages(moment) else partial(by_text_pages, moment, page_size, progress)
        return await _made(folder, OF_TEXT, fill, progress, check)


async def from_file(source: Path, folder: Path, limits: Limits) -> Copy:
    """Copy a SQLite file, even one in use, or load a dump (.sql or .sql.gz), into an existing folder.

    Raise Problem as `from_server` does, and if `source` is neither a SQLite file nor a dump.
    """
    progress = Progress(f"a copy of {source.name}", str(source), limits)
    async with progress.bounded():
        progress.room(folder, _bytes(source))
        if _is_database(source):
            return await _made(folder, OF_FILE, partial(by_file, source), progress, _unchecked)
        with _opened(source) as text:
            return await _made(folder, OF_TEXT, partial(by_text, text, str(source), progress), progress, _unchecked)


async def _made(folder: Path, kept: str, fill: Fill, progress: Progress, check: Callable[[State], None]) -> Copy:
    path, backup = folder / COPY, folder / kept
    with written_whole(path) as copy, written_whole(backup) as backing:
        sha256 = await fill(copy, backing)
        progress.checking()
        found = await _sound(copy, progress.subject)
        check(found)
        size = copy.stat().st_size
    tables = {name: extent.rows for name, extent in found.tables.items()}
    return Copy(path, backup, sha256, size, tables, progress.seconds)


async def _sound(copy: Path, source: str) -> State:
    """Return the state of a copy. Raise Problem if the file is damaged."""
    with open_file(copy) as connection:

        async def ask(sql: str) -> Sequence[tuple[Value, ...]]:
            return await in_thread(lambda: connection.execute(sql).fetchall(), connection.interrupt)

        if found := await in_thread(lambda: damages(copy), connection.interrupt):
            raise Problem(
                code="copy-failed",
                operation="copying",
                subject=source,
                cause=f"the copy is damaged; quick_check says: {'; '.join(found)}",
                remedy="Run PRAGMA quick_check on the source. If it says ok, copy again; else repair the source first.",
            )
        return replace(await read_state(ask), schema=as_written(copy, SCHEMA))


def _unchecked(_: State) -> None:
    """Accept every state, because a copied file has no server to compare it with."""


def _refuse(causes: Sequence[str], source: str) -> None:
    if causes:
        cause = f"the copy differs from its source: {'; '.join(causes)}"
        raise Problem(
            code="copy-failed",
            operation="copying",
            subject=source,
            cause=cause,
            remedy="Copy again. If the message stays the same, query the named tables on the source by hand.",
        )


def _bytes(source: Path) -> int:
    return source.stat().st_size


def _is_database(source: Path) -> bool:
    with source.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def _opened(source: Path) -> BinaryIO | gzip.GzipFile:
    if source.name.endswith(".sql"):
        return source.open("rb")
    if source.name.endswith(".sql.gz"):
        return gzip.open(source)
    remedy = "Pass a SQLite file, or a dump whose name ends with .sql or .sql.gz."
    raise Problem(
        code="copy-failed",
        operation="copying",
        subject=str(source),
        cause="the file is neither a SQLite file nor a dump",
        remedy=remedy,
    )
