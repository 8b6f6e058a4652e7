"""Measure three writers during the rebuild of a large table: by the tool, and by the same transaction without it."""

import asyncio
import shutil
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

from steps.support.core.errors import Problem
from steps.support.gateways.database.connect import connect
from steps.support.gateways.database.protocol import Database
from steps.support.proof.rehearsal import sqld
from steps.support.sql.script import split
from steps.support.sql.statement import Statement
from steps.support.standin.drill.trial import ROOT
from tests.bench.repeated import Spread, production, row
from tests.bench.rows import BIG, FILL, INDEX, ROW

WRITERS = 3
PAUSE = 0.02  # seconds between two writes of one writer
PATIENCE = 8.0  # seconds after which a write counts as unanswered
AROUND = 1.0  # seconds of writing before and after the transaction without the tool
BUILD_SECONDS = 1.0
ANEW, RENAMED = BIG.replace("TABLE big", "TABLE big_anew"), BIG.replace("TABLE big", 'TABLE "big"')
COLUMNS = "id, system_id, at, solar_w, load_w, battery_w, soc, kwh, name, note"
MIGRATE = f"""-- name: made-anew
-- changes: big
{ANEW.replace("note TEXT)", "note TEXT, day INTEGER)")};
INSERT INTO big_anew SELECT {COLUMNS}, at / 86400 FROM big;
DROP TABLE big;
ALTER TABLE big_anew RENAME TO big;
{INDEX};
"""
BACK = f"""{ANEW};
INSERT INTO big_anew SELECT {COLUMNS} FROM big;
DROP TABLE big;
ALTER TABLE big_anew RENAME TO big;
{INDEX};
"""
EMPTY = ("verify.sql", "verify_rollback.sql", "writes.sql")
APP = "CREATE TABLE app (writer INTEGER NOT NULL, number INTEGER NOT NULL)"
VERDICTS = {"deployed": "released", "refused": "refused beforehand"}


@dataclass(frozen=True, slots=True)
class Met:
    """The outcome, and what writers met: writes turned away, seconds of the slowest one, and whether they are locked out.

    `seconds`: of the transaction; 0 if more than the transaction was done.
    """

    ended: str
    seconds: float
    turned_away: int
    longest: float
    locked_out: bool


@dataclass
class App:
    """Three writers, each on its own streams, until they are stopped."""

    database: Database
    turned_away: int = 0
    longest: float = 0.0
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def writing(self, writer: int) -> None:
        """Write until cancelled."""
        for number in count():
            await self.write(writer, number)
            await asyncio.sleep(PAUSE)

    async def write(self, writer: int, number: int) -> bool:
        """Write one row; return True if it was accepted."""
        began = monotonic()
        try:
            async with asyncio.timeout(PATIENCE):
                await self.database.query(Statement("INSERT INTO app VALUES (?, ?)", (writer, number)))
        except (Problem, TimeoutError):
            self.turned_away += 1
            return False
        finally:
            self.longest = max(self.longest, monotonic() - began)
        return True

    async def met(self, ended: str, seconds: float = 0.0) -> Met:
        """Stop the writers, and try whether a write is accepted afterwards."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        before = self.turned_away, self.longest
        return Met(ended, seconds, *before, locked_out=not await self.write(WRITERS, 0))


@asynccontextmanager
async def busy(database: Database) -> AsyncIterator[App]:
    """Run three writers during the block."""
    app = App(database)
    app.tasks += [asyncio.ensure_future(app.writing(number)) for number in range(WRITERS)]
    try:
        yield app
    finally:
        for task in app.tasks:
            task.cancel()


async def by_tool(file: Path) -> Met:
    """Release the change while the writers write."""
    async with production(file, build_seconds=BUILD_SECONDS) as trial:
        trial.sql_folder = _folder(trial.folder / "sql")
        async with busy(trial.world.database) as app:
            result = await trial.release()
            return await app.met(VERDICTS.get(result.report["verdict"], result.report["verdict"]))


async def by_itself(file: Path) -> Met:
    """Run the same statements as one transaction while the writers write, as a script would."""
    with TemporaryDirectory(prefix="bench-") as temporary:
        place = Path(temporary) / "database" / sqld.PLACE
        place.parent.mkdir(parents=True)
        await asyncio.to_thread(shutil.copyfile, file, place)
        async with (
            sqld.serve(sqld.fetch(), Path(temporary) / "database") as url,
            aclosing(connect(url, None)) as database,
            busy(database) as app,
        ):
            await asyncio.sleep(AROUND)
            began, ended = monotonic(), "committed"
            try:
                await database.transaction(split(MIGRATE, "migrate.sql"))
            except Problem:
                ended = "failed"
            took = monotonic() - began
            await asyncio.sleep(AROUND)
            return await app.met(ended, took)


def _folder(folder: Path) -> Path:
    """Create a SQL folder of the change, with the contract of the shipped one."""
    shutil.copytree(ROOT / "sql", folder)
    files = {"migrate.sql": MIGRATE, "rollback.sql": BACK, **dict.fromkeys(EMPTY, "-- nothing\n")}
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    shutil.copyfile(folder / "contract/old.sql", folder / "contract/new.sql")
    return folder


@contextmanager
def filled(sample: Path, rows: int) -> Iterator[Path]:
    """Yield a copy of the sample with a table of so many rows, and a table for the writers."""
    with TemporaryDirectory(prefix="bench-") as folder:
        file = Path(shutil.copyfile(sample, Path(folder) / "filled.db"))
        with closing(sqlite3.connect(file, isolation_level=None)) as database:
            for sql in ("PRAGMA synchronous = OFF", APP, RENAMED, FILL.format(1, rows, ROW), INDEX):
                database.execute(sql)
        yield file


def rows(many: int, tool: Sequence[Met], alone: Sequence[Met]) -> list[str]:
    """Return the README's rows for a table of so many rows."""
    what = f"three writers during the rebuild of {many:,} rows of ten columns: the release"
    return [
        row(what, _summary(tool), "writers"),
        row("for comparison: the same transaction without the tool", _summary(alone)),
    ]


def _summary(several: Sequence[Met]) -> str:
    ended = ", ".join(f"{times}x {each}" for each, times in Counter(each.ended for each in several).items())
    seconds = Spread([each.seconds for each in several])
    took = f" in {seconds.seconds}" if any(seconds.values) else ""
    away = Spread([float(each.turned_away) for each in several]).summary("writes turned away", 0)
    longest = Spread([each.longest for each in several]).seconds
    out = sum(each.locked_out for each in several)
    after = (
        f"**no write is accepted afterwards, {out} of {len(several)} times**"
        if out
        else "writes are accepted afterwards"
    )
    return f"{ended}{took}; {away}; longest write {longest}; {after}"
