"""Fold the state of a run into its report. The keys never change, because people and tools read them."""

from collections.abc import Mapping
from typing import Any

from steps.support.core.errors import Code
from steps.support.core.events import RESOLVED_BY, DoneEvent, FailedEvent
from steps.support.core.run_state import Attempt, RunState

SWITCH = {"vercel_deployment", "activation"}
SCHEMA = {"turso_migration"}
UNCHANGED, NEW, OLD, DOUBTFUL = "unchanged", "new", "old", "in doubt"

EXIT_CODES = {
    "deployed": 0, "rehearsed": 0, "accepted": 0, "unlocked": 0, "rolled_back": 1, "refused": 3, "needs_human": 4,
}  # fmt: skip
INTERRUPTED = 130
ON_PURPOSE = "Nothing: the failure was on purpose, and it was rolled back."
NOTHING = "Nothing: that run changed nothing, or was already rolled back."
FOLLOW_UP = "Production is well. In your own time, do what `follow_ups` says."
CODE_ALONE = "Nothing. Of the database only the row of the lock was written."
NEXT = {
    "deployed": "Nothing. Leave the _orchestrate_ tables alone: a rollback needs them.",
    "rehearsed": "Release with --prod, without --dry-run.",
    "rolled_back": "Find out why before releasing again.",
    "accepted": "Nothing. The change stays; this tool can no longer roll it back.",
    "unlocked": "Read in `warnings` what that run left behind, then release again.",
    "refused": "Run again.",
    "needs_human": "Do not release and do not push. Follow the runbook, now.",
}


def report(run: RunState) -> dict[str, Any]:
    """Return the whole report of a run, redacted as its events are.

    Times are in seconds from `started_at`. If the build had a budget of its own, `started_at` is the start of the
    second clock, and earlier times are negative.
    """
    opened, ending, code, planned = run.opened, verdict(run), exit_code(run), run.planned
    facts = planned.facts if planned else {}
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
        "commits": facts.get("commits", []),
        "production": facts.get("production"),
        "plan": _planned(run),
        "forecast": planned.forecast if planned else None,
        "rehearsal": facts.get("rehearsal"),
        "backup": facts.get("backup"),
        "contract": facts.get("contract"),
        "changes": facts.get("changes"),
        "steps": [*(_row(run, each, each.end) for each in run.forward), *_not_begun(run)],
        "undo": [*_rollback_rows(run), *_left(run)],
        "remains": _remains(run),
        "kept": run.facts.get("kept") or {},
        "unpin": None if opened.mode == "dry-run" else run.facts.get("unpin"),
        "deployment": run.facts.get("deployment") or _deployment(run),
        "migration": run.facts.get("migration") or {**opened.change, "rows_changed": None},
        "warnings": list(run.warnings),
        "cause": run.cause.cause if run.cause else None,
        "next_action": _next_action(run, ending),
        "runbook": f"runbook.md#{anchor(ending, code, run.cause.code if run.cause else None)}",
        "follow_ups": _follow_ups(run),
    }


def live_state(run: RunState) -> dict[str, Any]:
    """Return which code and schema are live, and which deployment and commit are served, if that is known.

    `unchanged`: as the run found it. `new`: what was released. `old`: rolled back and verified. `in doubt`: see
    `remains`.
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
    return NEW if involved <= done - {each.step for each in run.rollbacks} else DOUBTFUL


def _before(run: RunState) -> Mapping[str, Any]:
    """Return what was live before the run, from the plan or from what a step observed; empty if that is not known."""
    planned = run.planned.facts.get("production") if run.planned else None
    observed = (saw.get("production") for saw in run.saw.values() if saw)
    return next(filter(None, (planned, *observed)), {})


def verdict(run: RunState) -> str:
    """Return how the run ended. This depends on what was begun and on what is known to be rolled back."""
    mode = run.opened.mode
    if not run.cause:
        return RESOLVED_BY.get(mode) or ("deployed" if run.arrived and mode == "prod" else "rehearsed")
    if run.begun:
        return _rollback_verdict(run)
    return "needs_human" if run.cause.human else "refused"


def _rollback_verdict(run: RunState) -> str:
    """Return `rolled_back` if everything that was begun is known to be as before, otherwise `needs_human`."""
    is_clean = run.verified and not run.verified.remains
    return "rolled_back" if is_clean and run.undone.issuperset(run.begun) else "needs_human"


def exit_code(run: RunState) -> int:
    """Return the process's exit code."""
    ending = verdict(run)
    if ending == RESOLVED_BY.get(run.opened.mode):
        return EXIT_CODES["rolled_back"] if _follow_ups(run) else 0
    interrupted = run.cause and run.cause.interrupted and ending in ("rolled_back", "refused")
    return INTERRUPTED if interrupted else EXIT_CODES[ending]


def anchor(ending: str, exit_status: int, code: Code | None = None) -> str:
    """Return the anchor of the runbook's section for this ending. For a refusal, it is the code of the cause."""
    if exit_status == EXIT_CODES["refused"] and code:
        return code
    return "interrupted" if exit_status == INTERRUPTED else ending.replace("_", "-")


def _remains(run: RunState) -> list[str]:
    """Return what should have been rolled back and is still there, or is not known to be gone."""
    if verdict(run) != "needs_human":
        return []
    known = run.verified.remains if run.verified else {}
    rollbacks = _rollback_rows(run)
    unconfirmed = [step["name"] for step in (*rollbacks, *_left(run)) if step["status"] != "done"]
    unverified = [] if run.verified else [step["name"] for step in rollbacks if step["status"] == "done"]
    return [
        *known.values(),
        *(f"{name}: rollback not confirmed" for name in unconfirmed if name not in known),
        *(f"{name}: rolled back, but not verified" for name in unverified),
    ]


def _follow_ups(run: RunState) -> list[dict[str, Any]]:
    """Return what a person has to do later, because a rollback left it: `what`, and the `commands` for it."""
    if verdict(run) not in ("rolled_back", "needs_human"):
        return []
    ends = {each.step: each.end for each in run.rollbacks if each.end}
    return [dict(each) for end in ends.values() for each in end.facts.get("follow_ups", ())]


def _planned(run: RunState) -> list[Mapping[str, Any]]:
    return list(run.planned.steps) if run.planned else []


def _rollback_rows(run: RunState) -> list[dict[str, Any]]:
    """Return a row for each change whose rollback was tried. If it was tried more than once, the last result counts."""
    last = {each.step: each for each in run.rollbacks}
    ends = {each.step: each.end for each in run.rollbacks if each.end}
    return [_row(run, each, ends.get(name)) for name, each in last.items()]


def _row(run: RunState, attempt: Attempt, end: DoneEvent | FailedEvent | None) -> dict[str, Any]:
    status = "unknown" if end is None else "done" if isinstance(end, DoneEvent) else "failed"
    detail = "" if end is None else end.detail if isinstance(end, DoneEvent) else end.why.cause
    line = _line(attempt.step, status, end.seconds if end else None, round(attempt.limit or 0.0, 3), detail)
    return {**line, "began_seconds": _since_start(run, attempt.began)}


def _not_begun(run: RunState) -> list[dict[str, Any]]:
    """Return a row for each step of the plan that was never reached."""
    reached = {each.step for each in run.forward}
    return [_line(step["name"], "not_begun", None, None, "") for step in _planned(run) if step["name"] not in reached]


def _left(run: RunState) -> list[dict[str, Any]]:
    """Return a row for each change that was begun and whose rollback was never tried."""
    if not (run.turned_back or run.resumed):
        return []
    tried = {each.step for each in run.rollbacks}
    names = [name for name in reversed(run.begun) if name not in tried]
    return [
        _line(name, "left", None, None, run.left.get(name, "the run stopped before its rollback began"))
        for name in names
    ]


def _line(name: str, status: str, seconds: float | None, limit: float | None, detail: str) -> dict[str, Any]:
    times = {"began_seconds": None, "seconds": seconds, "limit_seconds": limit}
    return {"name": name, "status": status, **times, "detail": detail}


def _deployment(run: RunState) -> dict[str, Any] | None:
    """Return what was live before, as a step observed it, for a run that has no deployment; None if no step did."""
    observed = [saw for each in run.forward for saw in each.saw.values()]
    saw = next((each for each in observed if each and "production" in each), None)
    return {"id": None, "sha": saw["sha"], "previous_id": saw["production"]["id"]} if saw else None


def _next_action(run: RunState, ending: str) -> str:
    if ending == "needs_human":
        return f"{NEXT[ending]} To try again: --prod --rollback {run.opened.of or run.opened.run}"
    if (run.opened.mode, ending) == ("rollback", "rolled_back") and not run.rollbacks:
        return NOTHING
    if run.opened.broken and ending == "rolled_back":
        return ON_PURPOSE
    if ending == "deployed" and not SCHEMA.intersection(step["name"] for step in _planned(run)):
        return CODE_ALONE
    if ending == "rolled_back" and run.cause and run.cause.interrupted:
        return _with_retry(run, "Release again when you are ready.")
    action = (run.cause and run.cause.next_action) or NEXT[ending]
    return f"{FOLLOW_UP} {action}" if _follow_ups(run) else _with_retry(run, action)


def _with_retry(run: RunState, action: str) -> str:
    retry = run.facts.get("retry") if run.opened.mode != "dry-run" else None
    return f"{action} To release again:\n{retry}".strip() if retry else action


def _used(run: RunState) -> float | None:
    last = run.arrived or run.verified
    return _since_start(run, last.clock if last else run.clock)


def _clocks(run: RunState) -> list[dict[str, Any]]:
    """Return each clock that was started, with its budget. There are two only if the build had a budget of its own."""
    return [
        {"started_seconds": _since_start(run, each.clock), "total": each.total, "reserve": each.reserve}
        for each in run.clocks
    ]


def _since_start(run: RunState, clock: float) -> float | None:
    """Return the seconds from `started_at` to a moment, or None if no clock was started."""
    return round(clock - run.started.clock, 3) if run.started else None
