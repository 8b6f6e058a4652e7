"""Run the tool as a process against a small production, follow its events, and read what a rollback must restore."""

import asyncio
import json
import os
import sqlite3
from abc import ABC, abstractmethod
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from steps.support.core.errors import Problem
from steps.support.gateways import transaction
from steps.support.proof.rehearsal import sqld
from steps.support.sql.statement import Statement, Value
from steps.support.sql.tokens import quoted
from steps.support.standin.drill import forked
from steps.support.standin.drill.forked import ToolProcess
from steps.support.standin.faults import Faults
from steps.support.standin.world import TOKEN, LocalProduction

ROOT = Path(__file__).parents[4]
READING = """[[health]]
name = "data"
path = "/api/data"
headers = { Cookie = "auth-token=$SITE_AUTH_TOKEN" }
expect = ["status == `200`"]
"""  # a single check, which writes nothing

Event = Mapping[str, Any]
Reaction = Callable[[Event], Awaitable[None]]


@dataclass(frozen=True)
class RunResult:
    """The result of one run of the tool. `report`: empty if it was killed. `said`: what it wrote to stderr."""

    code: int
    events: list[Event]
    report: dict[str, Any]
    said: str

    def steps(self, part: str = "steps") -> dict[str, str]:
        """Return the status of each step, or of each rollback, in order."""
        return {step["name"]: step["status"] for step in self.report[part]}


@dataclass(frozen=True)
class State:
    """What a rollback must restore: the schema, the rows and sequences, the live deployment, and the files of main."""

    schema: str
    rows: dict[str, list[tuple[Value, ...]]]
    live: str | None
    tree: str


@dataclass
class AnyTrial(ABC):
    """A small production of any kind, and how to release to it.

    `settings`: variables that are added to the tool's environment.
    """

    world: LocalProduction
    faults: Faults
    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    sql_folder: Path = ROOT / "sql"

    @abstractmethod
    async def release(self, *words: str, react: Reaction | None = None, **extra: str) -> RunResult:
        """Run the tool with --prod until it ends. After each event, the tool waits until `react` has returned."""

    @abstractmethod
    async def head(self) -> str:
        """Return the id of the commit to release."""

    @abstractmethod
    async def tree(self) -> str:
        """Return the id of the tree of the branch main on the remote."""

    @abstractmethod
    async def state(self) -> State:
        """Read everything that a rollback must restore."""

    def configure(self, **extra: str) -> Path:
        """Write a configuration for the local production, and return its path.

        `extra`: for each table, the lines that replace the usual ones.
        """
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
        named = "".join(f"[{name}]\n{lines}\n" for name, lines in tables.items() if name != "health")
        written = path.with_suffix(f".{uuid4().hex}")
        written.write_text(text + named + tables["health"])
        written.replace(path)  # atomic, because another operator may be reading it
        return path

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment for the tool."""
        secrets = {"VERCEL_TOKEN": TOKEN, "CRON_SECRET": TOKEN, "SITE_AUTH_TOKEN": TOKEN}
        secrets |= {"TURSO_AUTH_TOKEN": self.world.database_key} if self.world.database_key else {}
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder), **secrets, **self.settings}

    def report_of(self, events: list[Event]) -> dict[str, Any]:
        """Return the report of the run with these events, or an empty one if the run wrote none."""
        if not events:
            return {}
        path = self.folder / "runs" / events[0]["run"] / "report.json"
        return dict(json.loads(path.read_text())) if path.exists() else {}

    async def sql(self, text: str) -> list[tuple[Value, ...]]:
        """Run one statement on the database itself, not through the proxy, and return the rows."""
        return list((await self.world.database.query(Statement(text))).values)


@dataclass
class Trial(AnyTrial):
    """A trial with real services, in which the tool runs as a process."""

    async def head(self) -> str:
        """Return the id of the commit to release."""
        return await self.git("rev-parse", "HEAD", where=self.world.checkout)

    async def tree(self) -> str:
        """Return the id of the tree of the branch main on the remote."""
        return await self.git("rev-parse", "main^{tree}")

    def started(self, *words: str, paced: bool = False) -> AbstractAsyncContextManager[ToolProcess]:
        """Start the tool, and kill it if it outlives the block. If `paced`, it waits after each event."""
        return forked.start_tool(words, self.environment, self.folder, paced=paced)

    async def release(self, *words: str, react: Reaction | None = None, **extra: str) -> RunResult:
        """Run the tool with --prod until it ends. After each event, the tool waits until `react` has returned."""
        config = self.configure(**extra)
        command = ("--prod", "--yes", "--json", "--config", str(config), *words)
        async with self.started(*command, paced=react is not None) as process:
            return await self.watched(process, react)

    async def watched(self, process: ToolProcess, react: Reaction | None = None) -> RunResult:
        """Follow a run that was started with --json until it ends, and return its result."""
        complaints = asyncio.ensure_future(process.stderr.read())
        events: list[Event] = []
        async for line in process.stdout:
            if not line.endswith(b"\n"):
                break  # the tool was killed while it wrote this line
            events.append(json.loads(line))
            if react:
                await react(events[-1])
            process.go_on()
        said = (await complaints).decode()
        return RunResult(await process.wait(), events, self.report_of(events), said)

    async def state(self) -> State:
        """Read everything that a rollback must restore, after the platform has done everything that is due."""
        self.world.platform.catch_up()
        schema, rows = await asyncio.to_thread(_contents, self.folder / "database" / sqld.PLACE)
        return State(schema, rows, self.world.platform.served, await self.tree())

    async def git(self, *words: str, where: Path | None = None) -> str:
        """Run git and return its output. It runs in the remote, unless `where` is given."""
        process = await asyncio.create_subprocess_exec(
            "git", "-C", str(where or self.world.remote), *words, stdout=PIPE, stderr=PIPE, env=self.environment
        )
        out, err = await process.communicate()
        if process.returncode:
            raise Problem(
                code="stand-ins",
                operation="asking",
                subject="git",
                cause=err.decode(),
                remedy="Look at the repository of the stand-in.",
            )
        return out.decode().strip()


def _contents(file: Path) -> tuple[str, dict[str, list[tuple[Value, ...]]]]:
    """Read the schema and the rows from the server's own file, which is safe while the server is idle."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        tables = [*(name for (name,) in database.execute(transaction.TABLES)), "sqlite_sequence"]
        rows = {table: database.execute(f"SELECT * FROM {quoted(table)} ORDER BY 1").fetchall() for table in tables}
        own = [row for row in rows["sqlite_sequence"] if not str(row[0]).startswith("_orchestrate_")]
        return str(database.execute(transaction.SCHEMA).fetchone()[0]), {**rows, "sqlite_sequence": own}
