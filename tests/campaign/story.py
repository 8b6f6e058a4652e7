"""One seed, played: the release with its interruptions and recoveries."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from io import StringIO
from itertools import count
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import orchestrate
from steps.support.core.events import line_of
from steps.support.core.redaction import Redactor
from steps.support.gateways.http import client_for
from steps.support.proof.result import Proof
from steps.support.run.journal import Journal
from steps.support.run.signals import Interrupts
from steps.support.standin.site import Trouble
from steps.support.standin.vercel.state import ApiError
from tests.campaign.app import App, Book, Served, create_table_of_others
from tests.campaign.faults import BrokenDatabase, BrokenGit, BrokenNetwork, Event, Fault, Line
from tests.campaign.process import LIFE, Disk, Life, call_later, locks_registered, outlasting, task_factory
from tests.campaign.scenario import Other, Scenario
from tests.support.production.base import BUILT_IN, READING, ROOT
from tests.support.servers.site_troubles import server_error
from tests.support.virtual.clock import Wall
from tests.support.virtual.database import MemoryDatabase
from tests.support.virtual.production import Shape, VirtualProduction, virtual_production

__all__ = ["Run", "Story", "opened"]

CONTRACTS = ROOT / "sql" / "contract"
PROBES = 4.0  # seconds between two of the probes that measure downtime
HEALTH = READING.replace('`200`"]', '`200`", "body.latest"]')


@dataclass
class Run:
    """One process of the tool: its exit code (None: it was killed), and its output."""

    words: tuple[str, ...]
    code: int | None
    events: list[Event]
    line: Line
    said: str
    report: dict[str, Any]

    @property
    def id(self) -> str:
        """Return its run id; empty if it got none."""
        return str(self.events[0]["run"]) if self.events else ""


@dataclass
class Story:
    """A production on which a scenario is played."""

    scenario: Scenario
    production: VirtualProduction
    network: BrokenNetwork
    book: Book
    app: App
    sample: bytes
    others: list[Other] = field(default_factory=list)
    done_by_others: list[str] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    names: Any = field(default_factory=count)
    writing: asyncio.Task[None] | None = None

    async def tool(self, faults: tuple[Fault, ...], *words: str) -> Run:
        """Run the tool until it ends or dies."""
        life = Life()
        line = Line(life, list(faults))
        run = Run(words, None, [], line, "", {})
        options = orchestrate.parse(["--prod", "--yes", "--json", "--config", str(self._configured()), *words])
        with self._in_place(run) as complaints:
            token = LIFE.set(life)
            task = asyncio.ensure_future(_work(options))
            LIFE.reset(token)
            dying = asyncio.ensure_future(life.death.wait())
            await asyncio.wait({task, dying}, return_when=asyncio.FIRST_COMPLETED)
            dying.cancel()
        if not life.dead:
            run.code = task.result()
        life.listens = False
        run.said = complaints.getvalue()
        path = self.production.folder / "runs" / run.id / "report.json"
        run.report = json.loads(path.read_text()) if run.id and path.exists() and not life.dead else {}
        self.production.world.site.troubles = ()
        line.planned, line.armed = [], []
        self.runs.append(run)
        return run

    def _configured(self) -> Path:
        crons = "\npause_crons = true" if self.scenario.pause_crons else ""
        api = f'project = "liveone"\napi = "{self.production.world.api_url}"{crons}'
        return self.production.configure(
            top=f'repository = "{self.production.world.checkout}"\nprobe_rate = {1 / PROBES}',
            vercel=api,
            limits="git_push = 10",
            health=BUILT_IN if self.scenario.built_in else HEALTH,
        )

    @contextmanager
    def _in_place(self, run: Run) -> Iterator[StringIO]:
        line, complaints = run.line, StringIO()
        made, world = self.production, self.production.world
        database = BrokenDatabase(MemoryDatabase(made.store), line)

        def client(address: str, **how: Any) -> Any:
            gateway = "vercel" if address == world.api_url else "site"
            return client_for(address, transport=self.network.way(gateway, line), **how)

        doubles: dict[str, Any] = {
            "client_for": client,
            "connect": lambda _url, _token: database,
            "Git": lambda here, remote, branch: BrokenGit(here, remote, branch, made.checkout, made.remote, line),
        }
        with ExitStack() as stack:
            stack.enter_context(made.in_place())
            stack.enter_context(patch.multiple("steps.support.run.wiring", **doubles))
            stack.enter_context(self._watched(run))
            stack.enter_context(locks_registered())
            stack.enter_context(patch("sys.stderr", complaints))
            stack.enter_context(patch("steps.support.operations.prove.prove_rollback", _accepted))
            for place in ("orchestrate.new_run", "steps.support.run.release.new_run"):
                stack.enter_context(patch(place, self._run_id))
            yield complaints

    def _run_id(self) -> str:
        return f"20260101T{next(self.names):06d}Z-0000"

    @contextmanager
    def _watched(self, run: Run) -> Iterator[None]:
        story = self

        class Watched(Journal):
            def __init__(self, path: Path, redact: Redactor, name: str) -> None:
                super().__init__(path, redact, name)
                disk = Disk(self._sink.file, run.line.life)
                self._sink.file = disk  # type: ignore[assignment]
                run.line.fill = disk.fill
                self.listen(lambda event, _: story.heard(line_of(event), run))

        class Listening(Interrupts):
            @contextmanager
            def installed(self) -> Iterator[None]:
                with super().installed():
                    run.line.life.listens = True
                    try:
                        yield
                    finally:
                        run.line.life.listens = False

        with (
            patch("steps.support.run.session.Journal", Watched),
            patch("steps.support.run.session.Interrupts", Listening),
            patch("steps.support.console.screen.Outlet", _Discarding),
        ):
            yield

    def heard(self, event: Event, run: Run) -> None:
        """Let everyone react to an event of the journal."""
        if run.line.life.dead:
            return
        run.events.append(event)
        name, step = event["event"], event.get("step", "")
        if self.scenario.failing and (name, step) == ("begun", "health_checks"):
            unwell = Trouble(server_error, "/api/data")
            self.production.world.site.troubles = (unwell,)
        if name == "turned_back":
            self.production.world.site.troubles = ()
        for other in [each for each in self.others if (each.event, each.step) == (name, step)]:
            self.others.remove(other)
            call_later(other.seconds, partial(self._act_for_others, other.action))
        run.line.note(event)

    def _act_for_others(self, action: str) -> None:
        made, platform = self.production, self.production.world.platform
        self.done_by_others.append(action)
        if action == "push":
            history, tip = made.remote.history, made.remote.tip
            made.remote.advance(history.commit(history.commits[tip].tree, tip, "Somebody else's"))
        elif action == "schema":
            create_table_of_others(self.book)
        elif action == "switch":
            platform.catch_up()
            platform.auto_assign = not platform.auto_assign
        else:
            with suppress(ApiError):
                platform.move("rollback", platform.known[0].id)

    async def quiet(self, seconds: float) -> None:
        """Stop the app's writes, and wait until everything under way has finished."""
        if self.writing:
            self.writing.cancel()
        await asyncio.sleep(seconds)

    async def discard(self) -> None:
        """Discard the dead processes."""
        for run in self.runs:
            await run.line.life.discard()


async def _work(options: Any) -> int:
    return await orchestrate.main(options)


async def _accepted(*_: object) -> None:
    """Accept the rollback as proved."""


class _Discarding:
    """A substitute for Outlet that discards the output."""

    encoding = "utf-8"

    def __init__(self, _stream: object) -> None:
        pass

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass


@asynccontextmanager
async def opened(scenario: Scenario, folder: Path, sample: bytes, proof: Proof) -> AsyncIterator[Story]:
    """Create a production for a scenario, with an app that writes to it."""
    asyncio.get_running_loop().set_task_factory(task_factory)
    network = BrokenNetwork()
    shape = Shape(network, not scenario.staged, _contracts(data_first=scenario.data_first), Served)
    async with virtual_production(folder, sample, _for_order(proof, data_first=scenario.data_first), shape) as made:
        platform, served = made.world.platform, made.world.database
        platform.build_seconds, platform.alias_seconds = scenario.build, scenario.alias
        platform.crons = not scenario.crons_off
        book = Book(made.store, Wall())
        served.book = book  # type: ignore[attr-defined]
        app = App(book, Random(f"{scenario.seed} app"), scenario.pace)  # noqa: S311 - a seed must give the same writes every time
        story = Story(scenario, made, network, book, app, sample)
        story.others = [scenario.other] if scenario.other else []
        story.writing = outlasting(app.writing())
        try:
            yield story
        finally:
            story.writing.cancel()
            await story.discard()


def _for_order(proof: Proof, *, data_first: bool) -> Proof:
    ruled_out = {"CODE_FIRST": "the new code only runs on the new schema"} if data_first else proof.ruled_out
    return replace(proof, ruled_out=ruled_out)


@lru_cache
def _contracts(*, data_first: bool) -> tuple[str, str]:
    """Return the app's contracts; with the data first, the old code reads both schemas, and the new code only one."""
    old, new = ((CONTRACTS / name).read_text(encoding="utf-8") for name in ("old.sql", "new.sql"))
    return (new, _first_only(new)) if data_first else (old, new)


def _first_only(text: str) -> str:
    lines, skipping = list[str](), False
    for line in text.splitlines():
        word = line.removeprefix("-- ") if line.startswith("-- ") else ""
        if word in ("either", "or", "end"):
            skipping = word == "or"
        elif not skipping:
            lines.append(line)
    return "\n".join(lines)
