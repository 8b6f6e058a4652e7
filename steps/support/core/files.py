"""Folders that only their owner can open: the files of a run contain rows of production."""

import os
import stat
from pathlib import Path

OURS = stat.S_IRWXU


def make_private(folder: Path) -> None:
    """Create a run's folder and its parent, accessible to us alone under any umask.

    If one of them is ours and open to others, restrict it. A folder of another user, or a shared one like /tmp, is left
    as it is.
    """
    for place in (folder.parent, folder):
        place.mkdir(mode=OURS, parents=True, exist_ok=True)
        found = place.stat()
        if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) != OURS and not found.st_mode & stat.S_ISVTX:
            place.chmod(OURS)
