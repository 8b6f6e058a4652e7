"""Measure how soon the tool knows that a deployment is live, and how often it asks: uv run python -m tests.bench.live."""

import asyncio
import math
import random
import sys
from argparse import ArgumentParser
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import httpx
from aiohttp import web
from aiohttp.typedefs import Handler

from steps.support.core import event_loop
from steps.support.gateways.vercel import Vercel
from steps.support.operations import promotion
from steps.support.operations.production import Production
from steps.support.proof.config import ProofConfig
from steps.support.proof.copy.copy import Limits
from steps.support.run.release import Demands, new_release
from steps.support.standin.faults import Faults
from steps.support.standin.servers import serve
from steps.support.standin.vercel.api import application
from steps.support.standin.vercel.platform import Platform
from steps.vercel_deployment import Observed, VercelDeployment
from tests.support.paths import SQL
from tests.support.servers.vercel_project import NEW, OLD, PLAIN, TOKEN

if TYPE_CHECKING:
    from steps.support.run.release import Gateways

MOST_SECONDS = 1.1  # until it is known
MOST_REQUESTS = 150  # in a minute of waiting, of the 240 that the platform's client allows
HOST = "127.0.0.1"
BUILD, ALIAS, PROMOTE = (1.0, 12.0), (0.2, 6.0), (0.2, 18.0)  # seconds, at least and at most


@dataclass(frozen=True, slots=True)
class Wait:
    """One wait: seconds from the moment the platform went live until the tool knew, and when it had asked before.

    `asked`: from the first request that only waits to the last one before it was live, in seconds of the loop's clock.
    """

    late: float
    asked: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """The result of all waits for one way of going live."""

    way: str
    median: float
    p95: float
    longest: float
    a_minute: float

    @property
    def row(self) -> str:
        """The README's row."""
        seconds = " | ".join(f"{each:.3f}" for each in (self.median, self.p95, self.longest))
        return f"| {self.way} | {seconds} | {self.a_minute:.1f} |"

    @property
    def is_well(self) -> bool:
        """Return True if both bounds are kept."""
        return self.longest < MOST_SECONDS and self.a_minute <= MOST_REQUESTS


HEAD = "| going live | median, s | p95, s | max, s | requests a minute |\n|---|---|---|---|---|"

Requests = list[tuple[float, str]]  # time and method
Waiting = Callable[[Vercel, Production], Awaitable[object]]


async def by_itself(chance: random.Random) -> Wait:
    """Wait for a build, and until it goes live by itself, as the step does."""
    platform = _platform(auto_assign=True, build_seconds=chance.uniform(*BUILD), alias_seconds=chance.uniform(*ALIAS))
    step = VercelDeployment(new_release(SQL, (), Demands(), ProofConfig(Path("runs"), None, Limits(0, 0))))

    async def wait(vercel: Vercel, before: Production) -> None:
        gateways = cast("Gateways", SimpleNamespace(vercel=vercel))  # the step uses no other gateway
        await step.apply(gateways, Observed(NEW, before))

    return await _waited(platform, wait)


async def promoted(chance: random.Random) -> Wait:
    """Promote a finished build, and wait until it goes live, as the step does."""
    platform = _platform(auto_assign=False, build_seconds=0.0, alias_seconds=chance.uniform(*PROMOTE))
    ours = platform.deployments[0].id
    return await _waited(platform, lambda vercel, before: promotion.promote(vercel, ours, before))


def _platform(*, auto_assign: bool, build_seconds: float, alias_seconds: float) -> Platform:
    platform = Platform(HOST, Faults(), TOKEN, auto_assign=auto_assign)
    platform.build_seconds, platform.alias_seconds = build_seconds, alias_seconds
    platform.deployed(OLD, "main", "the live code")
    platform.pushed(NEW, "main", "a change")
    return platform


async def _waited(platform: Platform, wait: Waiting) -> Wait:
    *_, before = platform.deployments
    async with _served(platform) as (vercel, requests):
        await wait(vercel, Production(before.id, OLD, before.url, platform.auto_assign, is_rolled_back=False))
        late = _since_live(platform, known := asyncio.get_running_loop().time())
    sent = max((at for at, method in requests if method == "POST"), default=0.0)
    return Wait(late, tuple(at for at, _ in requests if sent < at < known - late))


def _since_live(platform: Platform, known: float) -> float:
    """Return the seconds since the deployment was due to go live, to a millisecond."""
    ours = platform.find(HOST)
    assert (ours.sha, ours.id) == (NEW, platform.production)
    assert ours.aliased
    return (platform.agenda.milliseconds(known) - ours.aliased) / 1000


@asynccontextmanager
async def _served(platform: Platform) -> AsyncIterator[tuple[Vercel, Requests]]:
    """Serve a platform on its own port; yield a client, and the list of requests received."""
    requests: Requests = []

    @web.middleware
    async def counted(request: web.Request, handler: Handler) -> web.StreamResponse:
        requests.append((asyncio.get_running_loop().time(), request.method))
        return await handler(request)

    app = application(platform)
    app.middlewares.append(counted)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with serve(app) as url, httpx.AsyncClient(verify=PLAIN, base_url=url, headers=headers) as client:
        yield Vercel(client, platform.id, None, HOST), requests


def _figures(way: str, waits: Sequence[Wait]) -> Figures:
    late = sorted(wait.late for wait in waits)
    asked = [wait.asked for wait in waits if len(wait.asked) > 1]
    a_minute = 60 * sum(len(each) - 1 for each in asked) / sum(each[-1] - each[0] for each in asked)
    return Figures(way, median(late), late[math.ceil(0.95 * len(late)) - 1], late[-1], a_minute)


async def measured(runs: int, seed: int) -> list[Figures]:
    """Run each way so many times concurrently, with times drawn from the seed."""
    chance = random.Random(seed)  # noqa: S311 - the times must be the same in every run
    ways = {"by itself": by_itself, "promoted": promoted}
    waits = [way(random.Random(chance.random())) for way in ways.values() for _ in range(runs)]  # noqa: S311 - as above
    done = await asyncio.gather(*waits)
    return [_figures(way, done[first : first + runs]) for way, first in zip(ways, (0, runs), strict=True)]


def main() -> int:
    """Measure and print a table; return 1 if a bound is exceeded."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20, help="runs of each way of going live")
    parser.add_argument("--seed", type=int, default=1, help="determines the times of builds and aliases")
    options = parser.parse_args()
    figures = event_loop.run(measured(options.runs, options.seed))
    sys.stdout.write("\n".join([HEAD, *(each.row for each in figures)]) + "\n")
    return 0 if all(each.is_well for each in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
