"""Random changes of random databases: `python -m tests.campaign.changes [N] [SEED]`.

Each seed is a database, a change and what the app writes. Every second change is right: the proof must pass it. The
others have one harm in them, shown by SQL alone to make a difference: the proof must refuse them. N cases begin with
SEED, by default 0; each wrong one is printed with what replays it, and `1 SEED` also prints its files.
"""

import os
import sys
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context

from tests.campaign.changes.play import FAILED, Outcome, play_safely

CASES = 2_000
SHOWN = 300  # characters of a refusal


@dataclass
class Tally:
    """The outcomes of many seeds: by the kind of a right change, and by the harm in the others."""

    right: dict[str, Counter[str]] = field(default_factory=dict)
    harmed: dict[str, Counter[str]] = field(default_factory=dict)
    wrong: list[Outcome] = field(default_factory=list)
    no_ops: int = 0

    def add(self, outcome: Outcome) -> None:
        """Count one outcome."""
        table, name = (self.harmed, outcome.harm) if outcome.harm else (self.right, outcome.kind)
        table.setdefault(name, Counter())["refused" if outcome.said else "passed"] += 1
        self.no_ops += outcome.no_ops
        self.wrong += [outcome] * outcome.is_wrong

    def __str__(self) -> str:
        """Return both tables, and the seeds that are wrong."""
        tables = [*_table("right change", "passed", self.right), "", *_table("harm", "refused", self.harmed)]
        seeds = ", ".join(str(each.seed) for each in self.wrong)
        return "\n".join(
            [
                *tables,
                "",
                f"{len(self.wrong)} wrong{f': {seeds}' if seeds else ''}; {self.no_ops} harms made no difference",
            ]
        )


def _table(title: str, due: str, rows: Mapping[str, Counter[str]]) -> Iterator[str]:
    other = {"passed": "refused", "refused": "passed"}[due]
    yield f"{title:<28}{due:>10}{f'{other}, wrong':>18}"
    for name, counts in sorted(rows.items()):
        yield f"{name:<28}{counts[due]:>10}{counts[other]:>18}"
    yield f"{'all':<28}{sum(each[due] for each in rows.values()):>10}{sum(each[other] for each in rows.values()):>18}"


def main(words: list[str]) -> int:
    """Play many seeds, or one."""
    parser = ArgumentParser(prog="tests.campaign.changes", description=__doc__)
    parser.add_argument("cases", nargs="?", type=int, default=CASES)
    parser.add_argument("seed", nargs="?", type=int, default=0, help="the first")
    options = parser.parse_args(words)
    tally, began = Tally(), time.monotonic()
    for outcome in _outcomes(options.seed, options.cases):
        tally.add(outcome)
        if outcome.is_wrong or options.cases == 1:
            _say(f"{_shown(outcome) if options.cases > 1 else outcome}\n  replay: 1 {outcome.seed}")
        if options.cases == 1:
            _say("\n".join(f"--- {name}\n{text}" for name, text in outcome.files.items()))
    _say(f"{tally}\n{options.cases} cases in {time.monotonic() - began:.0f} s")
    return 1 if tally.wrong else 0


def _shown(outcome: Outcome) -> str:
    """Return an outcome, cut; of a traceback, its end."""
    text = str(outcome)
    return f"{outcome.about}: ...{text[-SHOWN:].rstrip()}" if outcome.kind == FAILED else text[:SHOWN]


def _outcomes(first: int, cases: int) -> Iterator[Outcome]:
    if cases == 1:
        yield play_safely(first)
        return
    with ProcessPoolExecutor(os.cpu_count(), get_context("fork")) as pool:
        yield from pool.map(play_safely, range(first, first + cases))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
