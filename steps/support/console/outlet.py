"""Write text without blocking or failing the run: the reader may be slow, or gone."""

import os
import queue
import select
import threading
from contextlib import suppress
from typing import TextIO

WAITING = 10_000  # texts that may wait for a slow reader; further ones are dropped
LAST = 1.0  # seconds that the end of a run waits for a slow reader


class Outlet:
    """A writer in place of a stream; its own thread does the writing."""

    encoding = "utf-8"

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._texts: queue.Queue[str | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._drain, daemon=True)
        self._thread.start()

    def write(self, text: str) -> int:
        """Queue a text, or drop it if too many are waiting. Return the number of characters taken."""
        try:
            self._texts.put_nowait(text)
        except queue.Full:
            return 0
        return len(text)

    def flush(self) -> None:
        """Do nothing: the thread writes each text at once."""

    def isatty(self) -> bool:
        """Return True if the stream is a terminal."""
        return self._stream.isatty()

    def close(self) -> None:
        """Wait at most LAST seconds until the queued texts are written."""
        with suppress(queue.Full):
            self._texts.put_nowait(None)
        self._thread.join(LAST)

    def _drain(self) -> None:
        with suppress(OSError, ValueError):  # the reader is gone
            descriptor = self._stream.fileno()
            while (text := self._texts.get()) is not None:
                _write_all(descriptor, text.encode(errors="backslashreplace"))


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:  # another process made it non-blocking; it is still being read
            select.select([], [descriptor], [])
