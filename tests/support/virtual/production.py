"""A whole small production in one process on a clock that jumps, in which the tool runs as a coroutine.

The tool, the stand-ins of platform and site, and HTTP between them are the real ones. Git, the database and the
sockets are replaced by memory. The shipped change is proved once, beforehand; any other change is proved by the run
itself, on a real server that holds a copy of the database.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx

import orchestrate
from steps.support.change.folder import read_change
from steps.support.console.exit_codes import exit_code_of
from steps.support.core.errors import Unknown
from steps.support.gateways.database.protocol import Database
from steps.support.gateways.deployer import Deployer
from steps.support.gateways.http import client_for
from steps.support.gateways.turso import Row, Turso
from steps.support.operations.roll_back_schema import rehearse_rollback
from steps.support.proof.config import ProofConfig
from steps.support.proof.proof import prove
from steps.support.proof.rehearsal import sqld
from steps.support.proof.result import Proof
from steps.support.sql.change import DatabaseChange
from steps.support.standin.faults import Faults
from steps.support.standin.site import CONTRACT, Site
from steps.support.standin.vercel import api
from steps.support.standin.vercel.hosts import routed
from steps.support.standin.vercel.platform import Platform
from steps.support.standin.world import HOST, LIVE, TOKEN, LocalProduction
from tests.support.production.base import ROOT, AnyProduction, Reaction, RunResult, State, contents
from tests.support.virtual.clock import Wall, patched_time
from tests.support.virtual.database import MemoryDatabase, MemoryStore
from tests.support.virtual.git import MAIN, Checkout, History, MemoryGit, MemoryRemote
from tests.support.virtual.network import Network
from tests.support.virtual.proving import on_server
from tests.support.virtual.watching import listening, reacting

DEPLOYING = 3.0  # seconds that the deploying command takes
DATABASE_URL = "http://database.example"  # in the configuration only; no request goes there


@dataclass
class VirtualProduction(AnyProduction):
    """A production in memory, with the tool as a coroutine.

    `proves`: the run proves its change on a real server, in place of getting `proof`. `reaches`: the database as the
    tool reaches it.
    """

    network: Network = field(kw_only=True)
    store: MemoryStore = field(kw_only=True)
    checkout: Checkout = field(kw_only=True)
    remote: MemoryRemote = field(kw_only=True)
    proof: Proof = field(kw_only=True)
    proves: bool = False
    reaches: Callable[[MemoryStore, Faults], Database] = MemoryDatabase

    async def release(self, *words: str, react: Reaction | None = None, **extra: str) -> RunResult:
        """Run the tool with --prod until it ends; call `react` with each event as it is printed."""
        options = orchestrate.parse(["--prod", "--yes", "--json", "--config", str(self.configure(**extra)), *words])
        with listening(self.folder) as output, reacting(react) as reactions, self.in_place():
            running = asyncio.ensure_future(orchestrate.main(options))
            with suppress(Exception):
                await running
            code = exit_code_of(running.result, options.verbose)
        await asyncio.gather(*reactions)
        return RunResult(code, output.events, self.report_of(output.events), output.said)

    async def state(self) -> State:
        """Read everything that a rollback must restore, once everything due by now has happened."""
        self.world.platform.catch_up()
        return State(*await contents(self), self.world.platform.served, await self.tree())

    async def head(self) -> str:
        """Return the commit to release."""
        return self.checkout.head

    async def tree(self) -> str:
        """Return the id of the tree on the remote's main."""
        return self.remote.history.commits[self.remote.tip].tree

    def change(self, folder: Path) -> None:
        """Release the change of this folder in place of the shipped one; the run proves it on a real server."""
        self.sql_folder, self.proves = folder, True

    async def main(self) -> str:
        """Return the last commit of the remote's main."""
        return self.remote.tip

    async def commit_more(self) -> None:
        """Add an empty commit to what is to be released."""
        self._commit(self.checkout.head, self.checkout.head, "more")

    async def bring_back(self) -> None:
        """Do in the checkout what the report of a rolled-back release says: pull, and revert the restoring commit."""
        commits, restoring = self.remote.history.commits, self.remote.tip
        self.checkout.known.update(self.remote.history.ancestry(restoring))
        self._commit(str(commits[restoring].parent), restoring, f'Revert "{commits[restoring].subject}"')

    def _commit(self, of: str, parent: str, message: str) -> None:
        """Commit the files of a commit on top of another one, and check that out."""
        history = self.remote.history
        self.checkout.head = history.commit(history.commits[of].tree, parent, message)
        self.checkout.known.add(self.checkout.head)

    async def overtake(self) -> None:
        """Push another person's empty commit on top of the commit to release."""
        history, head = self.remote.history, self.checkout.head
        self.remote.advance(history.commit(history.commits[head].tree, head, "other"))

    def visitor(self, **headers: str) -> httpx.AsyncClient:
        """Return a client that requests the site as a visitor does."""
        return httpx.AsyncClient(base_url=self.world.site_url, headers=headers, transport=self.network.transport())

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Patch the tool so that within the block it finds this production in place of the real one."""
        database = self.reaches(self.store, self.faults)
        doubles: dict[str, Any] = {
            "client_for": lambda address, **how: client_for(address, transport=self.network.transport(), **how),
            "connect": lambda _url, _token: database,
            "Deployer": lambda command, folder, token: MemoryDeployer(command, folder, token, production=self),
            "Git": lambda here, remote, branch: MemoryGit(here, remote, branch, self.checkout, self.remote),
        }
        with (
            patch.multiple("steps.support.run.wiring", **doubles),
            patch("steps.support.operations.prove.prove", self._proved),
            patch("steps.support.operations.prove.rehearse_rollback", self._rehearsed),
            patch("steps.support.run.release.read_change", _read),
            patch("os.fsync", lambda _: None),  # it protects against power failures, and takes a large part of a run
            patch.dict(os.environ, self.environment, clear=True),
        ):
            yield

    async def _proved(self, _: Turso, change: DatabaseChange, config: ProofConfig) -> Proof:
        if not self.proves:
            return self.proof
        return on_server(self.store.snapshot(), sqld.fetch(), lambda turso: prove(turso, change, config))

    async def _rehearsed(self, _: Turso, marker: Row, config: ProofConfig) -> None:
        """Rehearse a rollback, if changes are proved here; otherwise accept it."""
        if self.proves:
            on_server(self.store.snapshot(), sqld.fetch(), lambda turso: rehearse_rollback(turso, marker, config))


@dataclass(frozen=True, slots=True)
class MemoryDeployer(Deployer):
    """A command that deploys to the platform in memory; the first word of the command tells how it ends."""

    production: "VirtualProduction" = field(kw_only=True)

    async def deploy(self, sha: str) -> str:
        """Deploy the commit; see Deployer."""
        await asyncio.sleep(DEPLOYING)
        how, platform = self.command.partition(" ")[0], self.production.world.platform
        if how == "fails":
            raise Unknown(
                code="build-failed",
                operation="running",
                subject="vercel.deploy",
                cause="it exited with code 1: Error: no access",
                remedy="Run it by hand.",
            )
        made = platform.pushed("d" * 40 if how == "another" else sha, MAIN, "deployed by a command")
        assert made
        return made.url


@dataclass(frozen=True, slots=True)
class Shape:
    """The parts of a production that differ from the usual ones.

    `contracts`: the contracts of the live code and of the code to release. `serves` returns the database as the site
    reaches it.
    """

    network: Network = field(default_factory=Network)
    auto_assign: bool = True
    contracts: tuple[str, str] | None = None
    serves: Callable[[MemoryStore], Database] = MemoryDatabase


@asynccontextmanager
async def virtual_production(
    folder: Path, sample: bytes, proof: Proof, shape: Shape | None = None
) -> AsyncIterator[VirtualProduction]:
    """Create a production in memory on a snapshot of its database; one release waits in the checkout."""
    shape, faults, wall = shape or Shape(), Faults(), Wall()
    network = shape.network
    with patched_time(wall), closing(MemoryStore(wall)) as store:
        store.restore(sample)
        database, platform = shape.serves(store), Platform(HOST, faults, TOKEN, auto_assign=shape.auto_assign)
        checkout, remote = _history(faults, platform, shape.contracts or _contracts())
        keys = {"auth_token": TOKEN, "cron_secret": TOKEN}
        site = Site(platform.live_sha, lambda sha: remote.show(sha, CONTRACT), database, faults, **keys)
        async with AsyncExitStack() as stack:
            api_url = await stack.enter_async_context(network.serve(api.application(platform)))
            site_url = await stack.enter_async_context(network.serve(site.application(routed(platform))))
            places = folder, folder / "remote.git"
            world = LocalProduction(*places, platform, None, database, DATABASE_URL, api_url, site, site_url)
            yield VirtualProduction(
                world, faults, folder, network=network, store=store, checkout=checkout, remote=remote, proof=proof
            )


def _read(folder: Path, *, sample: bool) -> DatabaseChange:
    """Read the SQL folder; cached for many runs, until one of its files changes."""
    return _read_as_of(folder, sample, tuple(path.stat().st_mtime_ns for path in sorted(folder.rglob("*.sql"))))


@lru_cache(maxsize=8)
def _read_as_of(folder: Path, sample: bool, _times: tuple[int, ...]) -> DatabaseChange:  # noqa: FBT001 - part of a key
    return read_change(folder, sample=sample)


def _contracts() -> tuple[str, str]:
    """Return the app's contracts with the database, before the release and with it."""
    old, new = ((ROOT / "sql" / "contract" / name).read_text(encoding="utf-8") for name in ("old.sql", "new.sql"))
    return old, new


def _history(faults: Faults, platform: Platform, contracts: tuple[str, str]) -> tuple[Checkout, MemoryRemote]:
    """Create the app's commits: the older one is live, the newer one waits to be released."""
    history = History()
    old, new = (history.store({CONTRACT: text}) for text in contracts)
    live = history.commit(old, None, LIVE)
    head = history.commit(new, live, "The code that is to be released")
    platform.deployed(live, "main", LIVE)
    return Checkout(head, {live, head}), MemoryRemote(history, live, faults, platform.pushed)
