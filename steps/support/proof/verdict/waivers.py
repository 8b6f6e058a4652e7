"""Apply waivers, the `-- allow:` lines, to findings, and report waivers that accept nothing or too much.

A waiver accepts one finding in its own file, about the object that it names. Two findings about the same object need
two waivers, so that nobody accepts the second one by accident. A waiver without an object accepts a finding only if its
rule found exactly one place in the file.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from steps.support.core.text import counted, nearest
from steps.support.proof.rehearsal.rehearsal import RehearsalLog
from steps.support.proof.rows.declared import declaration
from steps.support.schema.own_tables import is_owned
from steps.support.schema.text import Name
from steps.support.sql.change import DatabaseChange
from steps.support.sql.directives import Declaration, Waiver, declarations
from steps.support.sql.findings import MIGRATE, Finding, Severity, place, waiver_line, written_name
from steps.support.sql.lookalikes import likely_tables_in
from steps.support.sql.tokens import folded, unquoted_name
from steps.support.sql.verbs import read_statement

_UNUSED = "Remove the line, or name the object that it should accept."


@dataclass(frozen=True, slots=True)
class Waived:
    """The result of applying waivers.

    `findings`: all findings; those that a waiver accepts are marked. `refused`: findings about waivers that are
    ambiguous, or accept more than they name. `unused`: findings about waivers that accept nothing.
    """

    findings: tuple[Finding, ...]
    refused: tuple[Finding, ...]
    unused: tuple[Finding, ...]


def apply_waivers(
    findings: Iterable[Finding], waivers: Sequence[Waiver], names: Collection[str] = frozenset()
) -> Waived:
    """Mark the findings that a waiver accepts; the waiver's reason replaces their remedy.

    `names`: all names of the schema, in lower case. A waiver whose reason is one of these names is refused, because the
    author probably forgot the reason.
    """
    found = [*dict.fromkeys(findings)]
    reasons: dict[int, str] = {}
    refused = [_ambiguous(each) for each in waivers if not each.object and _one_name(each.reason) in names]
    unused: list[Waiver] = []
    for lines in _grouped(waivers):
        places = [number for number, each in enumerate(found) if _is_meant(lines[0], each)]
        if len(places) > len(lines) or (not lines[0].object and len(places) > 1):
            refused.append(_too_few(lines, [found[number] for number in places]))
        else:
            reasons |= {number: line.reason for number, line in zip(places, lines, strict=False)}
            unused += lines[len(places) :]
    marked = [_accepted(each, reasons[n]) if n in reasons else each for n, each in enumerate(found)]
    return Waived(tuple(marked), tuple(refused), tuple(_unused(line, marked) for line in unused))


def _one_name(reason: str) -> str:
    """Return the last name of a reason, in lower case, if the reason may be a name; empty if it cannot."""
    names = reason.split(".")
    return folded(unquoted_name(names[-1])) if all(names) else ""


def _ambiguous(line: Waiver) -> Finding:
    cause = f"`allow: {line.rule} {line.reason}`: one word may be the object or the reason"
    remedy = (
        f"If it is the object, write `{waiver_line(line.rule, line.reason, 'reason')}`; if it is the reason, use more "
        "words."
    )
    return Finding(line.place, cause, remedy)


def _grouped(waivers: Iterable[Waiver]) -> Iterator[list[Waiver]]:
    """Yield the waivers in groups; those of a group have the same file, rule and object."""
    groups: dict[tuple[str, str, str], list[Waiver]] = {}
    for each in waivers:
        groups.setdefault((each.file, each.rule, folded(each.object)), []).append(each)
    yield from groups.values()


def _is_meant(waiver: Waiver, finding: Finding) -> bool:
    has_rule = finding.is_open and finding.rule == waiver.rule and finding.file in {"", waiver.file}
    return has_rule and (not waiver.object or folded(waiver.object) == folded(finding.object))


def _accepted(finding: Finding, reason: str) -> Finding:
    return replace(finding, severity=Severity.ACCEPTED, remedy=f"Accepted: {reason}.")


def _too_few(lines: Sequence[Waiver], places: Sequence[Finding]) -> Finding:
    """Return the finding that a rule found more places at an object than there are waivers.

    `lines`: the waivers. `places`: the findings; the remedy has a line for each of them.
    """
    line = lines[0]
    found = f"{line.rule} found {counted(len(places), 'place')}{f' at {line.object}' if line.object else ''}"
    has = counted(len(lines), "place has", "places have")
    cause = f"{found}, and {has} a line" if line.object else f"the line names no object, and {found}"
    wanted = "".join(f"\n  {each.waiver}" for each in places)
    return Finding(line.place, f"`{line}`: {cause}", f"Write one line for each place that is meant:{wanted}")


def _unused(line: Waiver, marked: Sequence[Finding]) -> Finding:
    own = [each for each in marked if each.rule == line.rule and each.file in {"", line.file}]
    what = f" at {line.object}" if line.object else " else" * bool(own)
    cause = f"`{line}` accepts nothing: {line.rule} found nothing{what} in {line.file}{_hint(line, marked)}"
    return Finding(line.place, cause, _UNUSED, severity=Severity.WARNING)


def _hint(line: Waiver, marked: Sequence[Finding]) -> str:
    """Return a hint for a waiver that accepts nothing: a similar object, or another file with such a finding."""
    left = [each for each in marked if each.rule == line.rule and each.is_open]
    own = {folded(each.object): each.object for each in left if each.file in {"", line.file}}
    if near := nearest(folded(line.object), own):
        return f", the nearest is {own[near]}"
    return f", but in {left[0].file}: a line applies in its own file only" if left and not own else ""


def names_of(log: RehearsalLog) -> set[str]:
    """Return the names, in lower case, of all tables, columns, indexes, triggers and views before and after."""
    found = set[Name]()
    for schema in (each.schema for each in (log.before, log.after_migration) if each):
        found.update(table.name for table in schema.tables)
        found.update(column.name for table in schema.tables for column in table.columns)
        found.update(index.name for index in schema.indexes)
        found.update(trigger.name for trigger in schema.triggers)
        found.update(view.name for view in schema.views)
    return {folded(str(name)) for name in found}


def known_tables(log: RehearsalLog, change: DatabaseChange) -> set[str]:
    """Return the names, in lower case, of all tables before and after the migration.

    If the migration did not run, the tables after it are taken from the text of migrate.sql.
    """
    snapshots = [log.before] if log.after_migration is None else [log.before, log.after_migration]
    names = {name for each in snapshots for name in (*each.facts.keys, *(table.name for table in each.schema.tables))}
    readings = () if log.after_migration else map(read_statement, change.scripts[0].pieces)
    made = (name for each in readings if "TABLE" in each.verb for name in (each.table, each.renamed))
    return {*map(folded, map(str, names)), *made}


def unknown_tables(log: RehearsalLog, change: DatabaseChange) -> Iterator[Finding]:
    """Yield a finding for each `-- changes:` line whose table or column exists neither before nor after."""
    names, script = known_tables(log, change), change.scripts[0]
    for each in declarations(script):
        if folded(each.table) not in names:
            near = nearest(each.table, (name for name in names if not is_owned(name)))
            hint = f", the nearest is {near}" if near else ""
            cause = f"`changes: {written_name(each.table)}`: there is no such table, before or after{hint}"
            yield Finding(place(MIGRATE, each.line), cause, "Name a table whose rows may change.")
        else:
            yield from _unknown_columns(log, each)
    for table, lost in likely_tables_in(script):
        if folded(table) in names:
            yield Finding(lost.place, lost.cause, lost.remedy)


def _unknown_columns(log: RehearsalLog, line: Declaration) -> Iterator[Finding]:
    snapshots = [each for each in (log.before, log.after_migration) if each]
    tables = [
        table for each in snapshots for table in each.schema.tables if folded(str(table.name)) == folded(line.table)
    ]
    names = {folded(str(column.name)) for table in tables for column in table.columns}
    for column in line.columns if names else ():
        if column not in names:
            near = nearest(column, names)
            hint = f", the nearest is {near}" if near else ""
            what = f"{written_name(line.table)}({written_name(column)})"
            cause = f"`changes: {what}`: there is no such column, before or after{hint}"
            yield Finding(place(MIGRATE, line.line), cause, "Name a column whose values may change.")


def partial_keys_without_number(
    accepted: Iterable[Finding], log: RehearsalLog, change: DatabaseChange
) -> Iterator[Finding]:
    """Yield a finding for each accepted `partial-key` of migrate.sql if no line declares how many rows may change."""
    counted = {folded(table) for table, amount in change.changes.items() if amount}
    for each in accepted:
        table = folded(each.object)
        if each.rule == "partial-key" and each.file == MIGRATE and table not in counted:
            found = (log.rows_migrated or {}).get(table)
            line = declaration(found) if found else f"-- changes: {written_name(table)} N"
            cause = (
                f"a part of the key is accepted for {table}, and no `-- changes:` line says how many rows may change"
            )
            yield Finding(each.place, cause, f"Write the number, which production then asserts: `{line}`.")
