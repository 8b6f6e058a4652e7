"""What the engineer reads: complete without a terminal, and harmless whatever a commit message contains."""

import io
from typing import Any

import pytest

from steps.support.console.lines import Lines
from tests.support.journals.runs import tell

LIVE = {"code": "old", "schema": "old", "deployment": "dpl_1", "sha": "a" * 40}
ODD = "\0\x08\r\x1b\x7f\x85\x9b\u061c\u200b\u200e\u200f\u2028\u2029\u202a\u202d\u2066\u2069\ufeff\ud800\U000e0001"


def _shown(*events: dict[str, Any]) -> list[str]:
    """Have a screen print events; return its lines."""
    stream = io.StringIO()
    tell(Lines(stream), *events)
    return stream.getvalue().splitlines()


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("[bold red]not markup[/]", "[bold red]not markup[/]"),
        ("a bell\x07 and \x1b[31mred\x1b[0m", "a bell\\x07 and \\x1b[31mred\\x1b[0m"),
        ("right\u202eto left", "right\\u202eto left"),
        *((f"an odd {char}.", f"an odd {char.encode('unicode_escape').decode()}.") for char in ODD),
        (":warning: is a name", ":warning: is a name"),
    ],
)
def test_foreign_text_is_shown_and_not_obeyed(said: str, shown: str) -> None:
    """Neither screen markup nor control characters of a commit message or an error body take effect."""
    (line,) = _shown({"event": "done", "step": "git_push", "detail": said, "seconds": 0.1, "clock": 1.0})
    assert line == f"ok    git_push           {shown} (0.1 s)"


def test_long_failure_is_short_in_its_line_and_complete_at_the_end() -> None:
    """The line of a failed step is short; the end gives the whole cause, unwrapped without a terminal."""
    cause = "x" * 500
    ended = {
        "event": "ended", "verdict": "rolled_back", "exit_code": 1, "mode": "prod", "cause": cause, "next_action": "Mend it.",
        "remains": [], "unpin": None, "live": LIVE, "undo": [], "downtime": None, "folder": "runs/r", "runbook": "runbook.md#rolled-back", "budget": {"total": 120, "used_seconds": 3.0, "clocks": []},
    }  # fmt: skip
    failed, _, headline, _, _, _, whole, *_ = _shown(
        {"event": "failed", "step": "git_push", "cause": cause, "refused": False, "clock": 1.0}, ended
    )
    assert len(failed) < 200
    assert headline.startswith("ROLLED BACK")
    assert whole == f"cause     {cause}"


def test_megabyte_of_text_is_truncated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Very long text blocks neither the screen nor the run: its beginning is shown, on a terminal too."""
    monkeypatch.setenv("TERM", "dumb")
    terminal = _Terminal()
    for mine in (terminal, io.StringIO()):
        tell(Lines(mine), {"event": "warning", "text": ":warning: " * 100_000, "clock": 1.0})
        assert len(mine.getvalue()) < 20_000
        assert mine.getvalue().count(":warning:") > 900


def test_seconds_count_from_the_start_of_the_budget() -> None:
    """The seconds on a line are those of the budget."""
    started = {"event": "started", "clock": 100.0}
    assert _shown(started, {"event": "begun", "step": "git_push", "limit": 10.0, "clock": 107.25}) == [
        "   7.2 s  ...   git_push           at most 10 s"
    ]


def test_leftovers_are_reported_first() -> None:
    """If a human is needed, the end begins with what is still in production."""
    ended = {
        "event": "ended", "verdict": "needs_human", "exit_code": 4, "mode": "prod", "cause": "it failed", "next_action": "Follow.",
        "remains": ["production is dpl_2", "main is at abc"], "unpin": None, "live": LIVE, "undo": [], "downtime": None, "folder": "runs/r", "runbook": "runbook.md#needs-human", "budget": {"total": 120, "used_seconds": 3.0, "clocks": []},
    }  # fmt: skip
    _, headline, first, second, *_ = _shown(ended)
    assert headline.startswith("NEEDS A HUMAN")
    assert (first, second) == ("remains   production is dpl_2", "          main is at abc")


QUICK = {"before": {"median_seconds": 0.012}, "during": {"median_seconds": 0.0149}, "after": {"median_seconds": 0.011}}
WELL = {
    "observed_seconds": 0.0, "probes": 83, "failed_probes": 0, "first_failure": None, "last_failure": None,
    "refused": {}, "latency": QUICK,
}  # fmt: skip
BADLY = {
    **WELL, "observed_seconds": 1.4, "failed_probes": 7, "first_failure": 31.21, "last_failure": 32.4,
    "refused": {"500": 6, "no answer": 1},
}  # fmt: skip
UNTOUCHED = {**WELL, "latency": {**QUICK, "during": None, "after": None}}
TOOK = "answers took 12 ms before, 15 ms during, 11 ms after"
HEADLINE = f"1.4 s: 7 of 83 visits refused, from 31.2 s to 32.4 s (500: 6, no answer: 1); {TOOK}"


def _end(downtime: Any) -> dict[str, Any]:
    return {
        "event": "ended", "verdict": "deployed", "exit_code": 0, "mode": "prod", "cause": None, "next_action": "", "remains": [],
        "unpin": None, "live": LIVE, "undo": [], "downtime": downtime, "folder": "runs/r", "runbook": "", "budget": {"total": 120, "used_seconds": 3.0, "clocks": []},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("downtime", "headline"),
    [
        (WELL, f"0.0 s: 0 of 83 visits refused; {TOOK}"),
        (BADLY, HEADLINE),
        (UNTOUCHED, "0.0 s: 0 of 83 visits refused; answers took 12 ms before"),
    ],
)
def test_downtime_is_one_line(downtime: Any, headline: str) -> None:
    """It gives duration, count and latency; times and answers only if visitors were refused."""
    assert f"downtime  {headline}" in _shown(_end(downtime))


@pytest.mark.parametrize("downtime", [None, {"probes": 0}])
def test_unmeasured_downtime_is_not_reported(downtime: Any) -> None:
    """If no visit was made, the end does not claim that none was refused."""
    assert not [line for line in _shown(_end(downtime)) if "downtime" in line]


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_downtime_wraps_under_its_own_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 80 columns shows all of it in two lines, the second aligned with the words of the first."""
    monkeypatch.setenv("TERM", "dumb")  # 80 columns, no colours
    terminal = _Terminal()
    tell(Lines(terminal), _end(BADLY))
    _, _, _, _, _, first, second, *_ = terminal.getvalue().splitlines()
    assert max(len(first), len(second)) <= 80
    assert (first[:10], second[:10]) == ("downtime  ", " " * 10)
    assert f"{first[10:]} {second[10:]}" == HEADLINE


def test_command_can_be_pasted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command of any length is sent to the terminal as one line, which the terminal may wrap."""
    monkeypatch.setenv("TERM", "dumb")
    terminal, command = (
        _Terminal(),
        f"python orchestrate.py --prod --config {'x' * 90} --rollback 20261127T153813Z-f870",
    )
    tell(Lines(terminal), {**_end(WELL), "next_action": f"To put it back: {command};\nTo keep it: another"})
    assert [line.strip() for line in terminal.getvalue().splitlines() if command in line] == [
        f"next      To put it back: {command};"
    ]
