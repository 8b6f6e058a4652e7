"""The backup of a run: compressed while it arrives, readable by its owner alone, there only when it is whole."""

import hashlib
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_FASTEST = 1
_GZIP = 31  # 15 bits of window, in the gzip format


@contextmanager
def becoming(path: Path) -> Iterator[Path]:
    """Give a new file, 0600, under a temporary name; it gets its own at the end of the block, or is removed."""
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


class Gzip:
    """Writes a gzip file, and computes its SHA-256 as it goes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._deflate = zlib.compressobj(_FASTEST, zlib.DEFLATED, _GZIP)
        self._sha256 = hashlib.sha256()

    def write(self, piece: bytes) -> None:
        """Take a piece of what is to be kept."""
        self._put(self._deflate.compress(piece))

    def finish(self) -> str:
        """Write the end; gives the SHA-256 of the file."""
        self._put(self._deflate.flush())
        return self._sha256.hexdigest()

    def _put(self, piece: bytes) -> None:
        self._sha256.update(piece)
        self._file.write(piece)
