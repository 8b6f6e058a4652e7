"""The timeline: a line a step, the bar of the two minutes, and what happens if it fails now."""

from dataclasses import dataclass

from rich.text import Text

from steps.support.console.progress import Phase, Progress, Row, State
from steps.support.core.text import printable

NAME, STATE, TIME = 19, 10, 13  # columns
COLOURS = {
    State.WAITS: "dim",
    State.NOW: "bold",
    State.DONE: "green",
    State.FAILED: "bold red",
    State.GOES_BACK: "bold yellow",
    State.PUT_BACK: "yellow",
    State.STUCK: "bold red",
    State.LEFT: "bold red",
}
RUNNING = (State.NOW, State.GOES_BACK)


@dataclass(frozen=True, slots=True)
class Glyphs:
    """What the bar is drawn with: time that is used, time to go forward, the point of no return, the reserve."""

    used: str
    forward: str
    turn: str
    reserve: str
    more: str


DRAWN = Glyphs("\u2501", "\u2500", "\u2503", "\u2504", "\u2026")
PLAIN = Glyphs("#", "-", "|", ".", "~")


def lines(course: Progress, now: float, width: int, strokes: Glyphs) -> list[Text]:
    """Draw a course as it stands at a moment of the run's clock, in so many columns."""
    drawn = [_row(row, now, width, strokes) for row in course.rows] or [Text("looking ...", "dim")]
    if course.started is not None and course.phase is not Phase.LOOKING:
        until = course.ended if course.ended is not None else now
        drawn += [Text(""), *_time(course, until, until - course.started, width, strokes)]
    for line in drawn:
        line.truncate(width)
    return drawn


def _row(row: Row, now: float, width: int, strokes: Glyphs) -> Text:
    line = Text.assemble(f"{row.name:<{NAME}}", (f"{row.state.value:<{STATE}}", COLOURS[row.state]))
    line.append(f"{_taken(row, now):>{TIME}}  ", "" if row.state in RUNNING else "dim")
    words = printable(" ".join(row.words.split()))
    line.append(_cut(words, width - line.cell_len, strokes), "" if row.state in RUNNING else "dim")
    return line


def _taken(row: Row, now: float) -> str:
    """Say how many seconds a step has taken, and of how many."""
    taken = max(0.0, now - row.since) if row.state in RUNNING else row.seconds
    if taken is None:
        return "" if row.limit is None else f"of {row.limit:.0f} s"
    return f"{taken:.1f} s" if row.limit is None else f"{taken:.1f} of {row.limit:.0f} s"


def _cut(words: str, room: int, strokes: Glyphs) -> str:
    text = Text(words)
    if text.cell_len <= room:
        return words
    text.truncate(max(0, room - 1))
    return text.plain + strokes.more if room > 0 else ""


def _time(course: Progress, now: float, used: float, width: int, strokes: Glyphs) -> list[Text]:
    bar = _bar(course, used, width, strokes)
    if course.phase is Phase.ENDED:
        return [bar]
    colour = "bold red" if course.down_since is not None else "dim"
    downtime = Text(f"downtime so far {course.downtime(now):.1f} s", colour)
    return [bar, _left(course, used), downtime, _outlook(course)]


def _bar(course: Progress, used: float, width: int, strokes: Glyphs) -> Text:
    """Draw the time that is used, what is left for going forward, and the reserve, to scale."""
    ends = Text.assemble((f" {course.total:.0f} s", "dim"))
    room = width - ends.cell_len - 1
    turn = round(room * (course.total - course.reserve) / course.total)
    full = min(room, round(room * used / course.total))
    colour = "green" if course.phase is Phase.FORWARD else "yellow"
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


def _left(course: Progress, used: float) -> Text:
    forward = course.total - course.reserve
    if course.phase is Phase.FORWARD:
        return Text(
            f"{used:.1f} s used, {max(0.0, forward - used):.1f} s left to go forward; from {forward:.0f} s on only back"
        )
    return Text(f"{used:.1f} s used, {max(0.0, course.total - used):.1f} s left to put everything back")


def _outlook(course: Progress) -> Text:
    """Say what happens if it fails, or is stopped, now."""
    if course.phase is Phase.BACK:
        return Text("going back, newest first; Ctrl-C once more stops at once", "yellow")
    if not course.begun:
        return Text("if it fails now: nothing has been changed", "dim")
    seconds = sum(course.undo.get(name, 0.0) for name in course.begun)
    newest = f"{len(course.begun)} change(s) go back, {course.begun[-1]} first"
    return Text(f"if it fails now: {newest}; about {seconds:.0f} s", "dim")
