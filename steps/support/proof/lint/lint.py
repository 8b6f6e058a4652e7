"""Lint a script: find statements that are known to lose data, each with its file and line.

Lint reads text only. Whether a statement can run is decided by the engine, when it prepares the statement. In the body
of a trigger, lint checks only divisions, because the body does not run when the trigger is created.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace

from steps.support.proof.lint import parent_rules, row_rules
from steps.support.proof.lint.facts import Child, Facts, facts, from_schema
from steps.support.proof.lint.parent_rules import proved_harmless
from steps.support.sql.findings import MIGRATE, ROLLBACK, Finding, Severity
from steps.support.sql.script import Script
from steps.support.sql.verbs import Reading, read_statement

__all__ = ["Child", "Facts", "decided_by_rows", "facts", "lint", "proved_harmless"]

_COMPARED = "The rehearsal compared every row of the table before and after, and that comparison decides."

Rule = Callable[[Reading, Facts], Iterator[Finding]]

_RULES: tuple[Rule, ...] = (
    parent_rules.drop_parent,
    parent_rules.rename_parent,
    row_rules.partial_key,
    row_rules.no_where,
    row_rules.on_conflict,
    row_rules.raise_outside_trigger,
    row_rules.integer_division,
    row_rules.unknown,
)
_OF_A_CHANGE = (*_RULES, row_rules.printed_only)  # in other scripts, a SELECT may just print


def lint(script: Script, schema: Facts) -> list[Finding]:
    """Return the findings of all lint rules about a script. `schema`: the tables before the script."""
    known, findings = from_schema(schema), []
    rules = _OF_A_CHANGE if script.name in {MIGRATE, ROLLBACK} else _RULES
    for piece, where in zip(script.pieces, _places(script), strict=True):
        reading = read_statement(piece)
        found = (finding for rule in rules for finding in rule(reading, known))
        findings += [replace(each, place=where, object=reading.subject, file=script.name) for each in found]
        known = known.after(reading)
    return findings


def decided_by_rows(findings: Iterable[Finding], compared: Collection[str]) -> list[Finding]:
    """Return the findings; those of no-where become notes if the rehearsal compared every row of their table.

    `compared`: the names of the compared tables in lower case. The comparison reports each row that was lost.
    """
    return [
        replace(each, severity=Severity.NOTE, remedy=_COMPARED)
        if each.rule == "no-where" and each.object in compared
        else each
        for each in findings
    ]


def _places(script: Script) -> Iterator[str]:
    """Yield the place of each statement: its file and line, and its number if several statements share the line."""
    on_line, begun = Counter(piece.line for piece in script.pieces), Counter[int]()
    for piece in script.pieces:
        begun[piece.line] += 1
        name = piece.statement.name
        yield f"{name}, statement {begun[piece.line]}" if on_line[piece.line] > 1 else name
