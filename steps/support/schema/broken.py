"""Find views, triggers and virtual tables that name missing objects: CREATE accepts them, but their first use fails.

Also find AUTOINCREMENT sequences that a script lowered.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile

from steps.support.schema.connection import Connection
from steps.support.schema.model import Trigger
from steps.support.schema.reader import ENGINE_ERRORS
from steps.support.schema.reading import Schema
from steps.support.schema.text import Name, identifier, keyword, meaningful
from steps.support.schema.virtual import unreadable
from steps.support.sql.findings import Finding, Severity, waiver_line
from steps.support.sql.tokens import quoted

_COLUMNS = "SELECT name, hidden FROM pragma_table_xinfo(?) ORDER BY cid"
_OF_THIS_ENGINE = (
    "no such function",
    "no such module",
    "no such collation",
    "unknown function",
)  # the server may have what this engine lacks
_EVENTS = ("INSERT", "UPDATE", "DELETE")


def broken_objects(connection: Connection, schema: Schema) -> list[Finding]:
    """Return a finding for each view, trigger and virtual table that cannot run. Nothing is run, only compiled.

    The finding is a warning if the local engine lacks a function, because the server may have that function.
    """
    views = {
        view.name: why for view in schema.views if (why := _error(connection, f"SELECT 1 FROM {quoted(view.name)}"))
    }
    triggers = [trigger for trigger in schema.triggers if trigger.table not in views]
    return [
        *(_finding("broken-view", f"view {name}", why) for name, why in views.items()),
        *_broken_triggers(connection, triggers),
        *(_unreadable(name, why) for name, why in unreadable(connection)),
    ]


def _unreadable(name: str, why: str) -> Finding:
    remedy = "Create it again for the new schema, and fill it; an FTS5 table fills itself with its 'rebuild' command."
    return Finding(name, f"{why}: searches fail", remedy, rule="broken-virtual-table", object=name)


def _broken_triggers(connection: Connection, triggers: Sequence[Trigger]) -> Iterator[Finding]:
    for trigger in triggers:
        if gone := [name for name in _watched(trigger) if name not in _columns(connection, trigger.table)]:
            why = f"the trigger fires on updates of {', '.join(gone)}, which {trigger.table} does not have"
            yield _finding("broken-trigger", f"trigger {trigger.name}", why)
    for host, event in sorted({(trigger.table, _event(trigger)) for trigger in triggers}):
        if why := _error(connection, _use(connection, host, event)):
            names = [trigger.name for trigger in triggers if (trigger.table, _event(trigger)) == (host, event)]
            yield _finding("broken-trigger", f"trigger {' or '.join(names)}", f"{event} on {host} fails: {why}")


def _finding(rule: str, place: str, why: str) -> Finding:
    weight = Severity.WARNING if any(lacking in why for lacking in _OF_THIS_ENGINE) else Severity.ERROR
    kind, name = place.split(maxsplit=1)
    lost = waiver_line(f"{kind}-lost", name)
    remedy = f"Recreate it for the new schema, or drop it in migrate.sql and give the reason: {lost}."
    return Finding(place, why, remedy, rule=rule, severity=weight, object=name)


def _error(connection: Connection, sql: str) -> str:
    """Compile a statement and return the engine's error message; empty if the statement compiles."""
    try:
        connection.execute(f"EXPLAIN {sql}").fetchone()
    except ENGINE_ERRORS as error:
        return str(error)
    return ""


def _use(connection: Connection, host: Name, event: str) -> str:
    """Return a statement that makes the engine compile the triggers of a table or view for one event."""
    name = quoted(host)
    settable = [quoted(column) for column, hidden in _columns(connection, host).items() if not hidden]
    columns = ", ".join(f"{column} = {column}" for column in settable)
    uses = {"INSERT": f"INSERT INTO {name} DEFAULT VALUES", "UPDATE": f"UPDATE {name} SET {columns}"}
    return uses.get(event, f"DELETE FROM {name}")


def _columns(connection: Connection, host: Name) -> dict[Name, int]:
    return {Name(name): hidden for name, hidden in connection.execute(_COLUMNS, (host,))}


def _event(trigger: Trigger) -> str:
    return next(token.text.upper() for token in meaningful(trigger.sql) if token.text.upper() in _EVENTS)


def _watched(trigger: Trigger) -> list[Name]:
    """Return the columns that a trigger names in UPDATE OF; empty if it has no such clause."""
    tokens = meaningful(trigger.sql)
    event = next(index for index, token in enumerate(tokens) if token.text.upper() in _EVENTS)
    if keyword(tokens[event + 1]) != "of":
        return []
    named = takewhile(lambda token: keyword(token) != "on", tokens[event + 2 :])
    return [identifier(token) for token in named if token.text != ","]


_SEQUENCES = (
    "SELECT name, CAST(seq AS INTEGER) FROM sqlite_sequence"  # the engine creates it with the first AUTOINCREMENT table
)


def sequences(connection: Connection, schema: Schema) -> dict[str, int]:
    """Return, by table, the highest id that AUTOINCREMENT ever assigned; 0 if the engine has recorded none."""
    names = [table.name for table in schema.tables if table.autoincrement]
    kept = {Name(name): int(highest or 0) for name, highest in (connection.execute(_SEQUENCES) if names else ())}
    return {str(name): kept.get(name, 0) for name in names}


def lowered_sequences(before: Mapping[str, int], after: Mapping[str, int]) -> list[Finding]:
    """Return a finding for each table whose highest assigned id fell, so that ids of deleted rows are assigned again.

    Both mappings have the highest ids by table, as from `sequences`. A table in only one of them has no finding.
    """
    now = {Name(name): highest for name, highest in after.items()}
    remedy = "Save the table's row of sqlite_sequence before DROP TABLE, and write it back afterwards."
    return [
        Finding(
            name,
            f"the highest id ever assigned went from {highest:,} to {now[Name(name)]:,}",
            remedy,
            rule="sequence-lowered",
            object=name,
        )
        for name, highest in before.items()
        if now.get(Name(name), highest) < highest
    ]
