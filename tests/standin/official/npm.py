"""The platform's own clients, installed from the npm registry into the project's cache, and nothing of them run by that."""

import fcntl
import json
import subprocess
from pathlib import Path

CACHE = Path(__file__).parents[3] / ".cache" / "npm-clients"
DONE = CACHE / "installed.json"
PACKAGES = {"@vercel/sdk": "1.28.35", "vercel": "60.1.3"}
OPTIONS = ["--ignore-scripts", "--omit=optional", "--no-save", "--no-package-lock", "--no-audit", "--no-fund"]


def install() -> Path:
    """Give the folder of the installed packages; whoever comes second waits for the first and finds them there."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several workers want it at once
        if not DONE.exists() or json.loads(DONE.read_text()) != PACKAGES:
            _install()
            DONE.write_text(json.dumps(PACKAGES))  # last: an installation that was cut off is begun again
    return CACHE / "node_modules"


def _install() -> None:
    wanted = [f"{name}@{version}" for name, version in PACKAGES.items()]
    subprocess.run(
        ["npm", "install", *OPTIONS, "--prefix", str(CACHE), *wanted],  # noqa: S607 - the npm that the user has
        check=True,
        capture_output=True,
    )
