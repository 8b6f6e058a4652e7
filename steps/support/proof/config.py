"""Settings of the proof: where it runs, on which engine, and what it may cost."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Limits:
    """What a copy may take: seconds in all, and bytes of disk, rehearsals included."""

    most_seconds: float
    most_bytes: int


@dataclass(frozen=True, slots=True)
class LockLimits:
    """What a transaction may demand of other writers: seconds with the write lock, and bytes written.

    `sole_writer`: the user says that nothing else writes meanwhile, so neither limit applies.
    """

    seconds: float = 1.0
    bytes: int = 20_000_000
    sole_writer: bool = False


@dataclass(frozen=True, slots=True)
class ProofConfig:
    """Hold the settings of one proof.

    `folder`: the run's own, where the backup stays. `binary`: the libSQL server, None if there is none. `allowed`: what
    the change may demand of other writers.
    """

    folder: Path
    binary: Path | None
    limits: Limits
    allowed: LockLimits = field(default_factory=LockLimits)
