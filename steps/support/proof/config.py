"""Where a change is proved before it is made, on what, and what that may cost."""

from dataclasses import dataclass, field
from pathlib import Path

from steps.support.proof.copy.progress import Limits
from steps.support.proof.write_lock import Allowed


@dataclass(frozen=True, slots=True)
class Workbench:
    """`folder` is the run's own, where the backup stays; `binary` is the libSQL server, None where there is none.

    `allowed`: what the change may ask of other writers.
    """

    folder: Path
    binary: Path | None
    limits: Limits
    allowed: Allowed = field(default_factory=Allowed)
