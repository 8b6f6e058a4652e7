"""Folders that are their owner's alone: what is kept of a run holds the rows of production."""

import os
import stat
from pathlib import Path

OURS = stat.S_IRWXU


def make_private(folder: Path) -> None:
    """Make the folder of a run and the one that it is in, for us alone whatever the umask is.

    One of ours that was wider is tightened; a folder of somebody else's, or one for all like /tmp, is left.
    """
    for place in (folder.parent, folder):
        place.mkdir(mode=OURS, parents=True, exist_ok=True)
        found = place.stat()
        if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) != OURS and not found.st_mode & stat.S_ISVTX:
            place.chmod(OURS)
