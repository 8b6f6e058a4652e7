"""What was live when a run ended, as far as its events tell: the code that is served, and the schema."""

from collections.abc import Mapping, Sequence
from typing import Any

from steps.support.engine.past import begun

Event = Mapping[str, Any]

SWITCH = {"vercel_deployment", "activation"}
SCHEMA = {"turso_migration"}
UNCHANGED, NEW, OLD, DOUBTFUL = "unchanged", "new", "old", "in doubt"


def live(events: Sequence[Event]) -> dict[str, Any]:
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
    if looks and not involved & looks[-1].keys() and involved <= _steps(events, "undo_done"):
        return OLD
    return NEW if involved <= _steps(events, "done") - _steps(events, "undo_begun") else DOUBTFUL


def _steps(events: Sequence[Event], name: str) -> set[str]:
    return {event["step"] for event in events if event["event"] == name}


def _released(events: Sequence[Event]) -> Mapping[str, Any]:
    return next((event["deployment"] for event in reversed(events) if "deployment" in event), None) or {}


def _before(events: Sequence[Event]) -> Mapping[str, Any]:
    """Give what was live before: from the plan, or from what a change saw."""
    planned = (event.get("production") for event in events if event["event"] == "planned")
    seen = (saw.get("production") for event in events for saw in event.get("saw", {}).values() if saw)
    return next(filter(None, (*planned, *seen)), {})
