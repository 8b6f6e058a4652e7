"""Harms to the schema: each forgets something in a right change, and returns True if it found a place for it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random

from steps.support.sql.tokens import quoted
from tests.campaign.changes.draft import Draft, Rebuild, Step
from tests.campaign.changes.model import Column, Table


def _object_forgotten(rng: Random, rebuilds: Sequence[Rebuild], kind: str) -> bool:
    found = [(each, one) for each in rebuilds for one in each.objects if one.kind == kind]
    if not found:
        return False
    rebuild, one = rng.choice(found)
    rebuild.objects = [each for each in rebuild.objects if each != one]
    return True


def index_forgotten(rng: Random, draft: Draft) -> bool:
    """Forget an index in a rebuild, of the migration or of the rollback."""
    return _object_forgotten(rng, (*draft.forward, *draft.back), "INDEX")


def trigger_forgotten(rng: Random, draft: Draft) -> bool:
    """Forget a trigger in a rebuild, of the migration or of the rollback."""
    return _object_forgotten(rng, (*draft.forward, *draft.back), "TRIGGER")


def view_forgotten(rng: Random, draft: Draft) -> bool:
    """Drop a view and forget to create it again."""
    views = [each for each in draft.after.objects if each.kind == "VIEW" and each in draft.before.objects]
    if not views or draft.kind == "view replaced":
        return False
    view = rng.choice(views)
    draft.migrate.append(Step(f"DROP VIEW {quoted(view.name)}"))
    draft.rollback.append(Step(view.sql))
    return True


def constraint_forgotten(rng: Random, draft: Draft) -> bool:
    """Forget something of the table's definition in a rebuild, of the migration or of the rollback.

    A migration that drops NOT NULL or STRICT is only warned about; a rollback must restore both.
    """
    rebuilds = [*draft.forward, *draft.back]
    if not rebuilds:
        return False
    rebuild = rng.choice(rebuilds)
    warned = {"not null", "strict"} if rebuild in draft.forward else set[str]()
    ways = [each for each in _ways(rebuild) if each[0] not in warned]
    if not ways:
        return False
    what, rebuild.new = rng.choice(ways)
    draft.harm = f"{what} forgotten"
    return True


def _ways(rebuild: Rebuild) -> Iterator[tuple[str, Table]]:
    """Yield what can be forgotten of a table, and the table without it."""
    table, old = rebuild.new, rebuild.old
    if table.uniques and old.uniques == table.uniques:
        yield "unique", replace(table, uniques=())
    if table.references:
        yield "foreign key", replace(table, references=())
    if table.strict:
        yield "strict", replace(table, strict=False)
    if table.style == old.style == "autoincrement":
        yield "autoincrement", replace(table, style="rowid")
    for column in table.stored:
        if column in old.columns and column.name not in table.key:
            yield from ((what, table.with_column(less)) for what, less in _less(column))


def _less(column: Column) -> Iterator[tuple[str, Column]]:
    if column.default:
        yield "default", replace(column, default="")
    if column.check:
        yield "check", replace(column, check="")
    if column.not_null:
        yield "not null", replace(column, not_null=False)
    if column.collate:
        yield "collation", replace(column, collate="")
