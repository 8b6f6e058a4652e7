"""What the engineer sees without a terminal: a plain line for every event that matters."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TextIO

from steps.support.console import plan, summary
from steps.support.console.outlet import Outlet
from steps.support.console.printer import SHORT, UNWRAPPED, Line, Printer, cut, named

Event = Mapping[str, Any]

QUESTION = "Enter goes ahead, Ctrl-C leaves everything as it is"
PATIENCE = 2.0  # seconds without a line while something is looked at


class Lines:
    """A journal listener that prints lines."""

    def __init__(self, out: Outlet | TextIO) -> None:
        self._paper = Printer(out)
        self._started: float | None = None
        self._waited = -PATIENCE

    def __call__(self, event: Event) -> None:
        """Print what an event has to say, if anything."""
        if event["event"] == "started":
            self._started = event["clock"]
        if event["event"] == "look_waiting" and event["clock"] < self._waited + PATIENCE:
            return
        self._waited = event["clock"] if event["event"].startswith("look_") else self._waited
        self._paper.put(block(event))
        self._paper.put(line(event), self._clock(event))

    def _clock(self, event: Event) -> str:
        return "" if self._started is None else f"{event['clock'] - self._started:6.1f} s  "


def block(event: Event) -> Iterable[Line]:
    """Give the lines of what is told at length."""
    told = _BLOCKS.get(event["event"])
    return told(event) if told else []


def line(event: Event) -> Iterable[Line]:
    """Give the line of what happened at a moment."""
    told = _LINES.get(event["event"])
    return [told(event)] if told else []


def _opened(event: Event) -> list[Line]:
    told = {
        event["mode"]: f"run {event['run']}",
        "change": event["change"]["name"],
        "broken": f"on purpose: {event['broken']}" if event.get("broken") else "",
    }
    return [Line(), *(line for name, words in told.items() if words for line in named(name, words))]


def _recalled(event: Event) -> list[Line]:
    names = ", ".join(event["begun"]) or "nothing"
    told = {"of": f"run {event['of']}, {event['change']['name']}: {event['state']}", "begun": f"{names} (newest first)"}
    return [Line(), *(line for name, words in told.items() for line in named(name, words)), Line()]


def _words(event: Event, field: str, most: int = UNWRAPPED) -> str:
    said = str(event.get(field) or "").split("\n")[0]
    seconds = f" ({event['seconds']:.1f} s)" if event.get("seconds") is not None else ""
    return cut(said, most) + seconds


def _marked(mark: str, colour: str, step: str, words: str) -> Line:
    return Line(f"{mark:<6}{step:<19}" if step else f"{mark:<6}", words, colour)


def _done(mark: str, colour: str) -> Callable[[Event], Line]:
    return lambda event: _marked(mark, colour, event["step"], _words(event, "detail"))


def _failed(mark: str, colour: str) -> Callable[[Event], Line]:
    return lambda event: _marked(mark, colour, event["step"], _words(event, "cause", SHORT))


def _begun(mark: str) -> Callable[[Event], Line]:
    return lambda event: _marked(mark, "dim", event["step"], f"at most {event['limit']:.0f} s")


def _signal(event: Event) -> Line:
    first = "putting back what was begun; once more stops at once"
    return _marked("!", "yellow", event["name"], "stopping at once" if event.get("again") else first)


_BLOCKS: dict[str, Callable[[Event], list[Line]]] = {
    "opened": _opened,
    "planned": plan.plan_lines,
    "recalled": _recalled,
    "ended": summary.summary_lines,
}
_LINES: dict[str, Callable[[Event], Line]] = {
    "asking": lambda event: _marked("?", "bold", "", f"{event['target']}\n{QUESTION}"),
    "look_waiting": lambda event: _marked("...", "dim", event["step"], _words(event, "on", SHORT)),
    "look_failed": _failed("no", "yellow"),
    "begun": _begun("..."),
    "done": _done("ok", "green"),
    "failed": _failed("FAIL", "red"),
    "undo_begun": _begun("undo"),
    "undo_done": _done("undo", "yellow"),
    "undo_failed": _failed("STUCK", "bold red"),
    "left": _failed("LEFT", "bold red"),
    "site_down": lambda event: _marked("!", "red", "the site", f"refuses visitors: {cut(event['answer'], SHORT)}"),
    "site_up": lambda event: _marked("!", "green", "the site", f"is there again: {cut(event['answer'], SHORT)}"),
    "signal": _signal,
    "warning": lambda event: _marked("!", "yellow", "", event["text"]),
}
