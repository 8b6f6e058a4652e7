"""A way out for text that can neither stop nor fail a run: whoever reads it may be slow, or gone."""

import os
import queue
import select
import threading
from contextlib import suppress
from typing import TextIO

WAITING = 10_000  # pieces of text that may wait for a slow reader; more are dropped


LAST = 1.0  # seconds that the end waits for what is still to be read


class Outlet:
    """Something to write to, in place of a stream; a thread of its own does the writing."""

    encoding = "utf-8"

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._texts: queue.Queue[str | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._pour, daemon=True)
        self._thread.start()

    def write(self, text: str) -> int:
        """Take a text; drop it where too many wait already."""
        try:
            self._texts.put_nowait(text)
        except queue.Full:
            return 0
        return len(text)

    def flush(self) -> None:
        """Nothing is held back here."""

    def isatty(self) -> bool:
        """Say whether a terminal is at the other end."""
        return self._stream.isatty()

    def close(self) -> None:
        """Let what waits go out, but not for long."""
        with suppress(queue.Full):
            self._texts.put_nowait(None)
        self._thread.join(LAST)

    def _pour(self) -> None:
        with suppress(OSError, ValueError):  # nobody is there any more
            number = self._stream.fileno()
            while (text := self._texts.get()) is not None:
                _write_all(number, text.encode(errors="backslashreplace"))


def _write_all(number: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(number, data) :]
        except BlockingIOError:  # somebody else has set it so, and somebody reads it all the same
            select.select([], [number], [])
