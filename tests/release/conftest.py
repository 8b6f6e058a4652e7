"""A whole small production - real sqld, real git over HTTP, stand-in platform and site - and the tool as a process."""

import asyncio
import json
import os
import shutil
import sqlite3
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from steps.support.gateways import migration
from steps.support.gateways.database import Statement, Value
from steps.support.sql_folder import split
from steps.support.standin.faults import Faults
from steps.support.standin.world import TOKEN, World, world

ROOT = Path(__file__).parents[2]
PAGE = 4000  # rows
LOST = "!committed_at"  # an expectation that holds before the migration and fails after it


def _data(*expect: str) -> str:
    """Configure one check, which writes nothing."""
    headers = '{ Cookie = "auth-token=$SITE_AUTH_TOKEN" }'
    return f'[[health]]\nname = "data"\npath = "/api/data"\nheaders = {headers}\nexpect = {json.dumps(expect)}\n'


READING, FAILING, BUILT_IN = _data("status == `200`"), _data("status == `200`", LOST), ""

Event = Mapping[str, Any]
Reaction = Callable[[Event], Awaitable[None]]


@dataclass(frozen=True)
class Ending:
    """What one run of the tool left: exit code, events, report, and what it said on stderr."""

    code: int
    events: list[Event]
    report: dict[str, Any]
    said: str

    def steps(self, part: str = "steps") -> dict[str, str]:
        """Give each step's, or undo's, status, in order."""
        return {step["name"]: step["status"] for step in self.report[part]}


@dataclass(frozen=True)
class State:
    """What must come back: schema, rows and sequences, what is live, and the files of main."""

    schema: str
    rows: dict[str, list[tuple[Value, ...]]]
    live: str | None
    tree: str


@dataclass
class Production:
    """The world, and how to release to it."""

    world: World
    faults: Faults
    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    sql_folder: Path = ROOT / "sql"

    def configure(self, **extra: str) -> Path:
        """Write a configuration that points at the world; `extra` adds lines to a table of that name."""
        tables = {
            "vercel": f'project = "liveone"\napi = "{self.world.api_url}"',
            "turso": f'url = "{self.world.database_url}"',
            "limits": "health_checks = 5\nvercel_deployment = 20",
            "health": READING,
            **extra,
        }
        top = tables.pop("top", "")
        path = self.folder / "orchestrate.toml"
        top = top or f'repository = "{self.world.checkout}"'
        text = f'{top}\nsite = "{self.world.site_url}"\nsql = "{self.sql_folder}"\n'
        path.write_text(
            text
            + "".join(f"[{name}]\n{lines}\n" for name, lines in tables.items() if name != "health")
            + tables["health"]
        )
        return path

    @property
    def environment(self) -> dict[str, str]:
        """Give the environment that the tool runs in."""
        secrets = {"VERCEL_TOKEN": TOKEN, "CRON_SECRET": TOKEN, "SITE_AUTH_TOKEN": TOKEN}
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder), **secrets, **self.settings}

    @asynccontextmanager
    async def started(self, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """Start the tool, and make sure that it does not outlive the block."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(ROOT / "orchestrate.py"),
            *words,
            stdout=PIPE,
            stderr=PIPE,
            env=self.environment,
            cwd=self.folder,
            limit=1 << 24,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()

    async def release(self, *words: str, react: Reaction | None = None, **extra: str) -> Ending:
        """Run the tool with --prod to its end; `react` is told of each event as it is printed."""
        config = self.configure(**extra)
        async with self.started("--prod", "--yes", "--json", "--config", str(config), *words) as process:
            return await self.watched(process, react)

    async def watched(self, process: asyncio.subprocess.Process, react: Reaction | None = None) -> Ending:
        """Follow a run that was started with --json to its end."""
        assert process.stdout
        assert process.stderr
        complaints = asyncio.ensure_future(process.stderr.read())
        events: list[Event] = []
        async for line in process.stdout:
            events.append(json.loads(line))
            if react:
                await react(events[-1])
        said = (await complaints).decode()
        return Ending(await process.wait(), events, self._report(events), said)

    def _report(self, events: list[Event]) -> dict[str, Any]:
        if not events:
            return {}
        path = self.folder / "runs" / events[0]["run"] / "report.json"
        return dict(json.loads(path.read_text()))

    async def sql(self, text: str) -> list[tuple[Value, ...]]:
        """Run one statement on the database itself."""
        return list((await self.world.database.query(Statement(text))).values)

    async def state(self) -> State:
        """Read everything that must come back."""
        tables = [str(name) for (name,) in await self.sql(migration.TABLES)]
        rows = {table: await self._rows(table) for table in [*tables, "sqlite_sequence"]}
        own = [row for row in rows["sqlite_sequence"] if not str(row[0]).startswith("_orchestrate_")]
        schema = str((await self.sql(migration.SCHEMA))[0][0])
        return State(
            schema,
            {**rows, "sqlite_sequence": own},
            self.world.platform.served,
            await self.git("rev-parse", "main^{tree}"),
        )

    async def _rows(self, table: str) -> list[tuple[Value, ...]]:
        """Read a whole table, in pages that the server can answer."""
        rows: list[tuple[Value, ...]] = []
        while page := await self.sql(f'SELECT * FROM "{table}" ORDER BY 1 LIMIT {PAGE} OFFSET {len(rows)}'):
            rows += page
        return rows

    async def git(self, *words: str, where: Path | None = None) -> str:
        """Ask git, in the remote unless told otherwise."""
        process = await asyncio.create_subprocess_exec(
            "git", "-C", str(where or self.world.remote), *words, stdout=PIPE, stderr=PIPE, env=self.environment
        )
        out, err = await process.communicate()
        assert process.returncode == 0, err
        return out.decode().strip()

    @asynccontextmanager
    async def visited(self) -> AsyncIterator[list[int]]:
        """Have a visitor ask for data ten times a second meanwhile; gives the statuses of the answers."""
        statuses: list[int] = []
        visitor = asyncio.ensure_future(self._visit(statuses))
        try:
            yield statuses
        finally:
            visitor.cancel()
            await asyncio.gather(visitor, return_exceptions=True)

    async def _visit(self, statuses: list[int]) -> None:
        async with httpx.AsyncClient(base_url=self.world.site_url, headers={"Cookie": f"auth-token={TOKEN}"}) as client:
            while True:
                statuses.append((await client.get("/api/data")).status_code)
                await asyncio.sleep(0.1)


@pytest.fixture(scope="session")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Load sample.sql once for all tests; gives its file, beside which another has few readings."""
    folder = tmp_path_factory.mktemp("sampled")
    with closing(sqlite3.connect(folder / "large.db", isolation_level=None)) as database:
        database.execute("PRAGMA synchronous = OFF")
        for statement in split((ROOT / "sql" / "sample.sql").read_text(encoding="utf-8"), "sample.sql"):
            database.execute(statement.sql)
        database.execute("VACUUM INTO ?", (str(folder / "small.db"),))
    with closing(sqlite3.connect(folder / "small.db", isolation_level=None)) as database:
        for table in ("readings", "readings_agg_5m"):
            database.execute(f"DELETE FROM {table} WHERE id % 100 > 0")
        database.execute("VACUUM")
    return folder


@asynccontextmanager
async def _on(database: Path, folder: Path, binary: Path) -> AsyncIterator[Production]:
    """Make a production on a copy of a database; its builds take a moment, and one release waits in the checkout."""
    faults, copy = Faults(), Path(shutil.copy(database, folder / "copy.db"))
    async with world(folder, ROOT / "sql", binary, faults, copy=copy) as made:
        made.platform.build_seconds, made.platform.alias_seconds = 1.5, 0.1
        yield Production(made, faults, folder)


@pytest.fixture
async def large_production(tmp_path: Path, sampled: Path, sqld_binary: Path) -> AsyncIterator[Production]:
    """Give a production with 20,160 readings."""
    async with _on(sampled / "large.db", tmp_path, sqld_binary) as made:
        yield made


@pytest.fixture
async def production(tmp_path: Path, sampled: Path, sqld_binary: Path) -> AsyncIterator[Production]:
    """Give one with few enough readings to compare them in a moment."""
    async with _on(sampled / "small.db", tmp_path, sqld_binary) as made:
        yield made
