"""The one transaction of a change, and the one that takes it back, as lists of statements.

An assertion is an expression that raises, because a batch condition sees only ok or error, never a value. The frame and
each of its parts were measured on sqld 0.24.32.
"""

import re
from collections.abc import Iterable, Sequence

from steps.support.gateways.database import Statement, StatementFailed, Value
from steps.support.gateways.ledger import APPLIED, CREATE, HELD, Attempt, Lease
from steps.support.sql_folder import DatabaseChange, SqlCheck

_OWN = ("_orchestrate_*", "_litestream_*", "sqlite_*", "libsql_*")  # names that no comparison looks at
_NOT_OWN = " AND ".join(f"name NOT GLOB '{pattern}'" for pattern in _OWN)
SCHEMA = f"""SELECT coalesce(group_concat(line, char(10)), '') FROM (
  SELECT type || '|' || name || '|' || coalesce(sql, '') AS line FROM sqlite_schema
  WHERE {_NOT_OWN} ORDER BY type, name)"""
TABLES = f"SELECT name FROM sqlite_schema WHERE type = 'table' AND {_NOT_OWN} ORDER BY name"
ORPHANS = "(SELECT count(*) FROM pragma_foreign_key_check)"

BEFORE = "SELECT schema_before FROM _orchestrate_migrations WHERE attempt = ?"

SAME, NOT_FEWER, NOT_MORE = "=", ">=", "<="


def migrate(change: DatabaseChange, attempt: Attempt, lease: Lease) -> tuple[Statement, ...]:
    """Build the change's transaction: marker, fencing token, schema as planned, the change, and all that must hold."""
    counted = [table for table in attempt.tables if table not in change.changes]
    return (
        *CREATE,
        _lock_held(lease),
        _marker(change, attempt, lease),
        assertion("schema as planned", f"({SCHEMA}) = ?", "'it changed since'", attempt.schema),
        _count("base", counted, attempt.run),
        *change.migrate,
        *asserted(change.verify),
        *_conserved("base", counted, attempt.run, SAME if change.changes else NOT_FEWER),
        _lock_held(lease),
    )  # fmt: skip


def roll_back(
    statements: Iterable[Statement], checks: Iterable[SqlCheck], attempt: str, counted: Sequence[str], lease: Lease
) -> tuple[Statement, ...]:
    """Build the transaction that takes an applied attempt back; no row of a counted table may go with it."""
    flip = """UPDATE _orchestrate_migrations SET state = 'rolled_back', rolled_back_at = unixepoch()
  WHERE attempt = ? AND state = 'applied'"""
    return (
        _lock_held(lease),
        Statement(flip, (attempt,), "the marker row"),
        assertion("the attempt is applied", "changes() = 1", "'it is not'"),
        _count("rollback_base", counted, attempt),
        *statements,
        *asserted(checks),
        assertion(
            "the schema is the one of before", f"({SCHEMA}) = ({BEFORE})", "'it differs: see rollback.sql'", attempt
        ),
        *_conserved("rollback_base", counted, attempt, SAME),
        _lock_held(lease),
    )


def assertion(name: str, condition: str, otherwise: str, *args: str | int) -> Statement:
    """Build a statement that fails unless `condition` holds; `otherwise` is an SQL expression that says why."""
    # a text that is NULL, or begins with a dollar sign, would be no error, and the assertion would pass
    sql = (
        f"SELECT CASE WHEN {condition} THEN 1 ELSE json_extract('{{}}', coalesce({otherwise}, 'it cannot be told')) END"
    )
    return Statement(sql, args, name)


def why(failed: StatementFailed) -> str:
    """Give what a statement failed with, in its own words where it is an assertion."""
    raised = re.search(r"bad JSON path: '(.*)'", failed.message, re.DOTALL)
    return raised[1].replace("''", "'") if raised else f"{failed.message} ({failed.code})"


def asserted(checks: Iterable[SqlCheck]) -> Iterable[Statement]:
    """Turn the checks of a verify script into assertions, those left out that expect nothing."""
    return (_holds(check) for check in checks if check.expects_rows is not None)


def _holds(check: SqlCheck) -> Statement:
    query = check.statement.sql.rstrip().rstrip(";")
    name = f"check {check.name!r} ({check.statement.name})"
    if check.expects_rows:
        return assertion(name, f"EXISTS (\n{query}\n)", "'no row found, and there must be some'")
    found = f"(SELECT count(*) FROM (\n{query}\n))"
    return assertion(name, f"NOT EXISTS (\n{query}\n)", f"{found} || ' rows found, and there must be none'")


def _lock_held(lease: Lease) -> Statement:
    why = "'another run took it over, or its lease ended'"
    return assertion("this run still holds the lock", HELD, why, lease.run, lease.token)


def _marker(change: DatabaseChange, attempt: Attempt, lease: Lease) -> Statement:
    columns: dict[str, Value] = {
        "attempt": attempt.run, "name": change.name, "sha256": change.sha256, "state": APPLIED, "token": lease.token,
        "code_order": attempt.order, "previous_deployment": attempt.previous_deployment,
        "previous_commit": attempt.previous_commit, "schema_before": attempt.schema,
        "rollback_sql": change.rollback_text, "verify_rollback_sql": change.verify_rollback_text,
    }  # fmt: skip
    marks = ", ".join("?" * len(columns))
    return Statement(
        f"INSERT INTO _orchestrate_migrations ({', '.join(columns)}) VALUES ({marks})",
        tuple(columns.values()),
        "the marker row: applied already",
    )


def _count(column: str, tables: Sequence[str], attempt: str) -> Statement:
    """Keep the number of rows of each table, and of orphans, as JSON in the marker row."""
    counts = "".join(f" UNION ALL SELECT ?, (SELECT count(*) FROM {quoted(table)})" for table in tables)
    pairs = f"SELECT '' AS key, {ORPHANS} AS number{counts}"
    value = f"(SELECT json_group_object(key, number) FROM ({pairs}))"
    sql = f"UPDATE _orchestrate_migrations SET {column} = {value} WHERE attempt = ?"
    return Statement(sql, (*tables, attempt), "counting rows")


def _conserved(column: str, tables: Sequence[str], attempt: str, relation: str) -> Iterable[Statement]:
    was = f"(SELECT value FROM _orchestrate_migrations, json_each({column}) WHERE attempt = ?1 AND key = ?2)"
    counted = {
        table: (f"rows of {table} kept", f"(SELECT count(*) FROM {quoted(table)})", relation) for table in tables
    }
    for key, (name, now, how) in {**counted, "": ("no new orphans", ORPHANS, NOT_MORE)}.items():
        yield assertion(name, f"{now} {how} {was}", f"{was} || ' before, ' || {now} || ' after'", attempt, key)


def quoted(name: str) -> str:
    """Quote an identifier."""
    return '"' + name.replace('"', '""') + '"'
