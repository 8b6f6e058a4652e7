"""Install packages from the npm registry into the project's cache, without running their scripts."""

import fcntl
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

CACHE = Path(__file__).parents[2] / ".cache"
OPTIONS = ["--ignore-scripts", "--omit=optional", "--no-save", "--no-package-lock", "--no-audit", "--no-fund"]


def install(name: str, packages: Mapping[str, str], overrides: Mapping[str, str] | None = None) -> Path:
    """Return the folder of the installed packages; a second caller waits for the first and finds them installed.

    `overrides`: versions of their dependencies, for those that the registry does not have.
    """
    folder = CACHE / name
    done = folder / "installed.json"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several workers want it at once
        if not done.exists() or json.loads(done.read_text()) != packages:
            (folder / "package.json").write_text(json.dumps({"private": True, "overrides": overrides or {}}))
            _install(folder, packages)
            done.write_text(json.dumps(packages))  # last: an interrupted installation starts again
    return folder / "node_modules"


def _install(folder: Path, packages: Mapping[str, str]) -> None:
    wanted = [f"{name}@{version}" for name, version in packages.items()]
    subprocess.run(
        ["npm", "install", *OPTIONS, "--prefix", str(folder), *wanted],  # noqa: S607 - the user's own npm
        check=True,
        capture_output=True,
    )
