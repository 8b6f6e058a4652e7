"""The arithmetic of what is measured: medians, the unavoidable, how long a writer was held back, and who was locked out."""

import pytest

from tests.bench import beside
from tests.bench.overhead import parts, unavoidable
from tests.bench.repeated import Spread, between, row
from tests.bench.writers import held

LATENCY = {"before": {"median_seconds": 0.02}, "during": None, "after": {"median_seconds": 0.03}}
REPORT = {"rehearsal": {"seconds": {"migrate": 0.01, "verify": 0.005, "rollback": 9}}, "downtime": {"latency": LATENCY}}


def test_the_unavoidable_is_build_alias_sql_and_answers() -> None:
    """Nothing else counts: not the poll that came late, not the way back, and the site's answers as they are afterwards."""
    waited = unavoidable(1_000, 16_000, 16_500, REPORT)
    assert (waited.build, waited.alias, waited.health) == (15.0, 0.5, 0.06)
    assert (waited.change, waited.checks) == (0.01, 0.005)
    assert waited.seconds == pytest.approx(15.575)


def test_what_a_step_cannot_avoid_is_no_part_of_it() -> None:
    """A step that waits for nobody is the tool's own altogether."""
    steps = [{"name": "git_push", "seconds": 0.1}, {"name": "vercel_deployment", "seconds": 15.75}]
    own = parts({"steps": steps}, unavoidable(1_000, 16_000, 16_500, REPORT))
    assert own == {"git_push": 0.1, "vercel_deployment": 0.25}


def test_a_site_that_was_not_asked_afterwards_answers_as_before() -> None:
    """Where the run ended before another visit, the latest answers there are stand for it."""
    report = {**REPORT, "downtime": {"latency": {**LATENCY, "after": None}}}
    assert unavoidable(0, 1_000, 1_000, report).health == pytest.approx(0.04)


def test_a_spread_tells_the_median_and_its_bounds() -> None:
    """One outlier moves the bound and not the median, whatever the unit."""
    spread = Spread([0.9, 0.1, 0.2])
    assert spread.seconds == "0.20 s (0.10 to 0.90, 3 times)"
    assert spread.milliseconds == "200 ms (100 to 900, 3 times)"


def test_time_between_events_is_from_the_first_to_the_last() -> None:
    """Of several failures the first counts, of several looks the last."""
    moments = [("failed", 1.0), ("failed", 2.0), ("verified", 3.0), ("verified", 4.5)]
    assert between([{"event": kind, "clock": at} for kind, at in moments], "failed", "verified") == 3.5


def test_a_writer_is_held_back_by_what_is_beyond_its_usual_pause() -> None:
    """A pause that overlaps the migration counts whole; one that was over before it, or began after it, does not."""
    moments = [0.0, 0.9, 1.0, 1.1, 1.2, 1.7, 1.8, 2.4, 2.5, 2.6, 2.7, 3.6]
    longest, beyond = held(moments, begun=1.25, done=1.9)
    assert longest == pytest.approx(0.6)
    assert beyond == pytest.approx(0.4 + 0.5)


def test_a_row_names_its_command_once() -> None:
    """Rows beside the first have no command of their own."""
    assert row("this", "1 s", "live") == "| this | 1 s | `uv run python -m tests.bench.live` |"
    assert row("that", "2 s") == "| that | 2 s |  |"


def test_writers_that_are_locked_out_are_counted() -> None:
    """Endings are told with how often, and one server that takes no more writes is not lost among those that do."""
    well, ill = beside.Met("released", 0, 0, 0.1, locked_out=False), beside.Met("failed", 2, 3, 0.5, locked_out=True)
    told = beside.rows(1_000, [well, well, well], [well, ill, well])
    assert "1,000 rows" in told[0]
    assert "3x released; 0 writes turned away (0 to 0, 3 times)" in told[0]
    assert "writes are taken afterwards" in told[0]
    assert "2x released, 1x failed in 0.00 s (0.00 to 2.00, 3 times); 0 writes" in told[1]
    assert "**no write is taken afterwards, 1 of 3 times**" in told[1]
