"""Where a change is proved before it is made, on what, and what that may cost."""

from dataclasses import dataclass
from pathlib import Path

from steps.support.proof.copy import Limits


@dataclass(frozen=True, slots=True)
class Workbench:
    """`folder` is the run's own, where the backup stays; `binary` is the libSQL server, None where there is none."""

    folder: Path
    binary: Path | None
    limits: Limits
