"""Downtime as a visitor would have measured it: the site is asked all the time, by a task that is in nobody's way."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from math import inf
from statistics import median
from typing import Any

from steps.support.core.errors import Problem
from steps.support.core.events import Probed, SiteDown, SiteUp
from steps.support.core.run_state import RunState
from steps.support.gateways.site import Request, Site
from steps.support.run.journal import Journal

EVERY = 0.2  # seconds between the beginnings of two questions
PATIENCE = 2.0  # seconds after which a visitor has given up
OVERDUE = 1.0  # seconds after which a question that is still open at the end counts as a failure
LEAVING = 0.5  # seconds that the end of the run waits for the last question to let go
REFUSED = 400  # the lowest HTTP status that a visitor takes for a failure
NO_ANSWER = "no answer"


@dataclass(frozen=True, slots=True)
class Probe:
    """One question: when it was asked (seconds on the run's clock), what came of it, and how many seconds it took."""

    at: float
    answer: str
    seconds: float
    well: bool


@asynccontextmanager
async def probing(site: Site, request: Request | None, journal: Journal) -> AsyncIterator[None]:
    """Ask while the block runs, and note in the end what a visitor saw; asks nothing where there is no request."""
    probes: list[Probe] = []
    asking = asyncio.ensure_future(_ask_on(site, request, probes, journal)) if request else None
    try:
        yield
    finally:
        if asking:
            asking.cancel()
            with suppress(asyncio.CancelledError):  # how the run ended is settled, and no signal changes it any more
                await asyncio.wait([asyncio.gather(asking, return_exceptions=True)], timeout=LEAVING)
            journal.note(Probed(downtime=summary(probes, journal.state)))


def summary(probes: Sequence[Probe], state: RunState) -> dict[str, Any]:
    """Add up what was seen: a failure lasts until the next question; it is dated in seconds from the run's start."""
    failed = [probe for probe in probes if not probe.well]
    ends = [*(probe.at for probe in probes[1:]), *(probe.at + probe.seconds for probe in probes[-1:])]
    lasted = [(probe.at, end) for probe, end in zip(probes, ends, strict=True) if not probe.well]
    zero = [*(probe.at for probe in probes[:1]), *(started.clock for started in state.clocks)]
    return {
        "observed_seconds": round(sum(end - at for at, end in lasted), 3),
        "probes": len(probes),
        "failed_probes": len(failed),
        "first_failure": round(failed[0].at - zero[-1], 3) if failed else None,
        "last_failure": round(failed[-1].at - zero[-1], 3) if failed else None,
        "outages": [[round(at - zero[-1], 3), round(end - zero[-1], 3)] for at, end in _joined(lasted)],
        "answers": _counted(probes),
        "refused": _counted(failed),
        "latency": latency(probes, state),
    }


def _joined(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Join spans of which one begins where the one before ends."""
    joined: list[tuple[float, float]] = []
    for at, end in spans:
        begins = joined.pop()[0] if joined and joined[-1][1] == at else at
        joined.append((begins, end))
    return joined


def latency(probes: Sequence[Probe], state: RunState) -> dict[str, Any]:
    """Say how long answers took before production changed, until the last change was done or undone, and after that."""
    changes = {name for each in state.forward for name in each.begins}
    first = next((each.began for each in state.forward if each.begins and not each.prepares), inf)
    ends = [each.end for each in (*state.forward, *state.undos) if each.is_done and each.step in changes]
    last = max((end.clock for end in ends if end and end.clock >= first), default=inf)
    return {
        "before": _took([probe for probe in probes if probe.at < first]),
        "during": _took([probe for probe in probes if first <= probe.at <= last]),
        "after": _took([probe for probe in probes if probe.at > last]),
    }


def _took(probes: Sequence[Probe]) -> dict[str, Any] | None:
    seconds = [probe.seconds for probe in probes]
    if not seconds:
        return None
    return {"probes": len(seconds), "median_seconds": round(median(seconds), 3), "max_seconds": round(max(seconds), 3)}


def _counted(probes: Sequence[Probe]) -> dict[str, int]:
    """Count the answers, the most frequent first."""
    return dict(Counter(probe.answer for probe in probes).most_common())


async def _ask_on(site: Site, request: Request, probes: list[Probe], journal: Journal) -> None:
    loop, was_well = asyncio.get_running_loop(), True
    while True:
        at = loop.time()
        try:
            answer, well = await _asked(site, request)
        except asyncio.CancelledError:  # the run ends
            if loop.time() - at > OVERDUE:
                probes.append(Probe(at, NO_ANSWER, loop.time() - at, well=False))
            raise
        probes.append(Probe(at, answer, loop.time() - at, well))
        if well is not was_well:
            journal.note(SiteUp(answer=answer) if well else SiteDown(answer=answer))
        was_well = well
        await asyncio.sleep(max(0.0, at + EVERY - loop.time()))


async def _asked(site: Site, request: Request) -> tuple[str, bool]:
    try:
        async with asyncio.timeout(PATIENCE):
            status = (await site.ask(request)).status
    except TimeoutError:
        return NO_ANSWER, False
    except Problem as problem:
        return problem.cause, False
    return str(status), status < REFUSED
