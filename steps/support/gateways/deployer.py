"""Run the operator's own command that deploys the commit, such as `vercel deploy --prebuilt --prod --skip-domain`."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from steps.support.core import process
from steps.support.core.errors import Unknown
from steps.support.core.text import printable

SHOWN = 600  # characters that are kept of what a failed command printed
_HOST = re.compile(r"https://([A-Za-z0-9.-]+)")
_IN_FOLDER = 'cd -- "$1" && eval "$2"'  # the command is one for the shell


@dataclass(frozen=True, slots=True)
class Deployer:
    """A command that deploys the commit that is checked out in `folder`, and prints the deployment's URL.

    It runs in a process group of its own, which ends with the call. Of our secrets, it gets only the platform's token,
    as VERCEL_TOKEN; it gets the commit as COMMIT_SHA.
    """

    command: str = ""
    folder: Path = Path()
    token: str = field(default="", repr=False)

    async def deploy(self, sha: str) -> str:
        """Run the command, and return the host of the last URL that it printed. Raise Unknown if it fails."""
        environment = process.child_environment() | {"VERCEL_TOKEN": self.token, "COMMIT_SHA": sha}
        shell = ["/bin/sh", "-c", _IN_FOLDER, "deploy", str(self.folder), self.command]
        answer = await process.run(shell, environment)
        hosts = _HOST.findall(answer.out)
        if answer.code or not hosts:
            said = printable(" ".join((answer.err or answer.out)[-SHOWN:].split()))
            cause = f"it exited with code {answer.code}" if answer.code else "it printed no URL of a deployment"
            raise Unknown(
                code="build-failed",
                operation="running",
                subject="vercel.deploy",
                cause=f"{cause}{': ' if said else ''}{said}",
                remedy="Run the command by hand in the checkout, and fix what it reports.",
            )
        return str(hosts[-1])
