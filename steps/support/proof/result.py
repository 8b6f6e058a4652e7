"""What is known of a change before it is made: the result of the proof, as the release and the report carry it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from steps.support.gateways.guards import Guards
from steps.support.gateways.turso import Cost
from steps.support.proof.config import LockLimits


@dataclass(frozen=True, slots=True)
class LockUse:
    """What one transaction asked of other writers on the copy.

    `script`: the file whose statements it ran. `seconds`: from its request to the answer to COMMIT. `bytes`: what it
    added to the write-ahead log, None if that cannot be seen. `costs`: its largest statements. Of the writers beside
    it: `refused`, writes that were turned away; `longest`, seconds of the slowest one; `locked_out`, none came through
    afterwards; `stolen`, it did not end beside them, and was measured alone.
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
        """Say it in a few words."""
        much = "" if self.bytes is None else f" and writes {self.bytes / 1e6:,.1f} MB"
        turned_away = f"; {self.refused} writes beside it were turned away" if self.refused else ""
        said = "; you say that nothing else writes (turso.sole_writer)" if self.allowed.sole_writer else ""
        return f"holds writers back for {self.seconds:.2f} s{much}{turned_away}{said}"


@dataclass(frozen=True, slots=True)
class Backup:
    """The copy that stays: where, its SHA-256, the bytes of the database, its rows, and the seconds it took."""

    path: str
    sha256: str
    bytes: int
    rows: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Proof:
    """What is known of a change before it is made.

    `engine`: what it was rehearsed on. `seconds`: of each beat of the rehearsal. `guards`: what its transaction
    asserts. `contract`: what each version of the code cannot run, on each schema. `ruled_out`: the orders that this
    forbids, and why. `schema`: what changes, in lines; `rows`: numbers and samples by table. `unshown`: tables of which
    nothing shows that going back keeps what the app writes. `unasked`: files that ask or write nothing, and so show
    nothing. `warnings`, `notes` and `accepted`: what speaks against the change, and does not refuse it. `locks`: what
    migration and rollback ask of other writers.
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
    unasked: tuple[str, ...] = ()  # this and what follows: journals of earlier versions have none
    locks: tuple[LockUse, ...] = ()

    def lock(self, script: str) -> str:
        """Say what the transaction of a script asks of other writers, in a few words; nothing if it is not known."""
        return next((str(held) for held in self.locks if held.script == script), "")


UNKNOWN = Proof(
    engine="", backup=Backup("", "", 0, 0, 0.0), seconds={}, guards=Guards((), ()), contract={}, ruled_out={},
    schema=(), rows={}, lossless=False, unshown=(), warnings=(), notes=(), accepted=(),
)  # fmt: skip
