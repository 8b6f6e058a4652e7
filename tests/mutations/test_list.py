"""The list of mutations fits the code: each breaks one line that is there, and names a test that is there."""

from pathlib import Path

import pytest

from tests.mutations.run import ROOT, Mutation, mutations

LEAST = 90  # mutations


def test_there_are_enough() -> None:
    """Every line that keeps production safe is in the list, each under a name of its own."""
    names = [each.name for each in mutations()]
    assert len({*names}) == len(names) >= LEAST


@pytest.mark.parametrize("mutation", mutations(), ids=lambda mutation: mutation.name)
def test_a_mutation_fits_the_code(mutation: Mutation) -> None:
    """Its text stands in the file exactly once, its replacement is another text, and the test is in its file."""
    text = (ROOT / mutation.file).read_text(encoding="utf-8")
    assert mutation.broken(text) != text
    file, _, test = mutation.test.partition("::")
    assert f"def {test.partition('[')[0]}(" in Path(ROOT / file).read_text(encoding="utf-8")
