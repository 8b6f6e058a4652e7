"""What the engineer sees at a terminal: the plan, then a timeline that is drawn again and again, then the end."""

from collections.abc import Callable, Mapping
from typing import Any, TextIO

from rich.console import Group
from rich.live import Live

from steps.support.console import lines
from steps.support.console.outlet import Outlet
from steps.support.console.printer import Printer
from steps.support.console.progress import Progress, next_progress
from steps.support.console.timeline import DRAWN, PLAIN
from steps.support.console.timeline import lines as drawn
from steps.support.core import event_loop

Event = Mapping[str, Any]

REFRESHES = 4  # a second
ALSO = ("asking", "signal", "warning", "look_failed")  # what gets a line of its own, above the timeline


class Terminal:
    """A journal listener that draws. `now`: seconds on the run's clock."""

    def __init__(self, out: Outlet | TextIO, now: Callable[[], float] = event_loop.now) -> None:
        self._paper = Printer(out)
        self._now = now
        self._course = Progress()
        self._live: Live | None = None

    def __call__(self, event: Event) -> None:
        """Draw what an event has changed."""
        self._course = next_progress(self._course, event)
        if event["event"] in ("planned", "recalled", "asking", "ended"):
            self.close()
        self._paper.put(lines.block(event))
        if event["event"] in ALSO:
            self._paper.put(lines.line(event))
        if event["event"] in ("opened", "look_waiting", "look_done", "started"):
            self._open(transient=event["event"] != "started")

    def close(self) -> None:
        """Leave what is drawn as it is, and draw no more."""
        if self._live:
            self._live.stop()
            self._live = None

    def _open(self, *, transient: bool) -> None:
        if self._live and self._live.transient == transient:
            return
        self.close()
        self._live = Live(
            get_renderable=self._drawn,
            console=self._paper.console,
            refresh_per_second=REFRESHES,
            transient=transient,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )
        self._live.start()

    def _drawn(self) -> Group:
        console = self._paper.console
        strokes = DRAWN if console.encoding.lower().startswith("utf") else PLAIN
        return Group(*drawn(self._course, self._now(), console.width, strokes))
