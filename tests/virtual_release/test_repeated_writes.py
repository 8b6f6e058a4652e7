"""A write that is repeated may be refused because it was done; a look that is refused says nothing of a write."""

import asyncio
from collections.abc import Sequence

import pytest

from steps.support.core.errors import Rejected, Unknown
from steps.support.core.retry import insist
from steps.support.gateways.database.protocol import Rows
from steps.support.gateways.turso import Turso
from steps.support.operations.roll_back_schema import roll_back
from steps.support.sql.statement import Statement
from steps.support.standin.vercel.quirks import Answer, Quirks, Trouble
from tests.world.database import MemoryDatabase
from tests.world.production import FAILING
from tests.world.virtual import VirtualProduction

pytestmark = pytest.mark.anyio


class _Late(MemoryDatabase):
    """A server that takes its first transaction, answers nothing, and carries it out when the next one comes."""

    late: Sequence[Statement] = ()

    async def transaction(self, statements: Sequence[Statement]) -> tuple[Rows, ...]:
        """Put the first one off; see Database."""
        if not self.late:
            self.late = statements
            raise Unknown("reading the answer of", "the database", "the connection was reset", "Look.")
        await super().transaction(self.late)
        return await super().transaction(statements)


async def test_a_rollback_that_was_carried_out_late(production: VirtualProduction) -> None:
    """The second try finds the attempt rolled back by the first one, whose answer was lost: it is done, not failed."""
    before = await production.state()
    run = (await production.release()).report["run_id"]
    turso = Turso(_Late(production.store))
    marker = await turso.marker(run)
    assert marker
    await insist(lambda: roll_back(turso, marker, run))
    assert (await production.state()).schema == before.schema
    assert await production.sql("SELECT state FROM _orchestrate_migrations") == [("rolled_back",)]


async def test_a_restoring_push_that_landed_late(
    production: VirtualProduction, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A push whose answer was lost moves the branch while it is pushed again: "cannot lock ref" is looked into."""
    before, take, pushes = await production.state(), production.remote.take, list[str]()

    def lands_late(sha: str) -> None:
        if sha == production.checkout.head:
            take(sha)
            return
        pushes.append(sha)
        if len(pushes) > 1:
            raise Rejected("pushing to", "main", "remote rejected: cannot lock ref 'refs/heads/main'", "Settle it.")
        asyncio.get_running_loop().call_later(0.9, take, sha)
        raise Unknown("pushing to", "main", "the remote end hung up unexpectedly", "Look at the remote branch.")

    monkeypatch.setattr(production.remote, "take", lands_late)
    ending = await production.release(health=FAILING)
    assert len(pushes) == 2
    assert (ending.code, ending.steps("undo")["git_push"]) == (1, "done"), ending.report
    assert await production.state() == before


async def test_a_look_that_is_refused_after_the_crons_were_switched(
    production: VirtualProduction, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The crons are switched on again, because the refusal was of a look and not of the switch."""
    platform = production.world.platform
    switch = platform.switch_crons

    def then_refuses(*, on: bool) -> None:
        switch(on=on)
        if not on:
            platform.quirks = Quirks(troubles=(Trouble(Answer.GONE, "GET /v9/projects", 1),))

    monkeypatch.setattr(platform, "switch_crons", then_refuses)
    vercel = f'project = "liveone"\napi = "{production.world.api_url}"\npause_crons = true'
    ending = await production.release(vercel=vercel)
    assert (ending.code, ending.report["verdict"]) == (1, "rolled_back"), ending.report
    assert platform.crons is True
