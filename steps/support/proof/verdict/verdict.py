"""Reach the verdict on a change: collect all findings from its rehearsal, and sort them by severity."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain

from steps.support.proof.lint.lint import decided_by_rows, lint, proved_harmless
from steps.support.proof.lint.quoted_texts import quoted_texts
from steps.support.proof.lint.reach import reach_findings
from steps.support.proof.rehearsal import contract, write_lock
from steps.support.proof.rehearsal.contract import Contracts
from steps.support.proof.rehearsal.integrity import new_defects, old_defects
from steps.support.proof.rehearsal.rehearsal import RehearsalLog
from steps.support.proof.rehearsal.snapshot import Snapshot
from steps.support.proof.rows.declared import check_declared
from steps.support.proof.rows.intended import explained
from steps.support.proof.rows.result import Kind, TableDiff
from steps.support.proof.verdict.elsewhere import Elsewhere, texts_of
from steps.support.proof.verdict.mended import mended_findings, without_mended
from steps.support.proof.verdict.orphans import orphan_findings
from steps.support.proof.verdict.recreated import as_recreated
from steps.support.proof.verdict.round_trip import (
    WRITTEN_LOST,
    changed_by_migrating_again,
    changed_without_reason,
    lost_by_migrating_again,
    lost_by_rollback,
)
from steps.support.proof.verdict.timeless import with_constants, without_times
from steps.support.proof.verdict.waiting import waiting_rows
from steps.support.proof.verdict.waivers import (
    apply_waivers,
    known_tables,
    names_of,
    partial_keys_without_number,
    unknown_tables,
)
from steps.support.schema.broken import lowered_sequences
from steps.support.schema.comparison import diff
from steps.support.schema.comparison.diff import apply_renames, renames
from steps.support.schema.comparison.fingerprint import with_texts
from steps.support.schema.comparison.references import keeps_references
from steps.support.schema.model import Table
from steps.support.schema.reading import Schema
from steps.support.schema.text import Name
from steps.support.sql.change import DatabaseChange
from steps.support.sql.findings import MIGRATE, NEW_CODE, OLD_CODE, ROLLBACK, VERIFY, WRITES, Finding, Severity, in_file
from steps.support.sql.script import Script
from steps.support.sql.tokens import folded
from steps.support.sql.verbs import read_statement

_REWRITES = frozenset({"INSERT", "UPDATE", "DELETE", "DROP TABLE", "RENAME TABLE"})
_USER_VERSION = "Make rollback.sql set it as before: PRAGMA user_version = {}."
_MISMATCHED = "Make the referenced columns a primary key, or give them a UNIQUE index."


_SAME_VALUES = "The new column has the same values in every row; check that no code reads the old name."
_GUARD = (
    "Make the script refuse foreign keys itself, in its first statement: SELECT CASE WHEN (SELECT foreign_keys FROM "
    "pragma_foreign_keys) = 0 THEN 1 ELSE json_extract('{}', 'foreign keys are on') END."
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The findings about a change, sorted by severity.

    `errors`: findings that block the change. `warnings`: findings that are only printed. `notes`: findings that the
    rehearsal showed to be harmless. `accepted`: findings that the author accepted by a waiver.
    `lossless`: whether the rollback lost nothing, not even what the app wrote meanwhile.
    `unshown`: the tables and columns to which the rehearsal wrote nothing, so that it did not test their rollback.
    `unasked`: the files that check or write nothing, and so prove nothing.
    `waiting`: for each of the tool's own tables, how many rows of the app wait there from a rollback until the next
    migration.
    """

    errors: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    notes: tuple[Finding, ...]
    accepted: tuple[Finding, ...]
    lossless: bool
    unshown: tuple[str, ...]
    unasked: tuple[str, ...]
    waiting: Mapping[str, int]


def judge(log: RehearsalLog, change: DatabaseChange) -> Verdict:
    """Return the verdict on a rehearsal. Findings about losses come first."""
    followed = _without_times(log)
    elsewhere = _elsewhere(followed, change)
    returning = [*_returning(log, change), *_written(followed, change, elsewhere)]
    found = [
        *in_file(MIGRATE, _migrated(log, change)),
        *returning,
        *_scripts(log, change),
        *old_defects(log.before.integrity, log.after_migration.integrity if log.after_migration else None),
        *_by_hand(log, change.keys_off),
        *(each for held in log.lock_uses for each in write_lock.lock_findings(held)),
        *log.failures,
        *(contract.unasked_contracts(Contracts(change.old_code, change.new_code)) if change.migrate else ()),
    ]
    weighing = apply_waivers(found, change.allowed, names_of(log))
    by_weight = {weight: tuple(each for each in weighing.findings if each.severity is weight) for weight in Severity}
    ended = log.rows_rolled_back is not None or not change.migrate
    came_back = ended and not any(each.severity is Severity.ERROR or each.rule == WRITTEN_LOST for each in returning)
    errors, warnings, notes, fine = by_weight.values()
    uncounted = partial_keys_without_number(fine, log, change)
    errors = (*map(_final, errors), *unknown_tables(log, change), *weighing.refused, *uncounted)
    unused = weighing.unused if ended else ()  # an unfinished rehearsal might still have found what a waiver accepts
    unasked = tuple(_unasked(log, change))
    lossless, unshown = came_back and WRITES not in unasked, tuple(_unshown(log, change))
    waiting = waiting_rows(followed, renames(change.scripts[0]), elsewhere)
    return Verdict(errors, (*warnings, *unused), (*change.notes, *notes), fine, lossless, unshown, unasked, waiting)


def _migrated(log: RehearsalLog, change: DatabaseChange) -> Iterator[Finding]:
    """Yield findings about what the migration does to schema, sequences and rows."""
    if log.after_migration is None or log.rows_migrated is None:
        return
    names = known_tables(log, change)
    declared = {table: amount for table, amount in change.changes.items() if folded(table) in names}
    columns = [each for each in change.changed_columns if folded(each.table) in names]
    triggers = [each.sql for taken in (log.before, log.after_migration) for each in taken.schema.triggers]
    not_null = {
        folded(table.name): {folded(each.name) for each in table.columns if each.not_null}
        for table in log.after_migration.schema.tables
    }
    said = explained(change.scripts[0], triggers, log.rows_migrated, not_null)
    anew = {folded(each.found.name): each.found for each in log.renamed}
    of_new = explained(change.scripts[0], triggers, anew, not_null)
    said = replace(said, columns={**said.columns, **of_new.columns})
    lost_values = check_declared(log.rows_migrated, declared, columns=columns, explained=said, renamed=log.renamed)
    reported = {(each.place, each.rule) for each in lost_values}
    places = {place for place, _ in reported}
    yield from lost_values
    yield from _worse(log.before, log.after_migration, change.scripts[0], change.scripts[0])
    in_schema = diff.schema_findings(
        before_as_renamed(log, change), log.after_migration.schema, _only_renamed(log, change.scripts[0])
    )
    for each in in_schema:
        is_said = (each.place, each.rule) in reported
        if each.place not in places or (_is_waived(each, change) and not is_said):
            yield as_recreated(_replaced(each, log.rows_migrated), log)


def _is_waived(finding: Finding, change: DatabaseChange) -> bool:
    """Return True if a waiver names the finding; without the finding, the waiver would seem to accept nothing."""
    own = (each for each in change.allowed if each.file == MIGRATE and each.rule == finding.rule)
    return any(not each.object or folded(each.object) == folded(finding.object) for each in own)


def _replaced(finding: Finding, rows: Mapping[str, TableDiff]) -> Finding:
    """Return a finding; if it is about a lost column, name the new column with the same values, if there is one."""
    table, _, column = finding.object.rpartition(".")
    if finding.rule != "column-lost" or folded(table) not in rows:
        return finding
    found = (each.became for each in rows[folded(table)].only_before if Name(each.name) == column and each.became)
    became = next(found, None)
    return replace(finding, cause=f"it became {became}", remedy=_SAME_VALUES) if became else finding


def before_as_renamed(log: RehearsalLog, change: DatabaseChange) -> Schema:
    """Return the schema before the migration, but with the new names of the columns that migrate.sql renames."""
    return apply_renames(log.before.schema, log.before.definitions, change.scripts[0])


def _only_renamed(log: RehearsalLog, script: Script) -> Schema:
    """Return the schema before the migration, changed only by the RENAME statements of a script."""
    return apply_renames(log.before.schema, log.before.definitions, script, ("RENAME COLUMN", "RENAME TABLE"))


def _returning(log: RehearsalLog, change: DatabaseChange) -> Iterator[Finding]:
    """Yield findings about everything that the rollbacks, and the migrations after them, do not restore."""
    yield from in_file(ROLLBACK, dict.fromkeys(_rolled_back(log, *change.scripts)))
    if log.after_migration is not None and log.after_second_migration is not None:
        yield from _again(log.after_migration, log.after_second_migration)


def _written(log: RehearsalLog, change: DatabaseChange, elsewhere: Elsewhere) -> Iterator[Finding]:
    """Yield findings about the rows that the app wrote, and about other rows in their tables."""
    moved, wrote, returned, regained = (
        log.rows_migrated,
        log.rows_written,
        log.rows_rolled_back,
        log.rows_migrated_again,
    )
    if moved is None or wrote is None:
        return
    renamed, found = renames(change.scripts[0]), list[Finding]()
    if returned is not None:
        returned = without_mended(returned, log.broken, moved, wrote, renamed)
        found += changed_without_reason(moved, wrote, returned, renamed, elsewhere, log.refused)
    if regained is not None:
        found += lost_by_migrating_again(wrote, regained, renamed, log.refused)
        reported = {*(folded(each.place) for each in found), *map(folded, change.changes)}
        found += changed_by_migrating_again(moved, wrote, regained, renamed, reported)
    yield from found


def _elsewhere(log: RehearsalLog, change: DatabaseChange) -> Elsewhere:
    """Return the written rows that the last migration brought back."""
    tables = log.before.schema.tables
    references = {
        folded(each.name): {*map(folded, chain(*(key.columns for key in each.foreign_keys)))} for each in tables
    }
    return Elsewhere.of(log.rows_written or {}, log.rows_migrated_again or {}, references, texts_of(change.scripts[1]))


def _without_times(log: RehearsalLog) -> RehearsalLog:
    """Return the log with constants in place of times of writing, in all rows that the verdict follows."""
    diffs = log.rows_migrated, log.rows_written, log.rows_rolled_back, log.rows_migrated_again
    moved, wrote, returned, regained = without_times(diffs, log.moments)
    kept = {name: with_constants(rows, log.moments) for name, rows in log.kept.items()}
    return replace(
        log, rows_migrated=moved, rows_written=wrote, rows_rolled_back=returned, rows_migrated_again=regained, kept=kept
    )


def _rolled_back(log: RehearsalLog, migrate: Script, rollback: Script) -> Iterator[Finding]:
    """Yield findings about everything that one of the two rollbacks did not restore."""
    reported = set[str]()
    if log.after_rollback is not None and log.rows_not_restored is not None:
        yield from _other_schema(log.before, log.after_rollback)
        several = log.rows_not_restored, log.broken, log.rows_migrated or {}
        yield from lost_by_rollback(without_mended(*several))
        yield from mended_findings(*several)
        for each in _worse(log.before, log.after_rollback, migrate, rollback):
            reported.add(each.place)
            yield each
    if log.after_writes is not None and log.after_second_rollback is not None:
        yield from _other_schema(log.before, log.after_second_rollback)
        known = log.before.integrity.with_those_of(log.after_writes.integrity)  # the app caused these, not the rollback
        yield from new_defects(known, log.after_second_rollback.integrity, migrate)
        sequences = lowered_sequences(log.after_writes.sequences, log.after_second_rollback.sequences)
        yield from (each for each in sequences if each.place not in reported)


def _other_schema(before: Snapshot, after_rollback: Snapshot) -> Iterator[Finding]:
    """Yield findings about objects whose meaning or spelling a rollback changes, with both texts."""
    found = diff.round_trip_findings(before.schema, after_rollback.schema)
    found += diff.respelling_findings(before.schema, after_rollback.schema)
    yield from with_texts(found, before.fingerprint, after_rollback.fingerprint)
    if after_rollback.user_version != before.user_version:
        cause = f"is {after_rollback.user_version} after the rollback, and was {before.user_version}"
        yield Finding("user_version", cause, _USER_VERSION.format(before.user_version))


def _unshown(log: RehearsalLog, change: DatabaseChange) -> Iterator[str]:
    """Yield the tables that rollback.sql rewrites, and the new columns, if writes.sql wrote nothing to them."""
    rewritten = {each.table for each in map(read_statement, change.scripts[1].pieces) if each.verb in _REWRITES}
    renamed = renames(change.scripts[0])
    for name, found in (log.rows_written or {}).items():
        moved = (log.rows_migrated or {}).get(name)
        if name in rewritten and not found.total:
            yield found.name
        elif moved and moved.before is not None and len(found.rows) == found.total:
            new = (each for each in moved.only_after if folded(each) not in renamed.get(name, {}))
            yield from (f"{found.name}.{column}" for column in new if not _is_written(folded(column), found))


def _is_written(column: str, found: TableDiff) -> bool:
    """Return True if the app wrote a value into a column, in at least one row."""
    rows = (row for row in found.rows if column in row.new)
    return any(row.kind is Kind.CHANGED or row.new[column] is not None for row in rows)


def _unasked(log: RehearsalLog, change: DatabaseChange) -> Iterator[str]:
    """Yield the names of the files that check or write nothing, although this change needs them."""
    asked = {OLD_CODE: bool(change.old_code), NEW_CODE: bool(change.new_code)}
    if change.migrate:
        written = (found.total for found in (log.rows_written or {}).values())
        asked |= {VERIFY: any(check.can_fail for check in change.verify), WRITES: any(written)}
    yield from (name for name, is_asked in asked.items() if not is_asked)


def _worse(before: Snapshot, after: Snapshot, migrate: Script, script: Script) -> Iterator[Finding]:
    """Yield findings about broken objects, sequences, defects and references that a script made worse.

    `before`, `after`: snapshots before and after the script.
    """
    yield from (each for each in after.broken if each not in before.broken)
    yield from lowered_sequences(before.sequences, after.sequences)
    reported = {each.place for each in after.broken if each.rule == "broken-virtual-table"}  # their checks fail, too
    yield from (each for each in new_defects(before.integrity, after.integrity, migrate) if each.place not in reported)
    for table, why in after.mismatched.items():
        if table not in before.mismatched:
            yield Finding(table, f"the engine would refuse every write to {table} or its parent: {why}", _MISMATCHED)
    yield from orphan_findings(before, after, script)


def _again(after_migration: Snapshot, after_second_migration: Snapshot) -> Iterator[Finding]:
    for each in diff.schema_diff(after_migration.schema, after_second_migration.schema):
        cause = f"{each.words}, when the migration runs again after a rollback"
        yield Finding(each.place, cause, "Make migrate.sql produce the same schema from what rollback.sql leaves.")


def _scripts(log: RehearsalLog, change: DatabaseChange) -> Iterator[Finding]:
    """Yield findings about the text of the scripts; those that the rehearsal showed to be harmless are notes."""
    migrate, rollback = change.scripts
    ended = log.rows_rolled_back is not None
    migrated, returned = (rows or {} if ended else {} for rows in (log.rows_migrated, log.rows_not_restored))
    yield from in_file(MIGRATE, reach_findings(log.before.definitions, migrate))
    found = decided_by_rows(lint(migrate, log.before.facts), migrated)
    renamed = _only_renamed(log, migrate)
    yield from proved_harmless(found, _unharmed(log.before, log.after_migration, log.rows_migrated, renamed))
    yield from quoted_texts(migrate, log.before.definitions)
    if log.after_migration is not None:
        yield from quoted_texts(rollback, log.after_migration.definitions)
        yield from in_file(ROLLBACK, reach_findings(log.after_migration.definitions, rollback))
        found = decided_by_rows(lint(rollback, log.after_migration.facts), returned)
        yield from proved_harmless(found, _unharmed(log.before, log.after_rollback, log.rows_not_restored))


def _unharmed(
    before: Snapshot, after: Snapshot | None, rows: Mapping[str, TableDiff] | None, renamed: Schema | None = None
) -> list[str]:
    """Return the tables that kept all their rows, and all their references to other tables.

    `renamed`: the schema before, changed only by the RENAME statements of the script.
    """
    if after is None or rows is None:
        return []
    schemas = before.schema, after.schema, renamed or before.schema
    old, now, moved = ({table.name: table for table in schema.tables} for schema in schemas)
    kept = [table for name, table in old.items() if name in now and _keeps_rows(table, rows)]
    return [
        str(table.name) for table in kept if keeps_references(table, now[table.name], old, now, moved.get(table.name))
    ]


def _keeps_rows(table: Table, rows: Mapping[str, TableDiff]) -> bool:
    """Return True if a table lost no row, and no value of a column that references another table."""
    found = rows.get(folded(table.name))
    referencing = {folded(column) for key in table.foreign_keys for column in key.columns}
    return found is not None and not found.removed and referencing.isdisjoint(map(folded, found.columns))


def _by_hand(log: RehearsalLog, keys_off: Collection[str]) -> Iterator[Finding]:
    """Yield warnings about rows that a script would also delete if a person ran it in a shell, with foreign keys on.

    `keys_off`: the scripts that switch foreign keys off themselves.
    """
    for name, losses in log.by_hand.items():
        for each in () if name in keys_off else losses:
            cause = f"run by hand, {name} loses this: {each.cause}"
            yield Finding(
                each.place, cause, _GUARD, rule="by-hand", severity=Severity.WARNING, object=each.place, file=name
            )


def _final(error: Finding) -> Finding:
    """Return an error marked as final if neither a waiver nor a `-- changes:` line can accept it."""
    return error if error.rule or "`-- changes:" in error.remedy else replace(error, final=True)


def listed(lines: Iterable[str]) -> str:
    """Return lines as a list for a message, each on a line of its own after a dash."""
    return "".join(f"\n- {line}" for line in lines)
