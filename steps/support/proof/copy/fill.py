"""Write a copy and its backup: from the pages of a server's file, from SQL text, or from a local file.

Each function returns the SHA-256 of the backup. The backup is compressed while it is written, only its owner can read
it, and it gets its final name when it is complete.
"""

import hashlib
import os
import threading
import zlib
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from gzip import GzipFile
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

import apsw

from steps.support.core.errors import Unknown
from steps.support.gateways.database.pages import PIECE, file_pages, text_pages
from steps.support.gateways.database.protocol import Moment, Rows
from steps.support.proof.copy.load import Loader
from steps.support.proof.copy.progress import Progress
from steps.support.proof.copy.threads import in_thread, pump
from steps.support.schema.reader import open_file, original
from steps.support.sql.statement import Statement, Value

_AT_ONCE = 4096  # pages of a SQLite file to copy between two checks whether to stop
_COMMIT = b"COMMIT;"
_READ_ONLY = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI


class Stopped(Exception):  # noqa: N818 - not an error: the caller asked for it
    """The copying of a file stopped, because its caller was cancelled."""


async def by_file_pages(moment: Moment, progress: Progress, copy: Path, backup: Path) -> str:
    """Copy the server's file page by page, and write its content as SQL text into the backup.

    Raise what `moment` raises.
    """
    with copy.open("wb") as file:

        def write(piece: bytes) -> None:
            file.write(piece)

        async with aclosing(file_pages(moment)) as pieces:
            await pump(pieces, write, stop=lambda: None, report=lambda piece: progress.step(0, len(piece)))
    with backup.open("wb") as kept, open_file(copy) as connection:
        gzip = Gzip(kept)
        async with aclosing(text_pages(LocalMoment(connection, progress.subject), original)) as text:
            await pump(text, gzip.write, stop=connection.interrupt, report=lambda _: progress.keeping())
        return gzip.finish()


async def by_text_pages(moment: Moment, page_size: int, progress: Progress, copy: Path, backup: Path) -> str:
    """Read the server's content as SQL text, load this text into the copy, and write it into the backup.

    This is for servers that do not give out the pages of their file. Raise Unknown if the text is cut off.
    """
    with closing(Loader(copy, progress.subject, page_size)) as loader:
        sha256 = await _text(text_pages(moment), loader, progress, backup)
        if not loader.whole or loader.last != _COMMIT:
            raise cut_off(address=progress.subject, size=progress.bytes, cause="the text does not end with COMMIT;")
    return sha256


async def by_text(file: BinaryIO | GzipFile, name: str, progress: Progress, copy: Path, backup: Path) -> str:
    """Load a dump into the copy, and write its text into the backup.

    Raise Unknown if the dump ends in the middle of a statement or a transaction.
    """
    with closing(Loader(copy, name)) as loader:
        try:
            sha256 = await _text(_read(file), loader, progress, backup)
        except (EOFError, zlib.error) as error:
            raise cut_off(address=name, size=progress.bytes, cause=str(error)) from None
        if not loader.whole:
            raise cut_off(
                address=name, size=progress.bytes, cause="the text ends in the middle of a statement or a transaction"
            )
    return sha256


async def by_file(source: Path, copy: Path, backup: Path) -> str:
    """Copy a SQLite file as of one moment, even while others write to it, and compress the copy into the backup."""
    stopping = threading.Event()
    await in_thread(partial(_copied, source, copy, stopping), stopping.set)
    return await _compressed(copy, backup)


def cut_off(*, address: str, size: int, cause: str) -> Unknown:
    """Return the error for a dump that is cut off after `size` bytes. `address`: where the dump comes from."""
    return Unknown(
        code="copy-failed",
        operation="reading the dump of",
        subject=address,
        cause=f"the dump is cut off after {size:,} bytes ({cause})",
        remedy="Make the dump again, or copy the database again.",
    )


async def _text(pieces: AsyncGenerator[bytes, None], loader: Loader, progress: Progress, backup: Path) -> str:
    def report(piece: bytes) -> None:
        progress.step(loader.rows, len(piece))

    with backup.open("wb") as file:
        gzip = Gzip(file)
        async with aclosing(pieces):
            await pump(pieces, loader.feed, gzip.write, stop=loader.interrupt, report=report)
        return gzip.finish()


async def _compressed(copy: Path, backup: Path) -> str:
    with copy.open("rb") as file, backup.open("wb") as kept:
        gzip = Gzip(kept)
        async with aclosing(_read(file)) as pieces:
            await pump(pieces, gzip.write, stop=lambda: None, report=lambda _: None)
        return gzip.finish()


async def _read(file: BinaryIO | GzipFile) -> AsyncGenerator[bytes, None]:
    while piece := await in_thread(partial(file.read, PIECE)):
        yield piece


def _copied(source: Path, copy: Path, stopping: threading.Event) -> None:
    theirs = apsw.Connection(f"file:{quote(str(source))}?mode=ro", flags=_READ_ONLY)
    with closing(theirs), closing(apsw.Connection(str(copy))) as ours:
        for connection in (theirs, ours):
            connection.execute("PRAGMA writable_schema = ON")  # definitions that SQLite cannot parse are copied, too
        ours.execute("PRAGMA synchronous = OFF")
        theirs.execute("BEGIN")
        theirs.execute("SELECT 1 FROM sqlite_schema").fetchone()  # from here on the transaction sees one state
        with ours.backup("main", theirs, "main") as pages:
            while not pages.done:
                pages.step(_AT_ONCE)
                if stopping.is_set():
                    raise Stopped
        ours.execute("PRAGMA journal_mode = DELETE")  # one file, even if the source has a write-ahead log


_FASTEST = 1
_GZIP = 31  # 15 bits of window, in the gzip format


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Create a file with mode 0600 under a temporary name, yield that name, and rename the file to `path` afterwards.

    If the block raises an exception, remove the file.
    """
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


class Gzip:
    """Write a gzip file, and compute the SHA-256 of that file at the same time."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._deflate = zlib.compressobj(_FASTEST, zlib.DEFLATED, _GZIP)
        self._sha256 = hashlib.sha256()

    def write(self, piece: bytes) -> None:
        """Compress and write one chunk."""
        self._put(self._deflate.compress(piece))

    def finish(self) -> str:
        """Write the end of the file, and return the SHA-256 of the whole file in hexadecimal."""
        self._put(self._deflate.flush())
        return self._sha256.hexdigest()

    def _put(self, piece: bytes) -> None:
        self._sha256.update(piece)
        self._file.write(piece)


@dataclass(slots=True)
class LocalMoment:
    """A local file that nothing writes to, read in another thread. `received`: the size of the last answer in bytes."""

    connection: apsw.Connection
    address: str
    received: int = 1

    async def rows(self, statement: Statement) -> Rows:
        """Run one statement that only reads, and return its rows. Raise apsw.Error if it fails."""
        values = await in_thread(lambda: self._rows(statement), self.connection.interrupt)
        self.received = max(1, len(str(values[0][0]))) if values else 1
        return Rows(values=values)

    async def close(self) -> None:
        """Do nothing, because the caller who opened the file also closes it."""

    def _rows(self, statement: Statement) -> tuple[tuple[Value, ...], ...]:
        return tuple(self.connection.execute(statement.sql, statement.args))
