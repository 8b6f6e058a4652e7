"""The transactions that apply, roll back and accept a change, as lists of statements.

They, and each of their parts, were tried on sqld 0.24.32.
"""

import re
from collections.abc import Collection, Iterable, Sequence

from steps.support.gateways import guards, marker
from steps.support.gateways.database.protocol import StatementFailed
from steps.support.gateways.guards import Guards, Measure, assertion, rows_in_words
from steps.support.gateways.marker import APPLIED, CREATE, HELD, Attempt, Lease
from steps.support.schema.own_tables import IS_USERS
from steps.support.sql.change import DatabaseChange
from steps.support.sql.checks import SqlCheck
from steps.support.sql.statement import Statement, Value
from steps.support.sql.tokens import quoted

SCHEMA = f"""SELECT coalesce(group_concat(line, char(10)), '') FROM (
  SELECT type || '|' || name || '|' || coalesce(sql, '') AS line FROM sqlite_schema
  WHERE {IS_USERS} ORDER BY type, name)"""
OBJECTS = f"""SELECT coalesce(group_concat(line, ', '), '') FROM (
  SELECT type || ' ' || name AS line FROM sqlite_schema WHERE {IS_USERS} ORDER BY type, name)"""
TABLES = f"SELECT name FROM sqlite_schema WHERE type = 'table' AND {IS_USERS} ORDER BY name"

BEFORE = "the schema is as before the change"  # an assertion; if it fails, it says what the schema is
_LEFT = "it is "


def migrate(change: DatabaseChange, attempt: Attempt, what: Guards, lease: Lease) -> tuple[Statement, ...]:
    """Build the transaction that applies a change.

    It checks the lock, writes the marker row, checks that the schema is as planned, runs the change, and makes all
    assertions.
    """
    return (
        *CREATE,
        _lock_held(lease),
        _marker(change, attempt, what, lease),
        assertion("schema as planned", f"({SCHEMA}) = ?", "'it changed since'", attempt.schema),
        guards.keep_measures("base", what.there, attempt.run),
        *guards.keep_declared(what.declared),
        *guards.bounded_statements(change.migrate, what.reaches),
        *guards.hold_declared(what.declared),
        *check_assertions(change.verify),
        *guards.hold_measures("base", what.there, attempt.run),
        *_objects(what),
        _lock_held(lease),
    )  # fmt: skip


def roll_back(  # noqa: PLR0913, PLR0917 - what a rollback is made of
    statements: Iterable[Statement],
    checks: Iterable[SqlCheck],
    attempt: str,
    back: tuple[Measure, ...],
    lease: Lease,
    schemas: Collection[str] = (),
) -> tuple[Statement, ...]:
    """Build the transaction that rolls back an applied attempt. It fails if any figure in `back` gets worse.

    The schema must then be one of `schemas`, letter by letter. Without `schemas` it is not checked: on a copy, it is
    compared by meaning afterwards.
    """
    flip = """UPDATE _orchestrate_migrations SET state = 'rolled_back', rolled_back_at = unixepoch()
  WHERE attempt = ? AND state = 'applied'"""
    return (
        _lock_held(lease),
        Statement(flip, (attempt,), "the marker row"),
        assertion("the attempt is applied", "changes() = 1", "'it is not'"),
        guards.keep_measures("rollback_base", back, attempt),
        *statements,
        *check_assertions(checks),
        *_schema_held(schemas),
        *guards.hold_measures("rollback_base", back, attempt),
        _lock_held(lease),
    )


def accept(attempt: str, tables: Iterable[str], lease: Lease) -> tuple[Statement, ...]:
    """Build the transaction that accepts an applied change. It drops the data kept for a rollback."""
    return (
        _lock_held(lease),
        marker.mark_accepted(attempt),
        assertion("the attempt is applied", "changes() = 1", "'it is not'"),
        *(Statement(f"DROP TABLE IF EXISTS {quoted(table)}") for table in tables),
        _lock_held(lease),
    )


def worded_failure(failed: StatementFailed, measures: Sequence[Measure] = ()) -> tuple[str, str]:
    """Return what failed and why, in the assertion's own words if it is one; `measures` are those that were checked."""
    said = _assertion_words(failed)
    words = f"{failed.message} ({failed.engine_code})" if said is None else said
    if failed.statement.name != guards.HOLDING:
        return failed.subject, words
    if said is not None:
        return guards.measure_in_message(measures, words)
    return guards.is_about_measures(measures, failed.message), words


def check_assertions(checks: Iterable[SqlCheck]) -> Iterable[Statement]:
    """Return the checks of a verify script as assertions, leaving out those that only show rows."""
    return (_check_assertion(check) for check in checks if check.expects_rows is not None)


def _check_assertion(check: SqlCheck) -> Statement:
    query = check.statement.sql.rstrip().rstrip(";")
    name = f"check {check.name!r} ({check.statement.name})"
    if check.expects_rows:
        return assertion(name, f"EXISTS (\n{query}\n)", "'no row found, and there must be some'")
    count = f"(SELECT count(*) FROM (\n{query}\n))"
    return assertion(name, f"NOT EXISTS (\n{query}\n)", f"{rows_in_words(count)} || ' found, and there must be none'")


def schema_left(failed: StatementFailed) -> str | None:
    """Return the schema that the rollback would have left, if its assertion is what failed."""
    words = _assertion_words(failed) if failed.statement.name == BEFORE else None
    return words[len(_LEFT) :] if words and words.startswith(_LEFT) else None


def _schema_held(schemas: Collection[str]) -> Iterable[Statement]:
    if schemas:
        marks = ", ".join("?" * len(schemas))
        yield assertion(BEFORE, f"({SCHEMA}) IN ({marks})", f"'{_LEFT}' || ({SCHEMA})", *schemas)


def _assertion_words(failed: StatementFailed) -> str | None:
    found = re.search(r"(?:bad JSON path:|JSON path error near) '(.*)'", failed.message, re.DOTALL)
    return found[1].replace("''", "'") if found else None


def _lock_held(lease: Lease) -> Statement:
    why = "'another run took it over, or its lease ended'"
    return assertion("this run still holds the lock", HELD, why, lease.run, lease.token)


def _objects(what: Guards) -> Iterable[Statement]:
    if what.objects:
        yield assertion(
            "tables, indexes, triggers and views as rehearsed", f"({OBJECTS}) = ?", f"({OBJECTS})", what.objects
        )


def _marker(change: DatabaseChange, attempt: Attempt, what: Guards, lease: Lease) -> Statement:
    columns: dict[str, Value] = {
        "attempt": attempt.run, "name": change.name, "sha256": change.sha256, "state": APPLIED, "token": lease.token,
        "code_order": attempt.order, "previous_deployment": attempt.previous_deployment,
        "previous_commit": attempt.previous_commit, "release_commit": attempt.release_commit,
        "previous_head": attempt.previous_head,
        "schema_before": attempt.schema,
        "rollback_guards": guards.guards_json(what.back, what.respelled),
        "rollback_sql": change.rollback_text, "verify_rollback_sql": change.verify_rollback_text,
    }  # fmt: skip
    marks = ", ".join("?" * len(columns))
    return Statement(
        f"INSERT INTO _orchestrate_migrations ({', '.join(columns)}) VALUES ({marks})",
        tuple(columns.values()),
        "the marker row: applied already",
    )
