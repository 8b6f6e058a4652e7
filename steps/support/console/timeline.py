"""Draw the timeline: one line for each step, a bar for the budget, and what would happen if the run failed now."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum

from rich.text import Text

from steps.support.core.events import DoneEvent, Started
from steps.support.core.run_state import Attempt, RunState
from steps.support.core.text import printable


class State(Enum):
    """The state of a step. Its value is the word that the screen shows."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "FAILED"
    ROLLING_BACK = "rolling back"
    ROLLED_BACK = "rolled back"
    STUCK = "STUCK"
    LEFT = "LEFT"


NAME, STATE, TIME = 19, 13, 13  # columns
COLOURS = {
    State.WAITING: "dim",
    State.RUNNING: "bold",
    State.DONE: "green",
    State.FAILED: "bold red",
    State.ROLLING_BACK: "bold yellow",
    State.ROLLED_BACK: "yellow",
    State.STUCK: "bold red",
    State.LEFT: "bold red",
}
UNDER_WAY = (State.RUNNING, State.ROLLING_BACK)


@dataclass(frozen=True, slots=True)
class Row:
    """The line of one step.

    `limit`: the seconds that it may take. `since`: when it began, in seconds on the run's clock. `seconds`: how long it
    took, None until it ends. `words`: the last message about the step.
    """

    name: str
    state: State = State.WAITING
    limit: float | None = None
    since: float = 0.0
    seconds: float | None = None
    words: str = ""


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The characters to draw with.

    `used`: time used. `forward`: time left to go forward. `turn`: the point after which only rolling back is possible.
    `reserve`: time kept for rolling back. `more`: the end of words that were cut.
    """

    used: str
    forward: str
    turn: str
    reserve: str
    more: str


DRAWN = Glyphs("\u2501", "\u2500", "\u2503", "\u2504", "\u2026")
PLAIN = Glyphs("#", "-", "|", ".", "~")


def lines(run: RunState, now: float, width: int, strokes: Glyphs) -> list[Text]:
    """Return the lines that draw a run at the time `now` of its clock, `width` columns wide."""
    drawn = [_row(row, now, width, strokes) for row in rows(run)] or [Text("preflight ...", "dim")]
    if run.started:
        until = run.ended.clock if run.ended else now
        drawn += [Text(""), *_time(run, run.started, until, width, strokes)]
    for line in drawn:
        line.truncate(width)
    return drawn


def rows(run: RunState) -> list[Row]:
    """Return a row for each step of the plan. Before there is a plan, return one for each preflight that has begun."""
    by_name = _named(run)
    for attempt, state in _attempts(run):
        planned = by_name.get(attempt.step, Row(attempt.step))
        limit = planned.limit if attempt.limit is None else attempt.limit
        seconds = attempt.end.seconds if attempt.end else None
        by_name[attempt.step] = Row(attempt.step, state, limit, attempt.began, seconds, _words(attempt))
    for name, why in run.left.items():
        by_name[name] = replace(by_name.get(name, Row(name)), state=State.LEFT, words=why)
    return list(by_name.values())


def _named(run: RunState) -> dict[str, Row]:
    """Return the rows that are known before any step has begun, by the name of the step."""
    if run.planned:
        return {step["name"]: Row(step["name"], limit=step["limit_seconds"]) for step in run.planned.steps}
    return {name: Row(name) for name in run.recalled.begun} if run.recalled else {}


def _attempts(run: RunState) -> Iterator[tuple[Attempt, State]]:
    """Yield each attempt at a step in order of time, with the state that the step has after the attempt."""
    if not (run.planned or run.recalled):
        yield from ((each, State.DONE) for each in run.preflights if each.is_done)
        yield from (
            (replace(each, end=None), State.RUNNING) for each in run.preflights if each.waits_for and not each.is_done
        )
    is_unsettled = run.ended and run.ended.report.get("verdict") == "needs_human"
    for each in run.forward:
        done = State.LEFT if is_unsettled and each.step in run.begun else State.DONE
        yield each, done if each.is_done else State.FAILED if each.end else State.RUNNING
    for each in run.rollbacks:
        yield each, State.ROLLED_BACK if each.is_done else State.STUCK if each.end else State.ROLLING_BACK


def _words(attempt: Attempt) -> str:
    if isinstance(attempt.end, DoneEvent):
        return attempt.end.detail
    return attempt.end.why.cause if attempt.end else attempt.waits_for


def _row(row: Row, now: float, width: int, strokes: Glyphs) -> Text:
    line = Text.assemble(f"{row.name:<{NAME}}", (f"{row.state.value:<{STATE}}", COLOURS[row.state]))
    line.append(f"{_taken(row, now):>{TIME}}  ", "" if row.state in UNDER_WAY else "dim")
    words = printable(" ".join(row.words.split()))
    line.append(_cut(words, width - line.cell_len, strokes), "" if row.state in UNDER_WAY else "dim")
    return line


def _taken(row: Row, now: float) -> str:
    """Return how many seconds a step has taken, and how many it may take."""
    taken = max(0.0, now - row.since) if row.state in UNDER_WAY else row.seconds
    if taken is None:
        return "" if row.limit is None else f"of {row.limit:.0f} s"
    return f"{taken:.1f} s" if row.limit is None else f"{taken:.1f} of {row.limit:.0f} s"


def _cut(words: str, room: int, strokes: Glyphs) -> str:
    text = Text(words)
    if text.cell_len <= room:
        return words
    text.truncate(max(0, room - 1))
    return text.plain + strokes.more if room > 0 else ""


def _time(run: RunState, clock: Started, now: float, width: int, strokes: Glyphs) -> list[Text]:
    used, bar = now - clock.clock, _bar(run, clock, now - clock.clock, width, strokes)
    if run.ended:
        return [bar]
    colour = "bold red" if run.down_since is not None else "dim"
    downtime = Text(f"downtime so far {run.downtime(now):.1f} s", colour)
    return [bar, _left(run, clock, used), downtime, _outlook(run)]


def _bar(run: RunState, clock: Started, used: float, width: int, strokes: Glyphs) -> Text:
    """Draw the time used, the time left to go forward, and the reserve, all to scale."""
    ends = Text.assemble((f" {clock.total:.0f} s", "dim"))
    room = width - ends.cell_len - 1
    turn = round(room * (clock.total - clock.reserve) / clock.total)
    full = min(room, round(room * used / clock.total))
    colour = "yellow" if run.is_rolling_back or run.ended else "green"
    cells = [_cell(column, turn, strokes) for column in range(room)]
    bar = Text()
    for column, (stroke, is_turn) in enumerate(cells):
        is_used = column < full
        style = "bold" if is_turn else colour if is_used else "dim"
        bar.append(strokes.used if is_used and not is_turn else stroke, style)
    return bar + ends


def _cell(column: int, turn: int, strokes: Glyphs) -> tuple[str, bool]:
    if column == turn and turn:
        return strokes.turn, True
    return (strokes.forward if column < turn else strokes.reserve), False


def _left(run: RunState, clock: Started, used: float) -> Text:
    forward = clock.total - clock.reserve
    if not run.is_rolling_back:
        left = f"{max(0.0, forward - used):.1f} s left to go forward"
        return Text(f"{used:.1f} s used, {left}; from {forward:.0f} s on only rollback")
    return Text(f"{used:.1f} s used, {max(0.0, clock.total - used):.1f} s left to roll everything back")


def _outlook(run: RunState) -> Text:
    """Return what would happen if the run failed or was stopped now."""
    if run.is_rolling_back:
        return Text("rolling back, newest first; another Ctrl-C stops immediately", "yellow")
    if not run.begun:
        return Text("if it fails now: nothing has been changed", "dim")
    steps = run.planned.steps if run.planned else ()
    seconds = sum(step.get("undo_seconds", 0.0) for step in steps if step["name"] in run.begun)
    changes = f"{len(run.begun)} change(s) to roll back, {run.begun[-1]} first"
    return Text(f"if it fails now: {changes}; about {seconds:.0f} s", "dim")
