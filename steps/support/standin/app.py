"""A small app with a real history: the live code is pushed, and one commit waits to be released."""

import asyncio
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

from steps.support.core.errors import Problem
from steps.support.standin.git_remote import ENVIRONMENT
from steps.support.standin.site import CONTRACT

LIVE = "The code that is live"
IDENTITY = ("-c", "user.name=rehearsal", "-c", "user.email=rehearsal@example.invalid", "-c", "commit.gpgsign=false")


async def create(checkout: Path, remote: Path, old: str, new: str) -> str:
    """Create a checkout with contract `old` on the remote and `new` one commit ahead.

    Return the commit that the remote has.
    """
    await _git("init", "--quiet", "--initial-branch=main", str(checkout))
    live = await _commit(checkout, old, LIVE)
    await _git("-C", str(checkout), "push", "--quiet", str(remote), "HEAD:refs/heads/main")
    await _commit(checkout, new, "The code that is to be released")
    return live


async def point(checkout: Path, url: str) -> None:
    """Add the remote to the checkout as origin."""
    await _git("-C", str(checkout), "remote", "add", "origin", url)


async def _commit(checkout: Path, contract: str, subject: str) -> str:
    (checkout / CONTRACT).write_text(contract, encoding="utf-8")
    await _git("-C", str(checkout), "add", CONTRACT)
    await _git("-C", str(checkout), *IDENTITY, "commit", "--quiet", "--no-verify", "--allow-empty", "-m", subject)
    return (await _git("-C", str(checkout), "rev-parse", "HEAD")).strip()


async def _git(*arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "git", *arguments, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=ENVIRONMENT
    )
    out, err = await process.communicate()
    if process.returncode:
        raise Problem(
            code="stand-ins",
            operation="running",
            subject=f"git {' '.join(arguments)}",
            cause=err.decode(errors="replace").strip(),
            remedy="Check git.",
        )
    return out.decode(errors="replace")
