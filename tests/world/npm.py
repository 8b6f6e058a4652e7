"""Packages from the npm registry, installed into the project's cache, and nothing of them run by that."""

import fcntl
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

CACHE = Path(__file__).parents[2] / ".cache"
OPTIONS = ["--ignore-scripts", "--omit=optional", "--no-save", "--no-package-lock", "--no-audit", "--no-fund"]


def install(name: str, packages: Mapping[str, str]) -> Path:
    """Give the folder of the installed packages; whoever comes second waits for the first and finds them there."""
    folder = CACHE / name
    done = folder / "installed.json"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several workers want it at once
        if not done.exists() or json.loads(done.read_text()) != packages:
            _install(folder, packages)
            done.write_text(json.dumps(packages))  # last: an installation that was cut off is begun again
    return folder / "node_modules"


def _install(folder: Path, packages: Mapping[str, str]) -> None:
    wanted = [f"{name}@{version}" for name, version in packages.items()]
    subprocess.run(
        ["npm", "install", *OPTIONS, "--prefix", str(folder), *wanted],  # noqa: S607 - the npm that the user has
        check=True,
        capture_output=True,
    )
