"""Report the progress of a copy at most twice a second, and limit the time and the disk space that the copy takes."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import apsw

from steps.support.core.deadline import waiting_for
from steps.support.core.errors import Problem
from steps.support.core.text import counted
from steps.support.proof.config import Limits

SPACE = 4  # times the size of the database: disk space for the copy and the rehearsals on it

_PAUSE = 0.5  # seconds between two reports
_DISK = "Check the disk and the file permissions."
_OF_THE_DISK = (apsw.FullError, apsw.IOError, apsw.CantOpenError, apsw.PermissionsError, apsw.ReadOnlyError)


class Progress:
    """The progress of one copy. `what`: the copy's name on the screen. `subject`: the copy's source, for errors."""

    def __init__(self, what: str, subject: str, limits: Limits) -> None:
        self.subject, self.bytes = subject, 0
        self._what, self._limits = what, limits
        self._began = self._reported = _now()
        self._rows = 0

    @property
    def seconds(self) -> float:
        """Return how many seconds the copy has taken so far."""
        return _now() - self._began

    def step(self, rows: int, size: int) -> None:
        """Set the number of rows so far, and add `size` bytes. Raise Problem if the bytes exceed the limit."""
        self._rows, self.bytes = rows, self.bytes + size
        if self.bytes > self._limits.most_bytes:
            raise self._too_big(f"{megabytes(self.bytes)} received so far")
        if _now() >= self._reported + _PAUSE:
            self._reported = _now()
            waiting_for(f"{self._what}: {self}")

    def keeping(self) -> None:
        """Report, at most twice a second, that everything is copied and the backup is being written."""
        if _now() >= self._reported + _PAUSE:
            self._reported = _now()
            waiting_for(f"{self._what}: {self}, backup being written")

    def checking(self) -> None:
        """Report that everything is copied and the copy is being checked."""
        waiting_for(f"{self._what}: {self}, being checked")

    def room(self, folder: Path, size: int) -> None:
        """Raise Problem if a proof of a database of `size` bytes needs more disk space than is free or allowed."""
        need, free = SPACE * size, shutil.disk_usage(folder).free
        needs = f"the database has {megabytes(size)}, and a proof needs {SPACE} times as much, {megabytes(need)}"
        if need > free:
            remedy = "Free disk space there, or rehearse on a smaller copy with --copy FILE."
            raise Problem(
                code="copy-failed",
                operation="copying",
                subject=self.subject,
                cause=f"{needs}; the disk of {folder} has only {megabytes(free)} free",
                remedy=remedy,
            )
        if need > self._limits.most_bytes:
            raise self._too_big(needs)

    @asynccontextmanager
    async def bounded(self) -> AsyncIterator[None]:
        """Limit a block to `most_seconds`. Raise Problem if it takes longer, or if the disk or the engine fails."""
        try:
            async with asyncio.timeout(self._limits.most_seconds):
                yield
            waiting_for("")
        except TimeoutError:
            cause = f"the copy did not finish within {self._limits.most_seconds:g} s: {self}"
            remedy = "Allow more with rehearsal.most_seconds, in seconds."
            raise Problem(
                code="copy-failed", operation="copying", subject=self.subject, cause=cause, remedy=remedy
            ) from None
        except apsw.Error as error:
            raise self._failed(str(error), _remedy(error)) from None
        except OSError as error:
            raise self._failed(str(error), _DISK) from None

    def _failed(self, cause: str, remedy: str) -> Problem:
        return Problem(code="copy-failed", operation="copying", subject=self.subject, cause=cause, remedy=remedy)

    def _too_big(self, cause: str) -> Problem:
        allowed = f"rehearsal.most_bytes allows {self._limits.most_bytes:,} ({megabytes(self._limits.most_bytes)})"
        return Problem(
            code="copy-failed",
            operation="copying",
            subject=self.subject,
            cause=f"{cause}; {allowed}",
            remedy="Allow more with rehearsal.most_bytes, in bytes.",
        )

    def __str__(self) -> str:
        """Return the number of rows so far, if rows are counted, with the megabytes so far and the rate."""
        rate, rows = self.bytes / max(self.seconds, 0.001), f"{counted(self._rows, 'row')}, " if self._rows else ""
        return f"{rows}{megabytes(self.bytes)}, {megabytes(rate)}/s"


def _remedy(error: apsw.Error) -> str:
    """Return the remedy for an error of the engine, by its kind: a full disk, an encrypted file, or anything else."""
    if isinstance(error, _OF_THE_DISK):
        return _DISK
    if isinstance(error, apsw.NotADBError):
        return "Pass a SQLite file that is not encrypted, or a dump."
    own = f"SQLite {apsw.sqlite_lib_version()}, which reads the copy,"
    return f"{own} does not support this, or finds the file damaged: check the database with its own server."


def _now() -> float:
    return asyncio.get_running_loop().time()


def megabytes(size: float) -> str:
    """Return a number of bytes in MB as text, with one decimal below ten."""
    return f"{size / 1e6:,.0f} MB" if size >= 10e6 else f"{size / 1e6:.1f} MB"  # noqa: PLR2004 - ten megabytes
