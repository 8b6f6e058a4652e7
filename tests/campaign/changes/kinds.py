"""Right changes, each of a kind: what a rollback of them must bring back waits in tables that the change keeps."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from random import Random

from steps.support.sql.findings import waiver_line, written_name
from steps.support.sql.tokens import quoted
from tests.campaign.changes.draft import Draft, Rebuild, Step
from tests.campaign.changes.drawing import ABOUT, LOG, NOTED, PROFILE, TOUCHED, fitting_value, value
from tests.campaign.changes.model import Column, Drawn, Object, Search, Table, listed, literal

KEPT = "_orchestrate_kept_before"
WAITING = "_orchestrate_kept_waiting"
LONG = "more than forty characters, as only the new schema admits them"
FILLED = {"INTEGER": "17", "INT": "17", "REAL": "17.5", "BLOB": "x'17'", "NUMERIC": "17", "BOOLEAN": "17"}
WHY = "the author knows, and says so"

Kind = Callable[[Random, Drawn, sqlite3.Connection], Draft | None]


def allow(rule: str, name: str) -> str:
    """Return the line that accepts a finding."""
    return waiver_line(rule, name, WHY)


def changes(table: str, count: int | None = None, column: str = "") -> str:
    """Return the line that declares rows."""
    columns = f"({written_name(column)})" if column else ""
    return f"-- changes: {written_name(table)}{columns}{'' if count is None else f' {count}'}"


def _draft(kind: str, drawn: Drawn, old: Table | None, new: Table | None) -> Draft:
    """Begin a draft in which one table becomes another."""
    after = deepcopy(drawn)
    if old:
        after.tables = [each for each in after.tables if each.name != old.name]
    if new:
        after.tables.append(new)
    return Draft(kind, drawn, after, [], [], [new.name] if new else [])


def _free(drawn: Drawn, table: Table) -> list[Column]:
    """Return the columns on which nothing rests and which nothing names."""
    bound = table.bound | drawn.used(table)
    return [each for each in table.stored if each.name not in bound]


def _own(drawn: Drawn) -> list[Table]:
    return [each for each in drawn.tables if each.name != LOG]


def _pick(rng: Random, tables: list[Table], fits: Callable[[Table], object]) -> Table | None:
    fitting = [each for each in tables if fits(each)]
    return rng.choice(fitting) if fitting else None


def _is_logged(drawn: Drawn, table: Table) -> bool:
    return any(each.kind == "TRIGGER" and "AFTER UPDATE" in each.sql for each in drawn.on(table))


def _added(rng: Random, table: Table) -> Column:
    kind = rng.choice(("TEXT", "INTEGER", "REAL", "BLOB"))
    column = Column(
        "added", kind, default=literal(fitting_value(rng, kind, strict=table.strict)) if rng.random() < 0.6 else ""
    )
    return replace(column, not_null=bool(column.default) and rng.random() < 0.5)


def _waits(table: Table, column: str) -> tuple[str, str, str]:
    """Return the statements that keep a column, make room for what was kept, and bring it back."""
    own, name = quoted(table.name), quoted(column)
    keep = f"CREATE TABLE {WAITING} AS SELECT {table.identity('t')}, t.{name} FROM {own} AS t"
    room = f"CREATE TABLE IF NOT EXISTS {WAITING} AS SELECT {table.identity('t')}, t.{name} FROM {own} AS t WHERE 0"
    same = table.same(own, "k", kept=False)
    found = f"SELECT k.{name} FROM {WAITING} AS k WHERE {same}"
    return keep, room, f"UPDATE {own} SET {name} = ({found}) WHERE EXISTS ({found})"


def column_added_in_place(rng: Random, drawn: Drawn, _: sqlite3.Connection) -> Draft | None:
    """Add a column in place; what the app wrote to it waits."""
    table = _pick(rng, _own(drawn), lambda each: not _is_logged(drawn, each))
    if not table:
        return None
    column = _added(rng, table)
    new = replace(table, columns=(*table.columns, column))
    draft = _draft("column added in place", drawn, table, new)
    keep, room, regain = _waits(new, column.name)
    draft.migrate = [
        Step(f"ALTER TABLE {quoted(table.name)} ADD COLUMN {column.sql}"),
        Step(room), Step(regain, regains=True), Step(f"DROP TABLE {WAITING}"),
    ]  # fmt: skip
    draft.rollback = [Step(keep), Step(f"ALTER TABLE {quoted(table.name)} DROP COLUMN {quoted(column.name)}")]
    return draft


def column_added_by_rebuild(rng: Random, drawn: Drawn, _: sqlite3.Connection) -> Draft | None:
    """Rebuild a table with one more column, somewhere; what the app wrote to it waits."""
    table = rng.choice(_own(drawn))
    column, columns = _added(rng, table), list(table.columns)
    columns.insert(rng.randint(1, len(columns)), column)
    new = replace(table, columns=tuple(columns))
    draft = _draft("column added by rebuild", drawn, table, new)
    forward = Rebuild.of(table, new, drawn.on(table))
    keep, room, regain = _waits(new, column.name)
    forward.then = [Step(room), Step(regain, regains=True), Step(f"DROP TABLE {WAITING}")]
    draft.migrate = [forward]
    draft.rollback = [Step(keep), Rebuild.of(new, table, drawn.on(table))]
    return draft


def rebuilt(rng: Random, drawn: Drawn, _: sqlite3.Connection) -> Draft | None:
    """Rebuild a table with its columns in another order."""
    table = rng.choice(_own(drawn))
    columns = list(table.columns)
    rng.shuffle(columns)
    new = replace(table, columns=tuple(columns))
    draft = _draft("rebuilt", drawn, table, new)
    draft.migrate = [Rebuild.of(table, new, drawn.on(table))]
    draft.rollback = [Rebuild.of(new, table, drawn.on(table))]
    return draft


def _dropped(rng: Random, drawn: Drawn) -> tuple[Table, Column] | None:
    table = _pick(rng, _own(drawn), lambda each: _free(drawn, each))
    return (table, rng.choice(_free(drawn, table))) if table else None


def _back_with(rng: Random, table: Table, new: Table, column: Column, drawn: Drawn) -> Rebuild:
    """Return the rebuild that takes a column's values from the table that kept them."""
    missing = (
        column.default or literal(value(rng, replace(column, not_null=True), strict=table.strict))
        if column.not_null
        else column.default or "NULL"
    )
    some = quoted(table.key[0]) if table.key else quoted("_r")
    back = Rebuild.of(new, table, drawn.on(table))
    back.values[column.name] = f"CASE WHEN k.{some} IS NULL THEN {missing} ELSE k.{quoted(column.name)} END"
    back.joined = f" LEFT JOIN {KEPT} AS k ON {table.same('l', 'k')}"
    return back


def column_dropped(rng: Random, drawn: Drawn, _: sqlite3.Connection) -> Draft | None:
    """Drop a column, in place or by a rebuild; its values are kept."""
    if not (chosen := _dropped(rng, drawn)):
        return None
    table, column = chosen
    new = table.without(column.name)
    draft = _draft("column dropped", drawn, table, new)
    draft.directives = [allow("column-lost", f"{table.name}.{column.name}")]
    keep = Step(
        f"CREATE TABLE {KEPT} AS SELECT {table.identity('t')}, t.{quoted(column.name)} FROM {quoted(table.name)} AS t",
    )
    drop = Step(f"ALTER TABLE {quoted(table.name)} DROP COLUMN {quoted(column.name)}")
    draft.migrate = [keep, drop if rng.random() < 0.5 else Rebuild.of(table, new, drawn.on(table))]
    draft.rollback = [_back_with(rng, table, new, column, drawn), Step(f"DROP TABLE {KEPT}")]
    return draft


def column_renamed(rng: Random, drawn: Drawn, _: sqlite3.Connection) -> Draft | None:
    """Rename a column in place."""
    if not (chosen := _dropped(rng, drawn)):
        return None
    table, column = chosen
    own, old, new = quoted(table.name), quoted(column.name), quoted("renamed")
    draft = _draft("column renamed", drawn, table, table.with_column(replace(column, name="renamed"), column.name))
    draft.migrate = [Step(f"ALTER TABLE {own} RENAME COLUMN {old} TO {new}")]
    draft.rollback = [Step(f"ALTER TABLE {own} RENAME COLUMN {new} TO {old}")]
    return draft


def table_created(_rng: Random, drawn: Drawn, _: sqlite3.Connection) -> Draft | None:
    """Create a table; the rows that the app wrote to it wait."""
    table = Table(
        "created", (Column("id", "INTEGER"), Column("what", "TEXT", not_null=True), Column("size", "REAL")),
        "rowid", ("id",),
    )  # fmt: skip
    draft = _draft("table created", drawn, None, table)
    draft.migrate = [
        Step(table.sql), Step(f"CREATE TABLE IF NOT EXISTS {WAITING} AS SELECT * FROM created WHERE 0"),
        Step(f"INSERT INTO created (id, what, size) SELECT id, what, size FROM {WAITING}", regains=True),
        Step(f"DROP TABLE {WAITING}"),
    ]  # fmt: skip
    draft.rollback = [Step(f"CREATE TABLE {WAITING} AS SELECT * FROM created"), Step("DROP TABLE created")]
    return draft


def _stands_alone(drawn: Drawn, table: Table) -> bool:
    return not drawn.children(table) and not drawn.is_searched(table) and not drawn.on(table, "VIEW")


def table_dropped(rng: Random, drawn: Drawn, connection: sqlite3.Connection) -> Draft | None:
    """Drop a table; its rows are kept."""
    table = _pick(
        rng,
        _own(drawn),
        lambda each: (
            len(drawn.tables) > 1
            and not each.references
            and _stands_alone(drawn, each)
            and each.style != "autoincrement"
        ),
    )
    if not table:
        return None
    draft = _draft("table dropped", drawn, table, None)
    draft.after.objects = [each for each in drawn.objects if each.table != table.name]
    draft.targets = [each.name for each in draft.after.tables]
    draft.directives = [allow("table-lost", table.name), changes(table.name, _count(connection, table))]
    draft.migrate = [
        Step(f"CREATE TABLE {KEPT} AS SELECT {table.row_of('t')} FROM {quoted(table.name)} AS t"),
        Step(f"DROP TABLE {quoted(table.name)}"),
    ]
    columns = f"rowid, {listed(table.names)}" if table.implicit else listed(table.names)
    taken = f'"_r", {listed(table.names)}' if table.implicit else listed(table.names)
    draft.rollback = [
        Step(table.sql), Step(f"INSERT INTO {quoted(table.name)} ({columns}) SELECT {taken} FROM {KEPT}"),
        Step(f"DROP TABLE {KEPT}"), *(Step(each.sql) for each in drawn.on(table, "INDEX", "TRIGGER")),
    ]  # fmt: skip
    return draft


def _count(connection: sqlite3.Connection, table: Table, where: str = "1") -> int:
    return int(connection.execute(f"SELECT count(*) FROM {quoted(table.name)} WHERE {where}").fetchone()[0])


def table_renamed(rng: Random, drawn: Drawn, connection: sqlite3.Connection) -> Draft | None:
    """Rename a table in place."""
    table = _pick(rng, _own(drawn), lambda each: _stands_alone(drawn, each) and not drawn.on(each, "TRIGGER"))
    if not table:
        return None
    own, count = quoted(table.name), _count(connection, table)
    draft = _draft("table renamed", drawn, table, replace(table, name="renamed"))
    draft.directives = [changes(table.name, count), changes("renamed", count), allow("table-lost", table.name)]
    draft.migrate = [Step(f"ALTER TABLE {own} RENAME TO renamed")]
    draft.rollback = [Step(f"ALTER TABLE renamed RENAME TO {own}")]
    return draft


def index_added(rng: Random, drawn: Drawn, _: sqlite3.Connection) -> Draft | None:
    """Add an index, whole or partial."""
    table = rng.choice(_own(drawn))
    names = [each.name for each in table.columns]
    where = f" WHERE {quoted(rng.choice(names))} IS NOT NULL" if rng.random() < 0.5 else ""
    draft = _draft("index added", drawn, table, table)
    draft.migrate = [Step(f"CREATE INDEX added_by ON {quoted(table.name)} ({listed(rng.sample(names, 2))}){where}")]
    draft.rollback = [Step("DROP INDEX added_by")]
    return draft


def not_null_added(rng: Random, drawn: Drawn, connection: sqlite3.Connection) -> Draft | None:
    """Add NOT NULL; rows without a value get one, and the rollback takes it from those that still have it."""
    table = _pick(rng, _own(drawn), lambda each: any(not c.not_null for c in _free(drawn, each)))
    if not table:
        return None
    column = rng.choice([each for each in _free(drawn, table) if not each.not_null])
    name, own = quoted(column.name), quoted(table.name)
    new = table.with_column(replace(column, not_null=True))
    draft = _draft("NOT NULL added", drawn, table, new)
    filled = FILLED.get(column.type, "'unknown'")
    forward = Rebuild.of(table, new, drawn.on(table), **{column.name: f"coalesce(l.{name}, {filled})"})
    keep = Step(
        f"CREATE TABLE {KEPT} AS SELECT {table.identity('t')}, 1 AS was_null FROM {own} AS t WHERE t.{name} IS NULL",
    )
    draft.directives = _filled(rng, table, column, _count(connection, table, f"{name} IS NULL"))
    draft.migrate = [keep, forward]
    back = Rebuild.of(new, table, drawn.on(table))
    back.joined = f" LEFT JOIN {KEPT} AS k ON {table.same('l', 'k')}"
    back.values[column.name] = f"CASE WHEN k.was_null AND l.{name} IS {filled} THEN NULL ELSE l.{name} END"
    draft.rollback = [back, Step(f"DROP TABLE {KEPT}")]
    draft.avoided = {column.name}
    return draft


def _filled(rng: Random, table: Table, column: Column, count: int) -> list[str]:
    """Declare the rows in which a column is filled; without a key a changed row may count as two."""
    return [changes(table.name, count if table.key else None, rng.choice(("", column.name)))] * (count > 0)


def _widened(kind: str, drawn: Drawn, table: Table, new: Table, unfit: str, rule: str, named: str) -> Draft:
    """Draft a rebuild under which the app may write rows that the old schema refuses: they wait, and come back."""
    draft = _draft(kind, drawn, table, new)
    own, keeps = quoted(table.name), table.row_of("t")
    columns = f"rowid, {listed(table.names)}" if table.implicit else listed(table.names)
    taken = f'"_r", {listed(table.names)}' if table.implicit else listed(table.names)
    forward = Rebuild.of(table, new, drawn.on(table))
    forward.then = [
        Step(f"CREATE TABLE IF NOT EXISTS {WAITING} AS SELECT {keeps} FROM {own} AS t WHERE 0"),
        Step(f"INSERT INTO {own} ({columns}) SELECT {taken} FROM {WAITING}", regains=True),
        Step(f"DROP TABLE {WAITING}"),
    ]
    back = Rebuild.of(new, table, drawn.on(table))
    back.where = f"NOT EXISTS (SELECT 1 FROM {WAITING} AS w WHERE {table.same('w', 'l')})"
    draft.migrate = [forward]
    draft.rollback = [Step(f"CREATE TABLE {WAITING} AS SELECT {keeps} FROM {own} AS t WHERE {unfit}"), back]
    draft.directives = [allow(rule, named)]
    return draft


def _may_wait(drawn: Drawn, table: Table) -> bool:
    """Return True if nothing refers to the rows of a table, so that some may wait."""
    return not drawn.children(table) and not drawn.is_searched(table)


def not_null_dropped(rng: Random, drawn: Drawn, _: sqlite3.Connection) -> Draft | None:
    """Drop NOT NULL; rows in which the app wrote NULL wait."""

    def fitting(table: Table) -> list[Column]:
        return [each for each in table.stored if each.not_null and each.name not in table.key]

    table = _pick(rng, _own(drawn), lambda each: _may_wait(drawn, each) and fitting(each))
    if not table:
        return None
    column = rng.choice(fitting(table))
    new = table.with_column(replace(column, not_null=False))
    unfit = f"t.{quoted(column.name)} IS NULL"
    draft = _widened("NOT NULL dropped", drawn, table, new, unfit, "not-null-lost", f"{table.name}.{column.name}")
    draft.extra = lambda: [f"UPDATE {quoted(table.name)} SET {quoted(column.name)} = NULL WHERE {_first(table)}"]
    return draft


def check_widened(rng: Random, drawn: Drawn, _: sqlite3.Connection) -> Draft | None:
    """Widen a CHECK; rows that only the new one admits wait."""

    def fitting(table: Table) -> list[Column]:
        return [each for each in table.stored if each.check]

    table = _pick(rng, _own(drawn), lambda each: _may_wait(drawn, each) and fitting(each))
    if not table:
        return None
    column = rng.choice(fitting(table))
    new = table.with_column(replace(column, check=column.check.replace("40", "80")))
    unfit = f"NOT coalesce(length(t.{quoted(column.name)}) < 40, 1)"
    draft = _widened("CHECK widened", drawn, table, new, unfit, "check-lost", table.name)
    if column.type in {"TEXT", "VARCHAR(20)", "BLOB", ""} and not table.uniques:
        long = literal(LONG.encode() if column.type == "BLOB" else LONG)
        draft.extra = lambda: [f"UPDATE {quoted(table.name)} SET {quoted(column.name)} = {long} WHERE {_first(table)}"]
    return draft


def unique_widened(rng: Random, drawn: Drawn, _: sqlite3.Connection) -> Draft | None:
    """Widen a UNIQUE by one more column; of rows that only the new one admits, those that the app wrote wait."""

    def wider(table: Table) -> list[Column]:
        return [each for each in table.stored if each.name not in {*table.key, *table.uniques[0]}]

    table = _pick(rng, _own(drawn), lambda each: _may_wait(drawn, each) and each.uniques and wider(each))
    if not table:
        return None
    unique, more = table.uniques[0], rng.choice(wider(table))
    new = replace(table, uniques=((*unique, more.name),))
    own, by = quoted(table.name), [quoted(each) for each in table.key] or ["rowid"]
    same = " AND ".join(f"o.{quoted(name)} = t.{quoted(name)}" for name in unique)
    one, other = (", ".join([_is_new(table, each, unique), *(f"{each}.{name}" for name in by)]) for each in "ot")
    unfit = f"EXISTS (SELECT 1 FROM {own} AS o WHERE {same} AND ({one}) < ({other}))"
    draft = _widened("UNIQUE widened", drawn, table, new, unfit, "unique-lost", table.name)
    was = ", ".join(f"t.{quoted(name)}" for name in unique)
    draft.migrate.insert(0, Step(f"CREATE TABLE {KEPT} AS SELECT {table.identity('t')}, {was} FROM {own} AS t"))
    draft.rollback.append(Step(f"DROP TABLE {KEPT}"))
    names = [name for name in table.names if not table.numbered or name not in table.key]
    given = {more.name: literal(fitting_value(rng, more.type, strict=table.strict)), "code": "'k-twin'"}
    twin = ", ".join(given.get(name, quoted(name)) for name in names)
    draft.extra = lambda: [f"INSERT INTO {own} ({listed(names)}) SELECT {twin} FROM {own} WHERE {_first(table)}"]
    return draft


def _is_new(table: Table, alias: str, columns: Sequence[str]) -> str:
    """Return the condition that a row has come, or got other values in some columns, since these were kept."""
    values = " AND ".join(f"k.{quoted(name)} IS {alias}.{quoted(name)}" for name in columns)
    return f"NOT EXISTS (SELECT 1 FROM {KEPT} AS k WHERE {table.same(alias, 'k', kept=False)} AND {values})"


def _first(table: Table) -> str:
    by = quoted(table.key[0]) if table.key else "rowid"
    return f"{by} = (SELECT min({by}) FROM {quoted(table.name)})"


def rows_updated(rng: Random, drawn: Drawn, connection: sqlite3.Connection) -> Draft | None:
    """Fill a column where it is NULL, declared; previous values are kept, and come back unless the app wrote since.

    A trigger that would note each row is dropped meanwhile.
    """

    def fitting(table: Table) -> list[Column]:
        empty = [each for each in _free(drawn, table) if not each.not_null]
        return [each for each in empty if _count(connection, table, f"{quoted(each.name)} IS NULL")]

    table = _pick(rng, _own(drawn), fitting)
    if not table:
        return None
    column = rng.choice(fitting(table))
    own, name = quoted(table.name), quoted(column.name)
    filled = FILLED.get(column.type, "'unknown'")
    draft = _draft("rows updated", drawn, table, table)
    draft.directives = _filled(rng, table, column, _count(connection, table, f"{name} IS NULL"))
    noting = [each for each in drawn.on(table, "TRIGGER") if each.name == NOTED]
    hush = [Step(f"DROP TRIGGER {NOTED}", hushes=True) for _ in noting]
    again = [Step(each.sql, hushes=True) for each in noting]
    kept = f"{table.identity('t')}, t.{TOUCHED}" if table.has(TOUCHED) else table.identity("t")
    draft.migrate = [
        Step(f"CREATE TABLE {KEPT} AS SELECT {kept} FROM {own} AS t WHERE t.{name} IS NULL"),
        *hush, Step(f"UPDATE {own} SET {name} = {filled} WHERE {name} IS NULL"), *again,
    ]  # fmt: skip
    was = f"{name} IS {filled} AND EXISTS (SELECT 1 FROM {KEPT} AS k WHERE {table.same(own, 'k', kept=False)})"
    draft.rollback = [
        *hush, Step(f"UPDATE {own} SET {name} = NULL WHERE {was}"), *again, Step(f"DROP TABLE {KEPT}"),
    ]  # fmt: skip
    draft.avoided = {column.name}
    return draft


def column_moved(rng: Random, drawn: Drawn, _: sqlite3.Connection) -> Draft | None:
    """Move a column to a table of its own."""

    def fitting(table: Table) -> list[Column]:
        return [each for each in _free(drawn, table) if not each.not_null and not each.default]

    table = _pick(rng, _own(drawn), lambda each: each.key and each.name != LOG and fitting(each))
    if not table:
        return None
    column = rng.choice(fitting(table))
    new, own, name = table.without(column.name), quoted(table.name), quoted(column.name)
    keys = tuple(replace(table.column(each), not_null=True, default="") for each in table.key)
    reference = f", FOREIGN KEY ({listed(table.key)}) REFERENCES {own} ({listed(table.key)}) ON DELETE CASCADE"
    moved = Table("moved", (*keys, replace(column, not_null=True)), "keyed", table.key, strict=table.strict)
    sql = moved.sql[: moved.sql.rindex(")")] + reference + moved.sql[moved.sql.rindex(")") :]
    draft = _draft("column moved", drawn, table, new)
    draft.after.tables.append(moved)
    draft.targets.append("moved")
    draft.directives = [allow("column-lost", f"{table.name}.{column.name}")]
    draft.directives_back = [allow("drop-parent", table.name)]
    fill = f"INSERT INTO moved ({listed([*table.key, column.name])}) SELECT {listed([*table.key, column.name])} FROM {own} WHERE {name} IS NOT NULL"
    drop = Step(f"ALTER TABLE {own} DROP COLUMN {name}")
    draft.migrate = [Step(sql), Step(fill), drop]
    back = Rebuild.of(new, table, drawn.on(table), **{column.name: f"k.{name}"})
    back.joined = f" LEFT JOIN moved AS k ON {table.same('l', 'k')}"
    draft.rollback = [back, Step("DROP TABLE moved")]
    return draft


def tables_merged(_rng: Random, drawn: Drawn, connection: sqlite3.Connection) -> Draft | None:
    """Merge a table into the one that it says more about."""
    profile = next((each for each in drawn.tables if each.name == PROFILE), None)
    if not profile or drawn.on(profile) or drawn.is_searched(profile):
        return None
    table = drawn.table(profile.references[0].parent)
    new = replace(table, columns=(*table.columns, Column(ABOUT, "TEXT")))
    draft = _draft("tables merged", drawn, table, new)
    draft.after.tables = [each for each in draft.after.tables if each.name != PROFILE]
    count, parent = _count(connection, profile), allow("drop-parent", table.name)
    draft.directives = [allow("table-lost", PROFILE), changes(PROFILE, count), parent]
    draft.directives_back = [parent]
    forward = Rebuild.of(table, new, drawn.on(table), **{ABOUT: f"k.{ABOUT}"})
    forward.joined = f" LEFT JOIN {PROFILE} AS k ON {table.same('l', 'k')}"
    draft.migrate = [forward, Step(f"DROP TABLE {PROFILE}")]
    names = listed([*table.key, ABOUT])
    again = f"INSERT INTO {PROFILE} ({names}) SELECT {names} FROM {quoted(table.name)} WHERE {ABOUT} IS NOT NULL"
    draft.rollback = [Step(profile.sql), Step(again), Rebuild.of(new, table, drawn.on(table))]
    return draft


def key_retyped(rng: Random, drawn: Drawn, _: sqlite3.Connection) -> Draft | None:
    """Turn whole numbers into texts as keys; references follow, and new keys wait."""
    table = _pick(
        rng,
        _own(drawn),
        lambda each: each.style == "rowid" and not drawn.is_searched(each) and len(drawn.children(each)) < 2,
    )
    if not table:
        return None
    own, mapped, ids = quoted(table.name), "_orchestrate_kept_map", "_orchestrate_kept_ids"
    new = replace(table.with_column(Column("id", "TEXT", not_null=True)), style="keyed")
    draft = _draft("key retyped", drawn, table, new)
    rules = ("retyped", "type-changed", "default-lost")
    draft.directives = [changes(table.name), *(allow(rule, f"{table.name}.id") for rule in rules)]
    draft.directives += [allow("drop-parent", table.name)] * bool(drawn.children(table))
    forward = Rebuild.of(table, new, drawn.on(table), id="i.uid")
    forward.joined = f" JOIN {ids} AS i ON i.id = l.id"
    back = Rebuild.of(new, table, drawn.on(table), id="i.id")
    back.joined = f" JOIN {ids} AS i ON i.uid = l.id"
    known = f"(SELECT m.uid FROM {mapped} AS m WHERE m.id = t.id)"
    draft.migrate = [
        Step(f"CREATE TABLE IF NOT EXISTS {mapped} (id INTEGER, uid TEXT)"),
        Step(f"CREATE TABLE {ids} AS SELECT t.id, coalesce({known}, 'u-' || t.id) AS uid FROM {own} AS t"),
        Step(f"DROP TABLE {mapped}"), forward,
    ]  # fmt: skip
    given = f"coalesce(i.id, (SELECT coalesce(max(id), 0) FROM {ids}) + row_number() OVER (PARTITION BY i.id IS NULL ORDER BY t.id))"
    draft.rollback = [
        Step(f"CREATE TABLE {mapped} AS SELECT {given} AS id, t.id AS uid FROM {own} AS t LEFT JOIN {ids} AS i ON i.uid = t.id"),
        Step(f"DROP TABLE {ids}"), Step(f"CREATE TABLE {ids} AS SELECT id, uid FROM {mapped}"), back,
    ]  # fmt: skip
    draft.rollback.append(Step(f"DROP TABLE {ids}"))
    for child in drawn.children(table):
        reference = child.references[0]
        column = child.column(reference.columns[0])
        name = quoted(column.name)
        grown = child.with_column(replace(column, type="TEXT"))
        draft.after.tables = [grown if each.name == child.name else each for each in draft.after.tables]
        out = Rebuild.of(child, grown, drawn.on(child), **{column.name: "i.uid"})
        out.joined = f" LEFT JOIN {ids} AS i ON i.id = l.{name}"
        home = Rebuild.of(grown, child, drawn.on(child), **{column.name: "i.id"})
        home.joined = f" LEFT JOIN {ids} AS i ON i.uid = l.{name}"
        draft.migrate.append(out)
        draft.rollback.insert(-1, home)
        draft.directives += [
            changes(child.name),
            allow("retyped", f"{child.name}.{column.name}"),
            allow("type-changed", f"{child.name}.{column.name}"),
        ]
        if column.name in child.key:
            draft.directives.append(allow("default-lost", f"{child.name}.{column.name}"))
    return draft


def trigger_replaced(rng: Random, drawn: Drawn, _: sqlite3.Connection) -> Draft | None:
    """Replace a trigger by one that does a little more."""
    found = [each for each in drawn.objects if each.kind == "TRIGGER" and each.name.endswith("_guard")]
    if not found:
        return None
    old = rng.choice(found)
    new = replace(old, sql=old.sql.replace("IS 'forbidden'", "IN ('forbidden', 'not allowed')"))
    return _replaced("trigger replaced", drawn, old, new)


def view_replaced(rng: Random, drawn: Drawn, _: sqlite3.Connection) -> Draft | None:
    """Replace a view by one with fewer rows."""
    found = [each for each in drawn.objects if each.kind == "VIEW"]
    if not found:
        return None
    old = rng.choice(found)
    return _replaced(
        "view replaced", drawn, old, replace(old, sql=f"{old.sql} WHERE {quoted(old.columns[0])} IS NOT NULL")
    )


def _replaced(kind: str, drawn: Drawn, old: Object, new: Object) -> Draft:
    table = drawn.table(old.table)
    draft = _draft(kind, drawn, table, table)
    draft.directives = [allow(f"{old.kind.lower()}-lost", old.name)]
    drop = Step(f"DROP {old.kind} {quoted(old.name)}")
    draft.migrate, draft.rollback = [drop, Step(new.sql)], [drop, Step(old.sql)]
    return draft


def search_created(rng: Random, drawn: Drawn, _: sqlite3.Connection) -> Draft | None:
    """Create a full-text index over a table."""
    table = _pick(
        rng, _own(drawn), lambda each: not (each.without_rowid or drawn.is_searched(each) or each.has(TOUCHED))
    )
    if not table:
        return None
    names = [each.name for each in table.stored if each.name.isalpha() and each.name not in {*table.key, "select"}]
    if not names:
        return None
    column, rowid = rng.choice(names), quoted(table.key[0]) if table.numbered else "rowid"
    sql = f"CREATE VIRTUAL TABLE searched USING fts5({quoted(column)}, content={quoted(table.name)}, content_rowid={rowid})"
    draft = _draft("search created", drawn, table, table)
    draft.after.searches.append(Search("searched", table.name, (column,), sql))
    draft.migrate = [Step(sql), Step("INSERT INTO searched (searched) VALUES ('rebuild')")]
    for event, body in {
        "INSERT": "INSERT INTO searched (rowid, {0}) VALUES (new.{1}, new.{0});",
        "DELETE": "INSERT INTO searched (searched, rowid, {0}) VALUES ('delete', old.{1}, old.{0});",
        "UPDATE": "INSERT INTO searched (searched, rowid, {0}) VALUES ('delete', old.{1}, old.{0}); INSERT INTO searched (rowid, {0}) VALUES (new.{1}, new.{0});",
    }.items():
        trigger = f"searched_{event.lower()}"
        draft.migrate.append(
            Step(
                f"CREATE TRIGGER {trigger} AFTER {event} ON {quoted(table.name)} BEGIN {body.format(quoted(column), rowid)} END"
            )
        )
        draft.rollback.append(Step(f"DROP TRIGGER {trigger}"))
    draft.rollback.append(Step("DROP TABLE searched"))
    return draft


KINDS: Mapping[str, Kind] = {
    each.__name__: each
    for each in (
        column_added_in_place, column_added_by_rebuild, rebuilt, column_dropped, column_renamed, table_created,
        table_dropped, table_renamed, index_added, not_null_added, not_null_dropped, check_widened, unique_widened,
        rows_updated, column_moved, tables_merged, key_retyped, trigger_replaced, view_replaced, search_created,
    )
}  # fmt: skip
