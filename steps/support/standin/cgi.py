"""A CGI program behind aiohttp: the request's body streams in, the answer streams out; it ends with the request."""

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import cast

from aiohttp import web

PIECE = 64 * 1024  # bytes
PASSED_ON = {"Accept", "Content-Encoding", "Git-Protocol", "User-Agent"}

Environment = Mapping[str, str]


async def answer(
    request: web.Request, command: Sequence[str], environment: Environment, *, whole: bool
) -> web.StreamResponse:
    """Have the program answer a request; `whole`: nothing of its answer is sent before all of it is there."""
    async with child(command, {**environment, **_variables(request)}, stdin=PIPE) as process, _fed(process, request):
        output = cast("asyncio.StreamReader", process.stdout)
        status, headers = await _head(output)
        if whole:
            return web.Response(status=status, headers=headers, body=await output.read())
        response = web.StreamResponse(status=status, headers=headers)
        await response.prepare(request)
        while piece := await output.read(PIECE):
            await response.write(piece)
        return response


@asynccontextmanager
async def child(
    command: Sequence[str], environment: Environment, *, stdin: int = DEVNULL, stderr: int = DEVNULL
) -> AsyncIterator[Process]:
    """Run a program in a process group of its own, to its end; cut off, whatever is left of it is terminated."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=stdin, stdout=PIPE, stderr=stderr, env=environment, process_group=0
    )
    try:
        yield process
        await process.wait()
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)  # not SIGKILL: git removes its lock files
        await process.communicate()


@asynccontextmanager
async def _fed(process: Process, request: web.Request) -> AsyncIterator[None]:
    feeding = asyncio.create_task(_feed(cast("asyncio.StreamWriter", process.stdin), request))
    try:
        yield
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)


async def _feed(program: asyncio.StreamWriter, request: web.Request) -> None:
    try:
        with suppress(ConnectionError):  # it has read enough
            async for piece in request.content.iter_chunked(PIECE):
                program.write(piece)
                await program.drain()
    finally:
        program.close()


async def _head(output: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    lines = (await output.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines if line)
    return int(headers.pop("Status", "200").partition(" ")[0]), headers


def _variables(request: web.Request) -> dict[str, str]:
    """Describe a request the way RFC 3875 has it, but for the body's length.

    Told a length, git 2.39 turns in circles for ever when the client leaves before it has sent so much.
    """
    return {
        "REQUEST_METHOD": request.method,
        "PATH_INFO": request.path,
        "QUERY_STRING": request.rel_url.raw_query_string,
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "REMOTE_ADDR": "127.0.0.1",
        **{
            f"HTTP_{name.upper().replace('-', '_')}": request.headers[name]
            for name in PASSED_ON & request.headers.keys()
        },
    }
