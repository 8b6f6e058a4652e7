"""The list of mutations fits the code: each breaks one line that is there, and names a test that is there."""

import subprocess
import sys

import pytest

from tests.mutations.run import Mutation, mutations
from tests.support.paths import ROOT

LEAST = 90  # mutations


def test_there_are_enough() -> None:
    """Every line that keeps production safe is in the list, each under a name of its own."""
    names = [each.name for each in mutations()]
    assert len({*names}) == len(names) >= LEAST


@pytest.mark.parametrize("mutation", mutations(), ids=lambda mutation: mutation.name)
def test_a_mutation_fits_the_code(mutation: Mutation) -> None:
    """Its text stands in the file exactly once, and its replacement is another text."""
    text = (ROOT / mutation.file).read_text(encoding="utf-8")
    assert mutation.broken(text) != text


def test_every_named_test_is_collected() -> None:
    """Pytest finds each test that the list names, with its parameters: a renamed one would notice nothing."""
    named = sorted({each.test for each in mutations()})
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "--collect-only", *named]
    collected = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert collected.returncode == 0, collected.stdout + collected.stderr
