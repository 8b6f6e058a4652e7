"""Downtime: what a visitor would have measured, in virtual time."""

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from steps.support.engine.downtime import Probe, probing, summary
from steps.support.engine.journal import Journal
from steps.support.gateways.answers import Unknown
from steps.support.gateways.site import Answer, Request, Site
from steps.support.redaction import Redactor
from tests.virtual import run


class _Site:
    """A site that is down from its 3rd second to its 5th, and answers nothing from its 5th to its 6th."""

    async def ask(self, _request: Request) -> Answer:
        now = asyncio.get_running_loop().time() - 1000
        if 3 <= now < 4:
            return Answer(500, "text/html", None)
        if 4 <= now < 5:
            raise Unknown("reading the answer of", "the site", "the connection was reset", "Look.")
        if 5 <= now < 6:
            await asyncio.sleep(6 - now)
        await asyncio.sleep(0.05)
        return Answer(200, "application/json", {})


def _measured(tmp_path: Path, seconds: float, request: Request | None) -> list[Any]:
    """Measure for a while; gives the events that were noted."""

    async def scenario() -> list[Any]:
        journal = Journal(tmp_path / "journal.jsonl", Redactor(), "r")
        async with probing(cast("Site", _Site()), request, journal):
            await asyncio.sleep(seconds)
        journal.close()
        return list(journal.events)

    return run(scenario())


def test_every_refused_second_is_counted(tmp_path: Path) -> None:
    """Five questions a second; errors and resets count as down until the next question, a slow answer does not."""
    (event,) = _measured(tmp_path, 10, Request("/api/data"))
    downtime = event["downtime"]
    assert downtime["observed_seconds"] == pytest.approx(2.0, abs=0.21)
    assert downtime["failed_probes"] == 10
    assert downtime["answers"]["500"] == downtime["answers"]["the connection was reset"] == 5
    assert (downtime["first_failure"], downtime["last_failure"]) == (
        pytest.approx(1003, abs=0.2),
        pytest.approx(1004.8, abs=0.2),
    )


def test_it_ends_with_the_run(tmp_path: Path) -> None:
    """A question that hangs does not hold the end up."""
    (event,) = _measured(tmp_path, 5.5, Request("/api/data"))
    assert event["downtime"]["probes"] == event["downtime"]["failed_probes"] + event["downtime"]["answers"]["200"]


def test_nothing_is_asked_where_there_is_no_question(tmp_path: Path) -> None:
    """A release whose checks all write is not measured."""
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
def test_a_failure_lasts_until_the_next_question(probes: list[Probe], seconds: float) -> None:
    """What lies between a refused visit and the next one counts as down."""
    assert summary(probes)["observed_seconds"] == pytest.approx(seconds)
