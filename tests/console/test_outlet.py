"""The way out for text: a reader that is slow or gone stops nothing."""

import os
from typing import TextIO

from steps.support.console.outlet import Outlet


def _pipe() -> tuple[int, TextIO]:
    """Give a pipe's reading end, and a stream that writes to the other."""
    reading, writing = os.pipe()
    return reading, os.fdopen(writing, "w")


def test_what_is_written_arrives() -> None:
    """Everything is read in order, the last of it when the outlet is closed."""
    reading, stream = _pipe()
    with stream:
        out = Outlet(stream)
        for number in range(100):
            out.write(f"line {number}\n")
        out.close()
    with os.fdopen(reading) as read:
        assert read.read().splitlines() == [f"line {number}" for number in range(100)]


def test_a_reader_that_never_reads_holds_nobody_up() -> None:
    """More text than a pipe holds is taken all the same, and closing does not wait for ever."""
    reading, stream = _pipe()
    out = Outlet(stream)
    for _ in range(50):
        out.write("x" * 10_000)
    out.close()
    os.close(reading)
    out.close()
    stream.close()


def test_a_reader_that_is_gone_is_no_error() -> None:
    """Text for nobody vanishes."""
    reading, stream = _pipe()
    os.close(reading)
    out = Outlet(stream)
    assert out.write("to nobody") == 9
    out.close()
    stream.close()


def test_a_pipe_that_does_not_block_loses_nothing() -> None:
    """Where somebody else has set the pipe so, what finds no room waits for the reader and is not dropped."""
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
