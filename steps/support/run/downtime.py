"""Measure downtime as a visitor would: probe the site throughout the run, in a task that cannot delay it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from math import inf
from statistics import median
from typing import Any

from steps.support.core.errors import Problem
from steps.support.core.events import LIMITED, Probed, SiteDown, SiteUp
from steps.support.core.run_state import RunState
from steps.support.gateways.obstacles import obstacle
from steps.support.gateways.site import Request, Site
from steps.support.run.journal import Journal

SLOWEST = 30.0  # seconds between two probes, unless the site asks for a longer pause
PATIENCE = 2.0  # seconds after which a visitor gives up
OVERDUE = 1.0  # seconds; a probe that has waited longer for an answer when the run ends counts as a failure
LEAVING = 0.5  # seconds that the end of the run waits until the last probe is cancelled
LONGEST = 600.0  # seconds between two probes, however long a pause the site asks for
SLOWER = 2  # how much slower the probes become each time that the site limits them
REFUSED = 400  # the lowest HTTP status that counts as a failure
NO_ANSWER = "no answer"


@dataclass(frozen=True, slots=True)
class Visits:
    """The visits that measure downtime: what each requests, and the seconds from one to the next."""

    request: Request
    every: float


@dataclass(frozen=True, slots=True)
class Probe:
    """One probe of the site.

    `at`: its start, in seconds on the run's clock. `answer`: the HTTP status, or the cause of the failure. `seconds`:
    how long it took. `well`: whether a visitor would have been served; None if the site only limited the probes, which
    says nothing about visitors.
    """

    at: float
    answer: str
    seconds: float
    well: bool | None


@asynccontextmanager
async def probing(site: Site, visits: Visits | None, journal: Journal) -> AsyncIterator[None]:
    """Probe the site while the block runs, then note the downtime. Do nothing if `visits` is None."""
    probes: list[Probe] = []
    task = asyncio.ensure_future(_probe_forever(site, visits, probes, journal)) if visits else None
    try:
        yield
    finally:
        if task:
            task.cancel()
            with suppress(asyncio.CancelledError):  # a signal can no longer change the outcome of the run
                await asyncio.wait([asyncio.gather(task, return_exceptions=True)], timeout=LEAVING)
            journal.note(Probed(downtime=summary(probes, journal.state)))


def summary(probes: Sequence[Probe], state: RunState) -> dict[str, Any]:
    """Return the downtime, by the keys of the report. A failure lasts until the next probe that was not limited.

    Times are in seconds from the last start of the clock, or from the first probe if no clock was started.
    """
    telling = [probe for probe in probes if probe.well is not None]
    failed = [probe for probe in telling if not probe.well]
    ends = [*(probe.at for probe in telling[1:]), *(probe.at + probe.seconds for probe in telling[-1:])]
    lasted = [(probe.at, end) for probe, end in zip(telling, ends, strict=True) if not probe.well]
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
    """Join each span with the next one if that begins where it ends."""
    joined: list[tuple[float, float]] = []
    for at, end in spans:
        begins = joined.pop()[0] if joined and joined[-1][1] == at else at
        joined.append((begins, end))
    return joined


def latency(probes: Sequence[Probe], state: RunState) -> dict[str, Any]:
    """Return how long answers took before production changed, while it changed or was rolled back, and afterwards."""
    changes = {name for each in state.forward for name in each.begins}
    first = next((each.began for each in state.forward if each.begins and not each.prepares), inf)
    ends = [each.end for each in (*state.forward, *state.rollbacks) if each.is_done and each.step in changes]
    last = max((end.clock for end in ends if end and end.clock >= first), default=inf)
    return {
        "before": _latency([probe for probe in probes if probe.at < first]),
        "during": _latency([probe for probe in probes if first <= probe.at <= last]),
        "after": _latency([probe for probe in probes if probe.at > last]),
    }


def _latency(probes: Sequence[Probe]) -> dict[str, Any] | None:
    seconds = [probe.seconds for probe in probes]
    if not seconds:
        return None
    return {"probes": len(seconds), "median_seconds": round(median(seconds), 3), "max_seconds": round(max(seconds), 3)}


def _counted(probes: Sequence[Probe]) -> dict[str, int]:
    """Return how often each answer came, the most frequent one first."""
    return dict(Counter(probe.answer for probe in probes).most_common())


async def _probe_forever(site: Site, visits: Visits, probes: list[Probe], journal: Journal) -> None:
    loop, was_well, every = asyncio.get_running_loop(), True, visits.every
    while True:
        at = loop.time()
        try:
            answer, well, asked_to_wait = await _probe(site, visits.request)
        except asyncio.CancelledError:  # the run ends
            if loop.time() - at > OVERDUE:
                probes.append(Probe(at, NO_ANSWER, loop.time() - at, well=False))
            raise
        probes.append(Probe(at, answer, loop.time() - at, well))
        if well is not None and well is not was_well:
            journal.note(SiteUp(answer=answer) if well else SiteDown(answer=answer))
            was_well = well
        if asked_to_wait is not None:
            every = max(every, min(SLOWER * every, SLOWEST))
        await asyncio.sleep(max(0.0, at + max(every, min(asked_to_wait or 0.0, LONGEST)) - loop.time()))


async def _probe(site: Site, request: Request) -> tuple[str, bool | None, float | None]:
    """Visit the site once. Return the answer, whether a visitor would be served, and the seconds to wait.

    If the site limits the probes, it is not known whether a visitor would be served. Otherwise there is nothing to wait
    for: the seconds are None.
    """
    try:
        async with asyncio.timeout(PATIENCE):
            answer = await site.ask(request)
    except TimeoutError:
        return NO_ANSWER, False, None
    except Problem as problem:
        return problem.cause, False, None
    stands = obstacle(answer)
    if stands and stands.is_before_app:
        return f"{answer.status} ({LIMITED})", None, answer.retry_after
    return str(answer.status), answer.status < REFUSED, None
