"""A rollback may leave the schema in other letters: it is proved, committed and verified by what the letters mean."""

import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from steps.support.change.folder import read_change
from steps.support.core.errors import Problem
from steps.support.gateways.database.connect import connect
from steps.support.gateways.marker import Attempt, Claim, Lease
from steps.support.gateways.turso import Turso
from steps.support.proof.config import ProofConfig
from steps.support.proof.proof import prove
from steps.support.schema.comparison.fingerprint import differing
from steps.support.sql.script import split
from steps.support.sql.statement import Statement
from tests.support.paths import SQL
from tests.support.proof.proofs import ENOUGH
from tests.support.proof.proved_production import Production

pytestmark = pytest.mark.anyio

COLUMNS = r"\b(systems|user_id|system_number|display_name|model|serial|ratings|created_at|updated_at)\b(?! *\()"
SPELLINGS: dict[str, Callable[[str], str]] = {
    "one line": lambda sql: " ".join(sql.split()),
    "backticks": lambda sql: re.sub(COLUMNS, r"`\1`", sql).replace("TABLE `systems`", "TABLE `systems` "),
    "double quotes": lambda sql: re.sub(COLUMNS, r'"\1"', sql),
    "comments": lambda sql: sql.replace("model TEXT,", "model TEXT, -- of the inverter\n/* its number */"),
    "lower case": str.lower,
}


@pytest.fixture
async def database(server: str) -> AsyncIterator[Turso]:
    """Yield an empty server."""
    async with aclosing(connect(server, None)) as opened:
        yield Turso(opened)


@pytest.mark.parametrize("respell", SPELLINGS.values(), ids=SPELLINGS)
async def test_shipped_change_passes_however_production_spells_systems(
    respell: Callable[[str], str], database: Turso, sqld_binary: Path, tmp_path: Path
) -> None:
    """The shipped change is lossless, its rollback commits in production, and the schema means the same as before."""
    sample = (SQL / "sample.sql").read_text().replace("n < 20159", "n < 59")
    table = re.search(r"CREATE TABLE systems \(.*?\n\);", sample, re.DOTALL)
    assert table
    await database.database.transaction(split(sample.replace(table[0], respell(table[0])), "sample.sql"))
    before, change = await database.schema(), read_change(SQL)
    proof = await prove(database, change, ProofConfig(tmp_path / "run", sqld_binary, ENOUGH))
    assert proof.lossless
    _, holder = await database.lock(Claim("run", "me", "here", 3600))
    assert holder
    lease = Lease(holder.run, holder.token)
    await database.migrate(change, Attempt("run", "", "", "", "", "", before), proof.guards, lease)
    marker = await database.marker("run")
    assert marker
    await database.roll_back(marker, change.rollback, change.verify_rollback, lease)
    after = await database.schema()
    assert after != before
    assert differing(before, after) == ()


TABLE = "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT);"
INDEX = "CREATE INDEX by_email ON users (email);"
VIEW = "CREATE VIEW emails AS SELECT email FROM users;"
RENAMED = """-- changes: users
-- changes: accounts
-- allow: table-lost it is called accounts now
-- allow: view-lost it reads accounts now
ALTER TABLE users RENAME TO accounts;
"""
ADDED = "-- changes: users\nALTER TABLE users ADD COLUMN age INT;"
PAIRS = {
    "a table renamed": (TABLE + INDEX + VIEW, RENAMED, "ALTER TABLE accounts RENAME TO users;"),
    "a table made again with comments": (
        TABLE,
        ADDED,
        """CREATE TABLE _orchestrate_kept_u AS SELECT id, email FROM users; DROP TABLE users;
        CREATE TABLE [users] ( -- as before
        `id` integer primary key, /* its number */ "email" text);
        INSERT INTO users SELECT * FROM _orchestrate_kept_u; DROP TABLE _orchestrate_kept_u;""",
    ),
    "a view made again in other quotes": (
        TABLE + VIEW,
        "-- allow: view-lost it shows ids now\nDROP VIEW emails; CREATE VIEW emails AS SELECT id, email FROM users;",
        'DROP VIEW emails; CREATE VIEW "emails" AS\nselect `email` from "users";',
    ),
}


@pytest.fixture(params=["sqld", "sqlite"])
async def production(request: pytest.FixtureRequest, database: Turso, sqld_binary: Path, tmp_path: Path) -> Production:
    """Return a production on a server, rehearsed on the server's engine and on the local one."""
    return Production(database, sqld_binary if request.param == "sqld" else None, tmp_path)


@pytest.mark.parametrize(("before", "migrate", "rollback"), PAIRS.values(), ids=PAIRS)
async def test_rollback_in_other_letters_commits_at_once(
    production: Production, before: str, migrate: str, rollback: str
) -> None:
    """The rehearsal learns the letters, and production's transaction asserts them: a first try commits."""
    proof = await production.proved(before, migrate, rollback)
    assert proof.guards.respelled
    was = await production.turso.schema()
    assert await production.migrated() == ""
    marker = await production.turso.marker("run 1")
    assert marker
    assert json.loads(str(marker["rollback_guards"]))["respelled"]
    assert await production.rolled_back() == ""
    now = await production.turso.schema()
    assert now != was
    assert differing(was, now) == ()


async def test_marker_of_an_earlier_version_is_enough(production: Production) -> None:
    """A marker row that keeps no letters rolls back too: the transaction is repeated for those that mean the same."""
    before, migrate, rollback = PAIRS["a table renamed"]
    await production.proved(before, migrate, rollback)
    was = await production.turso.schema()
    assert await production.migrated() == ""
    guards = json.loads(str((await production.turso.marker("run 1") or {})["rollback_guards"]))["measures"]
    forget = "UPDATE _orchestrate_migrations SET rollback_guards = ?"
    await production.turso.read(Statement(forget, (json.dumps(guards),)))
    assert await production.rolled_back() == ""
    assert differing(was, await production.turso.schema()) == ()


async def test_what_others_changed_meanwhile_is_shown_and_stays(production: Production) -> None:
    """If an index was added meanwhile, the rollback is refused with both texts of the schema, and nothing changes."""
    before, migrate, rollback = PAIRS["a table renamed"]
    await production.proved(before, migrate, rollback)
    assert await production.migrated() == ""
    await production.written("DROP INDEX by_email; CREATE UNIQUE INDEX by_email ON accounts (email);")
    now = await production.turso.schema()
    assert await production.rolled_back() == (
        "the schema is as before the change: it differs:\n"
        "index by_email\n"
        f"  before: {INDEX[:-1]}\n"
        '  now: CREATE UNIQUE INDEX by_email ON "users" (email)'
    )
    assert await production.turso.schema() == now


OTHERS = {
    "a column in other letters": (
        ADDED,
        "DROP TABLE users; CREATE TABLE users (id INTEGER PRIMARY KEY, Email TEXT);",
        "users.email: is spelled Email after the rollback",
    ),
    "a literal with another space": (
        ADDED,
        "DROP TABLE users; CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT DEFAULT 'a  b');",
        "users.email: default 'a  b' is new after the rollback",
    ),
}


@pytest.mark.parametrize(("migrate", "rollback", "words"), OTHERS.values(), ids=OTHERS)
async def test_another_schema_after_the_rollback_is_refused(
    production: Production, migrate: str, rollback: str, words: str
) -> None:
    """What code can tell apart is another schema: it is refused with both texts, whole."""
    with pytest.raises(Problem) as caught:
        await production.proved(TABLE, migrate, rollback)
    said = str(caught.value)
    assert words in said
    assert f"before: {TABLE[:-1]}\n  now: {rollback.partition('; ')[2][:-1]}\n" in said
