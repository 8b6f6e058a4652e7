"""Break the lines that keep production safe, one at a time, and check that a named test notices each.

    python -m tests.mutations.run [WORDS]   # all, or those whose name has these words; ends with 1 if one survives

A mutation is a piece of text in one file and its replacement (mutations.toml). Everything runs on copies.
"""

import asyncio
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import ROOT

LIST = Path(__file__).with_name("mutations.toml")
ABREAST = 2  # copies in use at the same time
PYTEST = ("-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider")
PASSED, FAILED = 0, 1  # exit codes of pytest
LONGEST, HUNG = 180.0, -1  # seconds that a test may take, and its exit code if it takes longer


@dataclass(frozen=True, slots=True)
class Mutation:
    """One line to break: its name, the file, the text to replace, its replacement, and the test that notices."""

    name: str
    file: str
    find: str
    replace: str
    test: str

    def broken(self, text: str) -> str:
        """Return the file's text with the line broken. Raise ValueError if the text is not in it exactly once."""
        if text.count(self.find) != 1:
            raise ValueError(f"{self.name}: {self.file} has its text {text.count(self.find)} times, not once")
        return text.replace(self.find, self.replace)


def mutations() -> list[Mutation]:
    """Return the whole list."""
    return [Mutation(**row) for row in tomllib.loads(LIST.read_text(encoding="utf-8"))["mutation"]]


def main(words: Sequence[str]) -> int:
    """Try every mutation whose name has all these words; return the exit code."""
    chosen = [each for each in mutations() if all(word in each.name for word in words)]
    for each in chosen:
        each.broken((ROOT / each.file).read_text(encoding="utf-8"))
    return asyncio.run(_try_all(chosen))


async def _try_all(chosen: Sequence[Mutation]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        copies = asyncio.Queue[Path]()
        for copy in _copies(Path(folder)):
            copies.put_nowait(copy)
        if broken := await _failing({each.test for each in chosen}, copies):
            _print(f"these tests fail before anything is broken: {', '.join(broken)}")
            return 2
        ends = await asyncio.gather(*(_try(each, copies) for each in chosen))
    survivors = [each.name for each, killed in zip(chosen, ends, strict=True) if not killed]
    _print(f"{len(chosen)} mutations, {len(survivors)} survivors{': ' if survivors else ''}{'; '.join(survivors)}")
    return int(bool(survivors))


def _copies(folder: Path) -> Iterator[Path]:
    """Copy the files that git tracks, and the new ones, once per concurrent worker."""
    listed = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split("\0")
    for number in range(ABREAST):
        for name in filter(None, names):
            (copy := folder / str(number) / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, copy)
        yield folder / str(number)


async def _failing(tests: set[str], copies: "asyncio.Queue[Path]") -> list[str]:
    ends = await asyncio.gather(*(_run(test, copies) for test in sorted(tests)))
    return [test for test, code in zip(sorted(tests), ends, strict=True) if code != PASSED]


async def _try(mutation: Mutation, copies: "asyncio.Queue[Path]") -> bool:
    """Return True if the named test notices; print the outcome."""
    code = await _run(mutation.test, copies, mutation)
    outcome = {PASSED: "SURVIVED", FAILED: "killed"}.get(code, f"pytest ended with {code}")
    _print(f"{outcome:9} {mutation.name}: {mutation.test}")
    return code == FAILED


async def _run(test: str, copies: "asyncio.Queue[Path]", mutation: Mutation | None = None) -> int:
    copy = await copies.get()
    path = copy / mutation.file if mutation else copy
    text = path.read_text(encoding="utf-8") if mutation else ""
    try:
        if mutation:
            path.write_text(mutation.broken(text), encoding="utf-8")
        command = (sys.executable, *PYTEST, test)
        process = await asyncio.create_subprocess_exec(*command, cwd=copy, stdout=asyncio.subprocess.DEVNULL)
        try:
            async with asyncio.timeout(LONGEST):
                return await process.wait()
        except TimeoutError:
            process.kill()
            return HUNG
    finally:
        if mutation:
            path.write_text(text, encoding="utf-8")
        copies.put_nowait(copy)


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
