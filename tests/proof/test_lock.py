"""What a change asks of other writers: measured beside three of them on the real server, and refused if it is too much."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from steps.support.change.folder import read_change
from steps.support.core.errors import Problem
from steps.support.gateways.database import hrana_wire
from steps.support.gateways.database.connect import connect
from steps.support.gateways.database.hrana import Hrana
from steps.support.gateways.database.protocol import Rows
from steps.support.gateways.turso import Turso
from steps.support.proof import server, write_lock
from steps.support.proof.config import LockLimits, ProofConfig
from steps.support.proof.copy.copy import Limits
from steps.support.proof.proof import prove
from steps.support.proof.result import Proof
from steps.support.sql.script import split
from steps.support.sql.statement import Statement
from tests.proof.proof_rig import OF_ANY, Files, written

pytestmark = pytest.mark.anyio

ROWS = 60_000
BEFORE = f"""CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT NOT NULL, b INTEGER NOT NULL);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
  INSERT INTO t SELECT i, 'some text of row ' || i, i FROM n;
"""
SMALL = {
    "migrate.sql": "-- name: small\nALTER TABLE t ADD COLUMN c TEXT;\n",
    "rollback.sql": "ALTER TABLE t DROP COLUMN c;\n",
}
LARGE = {
    "migrate.sql": """-- name: large
-- changes: t
-- allow: no-where t: every row is meant
-- allow: write-lock we know what we do
CREATE TABLE notes (id INTEGER PRIMARY KEY);
UPDATE t SET b = b + 1;
""",
    "rollback.sql": "-- allow: no-where t: every row is meant\nUPDATE t SET b = b - 1;\nDROP TABLE notes;\n",
}
AMPLE = LockLimits(seconds=5.0, bytes=10**9)
SHORT, NARROW = replace(AMPLE, seconds=0.001), replace(AMPLE, bytes=1_000_000)
STOLEN = "after 1 s a waiting writer may take over the lock, and the transaction is rolled back"
STATEMENT = r"migrate\.sql line 6 \(UPDATE t SET b = b \+ 1;?\): \d\.\d\d s, 60,000 rows"


@pytest.fixture
async def production(server: str) -> AsyncIterator[Turso]:
    """Give a server with a table of some thousand rows."""
    async with aclosing(connect(server, None)) as database:
        await database.transaction(split(BEFORE, "before.sql"))
        yield Turso(database)


@pytest.fixture
def proof_config(tmp_path: Path, sqld_binary: Path) -> ProofConfig:
    """Give a place to work, on the real server, where other writers bear a lot."""
    return ProofConfig(tmp_path / "run", sqld_binary, Limits(60, 10**9), AMPLE)


async def proved(production: Turso, proof_config: ProofConfig, files: Files) -> Proof:
    """Prove a change that is given as files."""
    return await prove(
        production, read_change(written(proof_config.folder.parent / "sql", {**OF_ANY, **files})), proof_config
    )


async def refused(production: Turso, proof_config: ProofConfig, files: Files) -> str:
    """See that a change is refused; gives what is said."""
    with pytest.raises(Problem) as caught:
        await proved(production, proof_config, files)
    return str(caught.value)


async def test_a_small_change_is_measured_beside_writers(production: Turso, proof_config: ProofConfig) -> None:
    """Both transactions are told with seconds and bytes, and nobody who wrote beside them was turned away."""
    proof = await proved(production, replace(proof_config, allowed=LockLimits()), SMALL)
    migrate, rollback = proof.locks
    assert (migrate.script, rollback.script) == ("migrate.sql", "rollback.sql")
    for held in proof.locks:
        assert 0 < held.seconds < 1
        assert held.bytes is not None
        assert (held.refused, held.locked_out, held.stolen) == (0, False, False)
        assert held.longest > 0, "nobody wrote beside it"
    assert re.fullmatch(r"holds writers back for 0\.\d\d s and writes \d\.\d MB", proof.lock("migrate.sql"))


@pytest.mark.parametrize(
    ("allowed", "words"),
    [
        (SHORT, r"it holds writers back for \d\.\d\d s, and limits\.lock is 0\.001 s"),
        (NARROW, r"it writes \d\.\d MB, and limits\.lock_bytes is 1\.0 MB"),
    ],
    ids=["seconds", "bytes"],
)
async def test_too_much_is_refused_with_sizes_and_ways_out(
    production: Turso, proof_config: ProofConfig, allowed: LockLimits, words: str
) -> None:
    """The figure, the limit, the largest statements first, and what can be done; a reason in the file accepts nothing."""
    said = await refused(production, replace(proof_config, allowed=allowed), LARGE)
    for script in (r"migrate\.sql", r"rollback\.sql"):
        assert re.search(rf"^- {script}: {words}", said, re.MULTILINE), said
    assert re.search(STATEMENT, said), said
    for line in re.findall(r"Largest first: (.+?)\. ", said):
        seconds = [float(each) for each in re.findall(r": (\d+\.\d\d) s", line)]
        assert seconds == sorted(seconds, reverse=True) != []
    for way in ("Divide the change", "back-fill", "vercel.pause_crons = true", "turso.sole_writer = true"):
        assert way in said
    assert "No `-- allow: write-lock` accepts it" in said


async def test_a_rollback_that_takes_too_long_is_refused_beforehand(
    production: Turso, proof_config: ProofConfig
) -> None:
    """The migration is small and its rollback is not: production would be locked while it goes back."""
    files = {**SMALL, "rollback.sql": SMALL["rollback.sql"] + 2 * "UPDATE t SET b = -b WHERE id > 0;\n"}
    said = await refused(production, replace(proof_config, allowed=NARROW), files)
    assert re.search(r"^- rollback\.sql: it writes \d\.\d MB", said, re.MULTILINE), said
    assert "- migrate.sql: it writes" not in said


@pytest.mark.parametrize("amount", ["", " 1"], ids=["any number", "one row"])
async def test_what_is_kept_to_count_declared_rows_is_measured_too(
    production: Turso, proof_config: ProofConfig, amount: str
) -> None:
    """The copy of a declared table is part of production's transaction, so its bytes and seconds are those told."""
    await production.database.transaction(split("DELETE FROM t WHERE id > 40000;", "fewer.sql"))
    files = {
        "migrate.sql": f"-- name: one\n-- changes: t{amount}\nUPDATE t SET b = b + 1 WHERE id = 1;\n",
        "rollback.sql": "UPDATE t SET b = b - 1 WHERE id = 1;\n",
    }
    proof = await proved(production, proof_config, files)
    migrate, rollback = proof.locks
    assert (migrate.script, rollback.script) == ("migrate.sql", "rollback.sql")
    assert migrate.longest > 0, "nobody wrote beside it"
    assert migrate.bytes is not None
    assert (migrate.bytes > 1_000_000) == bool(amount), migrate
    assert (proof.seconds["migrate"] == proof.seconds["migrate again"]) == bool(amount), "it is not the one foretold"


async def test_a_sole_writer_has_no_limit(production: Turso, proof_config: ProofConfig) -> None:
    """Where the user says that nothing else writes, it passes, and the plan repeats that."""
    sole = LockLimits(seconds=0.001, bytes=1, sole_writer=True)
    proof = await proved(production, replace(proof_config, allowed=sole), LARGE)
    assert "turso.sole_writer says that nothing else writes" in proof.lock("migrate.sql")
    assert [held.longest for held in proof.locks] == [0, 0], "somebody wrote beside it"


async def test_a_sole_writer_may_not_hold_the_lock_until_it_is_taken_over(
    production: Turso, proof_config: ProofConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if nothing else is said to write, a transaction that lasts longer than the server protects it is refused."""
    monkeypatch.setattr(write_lock, "STEALS", 0.001)
    sole = LockLimits(seconds=0.001, bytes=1, sole_writer=True)
    said = await refused(production, replace(proof_config, allowed=sole), LARGE)
    assert re.search(r"- migrate\.sql: it holds the write lock for .+ may take it over after 0\.001 s", said), said
    assert "limits.lock" not in said


async def test_without_a_server_only_the_time_is_held(production: Turso, proof_config: ProofConfig) -> None:
    """On SQLite there is nobody beside it and no log to look at; what takes too long is refused all the same."""
    alone = replace(proof_config, binary=None, allowed=LockLimits(seconds=0.001, bytes=1))
    said = await refused(production, alone, LARGE)
    assert re.search(rf"holds writers back for \d\.\d\d s, and .+ Largest first: .*{STATEMENT}", said), said
    assert "lock_bytes" not in said


class Deaf(Hrana):
    """A server that takes no write any more once a migration is committed, as sqld may: reads go on."""

    is_deaf = False

    async def transaction(self, statements: Sequence[Statement]) -> tuple[Rows, ...]:
        """Commit; of a migration that is the last write."""
        await self._heard()
        done = await super().transaction(statements)
        self.is_deaf = migrates(statements)
        return done

    async def query(self, statement: Statement) -> Rows:
        """Answer what only reads."""
        if statement.sql.startswith(("INSERT", "UPDATE")):
            await self._heard()
        return await super().query(statement)

    async def _heard(self) -> None:
        if self.is_deaf:
            await asyncio.Event().wait()


def migrates(statements: Sequence[Statement]) -> bool:
    """Say whether a transaction is that of a migration."""
    return any("INSERT INTO _orchestrate_migrations" in each.sql for each in statements)


async def test_a_server_that_takes_no_more_writes_is_recognised(
    production: Turso, proof_config: ProofConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rehearsal starts it again and goes on to its end: the finding is there, and so is what else is wrong."""
    servers = iter((Deaf,))

    def connected(url: str, token: str | None) -> Hrana:
        return next(servers, Hrana)(url, token)

    monkeypatch.setattr(server, "connect", connected)
    monkeypatch.setattr(write_lock, "PATIENCE", 0.5)
    files = {**SMALL, "writes.sql": "UPDATE t SET c = 'written' WHERE id = 1;\n"}
    said = await refused(production, proof_config, files)
    assert "- migrate.sql: the server accepted no write for 0.5 s after it, and had to be restarted" in said
    assert "rows written by the app are lost or changed after migrating again" in said
    assert "2 findings block this change" in said


async def never() -> None:
    """Wait for an answer that does not come."""
    await asyncio.Event().wait()


async def taken_over() -> None:
    """Hear after a while that another writer has the lock, as from a server."""
    await asyncio.sleep(1.2)
    code = "TRANSACTION_TIMEOUT"
    raise hrana_wire.failed({"message": "Transaction timed out", "code": code}, Statement("", name="x"), "it")


@pytest.mark.parametrize("beside", [never, taken_over])
async def test_what_does_not_end_beside_writers_is_measured_alone(
    production: Turso, proof_config: ProofConfig, monkeypatch: pytest.MonkeyPatch, beside: Callable[[], Awaitable[None]]
) -> None:
    """Longer than until a waiting writer may take the lock is too long, and its statements are told all the same."""
    real, first = Hrana.transaction, iter((beside,))

    async def transaction(self: Hrana, statements: Sequence[Statement]) -> tuple[Rows, ...]:
        if migrates(statements) and (fails := next(first, None)):
            await fails()
        return await real(self, statements)

    monkeypatch.setattr(Hrana, "transaction", transaction)
    monkeypatch.setattr(write_lock, "STEALS", 1.0)
    said = await refused(production, proof_config, LARGE)
    assert f"- migrate.sql: {STOLEN}. Largest first:" in said
    assert re.search(STATEMENT, said), said
    assert "1 finding blocks this change" in said
