"""Tables that a `-- changes:` line names and that are not there, neither before the change nor after it."""

from collections.abc import Iterator

from steps.support.nearest import nearest
from steps.support.proof.lint_reading import read
from steps.support.proof.objection import Objection
from steps.support.proof.rehearsal import Rehearsed
from steps.support.proof.schema_text import folded
from steps.support.sql_directives import declared_in, likely_tables_in, written
from steps.support.sql_findings import place
from steps.support.sql_folder import MIGRATE, DatabaseChange
from steps.support.sql_owned import is_owned


def known_tables(seen: Rehearsed, change: DatabaseChange) -> set[str]:
    """Return the tables before and after the migration, in lower case; those after by its text where it did not run."""
    moments = [seen.before] if seen.there is None else [seen.before, seen.there]
    names = {name for each in moments for name in (*each.facts.keys, *(table.name for table in each.schema.tables))}
    readings = () if seen.there else map(read, change.scripts[0].pieces)
    made = (name for each in readings if "TABLE" in each.verb for name in (each.table, each.renamed))
    return {*map(folded, map(str, names)), *made}


def unknown_tables(seen: Rehearsed, change: DatabaseChange) -> Iterator[Objection]:
    """Object to `-- changes:` lines that name no table there is, before or after."""
    names, script = known_tables(seen, change), change.scripts[0]
    for table, line in declared_in(script):
        if folded(table) not in names:
            near = nearest(table, (name for name in names if not is_owned(name)))
            hint = f", the nearest is {near}" if near else ""
            cause = f"`changes: {written(table)}`: there is no such table, before or after{hint}"
            yield Objection("", place(MIGRATE, line), cause, "Name a table whose rows may change.")
    for table, line in likely_tables_in(script):
        if folded(table) in names:
            cause = f"`Changes: {written(table)}` names a table, and is prose: a directive is written in lower case"
            remedy = f"Write `-- changes: {written(table)}`; if it is prose, word it otherwise."
            yield Objection("", place(MIGRATE, line), cause, remedy)
