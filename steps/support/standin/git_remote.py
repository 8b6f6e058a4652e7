"""A real git remote over real HTTP: a bare repository behind git's own CGI program."""

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from base64 import b64decode
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import cast

from aiohttp import web
from aiohttp.typedefs import Handler

from steps.support.core import process
from steps.support.core.errors import Problem
from steps.support.standin.faults import Faults, Kind, faulty

PIECE = 64 * 1024  # bytes
PASSED_ON = {"Accept", "Content-Encoding", "Git-Protocol", "User-Agent"}

Environment = Mapping[str, str]


async def answer(
    request: web.Request, command: Sequence[str], environment: Environment, *, whole: bool
) -> web.StreamResponse:
    """Let the program answer a request. If `whole`, send nothing until the answer is complete."""
    async with (
        child(command, {**environment, **_variables(request)}, stdin=PIPE) as process,
        _feeding(process, request),
    ):
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
    """Run a program in a process group of its own until it ends. If the block ends early, terminate the group."""
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
async def _feeding(process: Process, request: web.Request) -> AsyncIterator[None]:
    feeding = asyncio.create_task(_feed(cast("asyncio.StreamWriter", process.stdin), request))
    try:
        yield
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)


async def _feed(program: asyncio.StreamWriter, request: web.Request) -> None:
    try:
        with suppress(ConnectionError):  # the program has read enough and closed its input
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
    """Return the variables of the request that RFC 3875 defines, except for the length of the body.

    If git 2.39 gets a length, it loops forever when the client disconnects before it has sent that many bytes.
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


OnPush = Callable[[str, str, str], object]  # commit, branch, the commit's subject

# Isolates the remote from the git configuration of this machine.
ENVIRONMENT = {
    "PATH": process.search_path(),
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "LC_ALL": "C",
}


async def create(repository: Path, branch: str = "main") -> Path:
    """Create an empty bare repository that accepts pushes over HTTP; return its path. Raise Problem if git fails."""
    await _git("init", "--bare", "--quiet", f"--initial-branch={branch}", str(repository))
    await _git("--git-dir", str(repository), "config", "http.receivepack", "true")
    return repository


class GitRemote:
    """Serves one bare repository at /<the name of its folder>.

    `on_push`: called after the branch has moved, and before the client that moved it gets an answer. `token`: if it is
    set, every request must contain it, as a bearer token or as any user's password.
    """

    def __init__(
        self, repository: Path, faults: Faults, on_push: OnPush, branch: str = "main", token: str = ""
    ) -> None:
        self._repository = repository
        self._faults = faults
        self._on_push = on_push
        self._branch = branch
        self._token = token
        self._head: str | None = None
        self._backend = ""  # git's CGI program
        self._files: dict[tuple[str, str], str] = {}

    async def application(self) -> web.Application:
        """Build the HTTP application of the remote. Commits already on the branch are not reported to `on_push`."""
        self._head, _ = await self._tip()
        self._backend = f"{(await _git('--exec-path')).decode().strip()}/git-http-backend"
        broken = faulty(self._faults, ("git_push",), _forbidden, _keeps_answer)
        app = web.Application(middlewares=[broken, self._admitted])
        app.router.add_route("*", f"/{self._repository.name}/{{rest:.*}}", self._serve)
        return app

    async def show(self, sha: str, path: str) -> str:
        """Return the text of a file in a commit. Raise Problem if there is no such file."""
        if (sha, path) not in self._files:
            blob = await _git("--git-dir", str(self._repository), "cat-file", "blob", f"{sha}:{path}")
            self._files[sha, path] = blob.decode()
        return self._files[sha, path]

    @web.middleware
    async def _admitted(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._token and self._token != _credential(request):
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="standin"'})
        return await handler(request)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        environment = {
            **ENVIRONMENT,
            "GIT_PROJECT_ROOT": str(self._repository.parent),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REMOTE_USER": "standin",
        }
        # The result of a push is short. It is buffered, so that nothing has been sent yet if a fault loses the answer.
        whole = request.path.endswith("/git-receive-pack")
        try:
            return await answer(request, (self._backend,), environment, whole=whole)
        finally:
            await self._announce()

    async def _announce(self) -> None:
        sha, subject = await self._tip()
        if sha and sha != self._head:
            self._head = sha
            self._on_push(sha, self._branch, subject)

    async def _tip(self) -> tuple[str | None, str]:
        branch = f"refs/heads/{self._branch}"
        form = "--format=%(objectname) %(subject)"
        line = await _git("--git-dir", str(self._repository), "for-each-ref", form, branch)
        sha, _, subject = line.decode().strip().partition(" ")
        return sha or None, subject


def _credential(request: web.Request) -> str:
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    return b64decode(value).decode().partition(":")[2] if scheme == "Basic" else value


def _forbidden(_request: web.Request) -> web.Response:
    return web.Response(status=403, text="Permission denied.\n")


def _keeps_answer(request: web.Request, kind: Kind) -> bool:
    """Return True for requests that change nothing, because their answers are never lost."""
    return kind == "lost" and not request.path.endswith("/git-receive-pack")


async def _git(*arguments: str) -> bytes:
    async with child(("git", *arguments), ENVIRONMENT, stderr=PIPE) as process:
        output, complaint = await process.communicate()
    if process.returncode:
        raise Problem(
            code="stand-ins",
            operation="running git",
            subject=arguments[-1],
            cause=complaint.decode().strip(),
            remedy="Look at the remote's repository.",
        )
    return output
