"""The report of a run: a pure fold over its journal's events."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from steps.support.core.events import SETTLED, begun

Event = Mapping[str, Any]

SWITCH = {"vercel_deployment", "activation"}
SCHEMA = {"turso_migration"}
UNCHANGED, NEW, OLD, DOUBTFUL = "unchanged", "new", "old", "in doubt"


def live_state(events: Sequence[Event]) -> dict[str, Any]:
    """Give what code and schema are, and the deployment and commit that are served, where that is known.

    `unchanged`: as the run found it; `new`: what was released; `old`: put back to what was before, and looked at;
    `in doubt`: what remains says more.
    """
    code, schema = (_state(events, changes.intersection(begun(events))) for changes in (SWITCH, SCHEMA))
    serves = {NEW: _released(events), DOUBTFUL: {}}.get(code, _before(events))
    return {"code": code, "deployment": serves.get("id"), "sha": serves.get("sha"), "schema": schema}


def _state(events: Sequence[Event], involved: set[str]) -> str:
    if not involved:
        return UNCHANGED
    looks = [event["remains"] for event in events if event["event"] == "verified"]
    if looks and not involved & looks[-1].keys() and involved <= _named(events, "undo_done"):
        return OLD
    return NEW if involved <= _named(events, "done") - _named(events, "undo_begun") else DOUBTFUL


def _named(events: Sequence[Event], name: str) -> set[str]:
    return {event["step"] for event in events if event["event"] == name}


def _released(events: Sequence[Event]) -> Mapping[str, Any]:
    return next((event["deployment"] for event in reversed(events) if "deployment" in event), None) or {}


def _before(events: Sequence[Event]) -> Mapping[str, Any]:
    """Give what was live before: from the plan, or from what a change saw."""
    planned = (event.get("production") for event in events if event["event"] == "planned")
    seen = (saw.get("production") for event in events for saw in event.get("saw", {}).values() if saw)
    return next(filter(None, (*planned, *seen)), {})


EXIT_CODES = {
    "deployed": 0, "rehearsed": 0, "accepted": 0, "unlocked": 0, "rolled_back": 1, "refused": 3, "needs_human": 4,
}  # fmt: skip
INTERRUPTED = 130
ON_PURPOSE = "Nothing: it was broken on purpose, and came back."
NOTHING = "Nothing: it began nothing, or all of it was put back before."
NEXT = {
    "deployed": "Nothing. Leave the _orchestrate_ tables alone: going back needs them.",
    "rehearsed": "Release with --prod, without --dry-run.",
    "rolled_back": "Find out why before releasing again.",
    "accepted": "Nothing. The change stays, and cannot be put back by this tool any more.",
    "unlocked": "See under `warnings` what of that run is still there, then release again.",
    "refused": "Run again.",
    "needs_human": "Do not release and do not push. Follow the runbook, now.",
}


def fold(events: Sequence[Event]) -> dict[str, Any]:
    """Give the whole report of a run from its events, redacted as they are.

    What has a place in time is dated in seconds from `started_at`. Where preparing had a budget of its own, that is
    when the second clock started, and what came before is negative.
    """
    opened, ending, code = events[0], verdict(events), exit_code(events)
    planned = _last(events, "planned") or {}
    started = _last(events, "started") or opened
    return {
        "run_id": opened["run"],
        "mode": opened["mode"],
        "dry_run": opened.get("dry_run"),
        "of": opened.get("of"),
        "broken_on_purpose": opened.get("broken"),
        "verdict": ending,
        "exit_code": code,
        "started_at": started["at"],
        "order": planned.get("order"),
        "ruled_out": planned.get("ruled_out", {}),
        "budget": {**opened["budget"], "used_seconds": _used(events), "clocks": _clocks(events)},
        "live": live_state(events),
        "downtime": (_last(events, "probed") or {}).get("downtime"),
        "target": planned.get("target"),
        "commits": planned.get("commits", []),
        "production": planned.get("production"),
        "plan": _planned(events),
        "forecast": planned.get("forecast"),
        "rehearsal": planned.get("rehearsal"),
        "backup": planned.get("backup"),
        "contract": planned.get("contract"),
        "changes": planned.get("changes"),
        "steps": [*_steps(events), *_not_begun(events)],
        "undo": [*_undos(events), *_left(events)],
        "remains": _remains(events),
        "kept": _fact(events, "kept") or {},
        "unpin": None if opened["mode"] == "dry-run" else _fact(events, "unpin"),
        "deployment": _fact(events, "deployment") or _deployment(events),
        "migration": _fact(events, "migration") or {**opened["change"], "rows_changed": None},
        "warnings": [event["text"] for event in events if event["event"] == "warning"],
        "cause": _cause(events).get("cause"),
        "next_action": _next_action(events, ending),
        "runbook": f"runbook.md#{anchor(ending, code, _cause(events).get('operation', ''))}",
    }


def verdict(events: Sequence[Event]) -> str:
    """Say how the run ended, from what was begun and what is known to be put back."""
    settled = SETTLED.get(events[0]["mode"])
    if not _cause(events):
        return settled or ("deployed" if _last(events, "arrived") and events[0]["mode"] == "prod" else "rehearsed")
    if begun(events):
        return _put_back(events)
    return "needs_human" if _cause(events).get("human") else "refused"


def _put_back(events: Sequence[Event]) -> str:
    """Say whether everything that was begun is known to be as before."""
    undone = {event["step"] for event in events if event["event"] == "undo_done"}
    looked = _last(events, "verified")
    return "rolled_back" if looked and not looked["remains"] and undone.issuperset(begun(events)) else "needs_human"


def exit_code(events: Sequence[Event]) -> int:
    """Give the process's exit code."""
    ending = verdict(events)
    if ending == SETTLED.get(events[0]["mode"]):
        return 0
    interrupted = _cause(events).get("interrupted") and ending in ("rolled_back", "refused")
    return INTERRUPTED if interrupted else EXIT_CODES[ending]


def anchor(ending: str, code: int, operation: str = "") -> str:
    """Name the runbook's section for this ending; of a refusal, the one for what was being done."""
    if code == EXIT_CODES["refused"] and operation:
        return f"on-{re.sub('[^a-z0-9]+', '-', operation.lower()).strip('-')}"
    return "interrupted" if code == INTERRUPTED else ending.replace("_", "-")


def _cause(events: Sequence[Event]) -> Event:
    """Give what ended the way forward, or what of an arrival is not put back; empty where all went well."""
    stopped = _last(events, "stopped") or {}
    harmless = _last(events, "arrived") and not stopped.get("human")
    return _last(events, "turned_back") or ({} if harmless else stopped)


def _remains(events: Sequence[Event]) -> list[str]:
    """Say what is still there that was to be put back, or of which it is not known."""
    if verdict(events) != "needs_human":
        return []
    looked = _last(events, "verified")
    known: Mapping[str, str] = looked["remains"] if looked else {}
    undos = _undos(events)
    unsettled = [step["name"] for step in (*undos, *_left(events)) if step["status"] != "done"]
    unseen = [] if looked else [step["name"] for step in undos if step["status"] == "done"]
    return [
        *known.values(),
        *(f"{name}: not known to be put back" for name in unsettled if name not in known),
        *(f"{name}: put back, and nobody has looked at it since" for name in unseen),
    ]


def _planned(events: Sequence[Event]) -> list[dict[str, Any]]:
    return list((_last(events, "planned") or {}).get("steps", []))


def _steps(events: Sequence[Event]) -> list[dict[str, Any]]:
    return [_row(events, event, "") for event in events if event["event"] == "begun"]


def _undos(events: Sequence[Event]) -> list[dict[str, Any]]:
    last = {event["step"]: event for event in events if event["event"] == "undo_begun"}  # tried again after a suspend
    return [_row(events, event, "undo_") for event in last.values()]


def _row(events: Sequence[Event], begun: Event, kind: str) -> dict[str, Any]:
    ended = (f"{kind}done", f"{kind}failed")
    ends = [event for event in events if event["event"] in ended and event["step"] == begun["step"]]
    end: Event = ends[-1] if ends else {"event": "unknown"}
    status = str(end["event"]).removeprefix(kind)
    detail = end.get("detail") or end.get("cause") or ""
    line = _line(begun["step"], status, end.get("seconds"), round(begun["limit"], 3), detail)
    return {**line, "began_seconds": _since_start(events, begun)}


def _not_begun(events: Sequence[Event]) -> list[dict[str, Any]]:
    """Give the steps of the plan that the way forward never reached."""
    reached = {event["step"] for event in events if event["event"] == "begun"}
    return [
        _line(step["name"], "not_begun", None, None, "") for step in _planned(events) if step["name"] not in reached
    ]


def _left(events: Sequence[Event]) -> list[dict[str, Any]]:
    """Give the changes that were begun and that nobody tried to put back."""
    if not (_last(events, "turned_back") or _last(events, "resumed")):
        return []
    tried = {event["step"] for event in events if event["event"] == "undo_begun"}
    why = {event["step"]: event["cause"] for event in events if event["event"] == "left"}
    names = [name for name in reversed(begun(events)) if name not in tried]
    return [_line(name, "left", None, None, why.get(name, "stopped before its turn came")) for name in names]


def _line(name: str, status: str, seconds: float | None, limit: float | None, detail: str) -> dict[str, Any]:
    times = {"began_seconds": None, "seconds": seconds, "limit_seconds": limit}
    return {"name": name, "status": status, **times, "detail": detail}


def _deployment(events: Sequence[Event]) -> dict[str, Any] | None:
    """Give what was live before, from what a change saw, where no deployment of ours came to be."""
    seen = [saw for event in events if event["event"] == "begun" for saw in event["saw"].values()]
    saw = next((each for each in seen if each and "production" in each), None)
    return {"id": None, "sha": saw["sha"], "previous_id": saw["production"]["id"]} if saw else None


def _next_action(events: Sequence[Event], ending: str) -> str:
    if ending == "needs_human":
        return f"{NEXT[ending]} What tries again: --prod --rollback {events[0].get('of') or events[0]['run']}"
    if (events[0]["mode"], ending) == ("rollback", "rolled_back") and not _undos(events):
        return NOTHING
    if events[0].get("broken") and ending == "rolled_back":
        return ON_PURPOSE
    if ending == "rolled_back" and _cause(events).get("interrupted"):
        return _with_retry(events, "Release again when you are ready.")
    mend = str(_cause(events).get("next_action") or NEXT[ending])
    return _with_retry(events, mend)


def _with_retry(events: Sequence[Event], mend: str) -> str:
    retry = _fact(events, "retry") if events[0]["mode"] != "dry-run" else None
    return f"{mend} To release again:\n{retry}".strip() if retry else mend


def _used(events: Sequence[Event]) -> float | None:
    return _since_start(events, _last(events, "arrived") or _last(events, "verified") or events[-1])


def _clocks(events: Sequence[Event]) -> list[dict[str, Any]]:
    """Give each clock that was started, with its budget; only where a build has its own are there two."""
    return [
        {"started_seconds": _since_start(events, event), "total": event["total"], "reserve": event["reserve"]}
        for event in events
        if event["event"] == "started"
    ]


def _since_start(events: Sequence[Event], event: Event) -> float | None:
    """Give the seconds from the start of the clock that counts to an event; None where none was started."""
    started = _last(events, "started")
    return round(event["clock"] - started["clock"], 3) if started else None


def _fact(events: Sequence[Event], name: str) -> Any:
    ends = [event for event in events if event["event"] in ("done", "undo_done") and name in event]
    return ends[-1][name] if ends else None


def _last(events: Iterable[Event], name: str) -> Event | None:
    return next((event for event in reversed(list(events)) if event["event"] == name), None)
