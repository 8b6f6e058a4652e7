"""Starting commands while other threads run."""

import subprocess
import sys

from tests.support.paths import ROOT

LOADED = "import sys, steps.support.core.process; print('concurrent.futures.thread' in sys.modules)"


def test_hooks_around_a_fork_are_registered_before_the_first() -> None:
    """A thread that loads a library during a fork registers no hook between its beginning and its end.

    The fork would then release a lock that it never took: "release unlocked lock", seen while notifications were sent.
    """
    answer = subprocess.run([sys.executable, "-c", LOADED], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "True"
