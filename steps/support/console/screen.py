"""What the engineer sees: one line for every event that matters, at 80 columns and without a terminal alike."""

import os
from collections.abc import Callable, Mapping
from typing import IO, Any, TextIO

from rich.console import Console
from rich.markup import escape

Event = Mapping[str, Any]

COLOURS = {
    "deployed": "green",
    "rehearsed": "green",
    "rolled_back": "yellow",
    "refused": "yellow",
    "needs_human": "bold red",
}
ENDINGS = {
    "deployed": "DEPLOYED",
    "rehearsed": "REHEARSED: it went well",
    "rolled_back": "ROLLED BACK: everything is as it was, verified",
    "refused": "REFUSED: nothing was touched",
    "needs_human": "NEEDS A HUMAN: not everything is put back, or it is not known",
}


class _Terminal(Console):
    """A console that falls silent once nobody reads it any more, instead of ending the process."""

    def on_broken_pipe(self) -> None:
        """Say nothing from now on."""
        self.quiet = True
        silence(self.file)


class Screen:
    """A journal listener that prints. Once the other end of the pipe is gone it is silent."""

    def __init__(self, stream: TextIO) -> None:
        self._console = _Terminal(file=stream, highlight=False, soft_wrap=True)
        self._started: float | None = None

    def __call__(self, event: Event) -> None:
        """Print what an event has to say, if anything."""
        say = _LINES.get(event["event"])
        if event["event"] == "started":
            self._started = event["clock"]
        if not say:
            return
        clock = "" if self._started is None else f"{event['clock'] - self._started:6.1f} s  "
        for line in say(event):
            self._console.print(f"[dim]{clock}[/dim]{line}")


def _opened(event: Event) -> list[str]:
    total, reserve = event["budget"]["total"], event["budget"]["reserve"]
    budget = f"{total:g} s, {reserve:g} s of them for going back"
    return [f"[bold]{event['mode']}[/bold] {event['run']}: {safe(event['change'])}, {event['order']}, {budget}"]


def _planned(event: Event) -> list[str]:
    return ["", *(f"  {step['name']:19}{safe(step['plan'])}" for step in event["steps"]), ""]


def _ended(event: Event) -> list[str]:
    verdict, used = event["verdict"], event["budget"]["used_seconds"]
    took = f", {used:.1f} s" if used else ""
    told = {"cause": event["cause"], "next": event["next_action"], "report": f"{event['folder']}/report.json"}
    lines = [f"  {name:8}{safe(str(text))}" for name, text in {**told, "see": event["runbook"]}.items() if text]
    return ["", f"[{COLOURS[verdict]}]{ENDINGS[verdict]}[/] (exit code {event['exit_code']}{took})", *lines, ""]


def silence(stream: IO[str]) -> None:
    """Have what is still written to a stream go nowhere, so that the interpreter's last flush does not fail either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def safe(text: str) -> str:
    """Make foreign text harmless on a terminal: no markup, no control characters but the line break."""
    shown = "".join(char if char.isprintable() or char == "\n" else f"\\x{ord(char):02x}" for char in text)
    return escape(shown).replace("\n", "\n          ")


def _line(mark: str, colour: str, field: str) -> Callable[[Event], list[str]]:
    def say(event: Event) -> list[str]:
        seconds = f" [dim]({event['seconds']:.1f} s)[/dim]" if event.get("seconds") is not None else ""
        return [f"[{colour}]{mark:5}[/] {event.get('step', ''):19}{safe(str(event.get(field) or ''))}{seconds}"]

    return say


_LINES: dict[str, Callable[[Event], list[str]]] = {
    "opened": _opened,
    "look_failed": _line("no", "yellow", "cause"),
    "planned": _planned,
    "begun": _line("...", "dim", ""),
    "done": _line("ok", "green", "detail"),
    "failed": _line("FAIL", "red", "cause"),
    "undo_begun": _line("back", "dim", ""),
    "undo_done": _line("back", "yellow", "detail"),
    "undo_failed": _line("STUCK", "bold red", "cause"),
    "left": _line("LEFT", "bold red", "cause"),
    "signal": _line("", "yellow", "name"),
    "warning": _line("!", "yellow", "text"),
    "ended": _ended,
}
