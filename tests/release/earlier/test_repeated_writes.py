"""A repeated write may be refused because it was done; a refused read says nothing about a write."""

import asyncio
from collections.abc import Sequence

import pytest

from steps.support.core.errors import Rejected, Unknown
from steps.support.core.retry import retry
from steps.support.gateways.database.protocol import Rows
from steps.support.gateways.turso import Turso
from steps.support.gateways.vercel import Vercel
from steps.support.operations.roll_back_schema import roll_back
from steps.support.sql.statement import Statement
from steps.support.standin.vercel.quirks import Answer, Quirks, Trouble
from tests.support.production.base import FAILING
from tests.support.virtual.database import MemoryDatabase
from tests.support.virtual.production import VirtualProduction

pytestmark = pytest.mark.anyio


class _Late(MemoryDatabase):
    """A server that accepts its first transaction, does not answer, and commits it when the next one comes."""

    late: Sequence[Statement] = ()

    async def transaction(self, statements: Sequence[Statement]) -> tuple[Rows, ...]:
        """Delay the first one; see Database."""
        if not self.late:
            self.late = statements
            raise Unknown(
                code="connection",
                operation="reading the answer of",
                subject="the database",
                cause="the connection was reset",
                remedy="Look.",
            )
        await super().transaction(self.late)
        return await super().transaction(statements)


async def test_rollback_committed_late_counts_as_done(production: VirtualProduction) -> None:
    """The second try finds that the first, whose answer was lost, rolled the attempt back: done, not failed."""
    before = await production.state()
    run = (await production.release()).report["run_id"]
    turso = Turso(_Late(production.store))
    marker = await turso.marker(run)
    assert marker
    await retry(roll_back, turso, marker, run)
    assert (await production.state()).schema == before.schema
    assert await production.sql("SELECT state FROM _orchestrate_migrations") == [("rolled_back",)]


async def test_revert_push_that_landed_late_counts_as_done(
    production: VirtualProduction, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A push whose answer was lost moves the branch during the second push: "cannot lock ref" is looked into."""
    before, advance, pushes = await production.state(), production.remote.advance, list[str]()

    def lands_late(sha: str) -> None:
        if sha == production.checkout.head:
            advance(sha)
            return
        pushes.append(sha)
        if len(pushes) > 1:
            raise Rejected(
                code="push-refused",
                operation="pushing to",
                subject="main",
                cause="remote rejected: cannot lock ref 'refs/heads/main'",
                remedy="Settle it.",
            )
        asyncio.get_running_loop().call_later(0.9, advance, sha)
        raise Unknown(
            code="push-refused",
            operation="pushing to",
            subject="main",
            cause="the remote end hung up unexpectedly",
            remedy="Look at the remote branch.",
        )

    monkeypatch.setattr(production.remote, "advance", lands_late)
    ending = await production.release(health=FAILING)
    assert len(pushes) == 2
    assert (ending.code, ending.steps("undo")["git_push"]) == (1, "done"), ending.report
    assert await production.state() == before


@pytest.mark.parametrize("lands", [0.0, 0.3, 0.53, 0.9, 2.0], ids=lambda seconds: f"after {seconds} s")
@pytest.mark.parametrize("files", ["none", "others"])
async def test_revert_push_below_a_foreign_commit_counts_as_done(
    production: VirtualProduction, monkeypatch: pytest.MonkeyPatch, files: str, lands: float
) -> None:
    """A restoring commit whose answer was lost is found also below someone's commit, now and later."""
    remote, advance, pushes = production.remote, production.remote.advance, list[str]()
    history, before = remote.history, await production.state()

    def both_land(sha: str) -> None:
        tree = history.commits[sha].tree if files == "none" else history.store({"theirs": "theirs"})
        advance(sha)
        advance(history.commit(tree, sha, "somebody's"))

    def takes(sha: str) -> None:
        if sha == production.checkout.head:
            advance(sha)
            return
        pushes.append(sha)
        if len(pushes) == 1:
            asyncio.get_running_loop().call_later(lands, both_land, sha)
            raise Unknown(
                code="push-refused",
                operation="pushing to",
                subject="main",
                cause="the remote end hung up unexpectedly",
                remedy="Look at the remote branch.",
            )
        raise Rejected(
            code="push-refused",
            operation="pushing to",
            subject="main",
            cause="remote rejected: cannot lock ref 'refs/heads/main'",
            remedy="Settle it.",
        )

    monkeypatch.setattr(remote, "advance", takes)
    ending = await production.release(health=FAILING)
    assert (ending.code, ending.steps("undo")["git_push"]) == (1, "done"), ending.report
    assert history.commits[remote.tip].subject == "somebody's"
    assert history.commits[history.commits[remote.tip].parent or ""].tree == before.tree
    again = await production.release("--rollback", ending.report["run_id"])
    assert again.code == 0, again.report


async def test_reverted_revert_does_not_count_as_rolled_back(
    production: VirtualProduction, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If someone reverts the restoring commit, our files are released again and do not count as rolled back."""
    remote, advance = production.remote, production.remote.advance

    def brought_again(sha: str) -> None:
        advance(sha)
        if sha != (ours := production.checkout.head):
            advance(remote.history.commit(remote.history.commits[ours].tree, sha, "Revert the revert"))

    monkeypatch.setattr(remote, "advance", brought_again)
    ending = await production.release(health=FAILING)
    assert (ending.code, ending.steps("undo")["git_push"]) == (4, "done"), ending.report
    assert "whose files are not those of" in str(ending.report["remains"])


async def test_refused_read_after_switching_the_crons(
    production: VirtualProduction, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The crons are switched on again, because the read was refused and not the switch."""
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


async def test_refused_read_after_switching_the_crons_twice(
    production: VirtualProduction, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first switch lands late, the second is refused, and so is the read after it: the crons come on again."""
    platform, set_crons, tries = production.world.platform, Vercel.set_crons, list[bool]()

    async def lands_late(vercel: Vercel, on: bool) -> None:  # noqa: FBT001 - as in Vercel
        tries.append(on)
        if len(tries) == 1:
            asyncio.get_running_loop().call_later(1.0, lambda: platform.switch_crons(on=False))
            raise Unknown(
                code="vercel-access",
                operation="switching",
                subject="the crons",
                cause="the connection was reset",
                remedy="Look.",
            )
        if len(tries) == 2:
            platform.quirks = Quirks(troubles=(Trouble(Answer.GONE, "GET /v9/projects", 1),))
            raise Rejected(
                code="vercel-access",
                operation="switching",
                subject="the crons",
                cause="it answered 422: they are being switched",
                remedy="Look.",
            )
        await set_crons(vercel, on)

    monkeypatch.setattr(Vercel, "set_crons", lands_late)
    vercel = f'project = "liveone"\napi = "{production.world.api_url}"\npause_crons = true'
    ending = await production.release(vercel=vercel)
    assert tries == [False, False, True]
    assert (ending.code, ending.report["verdict"]) == (1, "rolled_back"), ending.report
    assert platform.crons is True
