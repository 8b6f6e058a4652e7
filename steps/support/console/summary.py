"""Print the end of a run: what is live now, and what to do next."""

from collections.abc import Mapping
from typing import Any

from steps.support.console.printer import Line, named
from steps.support.core.events import LIMITED, Ended

ENDINGS = {
    ("prod", "deployed"): ("green", "DEPLOYED"),
    ("prod", "rehearsed"): ("green", "CHECKED: production is ready, nothing was touched"),
    "rehearsed": ("green", "REHEARSED: it succeeded"),
    "accepted": ("green", "ACCEPTED: the change stays, the data kept for its rollback is dropped"),
    "unlocked": ("yellow", "UNLOCKED: nothing else was touched"),
    ("rollback", "rolled_back"): ("green", "ROLLED BACK: schema, live deployment and files are as before, verified"),
    "rolled_back": ("yellow", "ROLLED BACK: schema, live deployment and files are as before, verified"),
    "followed up": (
        "yellow",
        "ROLLED BACK: schema and live deployment are as before, verified; the branch is a follow-up",
    ),
    "refused": ("yellow", "REFUSED: nothing was touched"),
    "needs_human": ("bold red", "NEEDS A HUMAN: the rollback is incomplete or unconfirmed"),
}
WITH_COMMANDS = ("next", "unpin", "report")
LIVE = {
    "new": "the new one",
    "old": "the previous one",
    "unchanged": "unchanged",
    "in doubt": "unknown",
}


def headline(report: Mapping[str, Any]) -> tuple[str, str]:
    """Return the colour and the words for the end of a run."""
    mode, verdict = report["mode"], report["verdict"]
    if (mode, verdict) == ("rollback", "rolled_back") and not report["undo"]:
        return "green", "NOTHING TO ROLL BACK"
    if verdict == "rolled_back" and report.get("follow_ups"):
        return ENDINGS["followed up"]
    return ENDINGS.get((mode, verdict)) or ENDINGS[verdict]


def live_words(report: Mapping[str, Any]) -> tuple[str, str]:
    """Return which code and which schema are live now."""
    now = report["live"]
    which = f", {now['deployment']} of {str(now['sha'])[:8]}" if now["deployment"] else ""
    where = " (of the stand-ins)" if report["mode"] == "dry-run" else ""
    return LIVE[now["code"]] + which + where, LIVE[now["schema"]] + where


def summary_lines(event: Ended) -> list[Line]:
    """Return the lines for the end of a run. Anything that should have been rolled back but remains comes first."""
    report = event.report
    colour, words = headline(report)
    code, schema = live_words(report)
    facts = {
        "broken": f"on purpose: {report['broken_on_purpose']}" if report.get("broken_on_purpose") else "",
        "code": code,
        "schema": schema,
        "rollback": _rolled_back(report),
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
        *follow_up_lines(report),
        *(_line(line, name) for name, text in facts.items() if text for line in named(name, str(text))),
    ]


def follow_up_lines(report: Mapping[str, Any]) -> list[Line]:
    """Return the lines that say what a person has to do later, each with its commands."""
    each = [named("follow up", one["what"], *one["commands"]) for one in report.get("follow_ups") or ()]
    return [line._replace(is_whole=place > 0) for lines in each for place, line in enumerate(lines)]


def _line(line: Line, name: str) -> Line:
    return line._replace(is_whole=name in WITH_COMMANDS)


def _used(report: Mapping[str, Any]) -> str:
    clocks = report["budget"]["clocks"]
    used, total = report["budget"]["used_seconds"], clocks[-1]["total"] if clocks else report["budget"]["total"]
    return f"{f'{used:.1f} of {total:g} s, ' if used else ''}exit code {report['exit_code']}"


def _rolled_back(report: Mapping[str, Any]) -> str:
    """Return which steps were rolled back, in order, and how long that took; empty if none was."""
    done = [undo for undo in report.get("undo", ()) if undo["status"] == "done"]
    seconds = sum(undo["seconds"] for undo in done)
    return f"{', '.join(undo['name'] for undo in done)} ({seconds:.1f} s)" if done else ""


def downtime_words(downtime: Mapping[str, Any] | None) -> str:
    """Return for how long, when and with which answers the site refused visits; empty if that was not measured."""
    if not downtime or not downtime["probes"]:
        return ""
    failed, seconds = downtime["failed_probes"], downtime["observed_seconds"]
    limited = sum(count for answer, count in downtime.get("answers", {}).items() if LIMITED in answer)
    if not (telling := downtime["probes"] - limited):
        return f"not measured: the site limited every one of {limited} visits; probe_rate sets how many there are"
    unknown = f"; {limited} more were limited by the site, and tell nothing" if limited else ""
    kinds = ", ".join(f"{answer}: {count}" for answer, count in downtime["refused"].items())
    when = f", from {downtime['first_failure']:.1f} s to {downtime['last_failure']:.1f} s ({kinds})" if failed else ""
    phases = ((name, phase["median_seconds"]) for name, phase in downtime["latency"].items() if phase)
    took = ", ".join(f"{median * 1000:.0f} ms {name}" for name, median in phases)
    return f"{seconds:.1f} s: {failed} of {telling} visits refused{when}{unknown}; answers took {took}"
