"""Rules about tables that others reference: dropping one empties its children, renaming one redirects them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from steps.support.proof.lint.facts import Child, Facts
from steps.support.sql.findings import Finding, Severity
from steps.support.sql.tokens import folded
from steps.support.sql.verbs import Reading

_KEPT = "In the rehearsal, with foreign keys off as in the release, they kept their rows and their references."
_EFFECTS = {"CASCADE": "loses rows", "SET NULL": "is set to NULL", "SET DEFAULT": "is set to its default"}
_BLOCKS = "makes it fail"
_ANEW = (
    "Change the table in place (ADD, RENAME or DROP COLUMN), or recreate it with foreign keys off before BEGIN, and "
    "let the rehearsal show that its children keep their rows; if a child must go too, drop it first."
)
_KEEP_NAME = (
    "Keep the name {table}: save its old rows with CREATE TABLE ... AS SELECT, or CREATE a new table, copy the rows, "
    "DROP {table}, and only then RENAME the new one to {table}."
)


@dataclass(frozen=True, slots=True)
class AtRisk(Finding):
    """A finding about `tables`, in lower case, that would lose rows or references together with another table."""

    tables: frozenset[str] = frozenset()


def proved_harmless(findings: Iterable[Finding], unharmed: Iterable[str]) -> list[Finding]:
    """Return the findings, with those of drop-parent and rename-parent about unharmed tables reduced to notes.

    `unharmed`: tables that kept their rows and references in the rehearsal, on the target's engine and settings.
    """
    safe = {folded(table) for table in unharmed}
    return [
        replace(each, severity=Severity.NOTE, remedy=_KEPT)
        if isinstance(each, AtRisk) and each.tables <= safe
        else each
        for each in findings
    ]


def drop_parent(reading: Reading, known: Facts) -> Iterator[Finding]:
    """Yield a finding for DROP TABLE of a table that others reference."""
    reached = _descendants(reading.table, known.children)
    if reading.verb == "DROP TABLE" and reached:
        cause = (
            f"DROP TABLE {reading.table} deletes its rows first, and with foreign keys on, as libSQL has them unless "
            f"they are switched off, that reaches the tables that reference it: {', '.join(map(_effect, reached))}"
        )
        tables = frozenset(folded(child.table) for child in reached)
        yield AtRisk(reading.piece.statement.name, cause, _ANEW, rule="drop-parent", tables=tables)


def rename_parent(reading: Reading, known: Facts) -> Iterator[Finding]:
    """Yield a finding for RENAME of a table that others reference; a new table may take a dropped one's name."""
    children = [child.table for child in _children(reading.table, known.children)]
    if reading.verb == "RENAME TABLE" and children:
        cause = (
            f"RENAME rewrites the REFERENCES of {', '.join(children)} from {reading.table} to {reading.renamed}: new "
            f"rows are checked against {reading.renamed} from then on, and dropping it takes the rows of its children"
        )
        remedy = _KEEP_NAME.format(table=reading.table)
        tables = frozenset(folded(child) for child in children)
        yield AtRisk(reading.piece.statement.name, cause, remedy, rule="rename-parent", tables=tables)


def _children(table: str, children: Mapping[str, tuple[Child, ...]]) -> list[Child]:
    return [child for child in children.get(table, ()) if folded(child.table) != table]


def _descendants(table: str, children: Mapping[str, tuple[Child, ...]]) -> list[Child]:
    """Return all tables that a deletion in this one reaches: its children, and their children if it cascades."""
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
