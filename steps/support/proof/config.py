"""The settings of a proof: its folder, its engine, and the time, disk space and locks that it may take."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Limits:
    """What a proof may take: `most_seconds` each for copy and rehearsal, and `most_bytes` of disk for both together."""

    most_seconds: float
    most_bytes: int


@dataclass(frozen=True, slots=True)
class LockLimits:
    """How much a transaction may hold other writers back: seconds with the write lock, and bytes that it writes.

    `sole_writer`: whether the user says that nothing else writes meanwhile; then neither limit applies.
    """

    seconds: float = 1.0
    bytes: int = 20_000_000
    sole_writer: bool = False


@dataclass(frozen=True, slots=True)
class ProofConfig:
    """The settings of one proof.

    `folder`: the folder of the run, in which the backup stays. `binary`: the libSQL server to rehearse on; None to
    rehearse on SQLite. `limits`: what the proof itself may take. `allowed`: how much the change may hold writers back.
    """

    folder: Path
    binary: Path | None
    limits: Limits
    allowed: LockLimits = field(default_factory=LockLimits)
