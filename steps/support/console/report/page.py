"""Write the report as one HTML page. The page loads nothing else, and text from outside never becomes markup."""

import json
from base64 import b64encode
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from steps.support.console import plan, summary
from steps.support.console.report.chart import axes, chart
from steps.support.core.events import Event, Line, Started, line_of
from steps.support.core.text import printable_lines

Report = Mapping[str, Any]
Fact = tuple[str, Sequence[str]]  # a label, and the texts below it

HERE = Path(__file__).parent
MOST, MOST_IN_A_ROW = 10_000, 300  # characters of a text, and of a text in the table of the journal
WORDS = ("detail", "cause", "text", "on", "name")  # the fields of an event that contain words
TOLD_ELSEWHERE = {"event", "at", "clock", "run", "step", "saw"}

MODES = {
    ("prod", False): "Release to production",
    ("prod", True): "Check of production; nothing is changed",
    ("dry-run", True): "Rehearsal on local stand-ins; production is not touched",
    ("rollback", False): "Rollback of an earlier run",
    ("accept", False): "Acceptance of an earlier run, whose change stays",
    ("unlock", False): "Release of the lock of an earlier run",
}
RESULTS = {
    "done": "done",
    "failed": "failed",
    "unknown": "outcome unknown",
    "not_begun": "not started",
    "left": "not tried",
    "refused": "refused",
}


def html(report: Report, events: Sequence[Event]) -> str:
    """Return the whole page for a run. The report and the events must already be redacted."""
    style, drawing = (HERE / "page.css").read_text(encoding="utf-8"), chart(report)
    colour, words = summary.headline(report)
    unasked = plan.unasked_words(report["rehearsal"] or {})
    return _template().render(
        report=report,
        style=style,
        style_hash=b64encode(sha256(style.encode()).digest()).decode(),
        colour=colour.split()[-1],
        words=words,
        mode=MODES.get((report["mode"], bool(report["dry_run"])), report["mode"]),
        facts=_facts(report),
        drawing=drawing,
        axes=axes(drawing) if drawing else [],
        not_begun=[(prefix, row) for prefix, row in _rows(report) if row["began_seconds"] is None],
        order=plan.order_words(report["order"], report["rehearsal"]) if report["order"] else "",
        rows=_rows(report),
        contract=_contract(report["contract"] or {}, unasked),
        unasked=unasked,
        journal=_journal(events),
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_harmless,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(exact=exact, counted=plan.counts_words, result=_result, row=_cells, utc=utc)
    return environment.get_template("page.html.jinja")


def exact(seconds: float | None) -> str:
    """Return seconds as in the report, without trailing zeros; empty for None."""
    return "" if seconds is None else f"{seconds:,.4f}".rstrip("0").rstrip(".")


def utc(time: str) -> str:
    """Return a time of the journal, which is in UTC, in a readable form, to the second."""
    return f"{time[:19].replace('T', ' ')} UTC"


def _harmless(value: Any) -> Any:
    """Return a value without the dangers that escaping leaves: control characters, writing direction, length."""
    return value if hasattr(value, "__html__") else printable_lines(_cut(str(value), MOST))


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}... ({len(text) - most:,} more characters)"


def _rows(report: Report) -> list[tuple[str, Mapping[str, Any]]]:
    return [(prefix, row) for prefix, part in (("", "steps"), ("undo ", "undo")) for row in report[part]]


def _cells(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in row.items())


def _result(status: str) -> str:
    return RESULTS.get(status, status)


def _facts(report: Report) -> list[Fact]:
    """Return the facts at the top of the page, in the order in which a reader needs them."""
    warnings = len(report["warnings"])
    facts: list[Fact] = [
        ("Live at the end", _live(report)),
        ("Rolled back", _rolled_back(report)),
        ("Remains", _remains(report)),
        ("Failed rollbacks", _not_rolled_back(report)),
        ("Downtime", [summary.downtime_words(report["downtime"]) or "Not measured."]),
        ("Time used", [_used(report["budget"])]),
        ("Cause", [report["cause"]] if report["cause"] else []),
        ("Next action", [report["next_action"]]),
        ("Follow-up", [each["what"] for each in report.get("follow_ups") or ()]),
        ("To follow up", [each for one in report.get("follow_ups") or () for each in one["commands"]]),
        ("To unpin", [report["unpin"]] if report["unpin"] else []),
        ("Runbook", [report["runbook"]]),
        ("Warnings", [f"{warnings}, further down"] if warnings else []),
    ]
    return [(label, lines) for label, lines in facts if lines]


def _live(report: Report) -> list[str]:
    code, schema = summary.live_words(report)
    return [f"Code: {code}", f"Schema: {schema}"]


def _rolled_back(report: Report) -> list[str]:
    done = [f"{row['name']}: {row['detail'] or 'done'}" for row in report["undo"] if row["status"] == "done"]
    return done or ["Nothing." if report["undo"] else "Nothing needed to be."]


def _remains(report: Report) -> list[str]:
    return report["remains"] or ["Nothing that had to be rolled back." if report["undo"] else "Nothing."]


def _not_rolled_back(report: Report) -> list[str]:
    rows = [row for row in report["undo"] if row["status"] != "done"]
    return [f"{row['name']}: {_result(row['status'])}{_because(row['detail'])}" for row in rows]


def _because(detail: str) -> str:
    return f" ({detail})" if detail else ""


def _used(budget: Mapping[str, Any]) -> str:
    if not budget["clocks"]:
        return "None: the clock never started."
    clock, used = budget["clocks"][-1], budget["used_seconds"]
    over = f" OVER BUDGET by {used - clock['total']:.1f} s." if used > clock["total"] else ""
    kept = "all" if clock["reserve"] == clock["total"] else f"{clock['reserve']:g} s"
    return f"{used:.1f} s of {clock['total']:g} s, {kept} of them kept to roll back.{over}"


def _contract(contract: Mapping[str, Sequence[str]], unasked: Collection[str]) -> dict[str, list[Sequence[str] | None]]:
    """Return, for each version of the code, what fails on the old and on the new schema; None if nothing was tried."""
    tried = {place: fails for place, fails in contract.items() if plan.CODE[place.split(" ", 1)[0]] not in unasked}
    return {
        f"{code} code": [tried.get(f"{code} code on the {schema} schema") for schema in ("old", "new")]
        for code in plan.CODE
        if contract
    }


def _journal(events: Sequence[Event]) -> list[dict[str, str]]:
    """Return the events as rows of a table, with their times on the clock of the report."""
    zero = next((event.clock for event in reversed(events) if isinstance(event, Started)), events[0].clock)
    return [{"clock": f"{event.clock - zero:.3f}", **_row(line_of(event))} for event in events]


def _row(line: Line) -> dict[str, str]:
    words = next((str(line[field]) for field in WORDS if line.get(field)), None) or _fields(line)
    seconds = f" ({exact(line['seconds'])} s)" if line.get("seconds") is not None else ""
    shown = f"{_cut(words, MOST_IN_A_ROW)}{seconds}"
    return {"event": line["event"], "step": line.get("step", ""), "words": shown}


def _fields(line: Line) -> str:
    rest = {key: value for key, value in line.items() if key not in TOLD_ELSEWHERE}
    return ", ".join(f"{key} {json.dumps(value, default=str, ensure_ascii=False)}" for key, value in rest.items())
