"""Capture the output of a run in this process, and react to its events."""

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
from tests.support.production.base import Event, Reaction


@dataclass
class Output:
    """The tool's output, once it has ended."""

    events: list[Event] = field(default_factory=list)
    said: str = ""


@contextmanager
def listening(folder: Path) -> Iterator[Output]:
    """Capture stdout and stderr."""
    output, complaints, path = Output(), StringIO(), folder / "stdout"
    with path.open("w", encoding="utf-8") as out, redirect_stdout(out), redirect_stderr(complaints):
        yield output
    output.events = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    output.said = complaints.getvalue()


@contextmanager
def reacting(react: Reaction | None) -> Iterator[list[asyncio.Future[None]]]:
    """Call `react` with each event of the run in this block, concurrently with it; yield the started reactions."""
    reactions: list[asyncio.Future[None]] = []

    def opened(path: Path, redact: Redactor, run: str) -> Journal:
        journal = Journal(path, redact, run)
        if react:
            journal.listen(lambda event, _: reactions.append(asyncio.ensure_future(react(line_of(event)))))
        return journal

    with patch("steps.support.run.session.Journal", opened):
        yield reactions
