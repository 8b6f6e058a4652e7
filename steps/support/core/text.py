"""Helpers for text: make it safe to print, write numbers with their nouns, and find the word that was meant."""

from collections.abc import Iterable
from difflib import get_close_matches

ROLLBACK_MESSAGE = "Roll back to {previous:.8}\n\nRun {run} was rolled back; these are the files of {previous}."


def printable(text: str) -> str:
    """Return the text with unprintable characters escaped, including line breaks and changes of writing direction."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def printable_lines(text: str) -> str:
    """Return the text with unprintable characters escaped, except line breaks."""
    return "\n".join(map(printable, text.split("\n")))


def counted(count: int, one: str, several: str = "") -> str:
    """Return a number with the words that go with it: `1 row`, `2,000 rows`, or `1 row differs`, `2 rows differ`.

    `one` are the words after 1, `several` those after any other number; without `several`, an s is added to `one`.
    """
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"


SHORT, LONG = 4, 7  # letters: up to 4, the first letter must match; from 7, two slips are allowed
TWO = 2


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known word most similar to this one, ignoring case; empty if none is similar."""
    lower = {each.lower(): each for each in sorted(known, reverse=True)}
    return next((lower[each] for each in get_close_matches(word.lower(), lower, 1)), "")


def slip_of(word: str, known: Iterable[str]) -> str:
    """Return the known word that this one misspells, or "" if there is none.

    A slip is one letter that was added, left out or replaced, or two letters that were swapped. A grammatical ending is
    a slip, too, as in `allows` and `allowed`. Words that are merely similar, such as `note` and `name`, are not.
    """
    return next((each for each in known if word != each and _is_slip(word, each)), "")


def _is_slip(word: str, known: str) -> bool:
    if word in {f"{known}s", f"{known}d", f"{known}ed"}:
        return True
    same_beginning = word[:1] == known[:1]
    slips = min(_slips(word, known), _slips(word.removesuffix("s"), known))
    if slips == 1:
        return same_beginning or len(known) > SHORT
    return slips == TWO and len(known) >= LONG and same_beginning and not word.startswith(known)


def _slips(one: str, other: str) -> int:
    """Return the edit distance: the fewest letters that must be added, left out, replaced or swapped."""
    before, last = [0] * (len(other) + 1), list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        row = [i]
        for j, wanted in enumerate(other, 1):
            fewest = min(last[j] + 1, row[-1] + 1, last[j - 1] + (letter != wanted))
            if i > 1 < j and (letter, one[i - 2]) == (other[j - 2], wanted):
                fewest = min(fewest, before[j - 2] + 1)
            row.append(fewest)
        before, last = last, row
    return last[-1]
