"""Print lines: wrapped and indented on a terminal, unwrapped elsewhere. Text from outside is never read as markup.

Printing never blocks or fails the run, even if the reader is slow or gone.
"""

import os
import queue
import select
import threading
from collections.abc import Iterable
from contextlib import suppress
from textwrap import wrap
from typing import IO, NamedTuple, TextIO, cast

from rich.console import Console
from rich.text import Text

from steps.support.core.text import printable_lines

WAITING = 10_000  # texts that may wait for a slow reader; further ones are dropped
LAST = 1.0  # seconds that the end of a run waits for a slow reader


class Outlet:
    """A writer that takes the place of a stream, and writes to it in a thread of its own."""

    encoding = "utf-8"

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._texts: queue.Queue[str | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._drain, daemon=True)
        self._thread.start()

    def write(self, text: str) -> int:
        """Queue a text, or drop it if too many are waiting. Return the number of characters that were queued."""
        try:
            self._texts.put_nowait(text)
        except queue.Full:
            return 0
        return len(text)

    def flush(self) -> None:
        """Do nothing, because the thread writes each text at once."""

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
        except BlockingIOError:  # another process made the descriptor non-blocking, and the reader is slow
            select.select([], [descriptor], [])


UNWRAPPED = 10_000  # columns if there is no terminal; also the most characters that are shown of one text
NARROWEST = 20  # the fewest columns for the words
NAME = 10  # columns for the name before the lines
SHORT = 160  # characters of a text that is printed in full elsewhere


class Line(NamedTuple):
    """One line: its head, the colour of the head, and its words.

    `is_whole`: whether the words contain commands, which a line break would change. This tool does not wrap such a
    line, but the terminal may.
    """

    head: str = ""
    words: str = ""
    colour: str = "dim"
    is_whole: bool = False


class Printer:
    """Prints lines through rich, without markup, emoji or highlighting."""

    def __init__(self, out: Outlet | TextIO) -> None:
        width = None if out.isatty() else UNWRAPPED
        self.console = Console(
            file=cast("IO[str]", out), highlight=False, markup=False, emoji=False, soft_wrap=True, width=width
        )

    def put(self, lines: Iterable[Line], clock: str = "") -> None:
        """Print lines, with the words next to the head."""
        for line in lines:
            self._put(Text.assemble((clock, "dim"), (line.head, line.colour)), line.words, is_whole=line.is_whole)

    def _put(self, head: Text, words: str, *, is_whole: bool) -> None:
        if not words:
            self.console.print(head, soft_wrap=False)
            return
        room = UNWRAPPED if is_whole else max(NARROWEST, self.console.width - head.cell_len)
        texts = printable_lines(cut(words, UNWRAPPED)).split("\n")
        first, *rest = [part for text in texts for part in wrap(text, room)] or [""]
        self.console.print(Text.assemble(head, first))
        for part in rest:
            self.console.print(" " * head.cell_len + part)


def cut(text: str, most: int) -> str:
    """Return a text, cut to `most` characters and followed by dots if it is longer."""
    return text if len(text) <= most else f"{text[:most]}..."


def named(name: str, *words: str) -> list[Line]:
    """Return a line for each text. The first begins with the name, the others with as many spaces."""
    heads = [name, *([""] * len(words))]
    return [Line(f"{head:<{NAME}}", text) for head, text in zip(heads, words, strict=False)]
