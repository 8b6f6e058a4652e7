"""Where a change is proved before it is made, on what, and what that may cost."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Limits:
    """What a copy may take: seconds for all of it, and bytes of disk together with the rehearsals on it."""

    most_seconds: float
    most_bytes: int


@dataclass(frozen=True, slots=True)
class LockLimits:
    """What a transaction may ask of other writers: seconds with the write lock, and bytes written.

    `sole_writer`: the user says that nothing else writes meanwhile, so that neither holds.
    """

    seconds: float = 1.0
    bytes: int = 20_000_000
    sole_writer: bool = False


@dataclass(frozen=True, slots=True)
class ProofConfig:
    """`folder` is the run's own, where the backup stays; `binary` is the libSQL server, None where there is none.

    `allowed`: what the change may ask of other writers.
    """

    folder: Path
    binary: Path | None
    limits: Limits
    allowed: LockLimits = field(default_factory=LockLimits)
