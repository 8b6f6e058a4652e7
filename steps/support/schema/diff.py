"""Two schemas compared: every difference, and those that speak against a change."""

from collections.abc import Collection, Iterator, Mapping

from steps.support.schema.difference import Difference, table_differences, trigger_differences, view_differences
from steps.support.schema.keys import Keyed, key_differences
from steps.support.schema.model import Table
from steps.support.schema.reading import Schema
from steps.support.schema.references import looks_left_over, new_references, reference_differences
from steps.support.schema.text import Name
from steps.support.sql.findings import Finding, Severity

_IN_PLACE = "Make the parent anew under its own name (DROP, then CREATE): a RENAME takes references along."
_AGAIN = "What stands on a table goes with DROP TABLE: write it again, for the columns as they are now."
_KEEP = "Say it in the new definition as it was said before."

RULES: Mapping[str, tuple[Severity, str]] = {
    "foreign-key-target": (Severity.ERROR, _IN_PLACE),
    "foreign-key-lost": (Severity.ERROR, _KEEP),
    "table-lost": (Severity.ERROR, "Leave the table until nobody needs it."),
    "index-lost": (Severity.ERROR, _AGAIN),
    "trigger-lost": (Severity.ERROR, _AGAIN),
    "view-lost": (Severity.ERROR, "Create the view again, as it was."),
    "unique-lost": (Severity.ERROR, "Make it unique again: what relied on it now lets duplicates in, or fails."),
    "default-lost": (Severity.ERROR, _KEEP),
    "check-lost": (Severity.ERROR, _KEEP),
    "conflict-lost": (Severity.ERROR, _KEEP),
    "collation-lost": (Severity.ERROR, _KEEP),
    "autoincrement-lost": (Severity.ERROR, "Say AUTOINCREMENT: without it the ids of deleted rows are given again."),
    "not-null-lost": (Severity.WARNING, "Say NOT NULL, if the code relies on it."),
    "strict-lost": (Severity.WARNING, "Say STRICT, if the code relies on types."),
    "type-changed": (Severity.WARNING, "See that the values are stored as the code reads them."),
    "column-lost": (Severity.WARNING, "See that its values stand elsewhere."),
    "leftover-table": (
        Severity.WARNING,
        "Drop it in migrate.sql; what rollback.sql needs is called _orchestrate_kept_*.",
    ),
}


def schema_diff(before: Schema, after: Schema) -> tuple[Difference, ...]:
    """Give every difference: tables in the order of their names, then triggers, then views.

    What stood on a table that is gone, or stands on a new one, is not told apart from it.
    """
    return tuple(_differences(before, after))


def schema_findings(before: Schema, after: Schema) -> list[Finding]:
    """Give what the change takes away, and what it leaves behind."""
    return [
        Finding(
            each.place,
            each.words,
            RULES[each.kind][1],
            rule=each.kind,
            severity=RULES[each.kind][0],
            object=each.object,
        )
        for each in schema_diff(before, after)
        if each.kind in RULES
    ]


def round_trip_findings(before: Schema, back: Schema) -> list[Finding]:
    """Give whatever is another after the rollback than it was before the change; none of it can be accepted."""
    remedy = "Have rollback.sql give back what was there before, letter by letter."
    return [Finding(each.place, f"{each.words} after the rollback", remedy) for each in schema_diff(before, back)]


def _differences(before: Schema, after: Schema) -> Iterator[Difference]:
    old, new = ({table.name: table for table in schema.tables} for schema in (before, after))
    for name, table in old.items():
        if name in new:
            yield from table_differences(table, new[name])
            yield from key_differences(_keyed(table, before), _keyed(new[name], after))
            yield from reference_differences(table, new[name], old, new)
        else:
            yield Difference("table-lost", f"table {name}", "is gone")
    for name, table in new.items():
        yield from () if name in old else _new_table(table, old, new)
    yield from trigger_differences(before.triggers, after.triggers, _hosts(before) & _hosts(after))
    yield from view_differences(before.views, after.views)


def _new_table(table: Table, was: Collection[Name], there: Collection[Name]) -> Iterator[Difference]:
    if looks_left_over(table.name):
        yield Difference("leftover-table", f"table {table.name}", "is left behind")
    else:
        yield Difference("table-added", f"table {table.name}", "is new")
    yield from new_references(table, was, there)


def _hosts(schema: Schema) -> set[Name]:
    return {table.name for table in schema.tables} | {view.name for view in schema.views}


def _keyed(table: Table, schema: Schema) -> Keyed:
    return Keyed(table, [index for index in schema.indexes if index.table == table.name])
