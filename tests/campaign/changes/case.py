"""A case: a random database, a change that is right or has one harm in it, and what the app writes."""

import sqlite3
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from random import Random

from steps.support.sql.findings import FILES
from steps.support.sql.tokens import quoted
from tests.campaign.changes.draft import Draft, statements
from tests.campaign.changes.drawing import drawn_database, insert, value
from tests.campaign.changes.harms import HARMS
from tests.campaign.changes.kinds import KINDS
from tests.campaign.changes.life import Life, copied, differences, lived, run, state
from tests.campaign.changes.model import Table, literal

ANY = "SELECT count(*) FROM sqlite_schema;\n"
WRITES = 5
SOUND = frozenset({"orphans", "integrity"})  # what nothing may break
INFINITE = {"Inf": "9e999", "-Inf": "-9e999"}  # as quote() writes them
SILENT = 0.2  # of the cases have a writes.sql that writes nothing


class NotRight(Exception):  # noqa: N818 - a fault of the campaign, not of the product
    """A change that should be right is not, by SQL alone."""


@dataclass(frozen=True, slots=True)
class Case:
    """A case, ready to be played. `harm`: what is wrong with the change, empty if it is right.

    `no_ops`: harms that made no difference, and were given up for another.
    """

    seed: int
    kind: str
    harm: str
    before: sqlite3.Connection
    files: Mapping[str, str]
    no_ops: int
    differing: Sequence[str]

    def __str__(self) -> str:
        """Return it in a line."""
        return f"seed {self.seed}: {self.kind}, {self.harm or 'right'}"


def drawn(seed: int) -> Case:
    """Draw the case of a seed: every second is right. Raise NotRight if the right change loses anything."""
    rng = Random(seed)  # noqa: S311 - a seed must give the same case every time
    if rng.random() < 0.5:
        kind = rng.choice([*KINDS])
        while not (found := _drawn_right(rng, kind)):
            pass
        return _case(seed, found, found.draft, 0, ())
    harm, no_ops = rng.choice([*HARMS]), 0
    while True:
        if not (found := _drawn_right(rng, rng.choice([*KINDS]))):
            continue
        trial = deepcopy(found.draft)
        trial.harm = harm
        if HARMS[harm](rng, trial):
            if differing := _harm(found, trial):
                return _case(seed, found, trial, no_ops, differing)
            no_ops += 1


@dataclass(frozen=True, slots=True)
class _Right:
    """A right change of a database, what the app writes, and the life that follows."""

    before: sqlite3.Connection
    draft: Draft
    writes: Sequence[str]
    life: Life


def _drawn_right(rng: Random, kind: str) -> _Right | None:
    """Draw a database and a right change of a kind; None if the kind finds no place in it."""
    database, before = drawn_database(rng)
    if not (draft := KINDS[kind](rng, database, before)):
        return None
    scripts = statements(draft.migrate), statements(draft.rollback)
    try:
        writes = _writes(rng, draft, before, scripts[0])
    except sqlite3.IntegrityError:  # the rows do not fit what the change asks of them
        return None
    return _Right(before, draft, writes, _right(before, *scripts, writes))


def _case(seed: int, right: _Right, draft: Draft, no_ops: int, differing: Sequence[str]) -> Case:
    files = _files(draft, statements(draft.migrate), statements(draft.rollback), right.writes)
    return Case(seed, draft.kind, draft.harm, right.before, files, no_ops, differing)


def _right(before: sqlite3.Connection, migrate: Sequence[str], rollback: Sequence[str], writes: Sequence[str]) -> Life:
    """Return the life of a right change, in which nothing is lost."""
    life, first = lived(before, migrate, rollback, writes), state(before)
    phases = [life.migrated, life.written, life.rolled_back_again]
    broken = [sorted(SOUND & {*differences(first, each)}) for each in phases]
    wrong = {
        "after the rollback": differences(first, life.rolled_back),
        "after migrating again": differences(life.written, life.migrated_again),
        "at some time": [name for names in broken for name in names],
    }
    if any(wrong.values()):
        raise NotRight(f"differing: {wrong}")
    return life


def _harm(right: _Right, draft: Draft) -> list[str]:
    """Return what the harm changes, by phase; nothing if it changes nothing, or if a script does not run."""
    try:
        harmed = lived(right.before, statements(draft.migrate), statements(draft.rollback), right.writes)
    except sqlite3.Error:
        return []
    phases = ("migrated", "rolled_back", "written", "rolled_back_again", "migrated_again")
    found = {each: differences(getattr(right.life, each), getattr(harmed, each)) for each in phases}
    return [f"{each}: {', '.join(what)}" for each, what in found.items() if what]


def _writes(rng: Random, draft: Draft, before: sqlite3.Connection, migrate: Sequence[str]) -> list[str]:
    """Draw what the app writes on the new schema; it accepts all of it."""
    if rng.random() < SILENT:
        return []
    connection, written = copied(before), list[str]()
    run(connection, migrate)
    connection.execute("PRAGMA foreign_keys = ON")
    tables = [each for each in draft.after.tables if each.name in draft.targets] * 3 + draft.after.tables
    search = [f"INSERT INTO own_text (title) VALUES ({literal(text)})" for text in ("green pears", "figs")]
    for sql in (*draft.extra(), *search[: rng.randint(0, 2) * any(not each.content for each in draft.before.searches)]):
        if _accepted(connection, sql):
            written.append(sql)
    for _ in range(rng.randint(1, WRITES)):
        sql = _write(rng, rng.choice(tables), draft, connection)
        if sql and _accepted(connection, sql):
            written.append(sql)
    return written


def _accepted(connection: sqlite3.Connection, sql: str) -> bool:
    changed = connection.total_changes
    try:
        connection.execute(sql)
    except sqlite3.IntegrityError:
        return False
    return connection.total_changes > changed


def _write(rng: Random, table: Table, draft: Draft, connection: sqlite3.Connection) -> str:
    """Draw one write that does not depend on earlier writes."""
    what, own = rng.choice(("insert", "insert", "update", "update", "delete")), quoted(table.name)
    if what == "insert":
        connection.execute("SAVEPOINT drawn")
        sql = insert(rng, _without(table, draft.avoided), connection)
        connection.execute("ROLLBACK TO drawn")
        connection.execute("RELEASE drawn")
        return sql
    by = [quoted(name) for name in table.key] or ["rowid"]
    rows = connection.execute(f"SELECT {', '.join(f'quote({each})' for each in by)} FROM {own} ORDER BY 1").fetchall()
    if not rows:
        return ""
    where = " AND ".join(
        f"{name} IS {INFINITE.get(each, each)}" for name, each in zip(by, rng.choice(rows), strict=True)
    )
    if what == "delete":
        return f"DELETE FROM {own} WHERE {where}"
    fixed = {*table.key, *draft.avoided, *(name for each in table.references for name in each.columns)}
    columns = [each for each in table.stored if each.name not in fixed]
    if not columns:
        return ""
    column = rng.choice(columns)
    return f"UPDATE {own} SET {quoted(column.name)} = {literal(value(rng, column, strict=table.strict))} WHERE {where}"


def _without(table: Table, avoided: set[str]) -> Table:
    """Return the table as the app writes it: columns that the change fills always get a value."""
    for name in avoided & {*table.names}:
        table = table.with_column(replace(table.column(name), not_null=True))
    return table


def _files(draft: Draft, migrate: Sequence[str], rollback: Sequence[str], writes: Sequence[str]) -> dict[str, str]:
    texts = {
        "migrate.sql": ["-- name: drawn", *draft.directives, *(f"{sql};" for sql in migrate)],
        "rollback.sql": [*draft.directives_back, *(f"{sql};" for sql in rollback)],
        "writes.sql": [f"{sql};" for sql in writes] or ["-- nothing"],
        "contract/old.sql": [ANY],
        "contract/new.sql": [ANY],
    }
    return {name: "\n".join(texts.get(name, ["-- nothing"])) + "\n" for name in FILES}
