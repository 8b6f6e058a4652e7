"""What the engineer sees: a line for every event that matters, wrapped on a terminal and whole everywhere else."""

from collections.abc import Callable, Mapping
from textwrap import wrap
from typing import IO, Any, TextIO, cast

from rich.console import Console
from rich.text import Text

from steps.support.console import plan
from steps.support.console.outlet import Outlet
from steps.support.printable import printable_lines

Event = Mapping[str, Any]
Line = tuple[str, str, str, str]  # mark, its colour, the step, the words

UNWRAPPED = 10_000  # columns, where no terminal tells how many it has
SHORT = 160  # characters of a failure while the run goes on; its end tells all of it

PATIENCE = 2.0  # seconds without a line while something is looked at
NARROWEST = 20  # columns that words get at the least
EMPTY: Line = ("", "", "", "")

ENDINGS = {
    ("prod", "deployed"): ("green", "DEPLOYED"),
    ("prod", "rehearsed"): ("green", "LOOKED: production is ready, nothing was touched"),
    ("dry-run", "rehearsed"): ("green", "REHEARSED: it went well"),
    "accepted": ("green", "ACCEPTED: the change stays, what was kept for undoing it is dropped"),
    "unlocked": ("yellow", "UNLOCKED: nothing else was touched"),
    ("rollback", "rolled_back"): ("green", "PUT BACK: schema, live deployment and files are those of before, verified"),
    "rolled_back": ("yellow", "ROLLED BACK: schema, live deployment and files are those of before, verified"),
    "refused": ("yellow", "REFUSED: nothing was touched"),
    "needs_human": ("bold red", "NEEDS A HUMAN: not everything is put back, or it is not known"),
}


class Screen:
    """A journal listener that prints."""

    def __init__(self, out: Outlet | TextIO) -> None:
        width = None if out.isatty() else UNWRAPPED
        self._console = Console(
            file=cast("IO[str]", out), highlight=False, markup=False, emoji=False, soft_wrap=True, width=width
        )
        self._started: float | None = None
        self._waited = -PATIENCE

    def __call__(self, event: Event) -> None:
        """Print what an event has to say, if anything."""
        if event["event"] == "started":
            self._started = event["clock"]
        if event["event"] == "look_waiting" and event["clock"] < self._waited + PATIENCE:
            return
        self._waited = event["clock"] if event["event"].startswith("look_") else self._waited
        for line in _BLOCKS.get(event["event"], _nothing)(event):
            self._print("", *line)
        if event["event"] in _LINES:
            self._print(self._clock(event), *_LINES[event["event"]](event))

    def _clock(self, event: Event) -> str:
        return "" if self._started is None else f"{event['clock'] - self._started:6.1f} s  "

    def _print(self, clock: str, mark: str, colour: str, step: str, words: str) -> None:
        """Print one line, wrapped under its own beginning."""
        head = Text.assemble((clock, "dim"), (f"{mark:<6}", colour), f"{step:<19}" if step else "")
        room = max(NARROWEST, self._console.width - head.cell_len)
        first, *rest = [
            part for said in printable_lines(_cut(words, UNWRAPPED)).split("\n") for part in wrap(said, room)
        ] or [""]
        self._console.print(head.append(first) if head.plain.strip() else "")
        for part in rest:
            self._console.print(" " * (head.cell_len - len(first)) + part)


def _nothing(_event: Event) -> list[Line]:
    return []


def _opened(event: Event) -> list[Line]:
    budget = event["budget"]
    first = f"{budget['build']:g} s for the build, then " if budget["starts"] == "live" else ""
    told = {
        event["mode"]: f"run {event['run']}",
        "change": event["change"]["name"],
        "time": f"{first}{budget['total']:g} s, {budget['reserve']:g} s of them kept for going back",
        "broken": f"on purpose: {event['broken']}" if event.get("broken") else "",
    }
    return [EMPTY, *(_named(name, words) for name, words in told.items() if words)]


def _planned(event: Event) -> list[Line]:
    return [EMPTY, *((f"{name:<19}", "dim", "", words) for name, words in plan.told(event)), EMPTY]


def _recalled(event: Event) -> list[Line]:
    names = ", ".join(event["begun"]) or "nothing"
    told = {"of": f"run {event['of']}, {event['change']['name']}: {event['state']}", "begun": f"{names} (newest first)"}
    return [EMPTY, *(_named(name, words) for name, words in told.items()), EMPTY]


def headline(report: Event) -> tuple[str, str]:
    """Give the colour and the words for how a run ended."""
    mode, verdict = report["mode"], report["verdict"]
    colour, words = ENDINGS.get((mode, verdict)) or ENDINGS[verdict]
    nothing = (mode, verdict) == ("rollback", "rolled_back") and not report["undo"]
    return colour, "NOTHING TO PUT BACK" if nothing else words


def _ended(event: Event) -> list[Line]:
    used, (colour, words) = event["budget"]["used_seconds"], headline(event)
    took = f" (exit code {event['exit_code']}{f', {used:.1f} s' if used else ''})"
    told = {
        "downtime": _downtime(event["downtime"]),
        "cause": event["cause"],
        "next": event["next_action"],
        "unpin": event["unpin"],
        "report": f"{event['folder']}/report.json",
    }
    return [
        EMPTY,
        (words + took, colour, "", ""),
        *(_named("remains", what) for what in event["remains"]),
        *(_named(name, str(text)) for name, text in {**told, "see": event["runbook"]}.items() if text),
    ]


def _downtime(seen: Mapping[str, Any] | None) -> str:
    if not seen or not seen["probes"]:
        return ""
    failed, kinds = seen["failed_probes"], ", ".join(f"{answer}: {count}" for answer, count in seen["refused"].items())
    when = f", from {seen['first_failure']:.1f} s to {seen['last_failure']:.1f} s ({kinds})" if failed else ""
    phases = ((name, phase["median_seconds"]) for name, phase in seen["latency"].items() if phase)
    took = ", ".join(f"{seconds * 1000:.0f} ms {name}" for name, seconds in phases)
    return f"{seen['observed_seconds']:.1f} s: {failed} of {seen['probes']} visits refused{when}; answers took {took}"


def _named(name: str, words: str) -> Line:
    return (f"{name:<9}", "dim", "", words)


def _words(event: Event, field: str, most: int = UNWRAPPED) -> str:
    said = str(event.get(field) or "").split("\n")[0]
    seconds = f" ({event['seconds']:.1f} s)" if event.get("seconds") is not None else ""
    return _cut(said, most) + seconds


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}..."


def _done(mark: str, colour: str) -> Callable[[Event], Line]:
    return lambda event: (mark, colour, event["step"], _words(event, "detail"))


def _failed(mark: str, colour: str) -> Callable[[Event], Line]:
    return lambda event: (mark, colour, event["step"], _words(event, "cause", SHORT))


def _begun(mark: str) -> Callable[[Event], Line]:
    return lambda event: (mark, "dim", event["step"], f"at most {event['limit']:.0f} s")


def _signal(event: Event) -> Line:
    return ("!    ", "yellow", event["name"], "putting back what was begun; once more stops at once")


_BLOCKS: dict[str, Callable[[Event], list[Line]]] = {
    "opened": _opened,
    "planned": _planned,
    "recalled": _recalled,
    "ended": _ended,
}
_LINES: dict[str, Callable[[Event], Line]] = {
    "asking": lambda _event: ("?    ", "bold", "", "Enter goes ahead, Ctrl-C leaves everything as it is"),
    "look_waiting": lambda event: ("...  ", "dim", event["step"], _words(event, "on", SHORT)),
    "look_failed": _failed("no   ", "yellow"),
    "begun": _begun("...  "),
    "done": _done("ok   ", "green"),
    "failed": _failed("FAIL ", "red"),
    "undo_begun": _begun("undo "),
    "undo_done": _done("undo ", "yellow"),
    "undo_failed": _failed("STUCK", "bold red"),
    "left": _failed("LEFT ", "bold red"),
    "signal": _signal,
    "warning": lambda event: ("!    ", "yellow", "", event["text"]),
}
