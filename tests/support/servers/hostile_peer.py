"""A peer that speaks just enough HTTP to be asked something, and answers with arbitrary bytes."""

import asyncio
import gzip
import itertools
import json
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

Pieces = Callable[[], Iterator[bytes] | AsyncIterator[bytes]]

MEGABYTE = 1 << 20


@dataclass
class Peer:
    """Its address, and the heads of all requests it received."""

    url: str
    heads: list[bytes] = field(default_factory=list)


@asynccontextmanager
async def peer(pieces: Pieces) -> AsyncIterator[Peer]:
    """Answer every request with the same pieces; the connection ends with the last of them."""
    serving = dict[asyncio.Task[Any] | None, asyncio.StreamWriter]()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving[asyncio.current_task()] = writer
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            there.heads.append(await _request(reader))
            async for piece in _all(pieces()):
                writer.write(piece)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    there = Peer(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    try:
        yield there
    finally:
        server.close()
        for task, writer in serving.items():
            writer.transport.abort()
            if task:
                task.cancel()
        await asyncio.gather(*filter(None, serving), return_exceptions=True)


async def _all(pieces: Iterator[bytes] | AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if isinstance(pieces, AsyncIterator):
        async for piece in pieces:
            yield piece
    else:
        for piece in pieces:
            yield piece


async def _request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            await reader.readexactly(int(line.partition(b":")[2]))
    return head


def head(status: str = "200 OK", kind: str = "application/json", **headers: str) -> bytes:
    """Write the head of an answer; underscores in names stand for hyphens."""
    all_of_it = {"Content-Type": kind, "Connection": "close", **headers}
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in all_of_it.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def answer(
    body: bytes | str, status: str = "200 OK", kind: str = "application/json", **headers: str
) -> Callable[[], Iterator[bytes]]:
    """Return a whole answer."""
    content = body.encode() if isinstance(body, str) else body
    return lambda: iter([head(status, kind, **{"Content_Length": str(len(content)), **headers}), content])


def document(value: Any) -> Callable[[], Iterator[bytes]]:
    """Return a JSON answer."""
    return answer(json.dumps(value))


def endless(piece: bytes, opening: bytes | None = None) -> Pieces:
    """Return an answer of at least a gigabyte, which ends with its connection."""
    return lambda: itertools.chain([opening or head()], itertools.repeat(piece, (1 << 30) // len(piece)))


def zeros() -> Iterator[bytes]:
    """Return a gigabyte of zeros, compressed a thousand to one."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    yield packer.compress(bytes(MEGABYTE)) + packer.flush(zlib.Z_FULL_FLUSH)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    again = packer.compress(bytes(MEGABYTE)) + packer.flush(zlib.Z_FULL_FLUSH)
    yield from itertools.repeat(again, 1023)


def packed() -> Pieces:
    """Return a gigabyte that is sent as a megabyte."""
    return lambda: itertools.chain([head(Content_Encoding="gzip")], zeros())


def packed_twice() -> Pieces:
    """Return a gigabyte that is sent as a few kilobytes."""
    return lambda: iter([head(Content_Encoding="gzip, gzip"), gzip.compress(b"".join(zeros()))])
