"""The official SDK and the official CLI as processes, pointed at a stand-in."""

import asyncio
import json
import os
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TEAM = "team_1"
DEADLINE = 45.0  # seconds for any one call, on a machine that has other things to do
QUIET = {"VERCEL_TELEMETRY_DISABLED": "1", "NO_UPDATE_NOTIFIER": "1", "CI": "1", "NO_COLOR": "1"}

Call = Callable[..., Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, and what it said."""

    code: int
    stdout: str
    stderr: str


@asynccontextmanager
async def sdk(packages: Path, url: str, token: str) -> AsyncIterator[Call]:
    """Return a function that calls one of the SDK's functions by its name: {"value": ...}, or {"error": ...}."""
    modules = packages / "@vercel" / "sdk" / "esm"
    words = [str(Path(__file__).with_name("sdk.mjs")), str(modules), url, token]
    process = await asyncio.create_subprocess_exec("node", *words, stdin=PIPE, stdout=PIPE, limit=2**20)
    try:
        yield lambda call, **asked: _called(process, {"call": call, "asked": asked})
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def _called(process: Process, request: dict[str, Any]) -> dict[str, Any]:
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps(request).encode() + b"\n")
    async with asyncio.timeout(DEADLINE):
        answer: dict[str, Any] = json.loads(await process.stdout.readline())
    return answer


async def cli(packages: Path, folder: Path, url: str, token: str, *words: str) -> Ended:
    """Run the CLI in a folder that is linked to the project, at home nowhere, and wait for its end."""
    (folder / ".vercel").mkdir(exist_ok=True)
    link = {"orgId": TEAM, "projectId": "prj_standin", "projectName": "liveone"}
    (folder / ".vercel" / "project.json").write_text(json.dumps(link))
    command = [str(packages / "vercel" / "dist" / "vc.js"), "--api", url, "--token", token, *words]
    process = await asyncio.create_subprocess_exec(
        "node", *command, cwd=folder, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=_surroundings(folder)
    )
    try:
        async with asyncio.timeout(DEADLINE):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Ended(process.returncode or 0, out.decode(), err.decode())


def _surroundings(folder: Path) -> dict[str, str]:
    return {**QUIET, "PATH": os.environ["PATH"], "HOME": str(folder)}
