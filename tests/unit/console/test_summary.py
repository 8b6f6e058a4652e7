"""The words for the downtime of a run."""

import pytest

from steps.support.console.summary import downtime_words
from steps.support.core.run_state import RunState
from steps.support.run.downtime import Probe, summary

SERVED, REFUSED = Probe(1.0, "200", 0.01, well=True), Probe(2.0, "500", 0.01, well=False)
LIMITED = Probe(3.0, "429 (the site limits the probes)", 0.01, well=None)


@pytest.mark.parametrize(
    ("probes", "words"),
    [
        ([], ""),
        ([SERVED, SERVED], "0.0 s: 0 of 2 visits refused; answers took 10 ms before"),
        ([SERVED, REFUSED], "0.0 s: 1 of 2 visits refused, from 1.0 s to 1.0 s (500: 1); answers took 10 ms before"),
        ([SERVED, LIMITED], "0.0 s: 0 of 1 visits refused; 1 more were limited by the site, and tell nothing; answers took 10 ms before"),
        ([LIMITED, LIMITED], "not measured: the site limited every one of 2 visits; probe_rate sets how many there are"),
    ],
)  # fmt: skip
def test_downtime_in_words(probes: list[Probe], words: str) -> None:
    """Refused visits are counted among those that tell, and limited ones beside them; none of them is called refused."""
    assert downtime_words(summary(probes, RunState())) == words
