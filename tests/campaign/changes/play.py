"""A case, proved as a run proves it before it touches production."""

import asyncio
import sqlite3
import tempfile
import traceback
from contextlib import aclosing, closing
from dataclasses import dataclass
from pathlib import Path

from steps.support.change.folder import read_change
from steps.support.core.errors import Problem
from steps.support.gateways.database.connect import connect
from steps.support.gateways.database.protocol import Database
from steps.support.gateways.database.sqlite_file import SqliteFile
from steps.support.gateways.turso import Turso
from steps.support.operations.prove import refuse_unparsable
from steps.support.proof.config import ProofConfig
from steps.support.proof.proof import prove
from steps.support.proof.rehearsal import sqld
from tests.campaign.changes.case import drawn
from tests.support.proof.proofs import ENOUGH, written

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder in memory: what is written there need not survive
FAILED = "ended with a traceback"
SERVED = 25  # every such seed runs on the server


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a seed. `said`: why the change was refused, empty if it passed. `about`: the case in a line."""

    seed: int
    kind: str
    harm: str
    said: str
    about: str
    no_ops: int
    files: dict[str, str]

    @property
    def is_wrong(self) -> bool:
        """Return True if a right change was refused, or a harm passed."""
        return bool(self.said) is not bool(self.harm)

    def __str__(self) -> str:
        """Return the case and its verdict."""
        verdict = f"refused: {self.said}" if self.said else "passed"
        return f"{self.about}, {verdict}"


def play(seed: int) -> Outcome:
    """Draw the case of a seed and prove its change."""
    case = drawn(seed)
    folder = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="changes-", dir=folder) as place, closing(case.before):
        said = asyncio.run(_said(case.before, dict(case.files), Path(place), served=seed % SERVED == 0))
    about = f"{case} ({'; '.join(case.differing)})" if case.harm else str(case)
    return Outcome(seed, case.kind, case.harm, said, about, case.no_ops, dict(case.files))


def play_safely(seed: int) -> Outcome:
    """Play a seed; if it fails otherwise than by a refusal, return an outcome that is wrong and has the traceback."""
    try:
        return play(seed)
    except Exception:  # noqa: BLE001 - a campaign must name the seed, whatever fails
        return Outcome(seed, FAILED, "", traceback.format_exc(), f"seed {seed}: {FAILED}", 0, {})


async def _said(before: sqlite3.Connection, files: dict[str, str], folder: Path, *, served: bool) -> str:
    """Return why the change is refused, empty if it passes; `served`: production and rehearsal run on the server."""
    binary = sqld.fetch() if served else None
    file = folder / "production" / sqld.PLACE
    file.parent.mkdir(parents=True)
    with closing(sqlite3.connect(file)) as production:
        before.backup(production)
    if not binary:
        return await _proved(SqliteFile(f"file:{file}", foreign_keys=True), files, folder, None)
    async with sqld.serve(binary, folder / "production") as url:
        return await _proved(connect(url, None), files, folder, binary)


async def _proved(reached: Database, files: dict[str, str], folder: Path, binary: Path | None) -> str:
    async with aclosing(reached) as database:
        try:
            change = read_change(written(folder / "sql", files))
            await refuse_unparsable(Turso(database), change)
            await prove(Turso(database), change, ProofConfig(folder / "run", binary, ENOUGH))
        except Problem as problem:
            return str(problem)
    return ""
