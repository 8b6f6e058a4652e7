"""Output for GitHub Actions: groups, annotations, and a summary; foreign text cannot give it commands."""

import io
import re
from typing import Any

import pytest

from steps.support.console.actions import Actions, job_summary
from tests.support.journals.runs import tell

TITLE = "ROLLED BACK%3A schema%2C live deployment and files are as before%2C verified"
EVIL = "::set-env name=PATH::/evil\n::error::not ours\r\n::stop-commands::x"


def _report(**fields: Any) -> dict[str, Any]:
    return {
        "event": "ended", "clock": 9.0, "verdict": "rolled_back", "exit_code": 1, "mode": "prod", "cause": "it failed: 50 %", "next_action": "Mend it.",
        "remains": [], "unpin": None, "downtime": None, "folder": "runs/r", "runbook": "runbook.md#rolled-back", "run_id": "r",
        "budget": {"total": 120, "used_seconds": 3.0, "clocks": []}, "live": {"code": "old", "schema": "old", "deployment": "dpl_1", "sha": "a" * 40},
        "broken_on_purpose": None, "steps": [{"name": "git_push", "status": "done", "seconds": 1.0, "detail": "pushed"}],
        "undo": [{"name": "git_push", "status": "done", "seconds": 2.0, "detail": "put back"}], **fields,
    }  # fmt: skip


def _obeyed(*events: dict[str, Any], runs: int = 1) -> list[str]:
    """Return the commands that a runner would obey, from one run or several in one step."""
    out = io.StringIO()
    for _ in range(runs):
        listener = Actions(out)
        tell(listener, *events)
        listener.close()
    obeyed, stopped = list[str](), ""
    for line in map(str.strip, re.split(r"[\r\n]+", out.getvalue())):
        if stopped and line == f"::{stopped}::":
            stopped = ""
        elif not stopped and line.startswith("::stop-commands::"):
            stopped = line.removeprefix("::stop-commands::")
        elif not stopped and line.startswith("::"):
            obeyed.append(line)
    return obeyed


def test_groups_and_an_annotation() -> None:
    """Preflight, plan and release are groups that end before the next; the end is an error with cause and remedy."""
    opened = {"event": "opened", "clock": 0.0, "mode": "prod", "run": "r", "change": {"name": "c"}}
    started = {"event": "started", "clock": 1.0}
    assert _obeyed(opened, started, _report()) == [
        "::group::Preflight",
        "::endgroup::",
        "::group::Release",
        "::endgroup::",
        f"::error title={TITLE}::it failed: 50 %25 Mend it. runbook.md#rolled-back",
    ]


@pytest.mark.parametrize("event", ["done", "undo_done", "waiting", "look_waiting"])
def test_foreign_text_is_never_a_command(event: str) -> None:
    """The runner obeys no text of a remote, the platform or a commit."""
    told = {"event": event, "clock": 1.0, "step": "git_push", "detail": EVIL, "on": EVIL, "seconds": 1.0}
    assert _obeyed(told) == []


def test_multiline_text_is_one_annotation() -> None:
    """A cause with line breaks is one annotation, and a warning another."""
    obeyed = _obeyed({"event": "warning", "clock": 1.0, "text": EVIL}, _report(cause=EVIL))
    assert [line.split(" ")[0] for line in obeyed] == ["::warning", "::error"]


@pytest.mark.parametrize(("verdict", "code"), [("deployed", 0), ("rehearsed", 0)])
def test_good_end_is_not_an_error(verdict: str, code: int) -> None:
    """A successful run leaves no annotation."""
    assert _obeyed(_report(verdict=verdict, exit_code=code)) == []


def test_summary_is_complete() -> None:
    """Verdict, what is live, cause, next action and every step with its seconds are in it."""
    told = job_summary(_report())
    for part in (
        "ROLLED BACK",
        "the previous one, dpl&#95;1 of aaaaaaaa",
        "it failed: 50 %",
        "Mend it.",
        "| git&#95;push | done | 1.0 s | pushed |",
        "| undo git&#95;push",
    ):
        assert part in told, told


def test_foreign_text_is_not_markup_in_the_summary() -> None:
    """Foreign text yields neither HTML nor a link nor a new row of the table."""
    told = job_summary(_report(cause="<img src=x>\n| a | b |\n[x](http://evil) @all"))
    (line,) = [line for line in told.splitlines() if line.startswith("- **cause**")]
    assert not set("<>|[]@") & set(line.removeprefix("- **cause**"))


def test_second_run_of_a_step_is_obeyed_too() -> None:
    """A rehearsal is two runs: the runner obeys the commands of both, and of anything after them."""
    warning = {"event": "warning", "clock": 1.0, "text": "look"}
    assert _obeyed(warning, runs=2) == ["::warning title=orchestrate::look"] * 2


def test_fault_on_purpose_is_not_an_error() -> None:
    """A rehearsal that rolled back as intended is not announced as a failure, and its summary says so."""
    report = _report(broken_on_purpose="health_checks:fail", mode="dry-run")
    assert _obeyed(report) == []
    assert "broken on purpose" in job_summary(report)
    assert "dry-run" in job_summary(report)


def test_summary_can_always_be_written() -> None:
    """No half character, change of direction or clickable address reaches the page."""
    told = job_summary(_report(cause="half \ud800, \u202eback, https://evil.example, www.evil.example"))
    told.encode()
    assert "\u202e" not in told
    assert "https://" not in told
    assert "www.evil" not in told
