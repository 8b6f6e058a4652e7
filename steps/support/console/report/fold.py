"""The report of a run: what its state says, under the keys that its readers know."""

import re
from collections.abc import Mapping
from typing import Any

from steps.support.core.events import SETTLED, DoneEvent, FailedEvent
from steps.support.core.run_state import Attempt, RunState

SWITCH = {"vercel_deployment", "activation"}
SCHEMA = {"turso_migration"}
UNCHANGED, NEW, OLD, DOUBTFUL = "unchanged", "new", "old", "in doubt"

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


def report(run: RunState) -> dict[str, Any]:
    """Return the whole report of a run, redacted as its events are.

    What has a place in time is dated in seconds from `started_at`. Where preparing had a budget of its own, that is
    when the second clock started, and what came before is negative.
    """
    opened, ending, code, planned = run.opened, verdict(run), exit_code(run), run.planned
    told = planned.facts if planned else {}
    return {
        "run_id": opened.run,
        "mode": opened.mode,
        "dry_run": opened.dry_run,
        "of": opened.of,
        "broken_on_purpose": opened.broken,
        "verdict": ending,
        "exit_code": code,
        "started_at": (run.started or opened).at,
        "order": planned.order if planned else None,
        "ruled_out": planned.ruled_out if planned else {},
        "budget": {**opened.budget, "used_seconds": _used(run), "clocks": _clocks(run)},
        "live": live_state(run),
        "downtime": run.probed.downtime if run.probed else None,
        "target": planned.target if planned else None,
        "commits": told.get("commits", []),
        "production": told.get("production"),
        "plan": _planned(run),
        "forecast": planned.forecast if planned else None,
        "rehearsal": told.get("rehearsal"),
        "backup": told.get("backup"),
        "contract": told.get("contract"),
        "changes": told.get("changes"),
        "steps": [*(_row(run, each, each.end) for each in run.forward), *_not_begun(run)],
        "undo": [*_undos(run), *_left(run)],
        "remains": _remains(run),
        "kept": run.facts.get("kept") or {},
        "unpin": None if opened.mode == "dry-run" else run.facts.get("unpin"),
        "deployment": run.facts.get("deployment") or _deployment(run),
        "migration": run.facts.get("migration") or {**opened.change, "rows_changed": None},
        "warnings": list(run.warnings),
        "cause": run.cause.cause if run.cause else None,
        "next_action": _next_action(run, ending),
        "runbook": f"runbook.md#{anchor(ending, code, (run.cause and run.cause.operation) or '')}",
    }


def live_state(run: RunState) -> dict[str, Any]:
    """Return what code and schema are, and the deployment and commit that are served, where that is known.

    `unchanged`: as the run found it; `new`: what was released; `old`: put back to what was before, and looked at;
    `in doubt`: what remains says more.
    """
    code, schema = (_live(run, changes.intersection(run.begun)) for changes in (SWITCH, SCHEMA))
    serves = {NEW: run.facts.get("deployment") or {}, DOUBTFUL: {}}.get(code, _before(run))
    return {"code": code, "deployment": serves.get("id"), "sha": serves.get("sha"), "schema": schema}


def _live(run: RunState, involved: set[str]) -> str:
    if not involved:
        return UNCHANGED
    if run.verified and not involved & run.verified.remains.keys() and involved <= run.undone:
        return OLD
    done = {each.step for each in run.forward if each.is_done}
    return NEW if involved <= done - {each.step for each in run.undos} else DOUBTFUL


def _before(run: RunState) -> Mapping[str, Any]:
    """Return what was live before: from the plan, or from what a change saw."""
    planned = run.planned.facts.get("production") if run.planned else None
    seen = (saw.get("production") for saw in run.saw.values() if saw)
    return next(filter(None, (planned, *seen)), {})


def verdict(run: RunState) -> str:
    """Say how the run ended, from what was begun and what is known to be put back."""
    mode = run.opened.mode
    if not run.cause:
        return SETTLED.get(mode) or ("deployed" if run.arrived and mode == "prod" else "rehearsed")
    if run.begun:
        return _put_back(run)
    return "needs_human" if run.cause.human else "refused"


def _put_back(run: RunState) -> str:
    """Say whether everything that was begun is known to be as before."""
    is_clean = run.verified and not run.verified.remains
    return "rolled_back" if is_clean and run.undone.issuperset(run.begun) else "needs_human"


def exit_code(run: RunState) -> int:
    """Return the process's exit code."""
    ending = verdict(run)
    if ending == SETTLED.get(run.opened.mode):
        return 0
    interrupted = run.cause and run.cause.interrupted and ending in ("rolled_back", "refused")
    return INTERRUPTED if interrupted else EXIT_CODES[ending]


def anchor(ending: str, code: int, operation: str = "") -> str:
    """Name the runbook's section for this ending; of a refusal, the one for what was being done."""
    if code == EXIT_CODES["refused"] and operation:
        return f"on-{re.sub('[^a-z0-9]+', '-', operation.lower()).strip('-')}"
    return "interrupted" if code == INTERRUPTED else ending.replace("_", "-")


def _remains(run: RunState) -> list[str]:
    """Say what is still there that was to be put back, or of which it is not known."""
    if verdict(run) != "needs_human":
        return []
    known = run.verified.remains if run.verified else {}
    undos = _undos(run)
    unsettled = [step["name"] for step in (*undos, *_left(run)) if step["status"] != "done"]
    unseen = [] if run.verified else [step["name"] for step in undos if step["status"] == "done"]
    return [
        *known.values(),
        *(f"{name}: not known to be put back" for name in unsettled if name not in known),
        *(f"{name}: put back, and nobody has looked at it since" for name in unseen),
    ]


def _planned(run: RunState) -> list[Mapping[str, Any]]:
    return list(run.planned.steps) if run.planned else []


def _undos(run: RunState) -> list[dict[str, Any]]:
    """Return a row for each change that somebody tried to put back; one that was tried again ended as it did last."""
    last = {each.step: each for each in run.undos}
    ends = {each.step: each.end for each in run.undos if each.end}
    return [_row(run, each, ends.get(name)) for name, each in last.items()]


def _row(run: RunState, tried: Attempt, end: DoneEvent | FailedEvent | None) -> dict[str, Any]:
    status = "unknown" if end is None else "done" if isinstance(end, DoneEvent) else "failed"
    detail = "" if end is None else end.detail if isinstance(end, DoneEvent) else end.why.cause
    line = _line(tried.step, status, end.seconds if end else None, round(tried.limit or 0.0, 3), detail)
    return {**line, "began_seconds": _since_start(run, tried.began)}


def _not_begun(run: RunState) -> list[dict[str, Any]]:
    """Return the steps of the plan that the way forward never reached."""
    reached = {each.step for each in run.forward}
    return [_line(step["name"], "not_begun", None, None, "") for step in _planned(run) if step["name"] not in reached]


def _left(run: RunState) -> list[dict[str, Any]]:
    """Return the changes that were begun and that nobody tried to put back."""
    if not (run.turned_back or run.resumed):
        return []
    tried = {each.step for each in run.undos}
    names = [name for name in reversed(run.begun) if name not in tried]
    return [_line(name, "left", None, None, run.left.get(name, "stopped before its turn came")) for name in names]


def _line(name: str, status: str, seconds: float | None, limit: float | None, detail: str) -> dict[str, Any]:
    times = {"began_seconds": None, "seconds": seconds, "limit_seconds": limit}
    return {"name": name, "status": status, **times, "detail": detail}


def _deployment(run: RunState) -> dict[str, Any] | None:
    """Return what was live before, from what a change saw, where no deployment of ours came to be."""
    seen = [saw for each in run.forward for saw in each.saw.values()]
    saw = next((each for each in seen if each and "production" in each), None)
    return {"id": None, "sha": saw["sha"], "previous_id": saw["production"]["id"]} if saw else None


def _next_action(run: RunState, ending: str) -> str:
    if ending == "needs_human":
        return f"{NEXT[ending]} What tries again: --prod --rollback {run.opened.of or run.opened.run}"
    if (run.opened.mode, ending) == ("rollback", "rolled_back") and not run.undos:
        return NOTHING
    if run.opened.broken and ending == "rolled_back":
        return ON_PURPOSE
    if ending == "rolled_back" and run.cause and run.cause.interrupted:
        return _with_retry(run, "Release again when you are ready.")
    return _with_retry(run, (run.cause and run.cause.next_action) or NEXT[ending])


def _with_retry(run: RunState, mend: str) -> str:
    retry = run.facts.get("retry") if run.opened.mode != "dry-run" else None
    return f"{mend} To release again:\n{retry}".strip() if retry else mend


def _used(run: RunState) -> float | None:
    last = run.arrived or run.verified
    return _since_start(run, last.clock if last else run.clock)


def _clocks(run: RunState) -> list[dict[str, Any]]:
    """Return each clock that was started, with its budget; only where a build has its own are there two."""
    return [
        {"started_seconds": _since_start(run, each.clock), "total": each.total, "reserve": each.reserve}
        for each in run.clocks
    ]


def _since_start(run: RunState, clock: float) -> float | None:
    """Return the seconds from the start of the clock that counts to a moment; None where none was started."""
    return round(clock - run.started.clock, 3) if run.started else None
