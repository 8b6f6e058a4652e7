"""Texts for people: numbers agree with their nouns."""

import pytest

from steps.support.core.text import counted


@pytest.mark.parametrize(
    ("count", "words", "text"),
    [
        (0, ("row",), "0 rows"),
        (1, ("row",), "1 row"),
        (2_000, ("row",), "2,000 rows"),
        (1, ("row differs", "rows differ"), "1 row differs"),
        (12, ("row differs", "rows differ"), "12 rows differ"),
    ],
)
def test_number_agrees_with_its_noun(count: int, words: tuple[str, ...], text: str) -> None:
    """One thing is named in the singular, any other number in the plural, with commas between thousands."""
    assert counted(count, *words) == text
