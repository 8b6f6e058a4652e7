"""Print a run without a terminal: one plain line for each event that matters."""

from collections.abc import Iterable
from functools import singledispatch
from typing import TextIO

from steps.support.console import plan, summary
from steps.support.console.printer import SHORT, UNWRAPPED, Line, Outlet, Printer, cut, named
from steps.support.core.events import (
    Asking,
    DoneEvent,
    Ended,
    Event,
    FailedEvent,
    Left,
    LookDone,
    LookFailed,
    LookWaiting,
    Opened,
    Planned,
    Recalled,
    SignalReceived,
    SiteDown,
    SiteUp,
    StepBegun,
    StepDone,
    StepFailed,
    UndoBegun,
    UndoDone,
    UndoFailed,
    Warned,
)
from steps.support.core.run_state import RunState

QUESTION = "Press Enter to go ahead, Ctrl-C to leave everything as it is"
PATIENCE = 2.0  # seconds between two lines about what a preflight is waiting for


class Lines:
    """A journal listener that prints plain lines."""

    def __init__(self, out: Outlet | TextIO) -> None:
        self._printer = Printer(out)
        self._printed_at = -PATIENCE

    def __call__(self, event: Event, run: RunState) -> None:
        """Print the lines of an event. Some events have none."""
        if isinstance(event, LookWaiting) and event.clock < self._printed_at + PATIENCE:
            return
        if isinstance(event, (LookWaiting, LookDone, LookFailed)):
            self._printed_at = event.clock
        self._printer.put(block(event))
        self._printer.put(line(event), f"{event.clock - run.started.clock:6.1f} s  " if run.started else "")


@singledispatch
def block(_event: Event) -> Iterable[Line]:
    """Return the lines of an event that needs several, or no lines for any other event."""
    return []


@block.register
def _(event: Opened) -> Iterable[Line]:
    facts = {
        event.mode: f"run {event.run}",
        "change": event.change["name"],
        "broken": f"on purpose: {event.broken}" if event.broken else "",
    }
    return [Line(), *(line for name, words in facts.items() if words for line in named(name, words))]


@block.register
def _(event: Planned) -> Iterable[Line]:
    return plan.plan_lines(event)


@block.register
def _(event: Recalled) -> Iterable[Line]:
    names = ", ".join(event.begun) or "nothing"
    facts = {"earlier": f"run {event.of}, {event.change['name']}: {event.state}", "begun": f"{names} (newest first)"}
    return [Line(), *(line for name, words in facts.items() for line in named(name, words)), Line()]


@block.register
def _(event: Ended) -> Iterable[Line]:
    return summary.summary_lines(event)


def line(event: Event) -> Iterable[Line]:
    """Return a list with the line of an event; empty if the event is not shown as a single line."""
    only = _line(event)
    return [only] if only else []


@singledispatch
def _line(_event: Event) -> Line | None:
    return None


_MARKS: dict[type[Event], tuple[str, str]] = {  # the mark before a line, and its colour
    LookFailed: ("no", "yellow"),
    StepBegun: ("...", "dim"),
    StepDone: ("ok", "green"),
    StepFailed: ("FAIL", "red"),
    UndoBegun: ("undo", "dim"),
    UndoDone: ("undo", "yellow"),
    UndoFailed: ("STUCK", "bold red"),
}


@_line.register
def _(event: Asking) -> Line:
    return _marked("?", "bold", "", f"{event.target}\n{QUESTION}")


@_line.register
def _(event: LookWaiting) -> Line:
    return _marked("...", "dim", event.step, _first(event.on, SHORT))


@_line.register(StepBegun)
@_line.register(UndoBegun)
def _(event: StepBegun | UndoBegun) -> Line:
    return _marked(*_MARKS[type(event)], event.step, f"at most {event.limit:.0f} s")


@_line.register
def _(event: DoneEvent) -> Line | None:
    mark = _MARKS.get(type(event))
    return _marked(*mark, event.step, _first(event.detail) + _seconds(event)) if mark else None


@_line.register
def _(event: FailedEvent) -> Line:
    return _marked(*_MARKS[type(event)], event.step, _first(event.why.cause, SHORT) + _seconds(event))


@_line.register
def _(event: Left) -> Line:
    return _marked("LEFT", "bold red", event.step, _first(event.cause, SHORT))


@_line.register
def _(event: SiteDown) -> Line:
    return _marked("!", "red", "the site", f"is down: {cut(event.answer, SHORT)}")


@_line.register
def _(event: SiteUp) -> Line:
    return _marked("!", "green", "the site", f"is up again: {cut(event.answer, SHORT)}")


@_line.register
def _(event: SignalReceived) -> Line:
    first = "rolling back what was begun; a second signal stops immediately"
    return _marked("!", "yellow", event.name, "stopping immediately" if event.again else first)


@_line.register
def _(event: Warned) -> Line:
    return _marked("!", "yellow", "", event.text)


def _first(text: str, most: int = UNWRAPPED) -> str:
    """Return the first line of a text, cut to `most` characters."""
    return cut(text.split("\n", maxsplit=1)[0], most)


def _seconds(event: DoneEvent | FailedEvent) -> str:
    return "" if event.seconds is None else f" ({event.seconds:.1f} s)"


def _marked(mark: str, colour: str, step: str, words: str) -> Line:
    return Line(f"{mark:<6}{step:<19}" if step else f"{mark:<6}", words, colour)
