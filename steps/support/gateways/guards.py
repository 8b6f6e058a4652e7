"""What a transaction may not worsen: figures measured inside it, kept in the marker row, and held against the end.

A table with a declared number of row changes is counted, and no other number commits: a small one is kept beside itself
until the end of the transaction, and compared row by row; a large one is held by the statements that reach it.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

from steps.support.gateways.database.protocol import Rows
from steps.support.sql.own_tables import OURS
from steps.support.sql.statement import Statement
from steps.support.sql.tokens import literal, quoted, tokenize


def assertion(name: str, condition: str, otherwise: str, *args: str | int, gives: str = "1") -> Statement:
    """Build a statement that fails unless `condition` holds; `otherwise` is an SQL expression that says why."""
    # a text that is NULL, or begins with a dollar sign, would be no error, and the assertion would pass
    failure = f"json_extract('{{}}', coalesce({otherwise}, 'it cannot be told'))"
    return Statement(f"SELECT CASE WHEN {condition} THEN {gives} ELSE {failure} END", args, name)


WAS = f"{OURS}was_"  # what a table held before; it is gone before COMMIT


@dataclass(frozen=True, slots=True)
class Declared:
    """The rows that may change in one table, from `least` to `most`.

    `before`: a query for what has to be known of it before the change, kept as the table `was`. `changed`: the SQL
    expression that counts the rows that changed, in the end. `is_exact`: whether it counts all of them; else it is how
    many more or fewer rows there are.
    """

    table: str
    least: int
    most: int
    was: str
    before: str
    changed: str
    is_exact: bool


@dataclass(frozen=True, slots=True)
class Reach:
    """The most rows of a table that one statement of the script may change; `statement` is its place among them.

    `earlier`: the place of the last statement before it that counts together with it. `is_last`: whether none after it
    does.
    """

    statement: int
    table: str
    most: int
    earlier: int | None = None
    is_last: bool = True


def keep_declared(declared: Sequence[Declared]) -> Iterator[Statement]:
    """Keep what each table held before."""
    for each in declared:
        yield Statement(f"CREATE TABLE {quoted(each.was)} AS {each.before}", name=f"keeping {each.table}")


def hold_declared(declared: Sequence[Declared]) -> Iterator[Statement]:
    """Hold each table to the number of rows that was declared, and drop what was kept of it."""
    for each in declared:
        why = f"{each.changed} || ' rows changed, and `-- changes:` allows {count_words(each.least, each.most)}'"
        yield assertion(f"changes of {each.table}", f"{each.changed} BETWEEN {each.least} AND {each.most}", why)
        yield Statement(f"DROP TABLE {quoted(each.was)}", name=f"keeping {each.table}")


def bounded_statements(script: Sequence[Statement], reaches: Sequence[Reach]) -> Iterator[Statement]:
    """Return the script with assertions behind each statement that is held to the rows that it may change."""
    of = {each.statement: each for each in reaches}
    for number, statement in enumerate(script):
        yield statement
        if each := of.get(number):
            yield from _held_to(each, f"changes of {each.table} by {statement.name}")


def _held_to(reach: Reach, name: str) -> Iterator[Statement]:
    """Hold a statement, with those before it that count together, to the rows that may change.

    What they changed so far is kept as a table, because CREATE TABLE ... AS, unlike INSERT, is no row change: what the
    script asks of changes() is as it would be without it.
    """
    so_far = "changes()" if reach.earlier is None else f"(SELECT n FROM {_so_far(reach.earlier)}) + changes()"
    why = f"({so_far}) || ' rows changed, and `-- changes:` allows {count_words(0, reach.most)}'"
    yield assertion(name, f"{so_far} <= {reach.most}", why)
    if not reach.is_last:
        yield Statement(f"CREATE TABLE {_so_far(reach.statement)} AS SELECT {so_far} AS n", name=name)
    if reach.earlier is not None:
        yield Statement(f"DROP TABLE {_so_far(reach.earlier)}", name=name)


def _so_far(statement: int) -> str:
    return quoted(f"{OURS}changed_{statement}")


def count_words(least: int, most: int) -> str:
    """Return a range in words."""
    if least == most:
        return f"{most:,}"
    return f"{least:,} to {most:,}" if least else f"at most {most:,}"


SAME, NOT_FEWER, NOT_MORE = "=", ">=", "<="
UNBOUNDED_LOSS = -(2**53)
ORPHANS = "(SELECT count(*) FROM pragma_foreign_key_check)"
ROWS_OF = "rows of "
HOLDING = "what may not be lost"
AT_ONCE = 500  # measures that one statement holds: 1,000 take 0.04 s there and back, one a statement took 0.2 s


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure: what it is of, the SQL expression that gives it, and how it may be after compared with before.

    `slack` is added to what it was before. `before`: the expression that gives what it was, where that is another one.
    Neither is ever NULL.
    """

    name: str
    expression: str
    relation: str = SAME
    slack: int = 0
    before: str = ""


@dataclass(frozen=True, slots=True)
class Guards:
    """All that is held: figures on the way there and on the way back, and the names of every object there is after.

    `objects` empty: not asked. `measured` says in words what is asserted. `declared` and `reaches`: what holds the
    numbers of `-- changes:`.
    """

    there: tuple[Measure, ...]
    back: tuple[Measure, ...]
    objects: str = ""
    measured: str = ""
    declared: tuple[Declared, ...] = ()
    reaches: tuple[Reach, ...] = ()


def rows_of(table: str, relation: str = SAME) -> Measure:
    """Count the rows of a table."""
    return Measure(f"{ROWS_OF}{table}", f"(SELECT count(*) FROM {quoted(table)})", relation)


def rows_lost(table: str) -> Measure:
    """Count the rows of a table that may lose some; how many is yet to be said."""
    return Measure(f"{ROWS_OF}{table}", f"(SELECT count(*) FROM {quoted(table)})", NOT_FEWER, UNBOUNDED_LOSS)


def orphans(table: str = "") -> Measure:
    """Count the references that lead nowhere, in one table or in all; those of before are nobody's doing."""
    if not table:
        return Measure("references that lead nowhere", ORPHANS, NOT_MORE)
    found = f"(SELECT count(*) FROM pragma_foreign_key_check({literal(table)}))"
    return Measure(f"references of {table} that lead nowhere", found, NOT_MORE)


def row_changes(most: int) -> Measure:
    """Count the rows changed since the transaction began, triggers' and cascades' among them."""
    return Measure("rows changed", "total_changes()", NOT_MORE, most)


def keep_measures(column: str, measures: Sequence[Measure], attempt: str) -> Statement:
    """Keep every figure as JSON in the marker row."""
    figures = ", ".join(f"({number}, {each.before or each.expression})" for number, each in enumerate(measures))
    value = f"(SELECT json_group_object(column1, column2) FROM (VALUES {figures}))" if measures else "'{}'"
    sql = f"UPDATE _orchestrate_migrations SET {column} = {value} WHERE attempt = ?"
    return Statement(sql, (attempt,), "measuring what may not be lost")


def hold_measures(column: str, measures: Sequence[Measure], attempt: str) -> Iterator[Statement]:
    """Hold every figure against the one that was kept; each statement returns as JSON by how much some of them grew."""
    for start in range(0, len(measures), AT_ONCE):
        some = enumerate(measures[start : start + AT_ONCE], start)
        figures = ", ".join(f"({n}, {each.expression}, '{each.relation}', {each.slack})" for n, each in some)
        yield Statement(_HELD.format(column=column, figures=figures), (attempt,), HOLDING)


_HELD = """WITH now AS MATERIALIZED (
  SELECT column1 AS n, column2 AS figure, column3 AS relation, column4 AS slack FROM (VALUES {figures})),
was AS MATERIALIZED (
  SELECT CAST(key AS INTEGER) AS n, value AS figure
  FROM json_each((SELECT {column} FROM _orchestrate_migrations WHERE attempt = ?1))),
both AS MATERIALIZED (
  SELECT now.n, was.figure AS was, now.figure AS now, CASE relation
    WHEN '=' THEN now.figure = was.figure + slack
    WHEN '>=' THEN now.figure >= was.figure + slack
    ELSE now.figure <= was.figure + slack END AS holds
  FROM now LEFT JOIN was ON was.n = now.n)
SELECT CASE WHEN NOT EXISTS (SELECT 1 FROM both WHERE holds IS NOT TRUE)
  THEN (SELECT json_group_object(n, now - was) FROM both)
  ELSE json_extract('{{}}', (
    SELECT n || ' ' || coalesce(was || ' before, ' || now || ' after', 'it cannot be told')
    FROM both WHERE holds IS NOT TRUE ORDER BY n LIMIT 1)) END"""


def growth(measures: Sequence[Measure], results: Iterable[Rows]) -> dict[str, int]:
    """Return by how much each figure grew, from what the statements of `held` returned."""
    found = (item for rows in results for item in json.loads(str(rows.scalar)).items())
    return {measures[int(number)].name: int(growth) for number, growth in found}


def measure_in_message(measures: Sequence[Measure], words: str) -> tuple[str, str]:
    """Return which figure it was that got worse, and what is said of it, from what a statement of `held` raised."""
    number, _, said = words.partition(" ")
    measure = measures[int(number)]
    allowed = f", and {abs(measure.slack):,} {'more' if measure.slack > 0 else 'fewer'} are allowed"
    return measure.name, said + (allowed if measure.slack and said.endswith(" after") else "")


def is_about_measures(measures: Iterable[Measure], message: str) -> str:
    """Return the name of the first figure that asks for what is not there any more, by what the engine says is not."""
    lacking = {name: each.name for each in reversed([*measures]) for name in _named(each) if _lacks(message, name)}
    return lacking[max(lacking, key=len)] if lacking else HOLDING


def _named(measure: Measure) -> set[str]:
    """Return the names of tables and columns in an expression."""
    tokens = (token for token in tokenize(measure.expression) if token.kind in {"word", "name"})
    return {token.text[1:-1].replace('""', '"') if token.kind == "name" else token.text for token in tokens}


def _lacks(message: str, name: str) -> bool:
    return any(f"no such {what}: {schema}{name}" in message for what in ("table", "column") for schema in ("", "main."))


def guards_json(measures: Iterable[Measure]) -> str:
    """Write measures down, for the marker row."""
    return json.dumps([asdict(each) for each in measures])


def guards_of_json(text: str) -> tuple[Measure, ...]:
    """Read what was written down."""
    return tuple(Measure(**each) for each in json.loads(text))
