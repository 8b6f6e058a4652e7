"""Make folders that only their owner can open, because the files of a run contain rows of the production database."""

import os
import stat
from pathlib import Path

OURS = stat.S_IRWXU


def make_private(folder: Path) -> None:
    """Create a run's folder and its parent, accessible only to us, under any umask.

    If one of them exists, belongs to us and is open to others, restrict it. A folder of another user, or a shared one
    like /tmp, is left as it is.
    """
    for place in (folder.parent, folder):
        place.mkdir(mode=OURS, parents=True, exist_ok=True)
        found = place.stat()
        if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) != OURS and not found.st_mode & stat.S_ISVTX:
            place.chmod(OURS)
