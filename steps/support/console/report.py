"""The report of a run: a pure fold over its journal's events."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Event = Mapping[str, Any]

EXIT_CODES = {"deployed": 0, "rehearsed": 0, "rolled_back": 1, "refused": 3, "needs_human": 4}
INTERRUPTED = 130
NEXT = {
    "deployed": "Nothing. The kept tables stay until the change is accepted.",
    "rehearsed": "Run it with --prod.",
    "rolled_back": "Mend the cause",
    "refused": "Mend the cause and run again.",
    "needs_human": "Open the runbook at the section below, now.",
}


def fold(events: Sequence[Event]) -> dict[str, Any]:
    """Give the whole report of a run from its events, redacted as they are."""
    opened, cause = events[0], _cause(events)
    ending = verdict(events)
    started = _last(events, "started")
    return {
        "run_id": opened["run"], "mode": opened["mode"], "verdict": ending, "exit_code": exit_code(events),
        "started_at": (started or opened)["at"], "order": opened["order"],
        "budget": {**opened["budget"], "used_seconds": _used(events)},
        "steps": list(_steps(events, "", "begun")), "undo": list(_steps(events, "undo_", "undo_begun")),
        "deployment": _fact(events, "deployment"), "migration": _fact(events, "migration"),
        "kept": _fact(events, "kept") or {},
        "plan": (_last(events, "planned") or {}).get("steps", []),
        "warnings": [event["text"] for event in events if event["event"] == "warning"],
        "cause": cause.get("cause"), "next_action": _next_action(events, ending, cause),
        "runbook": f"runbook.md#{anchor(ending, exit_code(events))}",
    }  # fmt: skip


def verdict(events: Iterable[Event]) -> str:
    """Say how the run ended, from what was begun and what is known to be put back."""
    events = list(events)
    if not _cause(events):
        return "deployed" if _last(events, "arrived") and events[0]["mode"] == "prod" else "rehearsed"
    if not _taken(events):
        return "refused"
    undone = {event["step"] for event in events if event["event"] == "undo_done"}
    seen = _last(events, "verified")
    return "rolled_back" if _taken(events) <= undone and seen and not seen["remains"] else "needs_human"


def exit_code(events: Sequence[Event]) -> int:
    """Give the process's exit code."""
    ending = verdict(events)
    interrupted = _cause(events).get("interrupted") and ending in ("rolled_back", "refused")
    return INTERRUPTED if interrupted else EXIT_CODES[ending]


def anchor(ending: str, code: int) -> str:
    """Name the runbook's section for this ending."""
    return "interrupted" if code == INTERRUPTED else ending.replace("_", "-")


def _cause(events: Sequence[Event]) -> Event:
    """Give the event that ended the way forward; empty where nothing did, whatever happened after the arrival."""
    return _last(events, "turned_back") or (not _last(events, "arrived") and _last(events, "stopped")) or {}


def _taken(events: Iterable[Event]) -> set[str]:
    """Name the changes that were begun, less those of which it is certain that nothing was done."""
    events = list(events)
    refused = {event["step"] for event in events if event["event"] == "failed" and event["refused"]}
    begins = [event["begins"] for event in events if event["event"] == "begun" and event["step"] not in refused]
    return {name for names in begins for name in names}


def _steps(events: Sequence[Event], kind: str, begun: str) -> Iterable[dict[str, Any]]:
    """Give each step that was begun with how it ended; of undos also those that were left alone."""
    ends = {event["step"]: event for event in events if event["event"] in (f"{kind}done", f"{kind}failed")}
    for event in events:
        if event["event"] == begun:
            yield _step(event, ends.get(event["step"], {"event": "unknown"}), kind)
        elif event["event"] == "left" and kind:
            yield _step({**event, "limit": 0.0}, event, kind)


def _step(begun: Event, end: Event, kind: str) -> dict[str, Any]:
    return {
        "name": begun["step"],
        "status": str(end["event"]).removeprefix(kind),
        "seconds": end.get("seconds"),
        "limit_seconds": round(begun["limit"], 3),
        "detail": end.get("detail") or end.get("cause") or "",
    }


def _next_action(events: Sequence[Event], ending: str, cause: Event) -> str:
    if ending != "rolled_back":
        return str(cause.get("next_action") or NEXT[ending])
    retry = _fact(events, "retry")
    mend = cause.get("next_action") or f"{NEXT[ending]}."
    return f"{mend} To release again: {retry}, then run again." if retry else str(mend)


def _used(events: Sequence[Event]) -> float | None:
    started = _last(events, "started")
    if not started:
        return None
    end = _last(events, "arrived") or _last(events, "verified") or events[-1]
    used: float = round(end["clock"] - started["clock"], 3)
    return used


def _fact(events: Sequence[Event], name: str) -> Any:
    return next((event[name] for event in reversed(events) if name in event and event["event"].endswith("done")), None)


def _last(events: Sequence[Event], name: str) -> Event | None:
    return next((event for event in reversed(events) if event["event"] == name), None)
