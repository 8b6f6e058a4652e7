"""How far a copy is, told twice a second at most, and the time and the disk that it may take."""

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from steps.support.core.deadline import waiting_for
from steps.support.core.errors import Problem
from steps.support.proof.config import Limits

SPACE = 4  # times the size of the database: its copy, and the rehearsals on it

_PAUSE = 0.5  # seconds between two things told


class Progress:
    """Tells what was copied so far; `what` is how it is called, `subject` where it comes from."""

    def __init__(self, what: str, subject: str, limits: Limits) -> None:
        self.subject, self.bytes = subject, 0
        self._what, self._limits = what, limits
        self._began = self._told = _now()
        self._rows = 0

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return _now() - self._began

    def step(self, rows: int, size: int) -> None:
        """Take note of all the rows so far and of more bytes. Raises Problem where they are more than allowed."""
        self._rows, self.bytes = rows, self.bytes + size
        if self.bytes > self._limits.most_bytes:
            raise self._too_big(f"{megabytes(self.bytes)} have come so far")
        if _now() >= self._told + _PAUSE:
            self._told = _now()
            waiting_for(f"{self._what}: {self}")

    def checking(self) -> None:
        """Tell that everything is there and is being checked."""
        waiting_for(f"{self._what}: {self}, being checked")

    def room(self, folder: Path, size: int) -> None:
        """Raise Problem where a database of this size finds no room, or not as much as is allowed."""
        need, free = SPACE * size, shutil.disk_usage(folder).free
        takes = f"it holds {megabytes(size)} and takes {SPACE} times that, {megabytes(need)}"
        if need > free:
            remedy = "Make room there, or rehearse on a smaller copy with --copy FILE."
            raise Problem(
                "copying", self.subject, f"{takes}; on the disk of {folder} {megabytes(free)} are free", remedy
            )
        if need > self._limits.most_bytes:
            raise self._too_big(takes)

    @asynccontextmanager
    async def bounded(self) -> AsyncIterator[None]:
        """End the block when its time is up. Raises Problem for that, and for what disk and engine complain of."""
        try:
            async with asyncio.timeout(self._limits.most_seconds):
                yield
            waiting_for("")
        except TimeoutError:
            cause = f"it is not done after {self._limits.most_seconds:g} s: {self}"
            remedy = "Allow more with rehearsal.most_seconds, in seconds."
            raise Problem("copying", self.subject, cause, remedy) from None
        except (sqlite3.Error, OSError) as error:
            raise Problem("copying", self.subject, str(error), "Check the disk, and who may read and write.") from None

    def _too_big(self, cause: str) -> Problem:
        allowed = f"rehearsal.most_bytes allows {self._limits.most_bytes:,} ({megabytes(self._limits.most_bytes)})"
        return Problem(
            "copying", self.subject, f"{cause}; {allowed}", "Allow more with rehearsal.most_bytes, in bytes."
        )

    def __str__(self) -> str:
        """Give rows, bytes and rate so far."""
        rate = self.bytes / max(self.seconds, 0.001)
        return f"{self._rows:,} rows, {megabytes(self.bytes)}, {megabytes(rate)}/s"


def _now() -> float:
    return asyncio.get_running_loop().time()


def megabytes(size: float) -> str:
    """Write bytes as megabytes, with one digit after the point where they are few."""
    return f"{size / 1e6:,.0f} MB" if size >= 10e6 else f"{size / 1e6:.1f} MB"  # noqa: PLR2004 - ten of them
