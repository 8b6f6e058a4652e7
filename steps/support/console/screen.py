"""Which screen a run gets: a timeline at a terminal, plain lines elsewhere, groups in GitHub Actions, or JSON."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from typing import TextIO

from steps.support.console.actions import Actions
from steps.support.console.lines import Lines
from steps.support.console.outlet import Outlet
from steps.support.core.events import Event, line_of
from steps.support.core.run_state import RunState

Listener = Callable[[Event, RunState], None]

IN_ACTIONS = "GITHUB_ACTIONS"


@contextmanager
def screen_for(stream: TextIO, environment: Mapping[str, str], *, as_json: bool) -> Iterator[Listener]:
    """Give a journal listener that shows a run; whoever reads it may be slow, or gone."""
    with closing(Outlet(stream)) as out:
        if as_json:
            yield partial(_printed, out)
        elif environment.get(IN_ACTIONS) == "true":
            with closing(Actions(out)) as actions:
                yield actions
        elif out.isatty() and environment.get("TERM", "dumb") not in ("dumb", "unknown"):
            from steps.support.console.terminal import Terminal  # noqa: PLC0415 - nobody else needs what it draws with

            with closing(Terminal(out)) as terminal:
                yield terminal
        else:
            yield Lines(out)


def _printed(out: Outlet, event: Event, _run: RunState) -> None:
    said = json.dumps(line_of(event), default=str).replace(
        "##[", "\\u0023#["
    )  # GitHub Actions takes that for a command
    out.write(said + "\n")
