"""Find rows whose parent row is missing after a script, and suggest statements that prevent this.

Foreign keys are off in the transaction, so a DELETE does not cascade. An author who wants the effect of a cascade must
write statements for it.
"""

from collections.abc import Iterable, Iterator, Sequence

from steps.support.core.text import counted
from steps.support.proof.rehearsal.snapshot import Snapshot
from steps.support.schema.model import ForeignKey, Table
from steps.support.schema.text import Name
from steps.support.sql.findings import Finding, written_name
from steps.support.sql.script import Script
from steps.support.sql.tokens import plain
from steps.support.sql.verbs import Deletion, deletion, read_statement

_EITHER = "Give these rows an existing parent, or delete them by their key in the same script."
_OFF = "Foreign keys are off in the transaction, so ON {event} {action} does nothing."
_REACHES = frozenset({"CASCADE", "SET NULL", "SET DEFAULT"})


def orphan_findings(before: Snapshot, after: Snapshot, script: Script) -> Iterator[Finding]:
    """Yield a finding for each table in which more rows than before reference a missing parent row.

    If the script itself deleted or updated the parents, the remedy says what to write.
    """
    for (child, parent), (count, one) in after.orphans.items():
        was = before.orphans.get((child, parent), (0, None))[0] + _unfollowed(before, after, child)
        if count > was:
            keys = _keys(after, Name(child), Name(parent))
            columns = " or ".join(", ".join(key.columns) for _, key in keys)
            references = counted(
                count, f"row references a missing row of {parent}", f"rows reference missing rows of {parent}"
            )
            cause = f"{references} ({was:,} before)"
            remedy = _of_deletions(after, script, keys, count) or _of_updates(script, keys) or _EITHER
            yield Finding(child, f"{cause}, for example {columns} of the row with rowid {one}", remedy)


def _keys(after: Snapshot, child: Name, parent: Name) -> list[tuple[Table, ForeignKey]]:
    children = (table for table in after.schema.tables if table.name == child)
    return [(table, key) for table in children for key in table.foreign_keys if key.parent == parent]


def _unfollowed(before: Snapshot, after: Snapshot, child: str) -> int:
    """Return how many rows of a table referenced a missing table before the script repaired the foreign key."""
    existing = {table.name for table in before.schema.tables}
    gone = (found for found in before.orphans if found[0] == child and found not in after.orphans)
    return sum(before.orphans[found][0] for found in gone if Name(found[1]) not in existing)


def _of_updates(script: Script, keys: Iterable[tuple[Table, ForeignKey]]) -> str:
    """Return the remedy if the script updated parents, and a foreign key would have changed their children; else ""."""
    updated = {Name(each.table) for each in map(read_statement, script.pieces) if each.verb == "UPDATE"}
    for table, key in keys:
        if key.parent in updated and key.on_update in _REACHES:
            off = _OFF.format(event="UPDATE", action=key.on_update)
            return f"{off} Give {', '.join(key.columns)} of {table.name} the new values in the same script."
    return ""


def _of_deletions(after: Snapshot, script: Script, keys: Sequence[tuple[Table, ForeignKey]], count: int) -> str:
    """Return the remedy if the script deleted parents, and a foreign key would have changed their children; else "".

    The remedy has the statements that do what the foreign key would have done. `count`: how many rows these change.
    """
    tables = after.schema.tables
    reaching = [(table, key) for table, key in keys if key.on_delete in _REACHES]
    parents = {key.parent for _, key in reaching}
    deletions = [found for found in map(deletion, script.pieces) if found and Name(found.table) in parents]
    if not reaching or not deletions:
        return ""
    lines = dict.fromkeys(
        line for each in deletions for table, key in reaching for line in _lines(tables, table, key, each)
    )
    where = " and ".join(dict.fromkeys(each.piece.statement.name for each in deletions))
    written = "".join(f"\n  {line}" for line in lines)
    off, child = _OFF.format(event="DELETE", action=reaching[0][1].on_delete), reaching[0][0].name
    return (
        f"{off} Before {where}, write the statements that are meant, and declare "
        f"`-- changes: {written_name(child)} {count}`:{written}"
    )


def _lines(tables: Sequence[Table], child: Table, key: ForeignKey, deleted: Deletion) -> Iterator[str]:
    """Yield the statements that do what a foreign key does when its parents are deleted, children first."""
    yield from (f"{deleted.head}{line};" for line in _actions(tables, child, key, deleted.rows, {key.parent}))


def _actions(tables: Iterable[Table], child: Table, key: ForeignKey, deleted: str, seen: set[Name]) -> Iterator[str]:
    name, columns = plain(child.name), _row(key.columns)
    chosen = f"{columns} IN (SELECT {_list(key.parent_columns)} {deleted})"
    if key.on_delete != "CASCADE":
        value = "NULL" if key.on_delete == "SET NULL" else ""
        defaults = {column.name: column.default or "NULL" for column in child.columns}
        sets = ", ".join(f"{plain(each)} = {value or defaults[each]}" for each in key.columns)
        yield f"UPDATE {name} SET {sets} WHERE {chosen}"
        return
    for table in tables:
        for other in table.foreign_keys if table.name not in {*seen, child.name} else ():
            if other.parent == child.name and other.on_delete in _REACHES:
                yield from _actions(tables, table, other, f"FROM {name} WHERE {chosen}", {*seen, child.name})
    yield f"DELETE FROM {name} WHERE {chosen}"


def _row(columns: Sequence[Name]) -> str:
    return _list(columns) if len(columns) == 1 else f"({_list(columns)})"


def _list(columns: Sequence[Name]) -> str:
    return ", ".join(map(plain, columns))
