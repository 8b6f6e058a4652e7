"""Downtime as a visitor would have measured it: the site is asked all the time, by a task that is in nobody's way."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

from steps.support.engine.journal import Journal
from steps.support.gateways.site import Request, Site
from steps.support.problem import Problem

EVERY = 0.2  # seconds between the beginnings of two questions
PATIENCE = 2.0  # seconds after which a visitor has given up
REFUSED = 400  # the lowest HTTP status that a visitor takes for a failure


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
    asking = asyncio.ensure_future(_ask_on(site, request, probes)) if request else None
    try:
        yield
    finally:
        if asking:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            journal.note("probed", downtime=summary(probes))


def summary(probes: Sequence[Probe]) -> dict[str, Any]:
    """Add up what was seen: a failure lasts until the next question is asked."""
    failed = [probe for probe in probes if not probe.well]
    ends = [*(probe.at for probe in probes[1:]), *(probe.at + probe.seconds for probe in probes[-1:])]
    lasted = [end - probe.at for probe, end in zip(probes, ends, strict=True) if not probe.well]
    return {
        "observed_seconds": round(sum(lasted), 3),
        "probes": len(probes),
        "failed_probes": len(failed),
        "first_failure": round(failed[0].at, 3) if failed else None,
        "last_failure": round(failed[-1].at, 3) if failed else None,
        "answers": dict(Counter(probe.answer for probe in probes)),
        "median_seconds": round(median(probe.seconds for probe in probes), 3) if probes else None,
    }


async def _ask_on(site: Site, request: Request, probes: list[Probe]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        at = loop.time()
        answer, well = await _asked(site, request)
        probes.append(Probe(at, answer, loop.time() - at, well))
        await asyncio.sleep(max(0.0, at + EVERY - loop.time()))


async def _asked(site: Site, request: Request) -> tuple[str, bool]:
    try:
        async with asyncio.timeout(PATIENCE):
            status = (await site.ask(request)).status
    except TimeoutError:
        return "no answer", False
    except Problem as problem:
        return problem.cause, False
    return str(status), status < REFUSED
