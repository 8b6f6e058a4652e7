"""What a transaction may not worsen: figures measured inside it, kept in the marker row, and held against the end."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

from steps.support.gateways.database import Statement
from steps.support.sql_tokens import literal, quoted

SAME, NOT_FEWER, NOT_MORE = "=", ">=", "<="
UNBOUNDED_LOSS = -(2**53)
ORPHANS = "(SELECT count(*) FROM pragma_foreign_key_check)"


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure: what it is of, the SQL expression that gives it, and how it may be after compared with before.

    `slack` is added to what it was before. It is never NULL.
    """

    name: str
    expression: str
    relation: str = SAME
    slack: int = 0


@dataclass(frozen=True, slots=True)
class Guards:
    """All that is measured: on the way there, on the way back, and the names of every object there is to be after.

    `objects` empty: not asked. `measured` says in words what is asserted.
    """

    there: tuple[Measure, ...]
    back: tuple[Measure, ...]
    objects: str = ""
    measured: str = ""


def rows_of(table: str, relation: str = SAME) -> Measure:
    """Count the rows of a table."""
    return Measure(f"rows of {table}", f"(SELECT count(*) FROM {quoted(table)})", relation)


def losing(table: str) -> Measure:
    """Count the rows of a table that may lose some; how many is yet to be said."""
    return Measure(f"rows of {table}", f"(SELECT count(*) FROM {quoted(table)})", NOT_FEWER, UNBOUNDED_LOSS)


def orphans(table: str = "") -> Measure:
    """Count the references that lead nowhere, in one table or in all; those of before are nobody's doing."""
    if not table:
        return Measure("references that lead nowhere", ORPHANS, NOT_MORE)
    found = f"(SELECT count(*) FROM pragma_foreign_key_check({literal(table)}))"
    return Measure(f"references of {table} that lead nowhere", found, NOT_MORE)


def row_changes(most: int) -> Measure:
    """Count the rows changed since the transaction began, triggers' and cascades' among them."""
    return Measure("rows changed", "total_changes()", NOT_MORE, most)


def kept(column: str, measures: Sequence[Measure], attempt: str) -> Statement:
    """Keep every figure as JSON in the marker row."""
    figures = ", ".join(f"({number}, {each.expression})" for number, each in enumerate(measures))
    value = f"(SELECT json_group_object(column1, column2) FROM (VALUES {figures}))" if measures else "'{}'"
    sql = f"UPDATE _orchestrate_migrations SET {column} = {value} WHERE attempt = ?"
    return Statement(sql, (attempt,), "measuring what may not be lost")


def held(column: str, measures: Sequence[Measure], attempt: str) -> Iterator[Statement]:
    """Hold every figure against the one that was kept; each statement gives by how much it grew."""
    for number, each in enumerate(measures):
        was = f"""(SELECT {column} ->> '$."{number}"' FROM _orchestrate_migrations WHERE attempt = ?1)"""
        more = f", and {abs(each.slack):,} {'more' if each.slack > 0 else 'fewer'} are allowed" if each.slack else ""
        why = f"{was} || ' before, ' || {each.expression} || ' after{more}'"
        condition = f"{each.expression} {each.relation} {was} + {each.slack}"
        yield assertion(each.name, condition, why, attempt, gives=f"{each.expression} - {was}")


def assertion(name: str, condition: str, otherwise: str, *args: str | int, gives: str = "1") -> Statement:
    """Build a statement that fails unless `condition` holds; `otherwise` is an SQL expression that says why."""
    # a text that is NULL, or begins with a dollar sign, would be no error, and the assertion would pass
    failure = f"json_extract('{{}}', coalesce({otherwise}, 'it cannot be told'))"
    return Statement(f"SELECT CASE WHEN {condition} THEN {gives} ELSE {failure} END", args, name)


def written(measures: Iterable[Measure]) -> str:
    """Write measures down, for the marker row."""
    return json.dumps([asdict(each) for each in measures])


def read(text: str) -> tuple[Measure, ...]:
    """Read what was written down."""
    return tuple(Measure(**each) for each in json.loads(text))
