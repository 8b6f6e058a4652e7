"""A small production, whatever it is made of: how a release to it is configured, and what one leaves."""

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from steps.support.gateways import migration
from steps.support.gateways.database import Statement, Value
from steps.support.standin.faults import Faults
from steps.support.standin.world import TOKEN, World

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
class AnyProduction(ABC):
    """The world, and how to release to it."""

    world: World
    faults: Faults
    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    sql_folder: Path = ROOT / "sql"

    @abstractmethod
    async def release(self, *words: str, react: Reaction | None = None, **extra: str) -> Ending:
        """Run the tool with --prod to its end; `react` is told of each event as it is printed."""

    @abstractmethod
    async def head(self) -> str:
        """Give the commit that is to be released."""

    @abstractmethod
    async def tree(self) -> str:
        """Give the id of the files that the remote has on main."""

    @abstractmethod
    async def overtake(self) -> None:
        """Have somebody push an empty commit on top of what is to be released."""

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

    def report_of(self, events: list[Event]) -> dict[str, Any]:
        """Read the report of the run that these events are of."""
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
        return State(schema, {**rows, "sqlite_sequence": own}, self.world.platform.served, await self.tree())

    async def _rows(self, table: str) -> list[tuple[Value, ...]]:
        """Read a whole table, in pages that the server can answer."""
        rows: list[tuple[Value, ...]] = []
        while page := await self.sql(f'SELECT * FROM "{table}" ORDER BY 1 LIMIT {PAGE} OFFSET {len(rows)}'):
            rows += page
        return rows
