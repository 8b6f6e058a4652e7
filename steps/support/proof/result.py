"""The result of the proof, as the release and the report carry it: what is known of a change before it is made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from steps.support.gateways.guards import Guards
from steps.support.gateways.turso import Cost
from steps.support.proof.config import LockLimits


@dataclass(frozen=True, slots=True)
class LockUse:
    """What one transaction demanded of other writers on the copy.

    `script`: the file whose statements it ran. `seconds`: from its request to the answer to COMMIT. `bytes`: what it
    added to the write-ahead log, None if that cannot be seen. `costs`: its largest statements. Of the writers beside
    it: `refused`, the number of rejected writes; `longest`, seconds of the slowest write; `locked_out`, no write got
    through afterwards; `stolen`, the transaction did not end beside them, and was measured alone.
    """

    script: str
    seconds: float
    bytes: int | None
    costs: tuple[Cost, ...]
    allowed: LockLimits
    refused: int = 0
    longest: float = 0.0
    locked_out: bool = False
    stolen: bool = False

    def __str__(self) -> str:
        """Return it in a few words."""
        written = "" if self.bytes is None else f" and writes {self.bytes / 1e6:,.1f} MB"
        rejected = f"; {self.refused} concurrent writes were rejected" if self.refused else ""
        sole = "; turso.sole_writer says that nothing else writes" if self.allowed.sole_writer else ""
        return f"holds writers back for {self.seconds:.2f} s{written}{rejected}{sole}"


@dataclass(frozen=True, slots=True)
class Backup:
    """The copy that is kept: its path, its SHA-256, the bytes and rows of the database, and the seconds it took."""

    path: str
    sha256: str
    bytes: int
    rows: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Proof:
    """What is known about a change before it is made.

    `engine`: the engine that it was rehearsed on. `seconds`: how long each phase of the rehearsal took. `guards`: what
    the migration and the rollback assert. `contract`: the statements that each version of the code cannot run, for each
    schema. `ruled_out`: the orders that the contract forbids, and why. `schema`: the changes of the schema, one in each
    line. `rows`: row counts and samples, by table. `lossless`: whether the rehearsed rollback kept everything.
    `unshown`: the tables for which the rehearsal did not show that a rollback keeps what the app writes. `unasked`: the
    files that checked or wrote nothing, and so prove nothing. `warnings`, `notes`, `accepted`: the findings that do not
    block the change. `locks`: what the migration and the rollback demand of other writers.
    `waiting`: by table of the tool's own, how many of the rows written in the rehearsal waited there after a rollback,
    until the migration ran again.
    """

    engine: str
    backup: Backup
    seconds: Mapping[str, float]
    guards: Guards
    contract: Mapping[str, tuple[str, ...]]
    ruled_out: Mapping[str, str]
    schema: tuple[str, ...]
    rows: Mapping[str, Mapping[str, Any]]
    lossless: bool
    unshown: tuple[str, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    accepted: tuple[str, ...]
    unasked: tuple[str, ...] = ()  # this field and the next are missing in journals of earlier versions
    locks: tuple[LockUse, ...] = ()
    waiting: Mapping[str, int] = field(default_factory=dict)

    def lock(self, script: str) -> str:
        """Return in a few words what a script's transaction demands of other writers; empty if that is not known."""
        return next((str(held) for held in self.locks if held.script == script), "")


UNKNOWN = Proof(
    engine="", backup=Backup("", "", 0, 0, 0.0), seconds={}, guards=Guards((), ()), contract={}, ruled_out={},
    schema=(), rows={}, lossless=False, unshown=(), warnings=(), notes=(), accepted=(),
)  # fmt: skip
