"""Lines on a screen: wrapped under their own beginning at a terminal, whole elsewhere; foreign text stays text."""

from collections.abc import Iterable
from textwrap import wrap
from typing import IO, NamedTuple, TextIO, cast

from rich.console import Console
from rich.text import Text

from steps.support.console.outlet import Outlet
from steps.support.core.text import printable_lines

UNWRAPPED = 10_000  # columns, where no terminal tells how many it has; also the most that is shown of one text
NARROWEST = 20  # columns that words get at the least
NAME = 10  # columns of what lines are about
SHORT = 160  # characters of what is told in full elsewhere


class Line(NamedTuple):
    """One line: what stands before it, in which colour, and what it says.

    `is_whole`: it holds commands, of which a break would make others: the terminal may wrap it, we do not.
    """

    head: str = ""
    words: str = ""
    colour: str = "dim"
    is_whole: bool = False


class Printer:
    """Where lines are put."""

    def __init__(self, out: Outlet | TextIO) -> None:
        width = None if out.isatty() else UNWRAPPED
        self.console = Console(
            file=cast("IO[str]", out), highlight=False, markup=False, emoji=False, soft_wrap=True, width=width
        )

    def put(self, lines: Iterable[Line], clock: str = "") -> None:
        """Print lines, each one's words beside its head."""
        for line in lines:
            self._put(Text.assemble((clock, "dim"), (line.head, line.colour)), line.words, is_whole=line.is_whole)

    def _put(self, head: Text, words: str, *, is_whole: bool) -> None:
        if not words:
            self.console.print(head, soft_wrap=False)
            return
        room = UNWRAPPED if is_whole else max(NARROWEST, self.console.width - head.cell_len)
        said = printable_lines(cut(words, UNWRAPPED)).split("\n")
        first, *rest = [part for text in said for part in wrap(text, room)] or [""]
        self.console.print(Text.assemble(head, first))
        for part in rest:
            self.console.print(" " * head.cell_len + part)


def cut(text: str, most: int) -> str:
    """Give no more than so many characters, and show that there are more."""
    return text if len(text) <= most else f"{text[:most]}..."


def named(name: str, *words: str) -> list[Line]:
    """Give lines, the first of which begins with what they are about."""
    heads = [name, *([""] * len(words))]
    return [Line(f"{head:<{NAME}}", said) for head, said in zip(heads, words, strict=False)]
