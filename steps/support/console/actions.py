"""Print a run for GitHub Actions: grouped lines, annotations, and a job summary.

Text from outside cannot give commands to the runner, because commands are off except while one of ours is printed.
"""

import secrets
from collections.abc import Mapping
from typing import Any, TextIO

from steps.support.console import summary
from steps.support.console.lines import Lines
from steps.support.console.printer import Outlet
from steps.support.core.events import Ended, Event, Warned
from steps.support.core.run_state import RunState
from steps.support.core.text import printable

GROUPS = {"opened": "Preflight", "planned": "Plan", "started": "Release", "recalled": "The earlier run"}
NO_LINK = "\u200b"  # zero-width space: a URL that contains it does not become a link
LEVELS = {"refused": "error", "rolled_back": "error", "needs_human": "error"}


class Actions:
    """A journal listener that prints in the format of the GitHub Actions runner."""

    def __init__(self, out: Outlet | TextIO) -> None:
        self._out = out
        self._lines = Lines(out)
        self._resume = secrets.token_hex(16)
        self._grouped = False
        self._write(f"::stop-commands::{self._resume}")

    def __call__(self, event: Event, run: RunState) -> None:
        """Print an event in the group that it belongs to."""
        if event.kind in GROUPS:
            self._group(GROUPS[event.kind])
        if isinstance(event, Ended):
            self._group("")
        self._lines(event, run)
        if isinstance(event, Warned):
            self._command("warning", "orchestrate", event.text)
        if isinstance(event, Ended):
            self._annotate(event.report)

    def _annotate(self, report: Mapping[str, Any]) -> None:
        """Print an error annotation if the run failed. A fault that was injected and rolled back is not an error."""
        verdict = report["verdict"]
        is_expected = report.get("broken_on_purpose") and verdict == "rolled_back"
        if verdict in LEVELS and report["exit_code"] and not is_expected:
            text = " ".join(filter(None, [report["cause"], report["next_action"], report["runbook"]]))
            self._command(LEVELS[verdict], summary.headline(report)[1], text)

    def close(self) -> None:
        """Turn the runner's commands on again for the rest of the job step."""
        self._write(f"::{self._resume}::")

    def _group(self, name: str) -> None:
        """End the open group, if there is one. Begin a group with this name, unless the name is empty."""
        if self._grouped:
            self._command("endgroup")
        if name:
            self._command("group", text=name)
        self._grouped = bool(name)

    def _command(self, name: str, title: str = "", text: str = "") -> None:
        attributes = f" title={_property(title)}" if title else ""
        self._write(f"::{self._resume}::", f"::{name}{attributes}::{_data(text)}", f"::stop-commands::{self._resume}")

    def _write(self, *lines: str) -> None:
        self._out.write("".join(f"{line}\n" for line in lines))


def job_summary(report: Mapping[str, Any]) -> str:
    """Return a report as Markdown, for the job summary."""
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
        *(f"- **{name}**: {_text(str(fact))}" for name, fact in facts.items() if fact),
        *(f"- **remains**: {_text(what)}" for what in report["remains"]),
        *(f"- **follow up**: {_text(' '.join((each['what'], *each['commands'])))}" for each in _follow_ups(report)),
        "",
        *(
            f"| {' | '.join(map(_text, row))} |"
            for row in [["step", "status", "seconds", "detail"], ["---"] * 4, *rows]
        ),
    ]
    return "\n".join(lines) + "\n"


def _follow_ups(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return report.get("follow_ups") or []


def _seconds(step: Mapping[str, Any]) -> str:
    return "" if step["seconds"] is None else f"{step['seconds']:.1f} s"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _text(text: str) -> str:
    """Return text from outside escaped, so that Markdown shows it as plain words, without markup or links."""
    words = printable(" ".join(text.split()))
    plain = "".join(f"&#{ord(char)};" if char in "&<>|`*_[]()!#~@\\" else char for char in words)
    return plain.replace("://", f":{NO_LINK}//").replace("www.", f"www{NO_LINK}.")
