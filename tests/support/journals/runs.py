"""Runs as sequences of events: one for every way in which a run can end."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from steps.support.core import events
from steps.support.core.run_state import RunState, after, state_of

Event = dict[str, Any]  # as it stands in the journal

RUN, NEW, OLD = "20260301T030000Z-0a1b", "e6de54c9" * 5, "91755c71" * 5
SERVED = {"id": "dpl_1", "sha": OLD, "host": "old.example", "auto_assign": True}
CHANGES = ("git_push", "vercel_deployment", "activation", "turso_migration")
CHECKS = ("verification_query", "health_checks")
TOOK = {
    "git_push": 0.5, "vercel_deployment": 62.25, "activation": 1.5, "turso_migration": 2.125, "verification_query": 0.75, "health_checks": 3.0,
}  # fmt: skip
LIMITS = {
    "git_push": 10, "vercel_deployment": 75, "activation": 15, "turso_migration": 12, "verification_query": 5, "health_checks": 20,
}  # fmt: skip
FACTS: dict[str, Event] = {
    "vercel_deployment": {"deployment": {"id": "dpl_2", "sha": NEW, "previous_id": "dpl_1"}},
    "turso_migration": {"migration": {"name": "vendor-sites", "sha256": "6b" * 32, "rows_changed": 14}},
}


def parsed(lines: Iterable[Mapping[str, Any]]) -> list[events.Event]:
    """Return the events of lines."""
    return [events.event_of(line) for line in lines]


def state(lines: Iterable[Mapping[str, Any]]) -> RunState:
    """Return the run after the events of lines."""
    return state_of(parsed(lines))


def tell(listener: Callable[[events.Event, RunState], None], *lines: Mapping[str, Any]) -> None:
    """Send the events of lines to a listener, as a journal does."""
    run = RunState()
    for each in parsed(lines):
        run = after(run, each)
        listener(each, run)


def event(name: str, clock: float, **fields: Any) -> Event:
    """Return an event at a second of the run's clock, which starts at 100."""
    seconds = int(clock)
    return {"event": name, "at": f"2026-03-01T03:{seconds // 60 % 60:02}:{seconds % 60:02}.000+00:00", "clock": 100 + clock, "run": RUN, **fields}  # fmt: skip


def opened(mode: str = "prod", **fields: Any) -> Event:
    """Return the first event of a run."""
    budget: Event = {"total": 120, "reserve": 30, "starts": "push", "build": 600, **fields.pop("budget", {})}
    change = {"name": "vendor-sites", "sha256": "6b" * 32}
    return event("opened", -5, **{"mode": mode, "dry_run": mode == "dry-run", "change": change, "budget": budget, **fields})  # fmt: skip


def planned(**fields: Any) -> Event:
    """Return the plan, with everything that preflight can report."""
    steps = [_planned(name) for name in (*CHANGES, *CHECKS)]
    seconds = {"migrate": 0.0159, "rollback": 0.0249}
    told: Event = {
        "target": {"branch": "origin/main", "project": "liveone", "database": "libsql://db.example", "site": "site.example"},
        "order": "CODE_FIRST", "ruled_out": {"DATA_FIRST": "auto-assign is on"}, "steps": steps,
        "forecast": {"seconds": 71.5, "undo_seconds": 3.202}, "commits": [{"sha": NEW, "subject": "Read both schemas"}], "production": SERVED,
        "rehearsal": {
            "engine": "sqld 0.24.32", "migrate_seconds": 0.0159, "rollback_seconds": 0.0249, "lossless": True, "not_shown": ["sessions"],
            "seconds": seconds, "warnings": ["index-lost: by_day"], "notes": ["DROP TABLE systems"], "accepted": ["column-lost: user_id"],
        },
        "backup": {"path": "runs/r/backup.sql.gz", "sha256": "4a" * 32, "bytes": 4165632, "rows": 26391, "seconds": 0.521},
        "contract": {
            "old code on the old schema": [], "new code on the old schema": [], "new code on the new schema": [],
            "old code on the new schema": ["contract/old.sql line 9: no such column: user_id"],
        },
        "changes": {
            "schema": ["systems.user_id: is gone"],
            "rows": {"systems": {"before": 6, "after": 6, "added": 0, "removed": 0, "changed": 2, "columns": {"display_name": 2}, "samples": ["changed id 1"]}},
        },
    }  # fmt: skip
    return event("planned", -1, **{**told, **fields})


def _planned(name: str) -> dict[str, Any]:
    said = {"name": name, "plan": f"the deed of {name}", "expected_seconds": 1.0, "limit_seconds": LIMITS[name]}
    back = {"way_back": f"the way back of {name}", "undo_seconds": 1.25, "writes": f"what {name} writes"}
    return {**said, **back} if name in CHANGES else said


def started(clock: float = 0.0, total: float = 120, reserve: float = 30) -> Event:
    """Return the start of a clock."""
    return event("started", clock, total=total, reserve=reserve)


def forward(*names: str, at: float = 0.0, fails: str = "") -> list[Event]:
    """Return the events of steps one after the other; the one that fails is the last."""
    return [each for name, clock in _one_after_the_other(names, at) for each in _step(name, clock, fails=name == fails)]


def back(*names: str, at: float, sticks: str = "") -> list[Event]:
    """Return the events of rollbacks one after the other, each of a second; one may fail."""
    return [each for number, name in enumerate(names) for each in _undo(name, at + number, sticks=name == sticks)]


def _one_after_the_other(names: tuple[str, ...], at: float) -> Iterator[tuple[str, float]]:
    for name in names:
        yield name, at
        at += TOOK[name]


def _step(name: str, at: float, *, fails: bool) -> list[Event]:
    saw = {each: {"sha": NEW, "production": SERVED} for each in CHANGES[:3]} if name == "git_push" else {}
    begins = list(saw) or ([name] if name in CHANGES else [])
    begun = event("begun", at, step=name, begins=begins, saw=saw, prepares=False, limit=LIMITS[name])
    end: Event = {"step": name, "seconds": TOOK[name]}
    if fails:
        cause = {"cause": f"{name} answered 500", "next_action": "Mend it.", "refused": False, "human": False}
        return [begun, event("failed", at + TOOK[name], **end, **cause)]
    return [begun, event("done", at + TOOK[name], **end, detail=f"{name} went well", **FACTS.get(name, {}))]


def _undo(name: str, at: float, *, sticks: bool) -> list[Event]:
    begun = event("undo_begun", at, step=name, limit=10.0)
    if sticks:
        return [begun, event("undo_failed", at + 1, step=name, seconds=1.0, cause=f"{name} is stuck")]
    facts: dict[str, Any] = {"kept": {"systems": [{"id": 7, "vendor": "new"}]}} if name == "turso_migration" else {}
    return [begun, event("undo_done", at + 1, step=name, seconds=1.0, detail=f"{name} is as before", **facts)]


def turned_back(clock: float, **fields: Any) -> Event:
    """Return the end of the way forward."""
    why = {"cause": "health_checks answered 500", "next_action": "Mend it.", "refused": False, "human": False}
    return event("turned_back", clock, **{**why, **fields})


def probed(clock: float, *outages: tuple[float, float]) -> Event:
    """Return what visitors saw."""
    failed, seconds = 5 * len(outages), round(sum(end - at for at, end in outages), 3)
    seen = {
        "observed_seconds": seconds, "probes": 350, "failed_probes": failed, "outages": [list(each) for each in outages],
        "first_failure": outages[0][0] if outages else None, "last_failure": outages[-1][1] - 0.2 if outages else None,
        "answers": {"200": 350 - failed, "500": failed}, "refused": {"500": failed} if failed else {},
        "latency": {"before": {"probes": 300, "median_seconds": 0.026, "max_seconds": 0.052}, "during": None, "after": None},
    }  # fmt: skip
    return event("probed", clock, downtime=seen)


def stopped(clock: float, **fields: Any) -> Event:
    """Return what ended a run from within."""
    why = {"cause": "planning vendor-sites: it is applied", "next_action": "Choose another.", "refused": True, "human": False}  # fmt: skip
    return event("stopped", clock, **{**why, **fields})


ALL = (*CHANGES, *CHECKS)
ARRIVED = [planned(), started(), *forward(*ALL), event("arrived", 70.5), probed(71)]
BROKEN = [planned(), started(), *forward(*ALL, fails="health_checks"), turned_back(70.5)]
UNDOS = CHANGES[::-1]
RESTORED = [*BROKEN, *back(*UNDOS, at=71), event("verified", 75.5, remains={}), probed(76, (66.5, 68.0), (69.0, 69.4))]
STUCK = {"turso_migration": "vendor-sites is applied in libsql://db.example"}
LEFT = [event("left", 72.5, step=name, cause="it rests on turso_migration") for name in UNDOS[1:]]
WARNED = event("warning", 1, text="git_push is still there")
SAW = {name: {"sha": NEW, "production": SERVED} for name in UNDOS[1:]}
RESUMED = event("resumed", -1, begins=list(UNDOS), saw=SAW)

RUNS: dict[str, list[Event]] = {
    "deployed": [opened(), *ARRIVED],
    "rehearsed": [opened("dry-run"), *ARRIVED],
    "looked": [opened(dry_run=True), planned()],
    "rolled_back": [opened(), *RESTORED],
    "rolled_back on purpose": [opened("dry-run", broken="health_checks:fail"), *RESTORED],
    "refused without a plan": [opened(), stopped(-2)],
    "refused after the plan": [opened(), planned(), stopped(-0.5)],
    "refused by the first change": [opened(), planned(), started(), *forward("git_push")[:1], event("failed", 1, step="git_push", seconds=1.0, cause="no", refused=True), turned_back(1, refused=True), event("verified", 1, remains={})],
    "needs_human": [opened(), *BROKEN, *back("turso_migration", at=71, sticks="turso_migration"), *LEFT, event("verified", 73, remains=STUCK), WARNED],
    "interrupted": [opened(), *BROKEN[:-1], turned_back(70.5, cause="stopped by a signal", interrupted=True), *RESTORED[len(BROKEN) :]],
    "killed by a second signal": [opened(), *BROKEN, *back("turso_migration", at=71)[:1], stopped(72, human=True, refused=False)],
    "accepted": [opened("accept", of="a run of before"), event("recalled", -2, of="a run of before", change={"name": "x"}, state="arrived", begun=[], here=True), event("accepted", 1, tables=["_orchestrate_kept_a"])],
    "unlocked": [opened("unlock", of="a run of before"), WARNED],
    "rollback": [opened("rollback", of="a run of before"), RESUMED, started(reserve=120), *back(*UNDOS, at=0.5), event("verified", 5, remains={})],
    "rollback of nothing": [opened("rollback", of="a run of before")],
    "rollback that sticks": [opened("rollback", of="a run of before"), RESUMED, started(reserve=120), *back(*UNDOS, at=0.5, sticks="activation"), event("verified", 5, remains={"activation": "dpl_2 is live"}), stopped(5, human=True)],
    "a clock for the build": [opened(budget={"starts": "live"}), planned(), started(-63, 630), *forward(*CHANGES[:2], at=-63), started(), *forward(*ALL[2:]), event("arrived", 8), probed(8)],
    "code alone": [opened(), planned(rehearsal=None, backup=None, contract=None, changes=None), started(), *forward(*CHANGES[:3], "health_checks"), event("arrived", 68)],
    "over its budget": [opened(), *BROKEN, *back(*UNDOS, at=500), event("verified", 505, remains={})],
}  # fmt: skip
