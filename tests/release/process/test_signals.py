"""Signals to a real process in the middle of a real release."""

import signal

import pytest

from tests.support.production.base import Event, RunResult
from tests.support.production.process import Production

pytestmark = [pytest.mark.anyio, pytest.mark.on("process")]


async def _signalled(production: Production, *signals: signal.Signals, at: str, step: str) -> RunResult:
    """Release, and send the signals one after the other when that event of that step is printed."""
    ending: list[RunResult] = []
    config = production.configure()
    async with production.started("--prod", "--yes", "--json", "--config", str(config)) as process:
        waiting = list(signals)

        async def react(event: Event) -> None:
            due = event["event"] == at and event.get("step") == step
            if waiting and (due or event["event"] == "undo_begun"):
                process.send_signal(waiting.pop(0))

        ending.append(await production.watched(process, react))
    return ending[0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_first_signal_rolls_everything_back(production: Production, number: signal.Signals) -> None:
    """Ctrl-C, a terminated job and a closed terminal: what was begun is rolled back, verified; exit code 130."""
    before = await production.state()
    ending = await _signalled(production, number, at="begun", step="verification_query")
    assert (ending.code, ending.report["verdict"]) == (130, "rolled_back"), ending.report
    assert await production.state() == before


async def test_second_signal_stops_at_once(production: Production) -> None:
    """The rollback stops where it is; the report lists what is left, and the exit code says a human is needed."""
    ending = await _signalled(production, signal.SIGINT, signal.SIGINT, at="begun", step="verification_query")
    assert (ending.code, ending.report["verdict"]) == (4, "needs_human"), ending.report
    assert ending.report["runbook"] == "runbook.md#needs-human"


async def test_signal_during_preflight_touches_nothing(production: Production) -> None:
    """Before the lock there is nothing to roll back, and nothing was touched."""
    before = await production.state()
    ending = await _signalled(production, signal.SIGINT, at="look_done", step="git_push")
    assert (ending.code, ending.report["verdict"]) == (130, "refused"), ending.report
    assert await production.state() == before
