"""What a run in this process says, and whoever reacts to it."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from unittest.mock import patch

from steps.support.core.events import line_of
from steps.support.core.redaction import Redactor
from steps.support.run.journal import Journal
from tests.world.production import Event, Reaction


@dataclass
class Heard:
    """What the tool said, once it has ended."""

    events: list[Event] = field(default_factory=list)
    said: str = ""


@contextmanager
def listening(folder: Path) -> Iterator[Heard]:
    """Listen to stdout and stderr."""
    heard, complaints, path = Heard(), StringIO(), folder / "stdout"
    with path.open("w", encoding="utf-8") as out, redirect_stdout(out), redirect_stderr(complaints):
        yield heard
    heard.events = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    heard.said = complaints.getvalue()


@contextmanager
def reacting(react: Reaction | None) -> Iterator[list[asyncio.Future[None]]]:
    """Have `react` told of each event of the run in this block, beside the run; gives what it is doing."""
    reactions: list[asyncio.Future[None]] = []

    def opened(path: Path, redact: Redactor, run: str) -> Journal:
        journal = Journal(path, redact, run)
        if react:
            journal.listen(lambda event, _: reactions.append(asyncio.ensure_future(react(line_of(event)))))
        return journal

    with patch("steps.support.run.session.Journal", opened):
        yield reactions
