"""The end of a run, as an operator reads it: what is so now, and what to do next."""

from collections.abc import Mapping
from typing import Any

from steps.support.console.printer import Line, named
from steps.support.core.events import Ended

ENDINGS = {
    ("prod", "deployed"): ("green", "DEPLOYED"),
    ("prod", "rehearsed"): ("green", "LOOKED: production is ready, nothing was touched"),
    "rehearsed": ("green", "REHEARSED: it went well"),
    "accepted": ("green", "ACCEPTED: the change stays, what was kept for undoing it is dropped"),
    "unlocked": ("yellow", "UNLOCKED: nothing else was touched"),
    ("rollback", "rolled_back"): ("green", "PUT BACK: schema, live deployment and files are those of before, verified"),
    "rolled_back": ("yellow", "ROLLED BACK: schema, live deployment and files are those of before, verified"),
    "refused": ("yellow", "REFUSED: nothing was touched"),
    "needs_human": ("bold red", "NEEDS A HUMAN: not everything is put back, or it is not known"),
}


WITH_COMMANDS = ("next", "unpin", "report")
LIVE = {
    "new": "the new one",
    "old": "the one of before",
    "unchanged": "as this run found it",
    "in doubt": "not known for certain",
}


def headline(report: Mapping[str, Any]) -> tuple[str, str]:
    """Give the colour and the words of how a run ended."""
    mode, verdict = report["mode"], report["verdict"]
    if (mode, verdict) == ("rollback", "rolled_back") and not report["undo"]:
        return "green", "NOTHING TO PUT BACK"
    return ENDINGS.get((mode, verdict)) or ENDINGS[verdict]


def live_words(report: Mapping[str, Any]) -> tuple[str, str]:
    """Say which code and which schema are live now."""
    now = report["live"]
    which = f", {now['deployment']} of {str(now['sha'])[:8]}" if now["deployment"] else ""
    where = " (of the stand-ins)" if report["mode"] == "dry-run" else ""
    return LIVE[now["code"]] + which + where, LIVE[now["schema"]] + where


def summary_lines(event: Ended) -> list[Line]:
    """Give the lines of an end, what remains to be settled first."""
    report = event.report
    colour, words = headline(report)
    code, schema = live_words(report)
    said = {
        "broken": f"on purpose: {report['broken_on_purpose']}" if report.get("broken_on_purpose") else "",
        "code": code,
        "schema": schema,
        "back": _put_back(report),
        "used": _used(report),
        "downtime": downtime_words(report["downtime"]),
        "cause": report["cause"],
        "next": report["next_action"],
        "unpin": report["unpin"],
        "report": f"{event.folder}/report.html",
        "see": report["runbook"],
    }
    return [
        Line(),
        Line(words, "", colour),
        *named("remains", *report["remains"]),
        *(_said(line, name) for name, text in said.items() if text for line in named(name, str(text))),
    ]


def _said(line: Line, name: str) -> Line:
    return line._replace(is_whole=name in WITH_COMMANDS)


def _used(report: Mapping[str, Any]) -> str:
    clocks = report["budget"]["clocks"]
    used, total = report["budget"]["used_seconds"], clocks[-1]["total"] if clocks else report["budget"]["total"]
    return f"{f'{used:.1f} of {total:g} s, ' if used else ''}exit code {report['exit_code']}"


def _put_back(report: Mapping[str, Any]) -> str:
    """Say what was put back, in its order, and how long that took."""
    done = [undo for undo in report.get("undo", ()) if undo["status"] == "done"]
    seconds = sum(undo["seconds"] for undo in done)
    return f"{', '.join(undo['name'] for undo in done)} ({seconds:.1f} s)" if done else ""


def downtime_words(seen: Mapping[str, Any] | None) -> str:
    """Say for how long visitors were refused, when, and with which answers; empty where nobody asked."""
    if not seen or not seen["probes"]:
        return ""
    failed, kinds = seen["failed_probes"], ", ".join(f"{answer}: {count}" for answer, count in seen["refused"].items())
    when = f", from {seen['first_failure']:.1f} s to {seen['last_failure']:.1f} s ({kinds})" if failed else ""
    phases = ((name, phase["median_seconds"]) for name, phase in seen["latency"].items() if phase)
    took = ", ".join(f"{seconds * 1000:.0f} ms {name}" for name, seconds in phases)
    return f"{seen['observed_seconds']:.1f} s: {failed} of {seen['probes']} visits refused{when}; answers took {took}"
