"""The arithmetic of the benchmarks: medians, unavoidable waits, pauses of writers, and locked-out writers."""

import pytest

from tests.bench import beside
from tests.bench.overhead import parts, unavoidable
from tests.bench.repeated import Spread, between, row
from tests.bench.writers import held

LATENCY = {"before": {"median_seconds": 0.02}, "during": None, "after": {"median_seconds": 0.03}}
REPORT = {"rehearsal": {"seconds": {"migrate": 0.01, "verify": 0.005, "rollback": 9}}, "downtime": {"latency": LATENCY}}


def test_the_unavoidable_is_build_alias_sql_and_answers() -> None:
    """Nothing else counts: not a late poll, not the rollback; and the site's answers count as they are afterwards."""
    waited = unavoidable(1_000, 16_000, 16_500, REPORT)
    assert (waited.build, waited.alias, waited.health) == (15.0, 0.5, 0.06)
    assert (waited.change, waited.checks) == (0.01, 0.005)
    assert waited.seconds == pytest.approx(15.575)


def test_unavoidable_waits_are_not_the_tools_own() -> None:
    """A step that waits for nothing else counts as the tool's own in full."""
    steps = [{"name": "git_push", "seconds": 0.1}, {"name": "vercel_deployment", "seconds": 15.75}]
    own = parts({"steps": steps}, unavoidable(1_000, 16_000, 16_500, REPORT))
    assert own == {"git_push": 0.1, "vercel_deployment": 0.25}


def test_without_later_probes_the_latest_answers_count() -> None:
    """If the run ended before another probe, the latest answers before that are used."""
    report = {**REPORT, "downtime": {"latency": {**LATENCY, "after": None}}}
    assert unavoidable(0, 1_000, 1_000, report).health == pytest.approx(0.04)


def test_a_spread_shows_the_median_and_its_bounds() -> None:
    """One outlier moves the bound and not the median, in any unit."""
    spread = Spread([0.9, 0.1, 0.2])
    assert spread.seconds == "0.20 s (0.10 to 0.90, 3 times)"
    assert spread.milliseconds == "200 ms (100 to 900, 3 times)"


def test_time_between_events_is_from_the_first_to_the_last() -> None:
    """Of several failures the first counts, of several verifications the last."""
    moments = [("failed", 1.0), ("failed", 2.0), ("verified", 3.0), ("verified", 4.5)]
    assert between([{"event": kind, "clock": at} for kind, at in moments], "failed", "verified") == 3.5


def test_a_writer_is_blocked_for_what_exceeds_its_usual_pause() -> None:
    """A pause that overlaps the migration counts in full; one that ended before it, or began after it, does not count."""
    moments = [0.0, 0.9, 1.0, 1.1, 1.2, 1.7, 1.8, 2.4, 2.5, 2.6, 2.7, 3.6]
    longest, beyond = held(moments, begun=1.25, done=1.9)
    assert longest == pytest.approx(0.6)
    assert beyond == pytest.approx(0.4 + 0.5)


def test_a_row_names_its_command_once() -> None:
    """Rows for comparison have no command of their own."""
    assert row("this", "1 s", "live") == "| this | 1 s | `uv run python -m tests.bench.live` |"
    assert row("that", "2 s") == "| that | 2 s |  |"


def test_writers_that_are_locked_out_are_counted() -> None:
    """Endings are counted, and one server that accepts no more writes is not lost among those that do."""
    well, ill = beside.Met("released", 0, 0, 0.1, locked_out=False), beside.Met("failed", 2, 3, 0.5, locked_out=True)
    rows = beside.rows(1_000, [well, well, well], [well, ill, well])
    assert "1,000 rows" in rows[0]
    assert "3x released; 0 writes turned away (0 to 0, 3 times)" in rows[0]
    assert "writes are accepted afterwards" in rows[0]
    assert "2x released, 1x failed in 0.00 s (0.00 to 2.00, 3 times); 0 writes" in rows[1]
    assert "**no write is accepted afterwards, 1 of 3 times**" in rows[1]
