"""Count the product's files that single actions execute: uv run python -m tests.bench.files.

Every call of a function is traced, in threads and in the tool's own process, too. Defining classes and functions is not.
What applies a step is traced apart from what runs beside it, such as the requests that measure downtime.
"""

import asyncio
import json
import os
import shutil
import sqlite3
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import aclosing, closing, contextmanager
from contextvars import ContextVar
from functools import partial, partialmethod
from importlib import import_module
from pathlib import Path
from typing import Any

from steps.support.gateways.database.connect import connect
from steps.support.proof.config import Limits
from steps.support.proof.copy.copy import copy_database
from steps.support.proof.rehearsal import sqld
from steps.support.proof.rows.diff import row_diff
from steps.support.sql.script import split
from steps.support.standin.drill import drill, forked
from steps.support.standin.drill.trial import ROOT, Trial
from steps.support.standin.faults import Faults
from steps.support.standin.world import local_production
from tests.bench.repeated import small_database
from tests.support.production.sample import samples

PRODUCT = (str(ROOT / "steps") + os.sep, str(ROOT / "orchestrate.py"))
CONCERNED = ContextVar("CONCERNED", default=False)  # true in the tasks and threads of the block that is traced
BECOME = forked._become  # noqa: SLF001 - what the tool's process begins with


@contextmanager
def traced() -> Iterator[set[str]]:
    """Collect the product's files in which a function is called inside the block."""
    files: set[str] = set()

    def note(frame: Any, event: str, _: Any) -> None:
        name = frame.f_code.co_filename
        if event == "call" and CONCERNED.get() and frame.f_code.co_name != "<module>" and name.startswith(PRODUCT):
            files.add(os.path.relpath(name, ROOT))

    threading.setprofile(note)
    sys.setprofile(note)
    token = CONCERNED.set(True)
    try:
        yield files
    finally:
        CONCERNED.reset(token)
        sys.setprofile(None)
        threading.setprofile(None)


def become_traced(place: str, step: str, *words: Any) -> None:
    """Be the tool, and leave the files that it executed in a file; with a step, those of applying it."""
    if step:
        module = import_module(f"steps.{step}")
        (kind,) = (each for each in vars(module).values() if getattr(each, "name", "") == step)
        kind.apply = partialmethod(apply_traced, kind.apply, place)
        BECOME(*words)
        return
    with traced() as files:
        try:
            BECOME(*words)
        finally:
            Path(place).write_text(json.dumps(sorted(files)))


async def apply_traced(self: Any, apply: Callable[..., Any], place: str, *what: Any) -> Any:
    """Apply a step, and leave the files that were executed in a file."""
    with traced() as files:
        done = await apply(self, *what)
    await asyncio.to_thread(Path(place).write_text, json.dumps(sorted(files)))
    return done


def of_the_tool(place: Path, run: Callable[[], Any], step: str = "") -> set[str]:
    """Return the files that the tool's process executes while `run` uses it once; with a step, those of applying it."""
    vars(forked)["_become"] = partial(become_traced, str(place), step)
    run()
    return set(json.loads(place.read_text()))


def a_release(folder: Path, database: Path, binary: Path, *, dirty: bool = False, step: str = "") -> set[str]:
    """Return the files of a release that deploys; or of one that is refused, because the checkout is not clean."""

    async def play() -> None:
        faults = Faults()
        copy = await asyncio.to_thread(shutil.copyfile, database, folder / "copy.db")
        async with local_production(folder, ROOT / "sql", binary, faults, staged=False, copy=copy) as made:
            made.platform.build_seconds = made.platform.alias_seconds = 0.1
            if dirty:
                (made.checkout / "index.html").write_text("changed, and not committed")
            ended = await Trial(made, faults, folder, sql_folder=ROOT / "sql").release()
            assert ended.code == (3 if dirty else 0), ended.report

    return of_the_tool(folder / "files.json", partial(asyncio.run, play()), step)


def a_drill_row(folder: Path, sample: Path, binary: Path) -> set[str]:
    """Return the files of the drill and of the tool in one row: the health checks fail."""
    row = next(
        each for each in drill.rows(drill.read(drill.FAULTS)) if (each[0].name, each[1]) == ("fails", "health_checks")
    )
    with traced() as files:
        play = partial(asyncio.run, drill.drill_row(row, ROOT / "sql", sample, binary, folder))
        return of_the_tool(folder / "files.json", play) | files


def a_copy(folder: Path, binary: Path) -> set[str]:
    """Return the files of copying a small database from the real server, with its backup and the comparison."""

    async def play() -> set[str]:
        async with sqld.serve(binary, folder / "server") as address, aclosing(connect(address, None)) as database:
            await database.transaction(
                split("CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 2);", "t")
            )
            with traced() as files:
                await copy_database(database, folder, Limits(60, 10**9))
            return files

    return asyncio.run(play())


def a_row_diff(folder: Path) -> set[str]:
    """Return the files of comparing two databases in which a row of a table differs."""
    for name, value in (("before", 1), ("after", 2)):
        with closing(sqlite3.connect(folder / f"{name}.db")) as connection:
            connection.executescript(f"CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, {value});")
    with traced() as files:
        row_diff(folder / "before.db", folder / "after.db")
    return files


def main() -> int:
    """Print the table."""
    if not (binary := sqld.find(None)):
        sys.stderr.write(f"sqld is missing: {sqld.FETCH}\n")
        return 2
    with tempfile.TemporaryDirectory(prefix="f-") as name, small_database() as database:
        folders = (Path(name) / str(number) for number in range(9))

        def folder() -> Path:
            made = next(folders)
            made.mkdir()
            return made

        sample = samples(folder()) / "small.db"
        for what, files in {
            "apply of git_push": a_release(folder(), database, binary, step="git_push"),
            "apply of turso_migration": a_release(folder(), database, binary, step="turso_migration"),
            "a release that deploys": a_release(folder(), database, binary),
            "a release that is refused: the checkout is not clean": a_release(folder(), database, binary, dirty=True),
            "one row diff": a_row_diff(folder()),
            "one copy": a_copy(folder(), binary),
            "one row of the drill, the tool among it": a_drill_row(folder(), sample, binary),
        }.items():
            print(f"| {what} | {len(files)} |")  # noqa: T201 - it is what this is for
            if "-v" in sys.argv:
                print("\n".join(f"    {each}" for each in sorted(files)))  # noqa: T201 - likewise
    return 0


if __name__ == "__main__":
    sys.exit(main())
