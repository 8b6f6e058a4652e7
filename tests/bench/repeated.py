"""What the commands here share: the same thing measured several times, on a small production that is fresh each time."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from shutil import copyfile
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from steps.support.proof import sqld
from steps.support.standin.drill.trial import ROOT, Event, Trial
from steps.support.standin.faults import Faults
from steps.support.standin.world import local_production
from tests.world.sample import samples

if TYPE_CHECKING:
    from collections.abc import Iterator

ALIAS_SECONDS = 0.5  # that the alias takes to move


@dataclass(frozen=True, slots=True)
class Spread:
    """Figures of one thing, measured several times."""

    values: Sequence[float]

    @property
    def median(self) -> float:
        """Give the middle one."""
        return median(self.values)

    def told(self, unit: str, digits: int) -> str:
        """Give the median, and between which two all of them are."""
        least, middle, most = (f"{each:.{digits}f}" for each in (min(self.values), self.median, max(self.values)))
        return f"{middle} {unit} ({least} to {most}, {len(self.values)} times)"

    @property
    def seconds(self) -> str:
        """Give it in seconds."""
        return self.told("s", 2)

    @property
    def milliseconds(self) -> str:
        """Give it, measured in seconds, in milliseconds."""
        return Spread([1000 * each for each in self.values]).told("ms", 0)


def row(what: str, measured: str, command: str = "") -> str:
    """Give a row of the README's table."""
    return f"| {what} | {measured} | {f'`uv run python -m tests.bench.{command}`' if command else ''} |"


def between(events: Sequence[Event], first: str, last: str) -> float:
    """Give the seconds from the first event of one kind to the last one of another."""
    (begins, *_), (*_, ends) = (
        [float(each["clock"]) for each in events if each["event"] == kind] for kind in (first, last)
    )
    return ends - begins


def gaps(moments: Sequence[float]) -> list[float]:
    """Give the seconds between each moment and the next."""
    return [after - before for before, after in pairwise(moments)]


@contextmanager
def small_database() -> "Iterator[Path]":
    """Give the sample with few readings, as a file that productions are made from."""
    with TemporaryDirectory(prefix="bench-") as folder:
        yield samples(Path(folder)) / "small.db"


@asynccontextmanager
async def production(
    database: Path, *, build_seconds: float, staged: bool = False, faults: Faults | None = None
) -> AsyncIterator[Trial]:
    """Make a production on a copy of a database, with the real server and real git; `faults` break it when told."""
    with TemporaryDirectory(prefix="bench-") as temporary:
        folder, faults = Path(temporary), faults or Faults()
        copy = Path(copyfile(database, folder / "copy.db"))
        async with local_production(folder, ROOT / "sql", sqld.fetch(), faults, staged=staged, copy=copy) as made:
            made.platform.build_seconds, made.platform.alias_seconds = build_seconds, ALIAS_SECONDS
            yield Trial(made, faults, folder)
