"""Recognize virtual tables that a script recreated with other options, and that lost nothing.

A virtual table that stores rows is compared row by row. An index of another table is compared with that table by the
index's own check. An index that stores no rows is compared by its rowids and numbers of words; it never counts as the
same if its new options make other words of a text.
"""

from dataclasses import replace

from steps.support.proof.rehearsal.rehearsal import RehearsalLog
from steps.support.schema.reading import Schema
from steps.support.schema.text import Name
from steps.support.schema.virtual_options import answers_fewer, content, makes_same_words
from steps.support.sql.findings import Finding, Severity
from steps.support.sql.tokens import folded

_SAME = "Its content is the same. Check that the new code expects these options: searches may find other rows."


def as_recreated(finding: Finding, log: RehearsalLog) -> Finding:
    """Return a finding unchanged, or as a warning if it is about a virtual table that was recreated and refilled."""
    if finding.rule != "table-lost" or log.after_migration is None:
        return finding
    before, after = (_options(each.schema, finding.object) for each in (log.before, log.after_migration))
    if (
        not before
        or not after
        or answers_fewer(before, after)
        or not _holds_the_same(finding.object, before, after, log)
    ):
        return finding
    return replace(finding, severity=Severity.WARNING, remedy=_SAME)


def _options(schema: Schema, table: str) -> str:
    """Return the text after the name in a virtual table's definition; empty if there is no such virtual table."""
    return next((each.virtual for each in schema.tables if each.name == Name(table)), "")


def _holds_the_same(table: str, before: str, after: str, log: RehearsalLog) -> bool:
    """Return True if the rehearsal compared the content of a virtual table, and found no difference."""
    name, source = folded(table), content(after)
    if content(before) != source:
        return False
    if source:
        return _is_checked(name, log)
    found = (log.rows_migrated or {}).get(name)
    if found is None or found.before is None or found.after is None:
        return False
    keeps = not (found.removed or found.changed or found.only_before)
    return keeps and (source is None or makes_same_words(before, after))


def _is_checked(name: str, log: RehearsalLog) -> bool:
    """Return True if the index's own check ran after the migration, and found no difference from the indexed table."""
    integrity = log.after_migration.integrity if log.after_migration else None
    defects = {folded(each.table) for each in integrity.defects} if integrity else {name}
    return integrity is not None and name in integrity.checked and name not in defects
