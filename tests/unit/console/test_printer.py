"""The nonblocking output: a reader that is slow or gone stops nothing."""

import os
from typing import TextIO

from steps.support.console.printer import Outlet


def _pipe() -> tuple[int, TextIO]:
    """Return a pipe's reading end, and a stream that writes to the other."""
    reading, writing = os.pipe()
    return reading, os.fdopen(writing, "w")


def test_everything_written_arrives() -> None:
    """Everything is read in order, the last of it when the outlet is closed."""
    reading, stream = _pipe()
    with stream:
        out = Outlet(stream)
        for number in range(100):
            out.write(f"line {number}\n")
        out.close()
    with os.fdopen(reading) as read:
        assert read.read().splitlines() == [f"line {number}" for number in range(100)]


def test_stalled_reader_blocks_nothing() -> None:
    """More text than a pipe holds is still accepted, and closing does not wait forever."""
    reading, stream = _pipe()
    out = Outlet(stream)
    for _ in range(50):
        out.write("x" * 10_000)
    out.close()
    os.close(reading)
    out.close()
    stream.close()


def test_missing_reader_is_not_an_error() -> None:
    """Text without a reader is dropped."""
    reading, stream = _pipe()
    os.close(reading)
    out = Outlet(stream)
    assert out.write("to nobody") == 9
    out.close()
    stream.close()


def test_nonblocking_pipe_loses_nothing() -> None:
    """If another process made the pipe nonblocking, text without room waits for the reader and is not dropped."""
    reading, stream = _pipe()
    os.set_blocking(stream.fileno(), False)
    out, text = Outlet(stream), "x" * 300_000
    out.write(text)
    read = b""
    while len(read) < len(text):
        read += os.read(reading, 65_536)
    out.close()
    stream.close()
    os.close(reading)
    assert read.decode() == text
