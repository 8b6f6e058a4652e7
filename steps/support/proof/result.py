"""The result of a proof, as plan, journal and report contain it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from steps.support.core.text import counted
from steps.support.gateways.guards import Guards
from steps.support.gateways.turso import Cost
from steps.support.proof.config import LockLimits


@dataclass(frozen=True, slots=True)
class LockUse:
    """How long one transaction on the copy held other writers back.

    `script`: the script that it ran. `seconds`: the time from its request to the answer to COMMIT. `bytes`: how many
    bytes it added to the write-ahead log; None if the log cannot be seen. `costs`: its longest statements. `allowed`:
    the limits. `refused`: how many writes of other writers were rejected meanwhile. `longest`: how many seconds the
    slowest write of another writer took. `locked_out`: whether the server accepted no write afterwards. `stolen`:
    whether the transaction lost the lock to a writer, or did not end; then it was measured again without writers.
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
        """Return the measurement in a few words that continue a sentence, such as `holds writers back for 0.42 s`."""
        written = "" if self.bytes is None else f" and writes {self.bytes / 1e6:,.1f} MB"
        writes = counted(self.refused, "concurrent write was rejected", "concurrent writes were rejected")
        rejected = f"; {writes}" if self.refused else ""
        sole = "; turso.sole_writer says that nothing else writes" if self.allowed.sole_writer else ""
        return f"holds writers back for {self.seconds:.2f} s{written}{rejected}{sole}"


@dataclass(frozen=True, slots=True)
class Backup:
    """The backup that a proof keeps. `path`, `sha256`: of the backup file. `bytes`, `rows`: the size of the database.

    `seconds`: how long the copy took.
    """

    path: str
    sha256: str
    bytes: int
    rows: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Proof:
    """What is known about a change before it is made.

    `engine`: the name of the engine that ran the rehearsal.
    `seconds`: how long each phase of the rehearsal took, in seconds, by the name of the phase.
    `guards`: what the migration and the rollback assert in production.
    `contract`: for each version of the code and each schema, the errors of the statements that cannot run.
    `ruled_out`: by order that the contract forbids, the reason.
    `schema`: the differences that the migration makes to the schema, as sentences.
    `rows`: by table, row counts and samples of changed rows.
    `lossless`: whether the rehearsed rollback lost nothing.
    `unshown`: the tables and columns to which the rehearsal wrote nothing, so that it did not test their rollback.
    `warnings`, `notes`, `accepted`: the findings that do not block the change, as text.
    `unasked`: the files that check or write nothing, and so prove nothing.
    `locks`: how long the migration and the rollback hold other writers back.
    `waiting`: for each of the tool's own tables, how many rows of the app wait there from a rollback until the next
    migration.
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
    unasked: tuple[str, ...] = ()  # journals of earlier versions lack this field and those below
    locks: tuple[LockUse, ...] = ()
    waiting: Mapping[str, int] = field(default_factory=dict)

    def lock(self, script: str) -> str:
        """Return in a few words how long a script holds other writers back; empty if that was not measured."""
        return next((str(held) for held in self.locks if held.script == script), "")


UNKNOWN = Proof(
    engine="", backup=Backup("", "", 0, 0, 0.0), seconds={}, guards=Guards((), ()), contract={}, ruled_out={},
    schema=(), rows={}, lossless=False, unshown=(), warnings=(), notes=(), accepted=(),
)  # fmt: skip
