"""Compare two schemas: list all differences, and return findings for those that block a change.

RENAME COLUMN itself updates indexes, triggers and views. So callers rename the columns in the earlier schema first;
then such updates are no differences.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TypeVar

from steps.support.schema.clone import attempt, empty_clone
from steps.support.schema.comparison.difference import (
    Difference,
    table_differences,
    trigger_differences,
    view_differences,
)
from steps.support.schema.comparison.keys import Keyed, key_differences
from steps.support.schema.comparison.references import looks_left_over, new_references, reference_differences
from steps.support.schema.model import Table, Trigger, View
from steps.support.schema.reading import Schema, read_schema
from steps.support.schema.text import Name
from steps.support.sql.findings import Finding, Severity
from steps.support.sql.script import Script
from steps.support.sql.verbs import read_statement

Text = TypeVar("Text", Trigger, View)

_IN_PLACE = "Recreate the parent under its own name (DROP, then CREATE): RENAME makes references follow the table."
_AGAIN = "Create it again, for the new columns: DROP TABLE also drops the table's indexes and triggers."
_AS_BEFORE = "Make rollback.sql restore the previous schema; quotes, spaces and comments make no difference."
_SPELLED = "Spell the name in rollback.sql exactly as before: results show this spelling, and code may rely on it."
_KEEP = "Repeat it in the new definition."

RULES: Mapping[str, tuple[Severity, str]] = {
    "foreign-key-target": (Severity.ERROR, _IN_PLACE),
    "foreign-key-lost": (Severity.ERROR, _KEEP),
    "table-lost": (Severity.ERROR, "Keep the table until no code needs it."),
    "index-lost": (Severity.ERROR, _AGAIN),
    "trigger-lost": (Severity.ERROR, _AGAIN),
    "view-lost": (Severity.ERROR, "Create the view again with its previous definition."),
    "unique-lost": (Severity.ERROR, "Make it unique again: without that, duplicates get in, or upserts fail."),
    "default-lost": (Severity.ERROR, _KEEP),
    "check-lost": (Severity.ERROR, _KEEP),
    "conflict-lost": (Severity.ERROR, _KEEP),
    "collation-lost": (Severity.ERROR, _KEEP),
    "autoincrement-lost": (
        Severity.ERROR,
        "Repeat AUTOINCREMENT: without it, the ids of deleted rows are assigned again.",
    ),
    "without-rowid-lost": (
        Severity.ERROR,
        "Add WITHOUT ROWID, or NOT NULL to each column of the key: without either, NULL gets into the key.",
    ),
    "not-null-lost": (Severity.WARNING, "Add NOT NULL if the code relies on it."),
    "random-rowid-lost": (Severity.WARNING, "Repeat RANDOM ROWID: without it, rowids tell the order of the rows."),
    "strict-lost": (Severity.WARNING, "Add STRICT if the code relies on types."),
    "type-changed": (Severity.WARNING, "Check that the values are stored the way the code reads them."),
    "column-lost": (Severity.WARNING, "Check that its values are stored elsewhere."),
    "leftover-table": (
        Severity.WARNING,
        "Drop it in migrate.sql; if rollback.sql needs it, name it _orchestrate_kept_*.",
    ),
}
_ANOTHER = "Keep its options, or refill it and make sure that the new code expects the new ones."  # for a virtual table


def schema_diff(before: Schema, after: Schema, renamed: Schema | None = None) -> tuple[Difference, ...]:
    """Return every difference: those of tables first, in the order of their names, then of triggers, then of views.

    If a table is gone or new, its indexes and triggers are not listed separately. `renamed`: the schema before, changed
    only by the RENAME statements of the script; references, triggers and views that only followed a renamed table are
    no differences.
    """
    return tuple(_differences(before, after, renamed))


def schema_findings(before: Schema, after: Schema, renamed: Schema | None = None) -> list[Finding]:
    """Return a finding for each difference that `RULES` lists: what a change removes, or leaves behind.

    The arguments are those of `schema_diff`.
    """
    return [
        Finding(
            each.place,
            each.words,
            _remedy(each),
            rule=each.kind,
            severity=RULES[each.kind][0],
            object=each.object,
        )
        for each in schema_diff(before, after, renamed)
        if each.kind in RULES
    ]


def _remedy(difference: Difference) -> str:
    is_there = difference.kind == "table-lost" and difference.place == difference.object  # not "table NAME"
    return _ANOTHER if is_there else RULES[difference.kind][1]


def round_trip_findings(before: Schema, after_rollback: Schema) -> list[Finding]:
    """Return a finding for each difference that a rollback leaves. No waiver can accept it."""
    return [
        Finding(each.place, f"{each.words} after the rollback", _AS_BEFORE)
        for each in schema_diff(before, after_rollback)
    ]


def respelling_findings(before: Schema, after_rollback: Schema) -> list[Finding]:
    """Return a finding for each name that a rollback spells differently. No waiver can accept it."""
    found = respelled_names(before, after_rollback)
    return [Finding(each.place, f"{each.words} after the rollback", _SPELLED) for each in found]


def respelled_names(before: Schema, after: Schema) -> Iterator[Difference]:
    """Yield each table column and view whose names are spelled differently, such as `userId` and `userid`.

    The engine accepts both spellings, but code may rely on the spelling of a name in a result.
    """
    tables = {table.name: table for table in after.tables}
    for table in before.tables:
        now = {column.name: column.name for column in tables[table.name].columns} if table.name in tables else {}
        for name in (column.name for column in table.columns):
            if name in now and str(name) != str(now[name]):
                yield Difference("column-respelled", f"{table.name}.{name}", f"is spelled {now[name]!s}")
    views = {view.name: view for view in after.views}
    for view in before.views:
        if view.name in views and view.shown != views[view.name].shown:
            was, now_shown = (", ".join(each.shown) or "(none)" for each in (view, views[view.name]))
            yield Difference("view-respelled", f"view {view.name}", f"spells its names {now_shown}, not {was}")


def _differences(before: Schema, after: Schema, renamed: Schema | None) -> Iterator[Difference]:
    old, new = ({table.name: table for table in schema.tables} for schema in (before, after))
    moved = {table.name: table for table in renamed.tables} if renamed else {}
    for name, table in old.items():
        if name in new:
            yield from table_differences(table, new[name])
            yield from key_differences(_keyed(table, before), _keyed(new[name], after))
            yield from reference_differences(table, new[name], old, new, moved.get(name))
        else:
            yield Difference("table-lost", f"table {name}", "is gone")
    for name, table in new.items():
        yield from () if name in old else _new_table(table, old, new)
    triggers, views = before.triggers, before.views
    if renamed and new.keys().isdisjoint(old.keys() - moved.keys()):  # no other table has the name of a renamed one
        triggers = _as_renamed(triggers, renamed.triggers, after.triggers)
        views = _as_renamed(views, renamed.views, after.views)
    yield from trigger_differences(triggers, after.triggers, _hosts(before) & _hosts(after))
    yield from view_differences(views, after.views)


def _as_renamed(before: Sequence[Text], renamed: Sequence[Text], after: Collection[Text]) -> tuple[Text, ...]:
    """Return triggers or views; one that only followed a RENAME is returned as the RENAME left it."""
    then = {each.name: each for each in renamed if each in after}
    return tuple(then.get(each.name, each) for each in before)


def _new_table(table: Table, old: Collection[Name], new: Collection[Name]) -> Iterator[Difference]:
    if looks_left_over(table.name):
        yield Difference("leftover-table", f"table {table.name}", "is left behind")
    else:
        yield Difference("table-added", f"table {table.name}", "is new")
    yield from new_references(table, old, new)


def _hosts(schema: Schema) -> set[Name]:
    return {table.name for table in schema.tables} | {view.name for view in schema.views}


def _keyed(table: Table, schema: Schema) -> Keyed:
    return Keyed(table, [index for index in schema.indexes if index.table == table.name])


def renames(script: Script) -> dict[str, dict[str, str]]:
    """Return, by table and new column name, the old names of the columns that a script renames, in lower case."""
    found: dict[str, dict[str, str]] = {}
    for each in map(read_statement, script.pieces):
        if each.verb == "RENAME COLUMN":
            found.setdefault(each.table, {})[each.renamed] = each.column
    return found


def apply_renames(
    schema: Schema, definitions: Sequence[str], script: Script, verbs: Collection[str] = ("RENAME COLUMN",)
) -> Schema:
    """Return the schema after the RENAME statements of a script, without the effects of its other statements.

    `definitions`: the SQL that creates the schema; the local engine renames in an empty database. Tables that this
    engine cannot create, such as virtual ones, stay unchanged. `verbs`: which statements to apply.
    """
    renames = [piece.statement.sql for piece in script.pieces if read_statement(piece).verb in verbs]
    if not renames:
        return schema
    with empty_clone(definitions) as connection:
        known = {table.name for table in read_schema(connection).tables}
        for sql in renames:
            attempt(connection, sql)
        renamed = read_schema(connection)
    others = tuple(table for table in schema.tables if table.name not in known)
    if not others:
        return renamed
    return Schema((*renamed.tables, *others), renamed.indexes, renamed.triggers, renamed.views)
