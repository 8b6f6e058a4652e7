"""The lint: what in a script is known to have lost data before, statement by statement, with file and line.

It reads text and says nothing of validity: whether a statement can run is for the engine's own prepare to say. The body
of a trigger is looked at for divisions only, because it does not run now.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from steps.support.proof import lint_parents, lint_rows
from steps.support.proof.lint_facts import Child, Facts, as_read, facts
from steps.support.proof.lint_parents import proved_harmless
from steps.support.proof.lint_reading import Reading, read
from steps.support.proof.objection import Objection
from steps.support.sql_folder import MIGRATE, ROLLBACK
from steps.support.sql_text import Script

__all__ = ["Child", "Facts", "facts", "lint", "proved_harmless"]

Rule = Callable[[Reading, Facts], Iterator[Objection]]

_RULES: tuple[Rule, ...] = (
    lint_parents.drop_parent,
    lint_parents.rename_parent,
    lint_rows.partial_key,
    lint_rows.no_where,
    lint_rows.on_conflict,
    lint_rows.raise_outside_trigger,
    lint_rows.integer_division,
    lint_rows.unknown,
)
_OF_A_CHANGE = (*_RULES, lint_rows.printed_only)  # any other script may ask for the sake of the answer


def lint(script: Script, schema: Facts) -> list[Objection]:
    """Say what speaks against migrate.sql or rollback.sql; `schema` is what the database holds before it runs."""
    known, objections = as_read(schema), []
    rules = _OF_A_CHANGE if script.name in {MIGRATE, ROLLBACK} else _RULES
    for piece in script.pieces:
        reading = read(piece)
        found = (objection for rule in rules for objection in rule(reading, known))
        objections += [replace(each, object=reading.subject, file=script.name) for each in found]
        known = known.after(reading)
    return objections
