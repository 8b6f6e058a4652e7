"""Time as scopes: each step and each rollback ends at its own limit, and all of them together with the budget."""

import asyncio
from typing import Any

from steps.support.core.errors import Failed
from steps.support.run.budget import Budget, ForwardDeadline
from tests.support.virtual.loop import run

BUDGET = Budget(120.0, 30.0, {"one": 50.0, "two": 60.0})


async def _late(window: ForwardDeadline, step: str, seconds: float) -> tuple[float, str]:
    """Return the clock's seconds when a step of this length was stopped, and the message it was stopped with."""
    try:
        async with window.scope(step):
            await asyncio.sleep(seconds)
    except Failed as failed:
        return round(window.used, 3), failed.cause
    return round(window.used, 3), ""


def test_step_ends_at_its_own_limit() -> None:
    """A step is cut off at its own limit, to the second, and the message names the limit."""

    async def scenario() -> tuple[float, str]:
        return await _late(BUDGET.start(), "one", 1000)

    assert run(scenario()) == (50, "not done within its 50 s")


def test_later_step_ends_with_the_forward_time() -> None:
    """A later step gets only the time before the reserve begins, even if its own limit is longer."""

    async def scenario() -> tuple[float, str]:
        window = BUDGET.start()
        await _late(window, "one", 1000)
        return await _late(window, "two", 1000)

    assert run(scenario()) == (90, "the forward time of the whole run ended")


def test_rollbacks_end_with_the_budget() -> None:
    """Each rollback has its share of the reserve, and none continues after the budget has ended."""

    class Undo:
        name, rollback_share = "one", 0.5

    async def scenario() -> list[tuple[float, str]]:
        window, change, ends = BUDGET.start(), Undo(), []
        await asyncio.sleep(80)
        reserve, begun = window.begin_rollback(), asyncio.get_running_loop().time()
        for _ in range(3):
            try:
                async with reserve.scope(_any(change)):
                    await asyncio.sleep(1000)
            except Failed as failed:
                ends.append((asyncio.get_running_loop().time() - begun, failed.cause))
        return ends

    ends = run(scenario())
    assert [round(at) for at, _ in ends] == [15, 30, 40]
    assert [cause for _, cause in ends] == [
        f"not rolled back within {seconds} s" for seconds in ("15.0", "15.0", "10.0")
    ]


def _any(value: object) -> Any:
    return value
