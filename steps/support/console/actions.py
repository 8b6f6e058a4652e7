"""What the engineer sees in GitHub Actions: lines in groups, annotations, and a summary of the step.

Foreign text cannot give the runner commands: they are off but for the moment of one of ours.
"""

import secrets
from collections.abc import Mapping
from typing import Any, TextIO

from steps.support.console import summary
from steps.support.console.lines import Lines
from steps.support.console.outlet import Outlet
from steps.support.core.events import Ended, Event, Warned
from steps.support.core.run_state import RunState
from steps.support.core.text import printable

GROUPS = {"opened": "Looks", "planned": "Plan", "started": "Release", "recalled": "The run of before"}
NO_LINK = "\u200b"  # of no width; what is divided by it is no address
LEVELS = {"refused": "error", "rolled_back": "error", "needs_human": "error"}


class Actions:
    """A journal listener that prints what the runner of GitHub Actions understands."""

    def __init__(self, out: Outlet | TextIO) -> None:
        self._out = out
        self._lines = Lines(out)
        self._resume = secrets.token_hex(16)
        self._grouped = False
        self._say(f"::stop-commands::{self._resume}")

    def __call__(self, event: Event, run: RunState) -> None:
        """Print what an event has to say, in the group that it belongs to."""
        if event.kind in GROUPS:
            self._group(GROUPS[event.kind])
        if isinstance(event, Ended):
            self._group("")
        self._lines(event, run)
        if isinstance(event, Warned):
            self._command("warning", "orchestrate", event.text)
        if isinstance(event, Ended):
            self._judge(event.report)

    def _judge(self, report: Mapping[str, Any]) -> None:
        """Annotate the run if it did not end well."""
        verdict = report["verdict"]
        as_wanted = report.get("broken_on_purpose") and verdict == "rolled_back"
        if verdict in LEVELS and report["exit_code"] and not as_wanted:
            said = " ".join(filter(None, [report["cause"], report["next_action"], report["runbook"]]))
            self._command(LEVELS[verdict], summary.headline(report)[1], said)

    def close(self) -> None:
        """Have the runner listen to commands again: what comes after this run may give its own."""
        self._say(f"::{self._resume}::")

    def _group(self, name: str) -> None:
        """End the group that is open, and begin one of that name."""
        if self._grouped:
            self._command("endgroup")
        if name:
            self._command("group", said=name)
        self._grouped = bool(name)

    def _command(self, name: str, title: str = "", said: str = "") -> None:
        titled = f" title={_property(title)}" if title else ""
        self._say(f"::{self._resume}::", f"::{name}{titled}::{_data(said)}", f"::stop-commands::{self._resume}")

    def _say(self, *lines: str) -> None:
        self._out.write("".join(f"{line}\n" for line in lines))


def job_summary(report: Mapping[str, Any]) -> str:
    """Give a report as the Markdown that stands under a job."""
    facts = {
        "run": f"{report['run_id']}, {report['mode']}",
        "broken on purpose": report["broken_on_purpose"],
        "code": summary.live_words(report)[0],
        "schema": summary.live_words(report)[1],
        "downtime": summary.downtime_words(report["downtime"]),
        "cause": report["cause"],
        "next": report["next_action"],
        "see": report["runbook"],
    }
    steps = [("", step) for step in report["steps"]] + [("undo ", step) for step in report["undo"]]
    rows = [[kind + step["name"], step["status"], _seconds(step), step["detail"]] for kind, step in steps]
    lines = [
        f"### {_text(summary.headline(report)[1])}",
        "",
        *(f"- **{name}**: {_text(str(said))}" for name, said in facts.items() if said),
        *(f"- **remains**: {_text(what)}" for what in report["remains"]),
        "",
        *(f"| {' | '.join(map(_text, row))} |" for row in [["step", "status", "seconds", "words"], ["---"] * 4, *rows]),
    ]
    return "\n".join(lines) + "\n"


def _seconds(step: Mapping[str, Any]) -> str:
    return "" if step["seconds"] is None else f"{step['seconds']:.1f} s"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _text(text: str) -> str:
    """Give foreign text as plain words of Markdown: neither markup nor a link comes of it."""
    words = printable(" ".join(text.split()))
    plain = "".join(f"&#{ord(char)};" if char in "&<>|`*_[]()!#~@\\" else char for char in words)
    return plain.replace("://", f":{NO_LINK}//").replace("www.", f"www{NO_LINK}.")
