"""Events as journal lines: the same bytes through any class, and readable by other versions."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from steps.support.core.events import Event, Foreign, Stopped, event_of, line_of
from steps.support.core.redaction import Redactor
from steps.support.core.run_state import state_of
from steps.support.run.journal import Journal
from tests.support.virtual.loop import run

HEAD: dict[str, Any] = {"at": "2026-11-30T15:25:37.000+00:00", "clock": 1.5, "run": "20261130T152537Z-3de2"}
CHANGE = {"name": "vendor-sites", "sha256": "6b"}
BUDGET = {"total": 120, "reserve": 30, "starts": "push", "build": 600}
TO: dict[str, Any] = {"change": CHANGE, "target": "liveone, main", "target_id": "t", "budget": BUDGET}
PROBLEM = {
    "operation": "reading",
    "cause": "reading x: no",
    "next_action": "Mend it.",
    "refused": False,
    "human": False,
}
DEFECT = {"refused": False, "cause": "unexpected ValueError: x", "next_action": "Report it."}
SIGNAL = {"refused": False, "cause": "stopped by a signal", "next_action": "", "interrupted": True}
STEP, TOOK = {"step": "git_push"}, {"step": "git_push", "seconds": 0.25}
FACTS = {"unpin": None, "deployment": {"id": "dpl_2", "sha": "e6", "previous_id": "dpl_1"}}
SAW = {"git_push": {"sha": "e6", "production": {"id": "dpl_1"}}}
FOUND = {"commits": [{"sha": "e6", "subject": "x"}], "production": {"id": "dpl_1"}, "rehearsal": None, "backup": None}

LINES: list[dict[str, Any]] = [  # as this tool has always written them: names, order, and which fields are present
    {"event": event, **HEAD, **fields}
    for event, fields in [
        ("opened", {"mode": "prod", "dry_run": False, **TO}),
        ("opened", {"mode": "dry-run", "dry_run": True, "broken": None, **TO}),
        ("opened", {"mode": "dry-run", "dry_run": True, "broken": "health_checks:fail", **TO}),
        ("opened", {"mode": "rollback", "dry_run": False, "of": "", **TO}),
        ("planned", {"target": {"branch": "main"}, "folder": "runs/r", "budget": BUDGET, "order": "", "ruled_out": {}, "steps": [{"name": "git_push"}], "forecast": {"seconds": 1.0}, **FOUND}),
        ("asking", {"target": "liveone, main"}),
        ("recalled", {"of": "r0", "change": CHANGE, "state": "arrived", "begun": ["git_push"], "here": True}),
        ("resumed", {"begins": ["git_push"], "saw": SAW}),
        ("accepting", {"of": "r0"}),
        ("accepted", {"tables": ["_orchestrate_kept_a"]}),
        ("started", {"total": 120.0, "reserve": 30.0}),
        ("begun", {**STEP, "begins": ["git_push"], "saw": SAW, "prepares": True, "limit": 10.0}),
        ("arrived", {"used": 70.5}),
        *(("turned_back", {**why, "used": 70.5}) for why in (PROBLEM, DEFECT, SIGNAL)),
        *(("stopped", why) for why in (PROBLEM, DEFECT, SIGNAL)),
        ("undo_begun", {**STEP, "limit": 10.0}),
        ("left", {**STEP, "cause": "it rests on turso_migration"}),
        ("verified", {"remains": {"git_push": "main is at e6"}}),
        ("site_down", {"answer": "500"}),
        ("site_up", {"answer": "200"}),
        ("probed", {"downtime": {"probes": 350, "latency": {"before": None}}}),
        ("signal", {"name": "SIGINT", "again": False}),
        ("warning", {"text": "look"}),
        ("ended", {"folder": "runs/r", "run_id": "r", "mode": "prod", "of": None, "verdict": "refused", "exit_code": 3, "cause": None}),
        *((f"{kind}waiting", {**STEP, "on": "an answer"}) for kind in ("look_", "", "undo_")),
        *((f"{kind}done", {**TOOK, "detail": "pushed", **facts}) for kind in ("look_", "", "undo_") for facts in ({}, FACTS)),
        *((f"{kind}failed", {**TOOK, **why}) for kind in ("look_", "", "undo_") for why in (PROBLEM, DEFECT, SIGNAL)),
    ]
]  # fmt: skip
ONE_OF_EACH = {line["event"]: line for line in LINES}


def _kinds(of: type[Event] = Event) -> Iterator[str]:
    for each in of.__subclasses__():
        yield from filter(None, (each.kind, *_kinds(each)))


@pytest.mark.parametrize("line", LINES, ids=lambda line: line["event"])
def test_line_survives_a_round_trip(line: dict[str, Any]) -> None:
    """A line read as its class and written again has the same keys in the same order, and no others."""
    event = event_of(line)
    assert event.kind == line["event"]
    assert json.dumps(line_of(event)) == json.dumps(line)


def test_every_kind_of_event_is_in_the_table() -> None:
    """Every class of events has a line in this table."""
    assert set(_kinds()) == ONE_OF_EACH.keys()


def test_journal_writes_the_event_as_that_line(tmp_path: Path) -> None:
    """An event given to the journal is on disk as that line, with its own time and run."""

    async def write() -> None:
        journal = Journal(tmp_path / "r" / "journal.jsonl", Redactor(), HEAD["run"])
        for line in LINES:
            journal.note(event_of(line))
        journal.close()

    run(write())
    written = (tmp_path / "r" / "journal.jsonl").read_text().splitlines()
    for line, text in zip(LINES, written, strict=True):
        now = {key: json.loads(text)[key] for key in ("at", "clock")}
        assert text == json.dumps({**line, **now})


@pytest.mark.parametrize("line", ONE_OF_EACH.values(), ids=ONE_OF_EACH)
def test_event_of_another_version_is_read(line: dict[str, Any]) -> None:
    """An unknown field is kept and a missing one is empty; only fields that recovery needs are required."""
    assert line_of(event_of({**line, "new": [1]}))["new"] == [1]
    needed = event_of(line).essential
    for key in line.keys() - {"event"}:
        less = {name: value for name, value in line.items() if name != key}
        if key in needed:
            with pytest.raises(KeyError, match=key):
                event_of(less)
        else:
            state_of([event_of(less)])


def test_code_in_a_line_is_an_unknown_field() -> None:
    """The code of a reason is not read from a line: one that another version wrote is kept like any unknown field."""
    event = event_of({**ONE_OF_EACH["stopped"], "code": "lock-held"})
    assert isinstance(event, Stopped)
    assert (event.why.code, event.facts) == (None, {"code": "lock-held"})


def test_unknown_event_is_kept_and_changes_nothing() -> None:
    """An event of a later version is written again unchanged, and the run stays as it is."""
    line = {"event": "danced", **HEAD, "with": "whom"}
    event = event_of(line)
    assert isinstance(event, Foreign)
    assert line_of(event) == line
    assert state_of([event]).begun == []


def test_secret_equal_to_a_field_name_masks_no_field(tmp_path: Path) -> None:
    """Field names are the tool's own: readers of the journal find them, whatever the secrets are."""

    async def write() -> None:
        journal = Journal(tmp_path / "r" / "journal.jsonl", Redactor(["refused", "detail"]), "r")
        for kind in ("failed", "done"):
            journal.note(event_of(ONE_OF_EACH[kind]))
        journal.close()

    run(write())
    failed, done = map(json.loads, (tmp_path / "r" / "journal.jsonl").read_text().splitlines())
    assert (failed["refused"], done["detail"]) == (False, "pushed")


def test_retried_rollback_runs_on_screen_and_keeps_its_end_in_report() -> None:
    """The screen shows the last attempt as running; the report keeps an end that was written before."""
    begun, failed = ONE_OF_EACH["undo_begun"], ONE_OF_EACH["undo_failed"]
    first, second = state_of(map(event_of, [begun, failed, {**begun, "clock": 9.0}])).rollbacks
    assert (first.end is None, second.end, second.began) == (False, None, 9.0)


def test_end_without_a_beginning_is_reported() -> None:
    """If a full disk lost the line of a beginning, the end is still reported, and nothing counts as begun."""
    state = state_of([event_of(ONE_OF_EACH["done"])])
    assert ([each.step for each in state.forward if each.is_done], state.begun) == (["git_push"], [])
