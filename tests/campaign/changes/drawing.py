"""Random schemas, and random rows for them."""

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from random import Random

from steps.support.sql.statement import Value
from steps.support.sql.tokens import quoted
from tests.campaign.changes.model import Column, Drawn, Object, Reference, Search, Table, listed, literal

NAMES = ("users", "Orders", "order items", "notes", "zähler", "group", "t_1")
COLUMNS = ("name", "email", "Unit Price", "state", "größe", "select", "note", "data", "seen_at", "amount", "it's")
LOOSE = ("INTEGER", "TEXT", "REAL", "NUMERIC", "BLOB", "", "VARCHAR(20)", "BOOLEAN", "DATETIME", "TEXT", "INTEGER")
STRICT = ("INTEGER", "TEXT", "REAL", "BLOB", "ANY", "INT")
ACTIONS = ("", " ON DELETE CASCADE", " ON DELETE SET NULL", " ON UPDATE CASCADE ON DELETE RESTRICT")
TEXTS = (
    "",
    "a",
    "A",
    "ä",
    "日本",
    "O'Brien",
    'say "hi"',
    "007",
    "1e3",
    "12",
    " 1",
    "🙂",
    "a\nb",
    "2026-01-01",
    "b",
    "c d",
)
NUMBERS = (0, 1, -1, 2, 7, 42, 1000, 2**53 + 1, -(2**63))
FRACTIONS = (0.5, 2.0, -1.25, 1e300, 9.5, 3.0, float("inf"))
BLOBS = (b"", b"a", b"\x00\xff", b"12")
PROFILE, ABOUT = "profile", "about"
ROWS = (3, 9)  # at least and at most, in a table
NULLS = 0.15
LOG, TOUCHED, NOTED = "log", "touched_at", "noted"  # what a trigger writes to, and the trigger


def drawn_database(rng: Random) -> tuple[Drawn, sqlite3.Connection]:
    """Draw a database, and return it with a connection to it in memory."""
    drawn = Drawn()
    names = rng.sample(NAMES, rng.randint(1, 4))
    for name in names:
        drawn.tables.append(_table(rng, name, drawn.tables))
    for table in drawn.tables:
        drawn.objects += [each for each in _objects(rng, table) if rng.random() < 0.7]
    if rng.random() < 0.35:
        drawn.searches.append(Search("own_text", "", ("title",), "CREATE VIRTUAL TABLE own_text USING fts5(title)"))
    _search(rng, drawn)
    _log(rng, drawn)
    _profile(rng, drawn)
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for sql in drawn.definitions:
        connection.execute(sql)
    _fill(rng, drawn, connection)
    return drawn, connection


def _table(rng: Random, name: str, before: Sequence[Table]) -> Table:
    style = rng.choice(("rowid", "rowid", "autoincrement", "keyed", "keyed", "none"))
    strict = rng.random() < 0.25
    free = rng.sample(COLUMNS, rng.randint(3, 6))
    columns = [_column(rng, each, strict=strict) for each in free]
    key: tuple[str, ...] = ()
    if style in {"rowid", "autoincrement"}:
        key = ("id",)
        columns.insert(0, Column("id", "INTEGER"))
    elif style == "keyed":
        key = ("code",) if rng.random() < 0.5 else ("code", "part")
        kinds = {"code": "TEXT", "part": "INTEGER"}
        columns = [*(Column(each, kinds[each], not_null=True) for each in key), *columns]
    table = Table(name, tuple(columns), style, key, strict=strict)
    table = replace(table, without_rowid=style == "keyed" and rng.random() < 0.4)
    parents = [each for each in before if each.key]
    if parents and rng.random() < 0.6:
        table = _referring(rng, table, rng.choice(parents))
    if rng.random() < 0.3:
        table = replace(table, uniques=(tuple(rng.sample(free, rng.randint(1, 2))),))
    if rng.random() < 0.3:
        base = rng.choice(free)
        made = f"length({quoted(base)})" if rng.random() < 0.5 else f"coalesce({quoted(base)}, 'none') || '!'"
        kind = "TEXT" if "||" in made else "INTEGER"
        column = Column("made", kind, generated=made, stored=rng.random() < 0.5)
        table = replace(table, columns=(*table.columns, column))
    return table


def _column(rng: Random, name: str, *, strict: bool) -> Column:
    kind = rng.choice(STRICT if strict else LOOSE)
    column = Column(name, kind)
    if rng.random() < 0.25:
        column = replace(column, not_null=True)
    if rng.random() < 0.3:
        column = replace(column, default=literal(fitting_value(rng, kind, strict=strict)))
    if kind == "TEXT" and rng.random() < 0.15:
        column = replace(column, collate="NOCASE")
    if rng.random() < 0.15:
        column = replace(column, check=f"length({quoted(name)}) < 40")
    return column


def _referring(rng: Random, table: Table, parent: Table) -> Table:
    names = [f"{parent.name} {each}" for each in parent.key]
    kinds = [parent.column(each).type for each in parent.key]
    columns = tuple(Column(name, kind) for name, kind in zip(names, kinds, strict=True))
    reference = Reference(tuple(names), parent.name, parent.key, rng.choice(ACTIONS))
    return replace(table, columns=(*table.columns, *columns), references=(reference,))


def _objects(rng: Random, table: Table) -> list[Object]:
    names = [each.name for each in table.stored if each.name not in table.key]
    one, two = rng.sample(names, 2)
    own, bare = quoted(table.name), table.name.replace(" ", "_")
    made = [
        Object("INDEX", f"{bare}_by", table.name, f"CREATE INDEX {quoted(f'{bare}_by')} ON {own} ({listed([one, two])})", (one, two)),
        Object("VIEW", f"{bare}_view", table.name, f"CREATE VIEW {quoted(f'{bare}_view')} AS SELECT {listed([two])} FROM {own}", (two,)),
    ]  # fmt: skip
    some = f"CREATE INDEX {quoted(f'{bare}_some')} ON {own} ({listed([two])}) WHERE {quoted(one)} IS NOT NULL"
    made.append(Object("INDEX", f"{bare}_some", table.name, some, (one, two)))
    guard = (
        f"CREATE TRIGGER {quoted(f'{bare}_guard')} BEFORE INSERT ON {own} WHEN new.{quoted(one)} IS 'forbidden' "
        f"BEGIN SELECT RAISE(ABORT, 'forbidden'); END"
    )
    made.append(Object("TRIGGER", f"{bare}_guard", table.name, guard, (one,)))
    return made


def _log(rng: Random, drawn: Drawn) -> None:
    """Add a trigger that writes to a table of its own, or one that says in the row that it was touched.

    Not both that and a search index: within the UPDATE the second trigger would take from the index what it lacks yet.
    """
    table, chance = rng.choice(drawn.tables), rng.random()
    own = quoted(table.name)
    if chance < 0.25:
        drawn.tables.append(Table(LOG, (Column("n", "INTEGER"), Column("what", "TEXT")), "rowid", ("n",)))
        body = f"INSERT INTO {LOG} (what) VALUES ('changed');"
    elif chance < 0.5 and not drawn.is_searched(table):
        touched = replace(table, columns=(*table.columns, Column(TOUCHED, "TEXT")))
        drawn.tables[drawn.tables.index(table)] = touched
        same = " AND ".join(f"{quoted(name)} IS new.{quoted(name)}" for name in table.key) or "rowid = new.rowid"
        body = f"UPDATE {own} SET {TOUCHED} = 'now' WHERE {same};"
    else:
        return
    trigger = f"CREATE TRIGGER {NOTED} AFTER UPDATE ON {own} BEGIN {body} END"
    drawn.objects.append(Object("TRIGGER", NOTED, table.name, trigger, (TOUCHED,) * (chance >= 0.25)))


def _profile(rng: Random, drawn: Drawn) -> None:
    """Add a table that says more about each row of another one."""
    table = rng.choice(drawn.tables)
    if not table.key or table.has(ABOUT) or rng.random() > 0.3:
        return
    keys = tuple(replace(table.column(name), not_null=True, default="", check="") for name in table.key)
    reference = Reference(table.key, table.name, table.key, " ON DELETE CASCADE")
    columns = (*keys, Column(ABOUT, "TEXT", not_null=True))
    drawn.tables.append(Table(PROFILE, columns, "keyed", table.key, references=(reference,)))


def _search(rng: Random, drawn: Drawn) -> None:
    """Add a full-text index that reads a table, and the triggers that keep it up to date."""
    tables = [each for each in drawn.tables if not each.without_rowid]
    if not tables or rng.random() > 0.35:
        return
    table = rng.choice(tables)
    names = [
        each.name for each in table.stored if each.name not in {*table.key, "select", "it's"} and " " not in each.name
    ]
    if not names:
        return
    column, rowid = rng.choice(names), quoted(table.key[0]) if table.numbered else "rowid"
    own, text = quoted(table.name), quoted(column)
    sql = f"CREATE VIRTUAL TABLE found USING fts5({text}, content={own}, content_rowid={rowid})"
    add = f"INSERT INTO found (rowid, {text}) VALUES (new.{rowid}, new.{text});"
    take = f"INSERT INTO found (found, rowid, {text}) VALUES ('delete', old.{rowid}, old.{text});"
    bodies = {"INSERT": add, "DELETE": take, "UPDATE": take + " " + add}
    drawn.searches.append(Search("found", table.name, (column,), sql))
    for event, body in bodies.items():
        name = f"found_{event.lower()}"
        trigger = f"CREATE TRIGGER {name} AFTER {event} ON {own} BEGIN {body} END"
        drawn.objects.append(Object("TRIGGER", name, table.name, trigger, (column,)))


def _fill(rng: Random, drawn: Drawn, connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
    for table in drawn.tables:
        for _ in range(rng.randint(*ROWS)):
            insert(rng, table, connection)
        if rng.random() < 0.5 and not drawn.children(table):
            connection.execute(f"DELETE FROM {quoted(table.name)} WHERE {_second(table)}")
    for search in drawn.searches:
        if not search.content:
            connection.executemany("INSERT INTO own_text VALUES (?)", [("red apples",), ("plums",)])


def _second(table: Table) -> str:
    by = "rowid" if not table.without_rowid else quoted(table.key[0])
    return f"{by} = (SELECT {by} FROM {quoted(table.name)} ORDER BY {by} LIMIT 1 OFFSET 1)"


def insert(rng: Random, table: Table, connection: sqlite3.Connection) -> str:
    """Insert a random row; return the statement, or nothing if the database refuses it."""
    values = row(rng, table, connection)
    names = [name for name in values if not (table.numbered and name in table.key)]
    sql = f"INSERT INTO {quoted(table.name)} ({listed(names)}) VALUES ({', '.join(literal(values[name]) for name in names)})"
    try:
        connection.execute(sql)
    except sqlite3.IntegrityError:
        return ""
    return sql


def row(rng: Random, table: Table, connection: sqlite3.Connection) -> dict[str, Value]:
    """Draw the values of a row; references lead to rows that are there."""
    values = {column.name: value(rng, column, strict=table.strict) for column in table.stored}
    for reference in table.references:
        keys = connection.execute(
            f"SELECT {listed(reference.parents)} FROM {quoted(reference.parent)} ORDER BY 1"
        ).fetchall()
        chosen = rng.choice(keys) if keys and rng.random() > NULLS else (None,) * len(reference.columns)
        values |= dict(zip(reference.columns, chosen, strict=True))
    return values


def value(rng: Random, column: Column, *, strict: bool) -> Value:
    """Draw a value that a column can hold."""
    if not column.not_null and rng.random() < NULLS:
        return None
    if column.name == "code":
        return f"k{rng.randint(1, 99)}"
    return fitting_value(rng, column.type, strict=strict)


def fitting_value(rng: Random, kind: str, *, strict: bool) -> Value:
    """Draw a value for a column of a type; one that is not STRICT sometimes gets any other."""
    fitting: dict[str, Sequence[Value]] = {
        "INTEGER": NUMBERS, "INT": NUMBERS, "TEXT": TEXTS, "VARCHAR(20)": TEXTS, "DATETIME": TEXTS,
        "REAL": FRACTIONS, "BLOB": BLOBS, "BOOLEAN": (0, 1), "NUMERIC": (*NUMBERS, *FRACTIONS),
    }  # fmt: skip
    anything = (*NUMBERS, *FRACTIONS, *TEXTS, *BLOBS)
    if kind in fitting and (strict or rng.random() < 0.9):
        return rng.choice(fitting[kind])
    return rng.choice(anything)
