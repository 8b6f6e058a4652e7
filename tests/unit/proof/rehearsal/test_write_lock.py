"""How long a change holds other writers back: measured with three writers on the real server, refused above a limit."""

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
from steps.support.proof.config import LockLimits, ProofConfig
from steps.support.proof.copy.copy import Limits
from steps.support.proof.proof import prove
from steps.support.proof.rehearsal import server, write_lock
from steps.support.proof.result import Proof
from steps.support.sql.script import split
from steps.support.sql.statement import Statement
from tests.support.proof.proofs import OF_ANY, Files, written

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
    """Yield a server with a table of some thousand rows."""
    async with aclosing(connect(server, None)) as database:
        await database.transaction(split(BEFORE, "before.sql"))
        yield Turso(database)


@pytest.fixture
def proof_config(tmp_path: Path, sqld_binary: Path) -> ProofConfig:
    """Return a configuration on the real server that lets other writers wait long."""
    return ProofConfig(tmp_path / "run", sqld_binary, Limits(60, 10**9), AMPLE)


async def proved(production: Turso, proof_config: ProofConfig, files: Files) -> Proof:
    """Prove a change that is given as files."""
    return await prove(
        production, read_change(written(proof_config.folder.parent / "sql", {**OF_ANY, **files})), proof_config
    )


async def refusal_of(production: Turso, proof_config: ProofConfig, files: Files) -> str:
    """Check that a change is refused; return the refusal."""
    with pytest.raises(Problem) as caught:
        await proved(production, proof_config, files)
    return str(caught.value)


async def test_small_change_is_measured_beside_writers(production: Turso, proof_config: ProofConfig) -> None:
    """Both transactions are reported with seconds and bytes, and no concurrent write was rejected."""
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
async def test_transaction_over_the_limit_is_refused(
    production: Turso, proof_config: ProofConfig, allowed: LockLimits, words: str
) -> None:
    """The refusal gives figure, limit, the largest statements first and ways out; no `-- allow:` line accepts it."""
    said = await refusal_of(production, replace(proof_config, allowed=allowed), LARGE)
    for script in (r"migrate\.sql", r"rollback\.sql"):
        assert re.search(rf"^  {script}: {words}", said, re.MULTILINE), said
    assert re.search(STATEMENT, said), said
    for line in re.findall(r"Largest first: (.+?)\. ", said):
        seconds = [float(each) for each in re.findall(r": (\d+\.\d\d) s", line)]
        assert seconds == sorted(seconds, reverse=True) != []
    for way in ("Divide the change", "in small parts", "vercel.pause_crons = true", "turso.sole_writer = true"):
        assert way in said
    assert "No `-- allow: write-lock` accepts it" in said


async def test_too_large_rollback_is_refused_in_advance(production: Turso, proof_config: ProofConfig) -> None:
    """A small migration with a large rollback is refused: production would be locked during the rollback."""
    files = {**SMALL, "rollback.sql": SMALL["rollback.sql"] + 2 * "UPDATE t SET b = -b WHERE id > 0;\n"}
    said = await refusal_of(production, replace(proof_config, allowed=NARROW), files)
    assert re.search(r"^- rollback\.sql: it writes \d\.\d MB", said, re.MULTILINE), said
    assert "- migrate.sql: it writes" not in said


@pytest.mark.parametrize("amount", ["", " 1"], ids=["any number", "one row"])
async def test_copy_of_a_declared_table_is_measured_too(
    production: Turso, proof_config: ProofConfig, amount: str
) -> None:
    """The copy of a declared table is part of production's transaction, so its bytes and seconds are reported."""
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


async def test_sole_writer_has_no_limit(production: Turso, proof_config: ProofConfig) -> None:
    """If the user says that nothing else writes, the change passes, and the plan repeats the statement."""
    sole = LockLimits(seconds=0.001, bytes=1, sole_writer=True)
    proof = await proved(production, replace(proof_config, allowed=sole), LARGE)
    assert "turso.sole_writer says that nothing else writes" in proof.lock("migrate.sql")
    assert [held.longest for held in proof.locks] == [0, 0], "somebody wrote beside it"


async def test_sole_writer_must_finish_before_the_lock_is_taken_over(
    production: Turso, proof_config: ProofConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even for a sole writer, a transaction longer than the server protects its lock is refused."""
    monkeypatch.setattr(write_lock, "STEALS", 0.001)
    sole = LockLimits(seconds=0.001, bytes=1, sole_writer=True)
    said = await refusal_of(production, replace(proof_config, allowed=sole), LARGE)
    assert re.search(
        r"^  migrate\.sql: it holds the write lock for .+ after 0\.001 s a writer may take over the lock",
        said,
        re.MULTILINE,
    ), said
    assert "limits.lock" not in said


async def test_without_a_server_only_the_time_is_limited(production: Turso, proof_config: ProofConfig) -> None:
    """SQLite has no concurrent writers and no log to measure; a transaction that takes too long is still refused."""
    alone = replace(proof_config, binary=None, allowed=LockLimits(seconds=0.001, bytes=1))
    said = await refusal_of(production, alone, LARGE)
    assert re.search(rf"holds writers back for \d\.\d\d s, and .+ Largest first: .*{STATEMENT}", said), said
    assert "lock_bytes" not in said


class Deaf(Hrana):
    """A server that takes no more writes once a migration is committed, as sqld may: reads go on."""

    is_deaf = False

    async def transaction(self, statements: Sequence[Statement]) -> tuple[Rows, ...]:
        """Commit; a migration is the last write that is taken."""
        await self._heard()
        done = await super().transaction(statements)
        self.is_deaf = migrates(statements)
        return done

    async def query(self, statement: Statement) -> Rows:
        """Answer queries that only read."""
        if statement.sql.startswith(("INSERT", "UPDATE")):
            await self._heard()
        return await super().query(statement)

    async def _heard(self) -> None:
        if self.is_deaf:
            await asyncio.Event().wait()


def migrates(statements: Sequence[Statement]) -> bool:
    """Return whether a transaction is that of a migration."""
    return any("INSERT INTO _orchestrate_migrations" in each.sql for each in statements)


async def test_server_that_takes_no_more_writes_is_recognised(
    production: Turso, proof_config: ProofConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rehearsal restarts the server and completes: this finding is reported together with the others."""
    servers = iter((Deaf,))

    def connected(url: str, token: str | None) -> Hrana:
        return next(servers, Hrana)(url, token)

    monkeypatch.setattr(server, "connect", connected)
    monkeypatch.setattr(write_lock, "PATIENCE", 0.5)
    files = {**SMALL, "writes.sql": "UPDATE t SET c = 'written' WHERE id = 1;\n"}
    said = await refusal_of(production, proof_config, files)
    assert "- migrate.sql: afterwards the server accepted no write for 0.5 s, and had to be restarted" in said
    assert "rows written by the app is lost or changed after migrating again" in said
    assert "2 findings block this change" in said


async def never() -> None:
    """Wait for an answer that does not come."""
    await asyncio.Event().wait()


async def taken_over() -> None:
    """Raise, after a while, the server's error that another writer took the lock."""
    await asyncio.sleep(1.2)
    code = "TRANSACTION_TIMEOUT"
    raise hrana_wire.failed({"message": "Transaction timed out", "code": code}, Statement("", name="x"), "it")


@pytest.mark.parametrize("beside", [never, taken_over])
async def test_transaction_cut_off_beside_writers_is_measured_alone(
    production: Turso, proof_config: ProofConfig, monkeypatch: pytest.MonkeyPatch, beside: Callable[[], Awaitable[None]]
) -> None:
    """A transaction that outlasts its lock is refused, and its statements are still reported."""
    real, first = Hrana.transaction, iter((beside,))

    async def transaction(self: Hrana, statements: Sequence[Statement]) -> tuple[Rows, ...]:
        if migrates(statements) and (fails := next(first, None)):
            await fails()
        return await real(self, statements)

    monkeypatch.setattr(Hrana, "transaction", transaction)
    monkeypatch.setattr(write_lock, "STEALS", 1.0)
    said = await refusal_of(production, proof_config, LARGE)
    assert f"- migrate.sql: {STOLEN}. Largest first:" in said
    assert re.search(STATEMENT, said), said
    assert "1 finding blocks this change" in said
