"""Draw a run on a terminal: first the plan, then a timeline that is redrawn in place, then the outcome."""

from collections.abc import Callable
from typing import TextIO

from rich.console import Group
from rich.live import Live

from steps.support.console import lines
from steps.support.console.printer import Outlet, Printer
from steps.support.console.timeline import DRAWN, PLAIN
from steps.support.console.timeline import lines as timeline_lines
from steps.support.core import event_loop
from steps.support.core.events import (
    Asking,
    Ended,
    Event,
    LookDone,
    LookFailed,
    LookWaiting,
    Opened,
    Planned,
    Recalled,
    SignalReceived,
    Started,
    Warned,
)
from steps.support.core.run_state import RunState

REFRESHES = 4  # per second
ALSO = (Asking, SignalReceived, Warned, LookFailed)  # events that get their own line above the timeline


class Terminal:
    """A journal listener that draws the timeline. `now`: a function that returns the seconds on the run's clock."""

    def __init__(self, out: Outlet | TextIO, now: Callable[[], float] = event_loop.now) -> None:
        self._printer = Printer(out)
        self._now = now
        self._run = RunState()
        self._live: Live | None = None

    def __call__(self, event: Event, run: RunState) -> None:
        """Draw the run again after an event."""
        self._run = run
        if isinstance(event, (Planned, Recalled, Asking, Ended)):
            self.close()
        self._printer.put(lines.block(event))
        if isinstance(event, ALSO):
            self._printer.put(lines.line(event))
        if isinstance(event, (Opened, LookWaiting, LookDone, Started)):
            self._open(transient=not isinstance(event, Started))

    def close(self) -> None:
        """Stop drawing, and leave the last drawing on the screen."""
        if self._live:
            self._live.stop()
            self._live = None

    def _open(self, *, transient: bool) -> None:
        if self._live and self._live.transient == transient:
            return
        self.close()
        self._live = Live(
            get_renderable=self._draw,
            console=self._printer.console,
            refresh_per_second=REFRESHES,
            transient=transient,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )
        self._live.start()

    def _draw(self) -> Group:
        console = self._printer.console
        strokes = DRAWN if console.encoding.lower().startswith("utf") else PLAIN
        return Group(*timeline_lines(self._run, self._now(), console.width, strokes))
