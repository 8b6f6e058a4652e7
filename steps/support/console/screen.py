"""Choose how to show a run: a timeline at a terminal, plain lines elsewhere, groups in GitHub Actions, or JSON."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from typing import TextIO

from steps.support.console.actions import Actions
from steps.support.console.lines import Lines
from steps.support.console.printer import Outlet
from steps.support.core.events import Event, line_of
from steps.support.core.run_state import RunState

Listener = Callable[[Event, RunState], None]

IN_ACTIONS = "GITHUB_ACTIONS"


@contextmanager
def screen_for(stream: TextIO, environment: Mapping[str, str], *, as_json: bool) -> Iterator[Listener]:
    """Yield a journal listener that shows a run. The reader of the stream may be slow or gone."""
    with closing(Outlet(stream)) as out:
        if as_json:
            yield partial(_print_json, out)
        elif environment.get(IN_ACTIONS) == "true":
            with closing(Actions(out)) as actions:
                yield actions
        elif out.isatty() and environment.get("TERM", "dumb") not in ("dumb", "unknown"):
            from steps.support.console.terminal import Terminal  # noqa: PLC0415 - slow to import, and only this branch needs it

            with closing(Terminal(out)) as terminal:
                yield terminal
        else:
            yield Lines(out)


def _print_json(out: Outlet, event: Event, _run: RunState) -> None:
    # GitHub Actions would read `##[` as a command
    text = json.dumps(line_of(event), default=str).replace("##[", "\\u0023#[")
    out.write(text + "\n")
