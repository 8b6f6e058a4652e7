"""The lock when several rollbacks of the same run compete for it."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from steps.support.core.errors import Refused
from steps.support.gateways.database.connect import connect
from steps.support.gateways.marker import Claim
from steps.support.gateways.turso import Turso
from steps.support.run.lock import locked

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def _turso(folder: Path) -> AsyncIterator[Turso]:
    async with aclosing(connect(f"file:{folder / 'production.db'}", None)) as database:
        yield Turso(database)


def _claim(who: str) -> Claim:
    return Claim("the run", who, "a host", 200, after=0)


async def test_second_rollback_neither_takes_nor_releases_the_lock(tmp_path: Path) -> None:
    """The second claim with the same token is refused; the first keeps the lock and can renew it."""
    (tmp_path / "production.db").touch()
    warned: list[str] = []
    async with _turso(tmp_path) as first, _turso(tmp_path) as second:
        async with locked(first, _claim("anna"), warned.append):
            with pytest.raises(Refused, match="of anna on a host has held it"):
                async with locked(second, _claim("ben"), warned.append):
                    pytest.fail("both have it")
            holder = await second.holder()
            assert holder
            assert (holder.who, (await first.lease("the run")).token) == ("anna", 1)
        assert await second.holder() is None
    assert warned == []


async def test_repeated_claim_after_a_lost_answer_succeeds(tmp_path: Path) -> None:
    """A claim that is made twice, as after a lost answer, counts once: the same token, and it is held."""
    (tmp_path / "production.db").touch()
    async with _turso(tmp_path) as turso:
        for _ in range(2):
            taken, holder = await turso.lock(_claim("anna"))
            assert holder
            assert (taken, holder.token) == (True, 1)
        taken, holder = await turso.lock(_claim("ben"))
        assert holder
        assert (taken, holder.who) == (False, "anna")
