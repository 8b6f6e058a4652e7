"""The tool's own rows in the user's database: the marker row of each attempt, and the lock.

The tables are named `_orchestrate_*`.
"""

from dataclasses import dataclass

from steps.support.schema.own_tables import KEPT
from steps.support.sql.statement import Statement

APPLIED, FENCED, ROLLED_BACK = "applied", "fenced", "rolled_back"

CREATE = (
    Statement(
        """CREATE TABLE IF NOT EXISTS _orchestrate_migrations (
  attempt TEXT PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT,
  state TEXT NOT NULL CHECK (state IN ('applied', 'fenced', 'rolled_back')),
  at INTEGER NOT NULL DEFAULT (unixepoch()), rolled_back_at INTEGER, token INTEGER,
  code_order TEXT, previous_deployment TEXT, previous_commit TEXT, release_commit TEXT, previous_head TEXT,
  schema_before TEXT,
  base TEXT, rollback_base TEXT, rollback_guards TEXT, rollback_sql TEXT, verify_rollback_sql TEXT,
  accepted_at INTEGER)"""
    ),
    Statement(
        "CREATE UNIQUE INDEX IF NOT EXISTS _orchestrate_migrations_applied"
        " ON _orchestrate_migrations(name) WHERE state = 'applied'"
    ),
    Statement(
        """CREATE TABLE IF NOT EXISTS _orchestrate_lock (name TEXT PRIMARY KEY, run TEXT NOT NULL, who TEXT NOT NULL,
  host TEXT NOT NULL, since INTEGER NOT NULL, token INTEGER NOT NULL, expires_at INTEGER NOT NULL)"""
    ),
)

WRITERS = (
    Statement("CREATE TABLE IF NOT EXISTS _orchestrate_writers (writer INTEGER PRIMARY KEY, writes INTEGER NOT NULL)"),
)  # on copies only

_LOCK = """SELECT run, who, host, datetime(since, 'unixepoch') AS since, datetime(expires_at, 'unixepoch') AS expires,
  token FROM _orchestrate_lock WHERE name = 'production' {}"""
HOLDER = Statement(_LOCK.format("AND expires_at > unixepoch()"))
HELD = """EXISTS (SELECT 1 FROM _orchestrate_lock
  WHERE name = 'production' AND run = ? AND token = ? AND expires_at > unixepoch())"""


@dataclass(frozen=True, slots=True)
class Claim:
    """A process's claim to the lock.

    `run`: the run that the process belongs to. `who`: a name that distinguishes the processes of one run, so that a
    process can ask again after a lost answer. `host`: the machine. `seconds`: how long the lease lasts. `after`: the
    token that the lock must still have, so that only one of several processes rolls back a run; None if any token will
    do.
    """

    run: str
    who: str
    host: str
    seconds: float
    after: int | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """The lock as one run holds it. The token grows each time that the lock is taken."""

    run: str
    token: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """What the marker row records about one attempt, besides the change itself.

    `previous_head`: the commit that the branch pointed to. The live deployment may have been built from an older one.
    """

    run: str
    order: str
    previous_deployment: str
    previous_commit: str
    release_commit: str
    previous_head: str
    schema: str


def take_lock(claim: Claim) -> Statement:
    """Build the statement that takes the lock if it is free. It returns a row if it took the lock, and can be repeated.

    The new token is one higher than the previous one.
    """
    sql = """INSERT INTO _orchestrate_lock (name, run, who, host, since, token, expires_at)
  VALUES ('production', ?1, ?2, ?3, unixepoch(), coalesce(?5, 0) + 1, unixepoch() + ?4)
  ON CONFLICT (name) DO UPDATE SET run = excluded.run, who = excluded.who, host = excluded.host,
    since = excluded.since, token = coalesce(?5, token) + 1, expires_at = excluded.expires_at
  WHERE (expires_at <= unixepoch() OR run = excluded.run)
    AND (?5 IS NULL OR token = ?5 OR (token = ?5 + 1 AND (run, who, host) = (?1, ?2, ?3)))
  RETURNING token"""
    return Statement(sql, (claim.run, claim.who, claim.host, round(claim.seconds), claim.after), "taking the lock")


def renew_lock(run: str, token: int | None, seconds: int) -> Statement:
    """Build the statement that extends the lease to at least `seconds` from now, even if the lease has ended.

    It returns no row if another run has taken the lock, or if a rollback of this run holds it with a higher token. If
    `token` is None, the lease is extended at any token.
    """
    sql = """UPDATE _orchestrate_lock SET expires_at = max(expires_at, unixepoch() + ?3)
  WHERE name = 'production' AND run = ?1 AND token = coalesce(?2, token) RETURNING token"""
    return Statement(sql, (run, token, seconds), "renewing the lock")


def prolong_lock(run: str, token: int | None) -> Statement:
    """Build a small, harmless write: it extends a run's lease by one second if the run still has the lock.

    Writing the same values again would not do, because the engine then writes nothing.
    """
    sql = """UPDATE _orchestrate_lock SET expires_at = expires_at + 1
  WHERE name = 'production' AND run = ?1 AND token = coalesce(?2, token)"""
    return Statement(sql, (run, token), "a small write")


def take_over(run: str) -> Statement:
    """Build the statement that gives the lock to a run unconditionally.

    It is only for copies, which have no other users.
    """
    sql = """UPDATE _orchestrate_lock SET run = ?, token = token + 1, expires_at = unixepoch() + 3600
  WHERE name = 'production'"""
    return Statement(sql, (run,), "the lock row of the copy")


def written_by(writer: int) -> Statement:
    """Build a small write to a copy, which stands for a write by the app."""
    sql = """INSERT INTO _orchestrate_writers (writer, writes) VALUES (?, 1)
  ON CONFLICT (writer) DO UPDATE SET writes = writes + 1"""
    return Statement(sql, (writer,), "a writer beside the change")


def release_lock(run: str, who: str, token: int | None) -> Statement:
    """Build the statement that ends the lease. The row stays, so that the tokens never start again from 1."""
    sql = """UPDATE _orchestrate_lock SET expires_at = 0
  WHERE name = 'production' AND run = ?1 AND who = ?2 AND token = coalesce(?3, token)"""
    return Statement(sql, (run, who, token), "releasing the lock")


def marker_of(attempt: str) -> Statement:
    """Build the query for one attempt's marker row."""
    sql = "SELECT *, unixepoch() - at AS age FROM _orchestrate_migrations WHERE attempt = ?"
    return Statement(sql, (attempt,), "the marker row")


def applied_marker(name: str) -> Statement:
    """Build the query for the marker row of an applied change."""
    sql = "SELECT * FROM _orchestrate_migrations WHERE name = ? AND state = 'applied'"
    return Statement(sql, (name,), "the marker row")


def kept_tables() -> Statement:
    """Build the query for the tables in which changes keep the data that a rollback would need."""
    is_kept = f"type = 'table' AND lower(name) GLOB '{KEPT}*'"
    return Statement(f"SELECT name FROM sqlite_schema WHERE {is_kept} ORDER BY name")


def rollbacks_in_need(attempt: str, name: str) -> Statement:
    """Build the query for the rollback scripts of other changes that may still need the data they kept.

    Some of these changes are applied but not accepted. The others are rolled back, and keep data that the old schema
    could not hold until they are migrated again.
    """
    sql = """SELECT rollback_sql FROM _orchestrate_migrations AS m
  WHERE attempt <> ?1 AND name <> ?2 AND rollback_sql IS NOT NULL AND CASE state WHEN 'applied' THEN accepted_at IS NULL
    ELSE NOT EXISTS (SELECT 1 FROM _orchestrate_migrations AS a WHERE a.name = m.name AND a.state = 'applied') END"""
    return Statement(sql, (attempt, name), "the rollbacks of other changes")


def mark_accepted(attempt: str) -> Statement:
    """Build the statement that marks an applied change as accepted."""
    sql = """UPDATE _orchestrate_migrations SET accepted_at = coalesce(accepted_at, unixepoch())
  WHERE attempt = ? AND state = 'applied'"""
    return Statement(sql, (attempt,), "the marker row")


def last_lock() -> Statement:
    """Build the query for the last holder of the lock, even if its lease has ended."""
    return Statement(_LOCK.format(""), name="the lock row")


def fence(attempt: str, name: str) -> tuple[Statement, ...]:
    """Build the statements that fence an attempt: if it has not committed, it never can, even if it is still under way.

    The fence has the key of the migration's own marker row, so a migration that comes later fails on that key.
    The last statement returns the marker row.
    """
    sql = """INSERT INTO _orchestrate_migrations (attempt, name, state) VALUES (?, ?, 'fenced')
  ON CONFLICT (attempt) DO NOTHING"""
    return (*CREATE, Statement(sql, (attempt, name), "the fence"), marker_of(attempt))
