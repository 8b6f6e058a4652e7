"""The runbook as data: its blocks, its commands, its sections, and a shell to run them in."""

import os
import re
import shlex
import subprocess
from pathlib import Path

from tests.support.paths import ROOT

TEXT = (ROOT / "runbook.md").read_text(encoding="utf-8")
RUN = "20261127T132927Z-c3d7"


def blocks(language: str) -> list[str]:
    """Return the code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


def block(*words: str) -> str:
    """Return the one block of commands that contains all these words."""
    (found,) = [each for each in blocks("sh") if all(word in each for word in words)]
    return found


def commands(program: str = "") -> list[str]:
    """Return the lines of commands, all or those of a program."""
    lines = [line for each in blocks("sh") for line in each.splitlines() if line]
    return [line for line in lines if program in ("", words(line)[0])]


def words(command: str) -> list[str]:
    """Split a command into its words."""
    return shlex.split(command, comments=True)


def sections(text: str) -> list[str]:
    """Return the anchors of a page, as they are made from its titles."""
    plain = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.+)$", plain, re.MULTILINE)
    return [re.sub(r"[^\w -]", "", title.strip().lower()).replace(" ", "-") for title in titles]


def shell(script: str, where: Path, **environment: str) -> str:
    """Run a script in the shell that the runbook is written for; return its output."""
    known = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "RUN": RUN, **environment}
    done = subprocess.run(
        ["/usr/bin/env", "bash", "-c", script], cwd=where, env=known, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    return done.stdout
