"""The plan, as it is shown before the clock starts: what goes where, in which order, and how each part comes back."""

from collections.abc import Mapping
from typing import Any

Event = Mapping[str, Any]

ORDERS = {
    "CODE_FIRST": "code first, then schema: the new code reads both schemas",
    "DATA_FIRST": "schema first, then code: the old code reads both schemas",
}


def told(event: Event) -> list[tuple[str, str]]:
    """Give the plan as lines: what each is about, and what it says."""
    return [
        *((name, text) for name, text in event["target"].items()),
        *(("commit", f"{commit['sha'][:8]} {commit['subject']}") for commit in event.get("commits", ())),
        ("", ""),
        *(line for step in event["steps"] for line in _step(step)),
        ("order", _order(event)),
        *_changes(event),
        ("forecast", _forecast(event["forecast"])),
    ]


def _step(step: Mapping[str, Any]) -> list[tuple[str, str]]:
    seconds = f"about {step['expected_seconds']:.0f} s, at most {step['limit_seconds']:g} s"
    back = [("", f"back: {step['way_back']} (about {step['undo_seconds']:.0f} s)")] if "way_back" in step else []
    return [(step["name"], f"{step['plan']} ({seconds})"), *back]


def _order(event: Event) -> str:
    return "; ".join([ORDERS[event["order"]], *(f"not {order}: {why}" for order, why in event["ruled_out"].items())])


def _forecast(forecast: Mapping[str, float]) -> str:
    return f"{forecast['seconds']:.1f} s there, {forecast['undo_seconds']:.1f} s back"


def _changes(event: Event) -> list[tuple[str, str]]:
    changes, kept = event.get("changes"), event.get("backup")
    if not changes or not kept:
        return []
    contract = event["contract"].items()
    rehearsal, size = event["rehearsal"], f"{kept['rows']:,} rows, {kept['bytes'] / 1e6:,.1f} MB"
    return [
        *(("schema", line) for line in changes["schema"]),
        *(("rows", f"{name}: {counted(counts)}") for name, counts in changes["rows"].items()),
        *(("contract", f"{place}: {'; '.join(fails) or 'all of it runs'}") for place, fails in contract),
        *(("warning", line) for line in rehearsal["warnings"]),
        *(("accepted", line) for line in rehearsal["accepted"]),
        ("backup", f"{kept['path']}, {size}, in {kept['seconds']:.1f} s, sha256 {kept['sha256']}"),
    ]


def counted(counts: Mapping[str, Any]) -> str:
    """Say how many rows of a table come, go and change."""
    said = [f"{counts[what]:,} {what}" for what in ("added", "removed", "changed") if counts[what]]
    columns = ", ".join(f"{name} {count:,}" for name, count in counts["columns"].items())
    return f"{', '.join(said) or 'none'} of {counts['before'] or 0:,}" + (f" ({columns})" if columns else "")
