"""The timeline as a terminal of 80 columns shows it, from the events of a journal."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import pyte
import pytest

from steps.support.console.terminal import Terminal
from steps.support.console.timeline import DRAWN, PLAIN, Glyphs, lines
from tests.support.journals.runs import state, tell
from tests.support.paths import ROOT

Event = Mapping[str, Any]

STEPS = [
    {"name": "git_push", "plan": "push", "limit_seconds": 10, "expected_seconds": 1.0, "way_back": "a commit", "undo_seconds": 1.0, "writes": "the branch"},
    {"name": "turso_migration", "plan": "migrate", "limit_seconds": 15, "expected_seconds": 1.0, "way_back": "rollback.sql", "undo_seconds": 2.0, "writes": "tables"},
    {"name": "health_checks", "plan": "ask", "limit_seconds": 20, "expected_seconds": 1.0},
]  # fmt: skip
TARGET = {"project": "liveone", "site": "liveone.example", "database": "libsql://db.example", "branch": "origin/main"}
OPENED: Event = {"event": "opened", "clock": 0.0, "mode": "prod", "run": "r1", "change": {"name": "sites"}}
PLANNED: Event = {
    "event": "planned", "clock": 5.0, "target": TARGET, "folder": "runs/r1", "order": "CODE_FIRST", "ruled_out": {"DATA_FIRST": "it cannot"},
    "steps": STEPS, "forecast": {"seconds": 3.0, "undo_seconds": 3.0}, "budget": {"total": 120, "reserve": 30, "starts": "push", "build": 600},
    "commits": [{"sha": "a" * 40, "subject": "The change"}], "production": {"id": "dpl_1", "sha": "b" * 40},
}  # fmt: skip
STARTED: Event = {"event": "started", "clock": 100.0, "total": 120, "reserve": 30}


def _begun(step: str, clock: float, begins: Sequence[str] = ()) -> Event:
    return {"event": "begun", "step": step, "clock": clock, "limit": 10.0, "begins": list(begins)}


def _ends(event: str, step: str, clock: float, **fields: Any) -> Event:
    return {"event": event, "step": step, "clock": clock, "seconds": 1.0, "detail": "it is so", **fields}


FORWARD = (
    OPENED,
    PLANNED,
    STARTED,
    _begun("git_push", 100.0, ["git_push"]),
    _ends("done", "git_push", 101.0),
    _begun("turso_migration", 101.0, ["turso_migration"]),
)
FAILED = (
    *FORWARD,
    _ends("done", "turso_migration", 102.0),
    _begun("health_checks", 102.0),
    {"event": "site_down", "clock": 103.0, "answer": "500"},
    _ends("failed", "health_checks", 110.0, cause="it answered 500", refused=False),
    {"event": "turned_back", "clock": 110.0},
    {"event": "undo_begun", "step": "turso_migration", "clock": 110.0, "limit": 12.0},
)
BACK = (
    *FAILED,
    _ends("undo_done", "turso_migration", 111.0),
    {"event": "site_up", "clock": 111.5, "answer": "200"},
    {"event": "undo_begun", "step": "git_push", "clock": 111.0, "limit": 8.0},
    _ends("undo_failed", "git_push", 119.0, cause="someone else pushed"),
)


def _drawn(events: Sequence[Event], now: float, width: int = 80, strokes: Glyphs = PLAIN) -> list[str]:
    return [line.plain.rstrip() for line in lines(state(events), now, width, strokes)]


def test_timeline_going_forward() -> None:
    """Each step has its state and its seconds of its limit; time left and the cost of a failure are shown."""
    assert _drawn(FORWARD, 104.5) == [
        "git_push           done           1.0 of 10 s  it is so",
        "turso_migration    running        3.5 of 10 s",
        "health_checks      waiting            of 20 s",
        "",
        "###----------------------------------------------------|................. 120 s",
        "4.5 s used, 85.5 s left to go forward; from 90 s on only rollback",
        "downtime so far 0.0 s",
        "if it fails now: 2 change(s) to roll back, turso_migration first; about 3 s",
    ]


def test_timeline_rolling_back() -> None:
    """The failure stays visible, rollbacks are marked, and downtime goes on counting while visitors are refused."""
    drawn = _drawn(FAILED, 110.5)
    assert drawn[:3] == [
        "git_push           done           1.0 of 10 s  it is so",
        "turso_migration    rolling back   0.5 of 12 s",
        "health_checks      FAILED         1.0 of 10 s  it answered 500",
    ]
    assert drawn[5:] == [
        "10.5 s used, 109.5 s left to roll everything back",
        "downtime so far 7.5 s",
        "rolling back, newest first; another Ctrl-C stops immediately",
    ]


def test_failed_rollback_is_visible() -> None:
    """A failed rollback is not drawn as done, and downtime that is over stops counting."""
    drawn = _drawn(BACK, 125.0)
    assert drawn[0] == "git_push           STUCK           1.0 of 8 s  someone else pushed"
    assert drawn[1] == "turso_migration    rolled back    1.0 of 12 s  it is so"
    assert drawn[6] == "downtime so far 8.5 s"


def test_failure_before_the_first_change_costs_nothing() -> None:
    """The timeline says so before the first change, and after one that certainly did nothing."""
    refused = _ends("failed", "git_push", 101.0, cause="no", refused=True)
    for events in (
        (OPENED, PLANNED, STARTED),
        (OPENED, PLANNED, STARTED, _begun("git_push", 100, ["git_push"]), refused),
    ):
        assert _drawn(events, 101.0)[-1] == "if it fails now: nothing has been changed"


@pytest.mark.parametrize("strokes", [DRAWN, PLAIN])
@pytest.mark.parametrize("width", [40, 60, 80, 200])
@pytest.mark.parametrize("events", [FORWARD, FAILED, BACK], ids=["forward", "failed", "back"])
def test_timeline_fits_the_terminal(events: Sequence[Event], width: int, strokes: Glyphs) -> None:
    """No step and no bar is wider than the terminal, with words of any length and width in them."""
    wide = {"event": "waiting", "step": "turso_migration", "clock": 103.0, "on": "\u8868" * 300}
    run = state([*events, wide])
    assert max(line.cell_len for line in lines(run, 110.0, width, strokes)) <= width


@pytest.mark.parametrize("used", [0.0, 45.0, 89.9, 90.0, 119.0, 500.0])
def test_point_of_no_return_is_the_start_of_the_reserve(used: float) -> None:
    """Three quarters of the bar lead to it, however much of the time is used."""
    bar = _drawn(FORWARD, 100.0 + used)[4]
    cells = bar.removesuffix(" 120 s")
    assert cells.index("|") == round(len(cells) * 0.75)
    assert len(cells) == 73


def _on_screen(events: Sequence[Event], at: float, columns: int = 80) -> list[str]:
    """Show events on a real terminal's screen; return its lines."""
    out = _Tty()
    terminal = Terminal(out, now=lambda: at)
    tell(terminal, *events)
    terminal.close()
    screen = pyte.Screen(columns, 100)
    pyte.Stream(screen).feed(out.getvalue().replace("\n", "\r\n"))
    return [line.rstrip() for line in screen.display]


class _Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "40")


def test_plan_comes_first_and_timeline_stays() -> None:
    """Preflight lines vanish, the plan is printed once, and the timeline's last drawing stays in the scrollback."""
    looking = {"event": "look_waiting", "step": "turso_migration", "clock": 1.0, "on": "copying"}
    shown = _on_screen([OPENED, looking, *FORWARD[1:]], 104.0)
    assert not [line for line in shown if "copying" in line]
    for line in (
        "project   liveone at liveone.example, live now dpl_1 of bbbbbbbb",
        "commits   aaaaaaaa The change",
        "1 git_push            about 1 s, at most 10 s",
        "    rollback: a commit (about 1 s)",
        "          not DATA_FIRST: it cannot",
        "writes    git_push: the branch",
        "time      about 3 s of 90 s to go forward, about 3 s of 30 s kept to roll back",
        "turso_migration    running        3.0 of 10 s",
    ):
        assert shown.count(line) == 1, line


def test_timeline_is_redrawn_in_place() -> None:
    """However often it is drawn, each step is on the screen once."""
    waits = [{"event": "waiting", "step": "turso_migration", "clock": 102.0, "on": f"answer {n}"} for n in range(50)]
    shown = _on_screen([*FORWARD, *waits, *FAILED[6:]], 110.5)
    assert len([line for line in shown if line.startswith("turso_migration    ")]) == 1


def test_warnings_are_printed_above_the_timeline() -> None:
    """A warning is its own line, and the timeline continues below it."""
    shown = _on_screen([*FORWARD, {"event": "warning", "clock": 102.0, "text": "someone else pushed"}], 104.0)
    warned = next(number for number, line in enumerate(shown) if line == "!     someone else pushed")
    drawn = next(number for number, line in enumerate(shown) if line.startswith("turso_migration    running"))
    assert warned < drawn


def test_foreign_text_is_shown_and_not_obeyed() -> None:
    """Neither an escape sequence nor markup in an answer reaches the terminal."""
    evil = {"event": "waiting", "step": "turso_migration", "clock": 103.0, "on": "\x1b[2J[bold]\u202e\x07boo"}
    assert "\\x1b[2J[bold]\\u202e\\x07boo" in "".join(_on_screen([*FORWARD, evil], 104.0))


def test_no_colour_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    """With NO_COLOR set no colour is sent."""
    for wanted in (True, False):
        monkeypatch.delenv("NO_COLOR", raising=False)
        if not wanted:
            monkeypatch.setenv("NO_COLOR", "1")
        out = _Tty()
        terminal = Terminal(out, now=lambda: 104.0)
        tell(terminal, *FORWARD)
        terminal.close()
        assert any(f"\x1b[{code}m" in out.getvalue() for code in ("32", "1;32")) is wanted


def test_cursor_is_shown_again_at_the_end() -> None:
    """Anything hidden while drawing is shown again."""
    out = _Tty()
    terminal = Terminal(out, now=lambda: 104.0)
    tell(terminal, *FORWARD)
    terminal.close()
    assert out.getvalue().rindex("\x1b[?25h") > out.getvalue().rindex("\x1b[?25l")


def test_readme_picture_loads_nothing() -> None:
    """It shows every step, and fetches neither a font nor anything else."""
    picture = (ROOT / "docs" / "timeline.svg").read_text(encoding="utf-8")
    assert "@font-face" not in picture
    assert "url(http" not in picture
    for name in (
        "git_push",
        "vercel_deployment",
        "activation",
        "turso_migration",
        "verification_query",
        "health_checks",
    ):
        assert name in picture


def test_interrupted_rollback_is_not_drawn_as_done() -> None:
    """If a second signal stopped the rollback, a change that remains is not shown in green."""
    stopped = {"event": "ended", "clock": 111.0, "verdict": "needs_human"}
    drawn = _drawn([*FAILED, stopped], 111.0)
    assert [line.split()[1] for line in drawn[:2]] == ["LEFT", "rolling"]
