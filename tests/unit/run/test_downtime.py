"""Downtime as a visitor would have measured it, in virtual time."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from steps.support.core.errors import NeedsHuman, Unknown
from steps.support.core.events import LIMITED
from steps.support.core.redaction import Redactor
from steps.support.core.run_state import RunState
from steps.support.gateways.site import Answer, Request, Site
from steps.support.run.downtime import LONGEST, Probe, Visits, latency, probing, summary
from steps.support.run.journal import Journal
from tests.support.journals.runs import state
from tests.support.virtual.loop import run

FIVE = Visits(Request("/api/data"), every=0.2)


class _Site:
    """A site that is down from its 3rd to its 5th second, and then does not answer for 1.7 s."""

    async def ask(self, _request: Request) -> Answer:
        now = asyncio.get_running_loop().time() - 1000
        if 3 <= now < 4:
            return Answer(500, "text/html", None)
        if 4 <= now < 5:
            raise Unknown(
                code="connection",
                operation="reading the answer of",
                subject="the site",
                cause="the connection was reset",
                remedy="Look.",
            )
        if 5 <= now < 6.7:
            await asyncio.sleep(6.7 - now)
        await asyncio.sleep(0.05)
        return Answer(200, "application/json", {})


class _Deaf:
    """A site whose client ignores the first cancellation and then waits another 3 s."""

    def __init__(self) -> None:
        self._told = False

    async def ask(self, _request: Request) -> Answer:
        try:
            await asyncio.sleep(1.5)
        except asyncio.CancelledError:
            if self._told:
                raise
            self._told = True
            await asyncio.sleep(3)
        return Answer(200, "application/json", {})


def _measured(tmp_path: Path, seconds: float, visits: Visits | None, site: object = _Site()) -> list[Any]:
    """Measure for a while; return the events that were noted."""

    async def scenario() -> list[Any]:
        journal = Journal(tmp_path / "journal.jsonl", Redactor(), "r")
        async with probing(cast("Site", site), visits, journal):
            await asyncio.sleep(seconds)
        journal.close()
        return list(journal.events)

    return run(scenario())


def test_every_refused_second_is_counted(tmp_path: Path) -> None:
    """Five requests a second; errors and resets count as down until the next request, a slow answer does not."""
    *_, event = _measured(tmp_path, 10, FIVE)
    downtime = event.downtime
    assert downtime["observed_seconds"] == pytest.approx(2.0, abs=0.21)
    assert downtime["failed_probes"] == 10
    assert downtime["refused"] == {"500": 5, "the connection was reset": 5}
    assert downtime["answers"] == {"200": downtime["probes"] - 10, **downtime["refused"]}
    assert (downtime["first_failure"], downtime["last_failure"]) == (
        pytest.approx(3, abs=0.2),
        pytest.approx(4.8, abs=0.2),
    )


@pytest.mark.parametrize(("seconds", "unanswered"), [(5.9, 0), (6.5, 1)])
def test_request_open_at_the_end_counts_only_if_overdue(tmp_path: Path, seconds: float, unanswered: int) -> None:
    """A request open for less than a second proves nothing, an older one is a failure; neither delays the end."""
    *_, event = _measured(tmp_path, seconds, FIVE)
    downtime = event.downtime
    assert downtime["refused"].get("no answer", 0) == downtime["failed_probes"] - 10 == unanswered
    assert downtime["observed_seconds"] == pytest.approx(2.0 + 1.5 * unanswered, abs=0.21)
    assert event.clock == 1000 + seconds


def test_end_does_not_wait_for_an_uncancellable_request(tmp_path: Path) -> None:
    """A request that ignores cancellation delays the end by at most 0.5 s; earlier results are still reported."""
    *_, event = _measured(tmp_path, 4, FIVE, _Deaf())
    assert event.clock == pytest.approx(1004.5)
    assert event.downtime["answers"] == {"200": 2}


def test_release_with_only_writing_checks_is_not_measured(tmp_path: Path) -> None:
    """No request is made if every check of the release writes."""
    assert _measured(tmp_path, 1, None) == []


@pytest.mark.parametrize(
    ("probes", "seconds"),
    [
        ([], 0.0),
        ([Probe(1.0, "200", 0.1, well=True)], 0.0),
        ([Probe(1.0, "500", 0.1, well=False)], 0.1),
        ([Probe(1.0, "500", 0.1, well=False), Probe(3.0, "200", 0.1, well=True)], 2.0),
    ],
)
def test_failure_lasts_until_the_next_request(probes: list[Probe], seconds: float) -> None:
    """The time between a refused request and the next one counts as down."""
    assert summary(probes, RunState())["observed_seconds"] == pytest.approx(seconds)


def test_limited_request_neither_begins_nor_ends_an_outage() -> None:
    """What a limit answers says nothing about visitors: an outage goes on until the next request that tells."""
    answers = [(1.0, None), (2.0, False), (3.0, None), (4.0, None), (5.0, True), (6.0, None)]
    observed = summary([Probe(at, "?", 0.0, well=well) for at, well in answers], RunState())
    assert (observed["outages"], observed["observed_seconds"], observed["failed_probes"]) == ([[1.0, 4.0]], 3.0, 1)


@pytest.mark.parametrize(
    ("events", "first", "last"),
    [
        ([], 0.0, 1.5),
        ([{"event": "started", "clock": 0.5}, {"event": "started", "clock": 2.0}], -1.0, 0.5),
    ],
)
def test_failure_times_count_from_the_start_of_the_run(events: list[Any], first: float, last: float) -> None:
    """Seconds count from the last start, below zero before it; without a start, from the first request."""
    observed = summary([Probe(1.0, "500", 0.1, well=False), Probe(2.5, "500", 0.1, well=False)], state(events))
    assert (observed["first_failure"], observed["last_failure"]) == (first, last)


def test_consecutive_failures_are_one_outage() -> None:
    """Failures without a good answer between them are reported as one span, in seconds from the start."""
    answers = [(1.0, False), (1.2, False), (1.4, True), (1.6, False), (1.8, True), (2.0, False), (2.0, False)]
    probes = [Probe(at, "?", 0.0, well=well) for at, well in answers]
    assert summary(probes, RunState())["outages"] == [[0.0, 0.4], [0.6, 0.8], [1.0, 1.0]]


def test_run_without_failures_reports_no_failure_times() -> None:
    """No failure time is reported if every request went well, or if there was none."""
    for probes in ([], [Probe(1.0, "200", 0.1, well=True)]):
        observed = summary(probes, RunState())
        assert (observed["first_failure"], observed["last_failure"], observed["refused"]) == (None, None, {})


def _begun(clock: float, step: str, *begins: str, **fields: bool) -> dict[str, Any]:
    return {"event": "begun", "clock": clock, "step": step, "begins": list(begins), **fields}


def _over(clock: float, step: str, event: str = "done") -> dict[str, Any]:
    return {"event": event, "clock": clock, "step": step}


PUSHED = [_begun(1, "git_push", "git_push", "vercel_deployment", prepares=True), _over(2, "git_push")]
BUILT = [_begun(2, "vercel_deployment", prepares=True), _over(3, "vercel_deployment")]
CHANGED = [_begun(4, "activation", "activation", prepares=False), _over(5, "activation")]
CHECKED = [_begun(6, "health_checks", prepares=False), _over(8, "health_checks")]


@pytest.mark.parametrize(
    ("events", "before", "during", "after"),
    [
        ([], 10, 0, 0),
        ([*PUSHED, *BUILT], 10, 0, 0),
        (CHECKED, 10, 0, 0),
        ([*PUSHED, *BUILT, *CHANGED, *CHECKED], 4, 2, 4),
        ([*PUSHED, *BUILT, *CHANGED, *CHECKED, _over(8, "activation", "undo_done")], 4, 5, 1),
        ([*PUSHED, *BUILT, *CHANGED[:1]], 4, 6, 0),
        ([_begun(0, "turso_migration", "turso_migration"), _over(3, "turso_migration")], 0, 4, 6),
    ],
    ids=["nothing", "prepared", "only checked", "arrived", "put back", "cut off", "from the start"],
)
def test_latency_is_grouped_by_change_of_production(events: list[Any], before: int, during: int, after: int) -> None:
    """The push and the checks are no change that visitors could notice; a rollback and an unfinished change are."""
    probes = [Probe(float(at), "200", 0.1, well=True) for at in range(10)]
    observed = latency(probes, state(events))
    assert [phase["probes"] if phase else 0 for phase in observed.values()] == [before, during, after]


def test_latency_is_median_and_maximum() -> None:
    """One slow answer of three is the maximum and does not move the median; a phase without requests is null."""
    probes = [Probe(float(at), "200", took, well=True) for at, took in enumerate((0.0104, 1.7, 0.0116))]
    before = {"probes": 3, "median_seconds": 0.012, "max_seconds": 1.7}
    assert latency(probes, RunState()) == {"before": before, "during": None, "after": None}


def test_begin_and_end_of_downtime_are_events(tmp_path: Path) -> None:
    """The first refused request and the first good one after it are separate events, with their answers."""
    told = [(event.kind, getattr(event, "answer", None)) for event in _measured(tmp_path, 10, FIVE)]
    assert told == [("site_down", "500"), ("site_up", "200"), ("probed", None)], told


class _Limited:
    """A site that limits the first visits and serves the others; it notes when each came."""

    def __init__(self, *limited: Answer) -> None:
        self._limited = list(limited)
        self.visits: list[float] = []

    async def ask(self, _request: Request) -> Answer:
        self.visits.append(asyncio.get_running_loop().time() - 1000)
        return self._limited.pop(0) if self._limited else Answer(200, "application/json", {})


TOO_MANY, CHALLENGE = Answer(429, "text/html", None), Answer(403, "text/html", None, is_challenge=True)


@pytest.mark.parametrize(
    ("limited", "times"),
    [
        ([TOO_MANY], [0, 0.4, 0.8, 1.2]),
        ([TOO_MANY, CHALLENGE], [0, 0.4, 1.2, 2.0]),
        ([replace(TOO_MANY, retry_after=7)], [0, 7, 7.4, 7.8]),
        ([replace(TOO_MANY, retry_after=1e300)], [0, LONGEST, LONGEST + 0.4]),
        ([TOO_MANY] * 9, [0, 0.4, 1.2, 2.8, 6, 12.4, 25.2, 50.8, 80.8, 110.8]),
    ],
)
def test_visits_slow_down_where_they_are_limited(tmp_path: Path, limited: list[Answer], times: list[float]) -> None:
    """Each refusal halves their rate for good, Retry-After is honoured, and none of it counts as downtime."""
    site = _Limited(*limited)
    (event,) = _measured(tmp_path, times[-1] + 0.1, FIVE, site)
    assert site.visits[: len(times)] == pytest.approx(times)
    assert event.downtime["failed_probes"] == 0
    assert sum(count for answer, count in event.downtime["answers"].items() if LIMITED in answer) == len(limited)


def test_late_cancellation_does_not_replace_the_error(tmp_path: Path) -> None:
    """A cancellation in the last half second of a failed run does not replace the run's own error."""

    async def scenario() -> BaseException | None:
        journal = Journal(tmp_path / "journal.jsonl", Redactor(), "r")

        async def stuck() -> None:
            async with probing(cast("Site", _Deaf()), FIVE, journal):
                await asyncio.sleep(4)
                raise NeedsHuman(
                    code="rollback-failed",
                    operation="rolling back",
                    subject="x",
                    cause="it is stuck",
                    remedy="Follow the runbook.",
                )

        task = asyncio.ensure_future(stuck())
        await asyncio.sleep(4.2)
        task.cancel()
        (ended,) = await asyncio.gather(task, return_exceptions=True)
        journal.close()
        return ended

    assert isinstance(run(scenario()), NeedsHuman)
