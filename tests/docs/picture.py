"""The picture in the README: `python -m tests.docs.picture runs/RUN docs/timeline.svg` draws how a rehearsal ended."""

import io
import re
import sys
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import MONOKAI

from steps.support.console import summary
from steps.support.console.printer import Printer
from steps.support.console.timeline import DRAWN, lines
from steps.support.core.events import Ended
from steps.support.core.run_state import state_of
from steps.support.run.run_record import JOURNAL, read

WIDTH = 88
LEFT_OUT = ("report", "unpin")  # they name paths of the machine on which it ran
FONTS = re.compile(r"\s*@font-face \{\{.*?\}\}", re.DOTALL)  # they would be fetched from another host


def drawn(folder: Path) -> str:
    """Draw the last state of a run's timeline, and its end, as SVG."""
    events, _ = read(folder / JOURNAL)
    console = Console(record=True, width=WIDTH, file=io.StringIO(), highlight=False, force_terminal=True)
    for line in lines(state_of(events), events[-1].clock, WIDTH, DRAWN):
        console.print(line)
    paper = Printer(io.StringIO())
    paper.console = console
    ended = events[-1]
    assert isinstance(ended, Ended), f"{folder}: the run has not ended"
    paper.put(line for line in summary.summary_lines(ended) if line.head.strip() not in LEFT_OUT)
    template = FONTS.sub("", CONSOLE_SVG_FORMAT).replace("Fira Code, monospace", "ui-monospace, monospace")
    return console.export_svg(
        title="orchestrate.py --dry-run", theme=MONOKAI, code_format=template, unique_id="timeline"
    )


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(drawn(Path(sys.argv[1])) + "\n", encoding="utf-8")
