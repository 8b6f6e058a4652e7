"""What a command that we start gets of our own environment: enough to work, and no key that it has no use for."""

import os
import shutil
from pathlib import PurePath

# Whatever may hold a key; the settings, too, may have one written into a header.
WITHHELD = frozenset({
    "VERCEL_TOKEN", "VERCEL_AUTOMATION_BYPASS_SECRET", "TURSO_AUTH_TOKEN", "TURSO_DATABASE_URL", "CRON_SECRET",
    "SITE_AUTH_TOKEN", "NOTIFY_URLS",
})  # fmt: skip
_SETTINGS = "ORCHESTRATE_"


def inherited() -> dict[str, str]:
    """Give our environment without our keys; programs are found on the absolute part of PATH alone."""
    passed_on = {name: value for name, value in os.environ.items() if not _is_ours(name.upper())}
    return {**passed_on, "PATH": path()}


def path() -> str:
    """Give PATH without its relative entries: what lies in the current directory is never what is meant."""
    entries = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(entry for entry in entries if PurePath(entry).is_absolute())


def found(program: str) -> str | None:
    """Give the path of a program, None where there is none."""
    return shutil.which(program, path=path())


def keys() -> list[str]:
    """Give the keys that our environment holds, for whoever hides them."""
    return [os.environ[name] for name in WITHHELD - {"TURSO_DATABASE_URL"} if name in os.environ]


def _is_ours(name: str) -> bool:
    return name in WITHHELD or name.startswith(_SETTINGS)
