"""What the benchmarks share: repeated measurements, each on a fresh small production."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from shutil import copyfile
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from steps.support.proof.rehearsal import sqld
from steps.support.standin.drill.trial import ROOT, Event, Trial
from steps.support.standin.faults import Faults
from steps.support.standin.world import local_production
from tests.support.production.sample import samples

if TYPE_CHECKING:
    from collections.abc import Iterator

ALIAS_SECONDS = 0.5  # that the alias takes to move


@dataclass(frozen=True, slots=True)
class Spread:
    """Repeated measurements of one thing."""

    values: Sequence[float]

    @property
    def median(self) -> float:
        """The median."""
        return median(self.values)

    def summary(self, unit: str, digits: int) -> str:
        """Format the median and the range."""
        least, middle, most = (f"{each:.{digits}f}" for each in (min(self.values), self.median, max(self.values)))
        return f"{middle} {unit} ({least} to {most}, {len(self.values)} times)"

    @property
    def seconds(self) -> str:
        """The median and the range, in seconds."""
        return self.summary("s", 2)

    @property
    def milliseconds(self) -> str:
        """The median and the range of values in seconds, shown in milliseconds."""
        return Spread([1000 * each for each in self.values]).summary("ms", 0)


def row(what: str, measured: str, command: str = "") -> str:
    """Format a row of the README's table."""
    return f"| {what} | {measured} | {f'`uv run python -m tests.bench.{command}`' if command else ''} |"


def between(events: Sequence[Event], first: str, last: str) -> float:
    """Return the seconds from the first event of one kind to the last one of another."""
    (begins, *_), (*_, ends) = (
        [float(each["clock"]) for each in events if each["event"] == kind] for kind in (first, last)
    )
    return ends - begins


def gaps(moments: Sequence[float]) -> list[float]:
    """Return the seconds between each moment and the next."""
    return [after - before for before, after in pairwise(moments)]


@contextmanager
def small_database() -> "Iterator[Path]":
    """Yield the sample with few readings, as a file to create productions from."""
    with TemporaryDirectory(prefix="bench-") as folder:
        yield samples(Path(folder)) / "small.db"


@asynccontextmanager
async def production(
    database: Path, *, build_seconds: float, staged: bool = False, faults: Faults | None = None
) -> AsyncIterator[Trial]:
    """Create a production on a copy of a database, with the real server and real git; `faults` break it when armed."""
    with TemporaryDirectory(prefix="bench-") as temporary:
        folder, faults = Path(temporary), faults or Faults()
        copy = Path(copyfile(database, folder / "copy.db"))
        async with local_production(folder, ROOT / "sql", sqld.fetch(), faults, staged=staged, copy=copy) as made:
            made.platform.build_seconds, made.platform.alias_seconds = build_seconds, ALIAS_SECONDS
            yield Trial(made, faults, folder)
