"""Lint rules about parents, the tables that foreign keys reference.

With foreign keys on, dropping a parent deletes rows of its children; renaming a parent redirects their references.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from steps.support.proof.lint.facts import Child, Facts
from steps.support.sql.findings import Finding, Severity
from steps.support.sql.tokens import folded
from steps.support.sql.verbs import Reading

_KEPT = "In the rehearsal, with foreign keys off as in the release, these tables kept their rows and references."
_EFFECTS = {"CASCADE": "loses rows", "SET NULL": "is set to NULL", "SET DEFAULT": "is set to its default"}
_BLOCKS = "makes the DROP fail"
_ANEW = (
    "Change the table in place (ADD, RENAME or DROP COLUMN), or recreate it with foreign keys off before BEGIN, and "
    "let the rehearsal show that its children keep their rows; if a child must go, too, drop the child first."
)
_KEEP_NAME = (
    "Keep the name {table}. To save its old rows, use CREATE TABLE ... AS SELECT. To change its definition, CREATE a "
    "new table, copy the rows, DROP {table}, and only then RENAME the new table to {table}."
)


@dataclass(frozen=True, slots=True)
class AtRisk(Finding):
    """A finding about a statement that may take rows or references from other tables.

    `tables`: the names of these tables in lower case.
    """

    tables: frozenset[str] = frozenset()


def proved_harmless(findings: Iterable[Finding], unharmed: Iterable[str]) -> list[Finding]:
    """Return the findings; those of drop-parent and rename-parent become notes if all their tables are unharmed.

    `unharmed`: the tables that kept their rows and references in the rehearsal, on the target's engine and settings.
    """
    safe = {folded(table) for table in unharmed}
    return [
        replace(each, severity=Severity.NOTE, remedy=_KEPT)
        if isinstance(each, AtRisk) and each.tables <= safe
        else each
        for each in findings
    ]


def drop_parent(reading: Reading, known: Facts) -> Iterator[Finding]:
    """Yield a finding for DROP TABLE if other tables reference the dropped one."""
    reached = _descendants(reading.table, known.children)
    if reading.verb == "DROP TABLE" and reached:
        cause = (
            f"DROP TABLE {reading.table} deletes its rows first; with foreign keys on, the default of libSQL, that "
            f"reaches the tables that reference {reading.table}: {', '.join(map(_effect, reached))}"
        )
        tables = frozenset(folded(child.table) for child in reached)
        yield AtRisk(reading.piece.statement.name, cause, _ANEW, rule="drop-parent", tables=tables)


def rename_parent(reading: Reading, known: Facts) -> Iterator[Finding]:
    """Yield a finding for RENAME of a table if other tables reference it; no table references a new one."""
    children = [child.table for child in _children(reading.table, known.children)]
    if reading.verb == "RENAME TABLE" and children:
        cause = (
            f"RENAME rewrites the REFERENCES of {', '.join(children)} from {reading.table} to {reading.renamed}: from "
            f"then on new rows need a parent in {reading.renamed}, and dropping {reading.renamed} takes their rows"
        )
        remedy = _KEEP_NAME.format(table=reading.table)
        tables = frozenset(folded(child) for child in children)
        yield AtRisk(reading.piece.statement.name, cause, remedy, rule="rename-parent", tables=tables)


def _children(table: str, children: Mapping[str, tuple[Child, ...]]) -> list[Child]:
    return [child for child in children.get(table, ()) if folded(child.table) != table]


def _descendants(table: str, children: Mapping[str, tuple[Child, ...]]) -> list[Child]:
    """Return the children that a deletion in a table reaches: its own children, and those of each CASCADE child."""
    found: list[Child] = []
    waiting = _children(table, children)
    while waiting:
        child = waiting.pop(0)
        if child not in found and folded(child.table) != table:
            found.append(child)
            waiting += children.get(folded(child.table), ()) if child.on_delete == "CASCADE" else ()
    return found


def _effect(child: Child) -> str:
    return f"{child.table} ({', '.join(child.columns)}) {_EFFECTS.get(child.on_delete, _BLOCKS)}"
