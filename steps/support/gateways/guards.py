"""Guards: figures that a transaction must not make worse.

They are measured at its start, kept in the marker row, and checked at its end. If a table has a declared number of row
changes, the changes are counted, and the transaction commits only with an allowed number. A small table is copied until
the end of the transaction and compared row by row; for a large one, each statement that changes it is checked.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

from steps.support.core.text import counted
from steps.support.gateways.database.protocol import Rows
from steps.support.schema.comparison.fingerprint import Respelling
from steps.support.schema.own_tables import OURS
from steps.support.sql.statement import Statement
from steps.support.sql.tokens import literal, quoted, tokenize


def assertion(name: str, condition: str, otherwise: str, *args: str | int, gives: str = "1") -> Statement:
    """Build a statement that fails unless the SQL expression `condition` is true.

    `otherwise`: an SQL expression that gives the reason for the failure. `gives`: the result if the condition is true.
    """
    # if the text were NULL or began with a dollar sign, there would be no error, and the assertion would pass
    failure = f"json_extract('{{}}', coalesce({otherwise}, 'it cannot be told'))"
    return Statement(f"SELECT CASE WHEN {condition} THEN {gives} ELSE {failure} END", args, name)


WAS = f"{OURS}was_"  # prefix of the tables that keep copies from before the change; they are dropped before COMMIT


@dataclass(frozen=True, slots=True)
class Declared:
    """How many rows of one table may change: at least `least` and at most `most`.

    `before`: the query that reads, before the change, what must be known of the table; its result is kept as the table
    `was`. `changed`: the SQL expression that counts the changed rows at the end. `is_exact`: whether it counts all of
    them; if not, it gives only the difference in the number of rows.
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
    """The most rows of a table that one statement of the script may change.

    `statement`: the index of that statement in the script. `earlier`: the index of the previous statement that counts
    towards the same limit, or None. `is_last`: whether no later statement counts towards it.
    """

    statement: int
    table: str
    most: int
    earlier: int | None = None
    is_last: bool = True


def keep_declared(declared: Sequence[Declared]) -> Iterator[Statement]:
    """Yield the statements that keep what must be known of each table from before the change."""
    for each in declared:
        yield Statement(f"CREATE TABLE {quoted(each.was)} AS {each.before}", name=f"keeping {each.table}")


def hold_declared(declared: Sequence[Declared]) -> Iterator[Statement]:
    """Yield the statements that check how many rows of each table changed, and drop what was kept."""
    for each in declared:
        changed, allowed = rows_in_words(each.changed), count_words(each.least, each.most)
        why = f"{changed} || ' changed, and `-- changes:` allows {allowed}'"
        yield assertion(f"changes of {each.table}", f"{each.changed} BETWEEN {each.least} AND {each.most}", why)
        yield Statement(f"DROP TABLE {quoted(each.was)}", name=f"keeping {each.table}")


def bounded_statements(script: Sequence[Statement], reaches: Sequence[Reach]) -> Iterator[Statement]:
    """Yield the statements of a script; after each one with a limit of rows, also the assertion of that limit."""
    by_index = {each.statement: each for each in reaches}
    for index, statement in enumerate(script):
        yield statement
        if reach := by_index.get(index):
            yield from _bound(reach, f"changes of {reach.table} by {statement.name}")


def _bound(reach: Reach, name: str) -> Iterator[Statement]:
    """Yield the assertion that a statement, and the earlier ones that count, did not change too many rows.

    The number changed so far is kept as a table, because CREATE TABLE ... AS, unlike INSERT, is not a row change: the
    script gets the same values from changes() as it would without these statements.
    """
    so_far = "changes()" if reach.earlier is None else f"(SELECT n FROM {_so_far(reach.earlier)}) + changes()"
    why = f"{rows_in_words(so_far)} || ' changed, and `-- changes:` allows {count_words(0, reach.most)}'"
    yield assertion(name, f"{so_far} <= {reach.most}", why)
    if not reach.is_last:
        yield Statement(f"CREATE TABLE {_so_far(reach.statement)} AS SELECT {so_far} AS n", name=name)
    if reach.earlier is not None:
        yield Statement(f"DROP TABLE {_so_far(reach.earlier)}", name=name)


def _so_far(statement: int) -> str:
    return quoted(f"{OURS}changed_{statement}")


def rows_in_words(count: str) -> str:
    """Build the SQL expression of a number of rows in words, `1 row` or `2 rows`, from the expression of the number."""
    one, several = (counted(n, "row").removeprefix("2") for n in (1, 2))
    return f"(SELECT CASE n WHEN 1 THEN '{one}' ELSE n || '{several}' END FROM (SELECT {count} AS n))"


def count_words(least: int, most: int) -> str:
    """Return a range of numbers in words, such as `at most 5`."""
    if least == most:
        return f"{most:,}"
    return f"{least:,} to {most:,}" if least else f"at most {most:,}"


SAME, NOT_FEWER, NOT_MORE = "=", ">=", "<="
UNBOUNDED_LOSS = -(2**53)
ORPHANS = "(SELECT count(*) FROM pragma_foreign_key_check)"
ROWS_OF = "rows of "
HOLDING = "what may not be lost"
AT_ONCE = 500  # measures in one statement; 1,000 measures took 0.04 s in this way, and 0.2 s with a statement for each


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure, and the relation that must hold between its value afterwards and its value before.

    `name`: what is measured. `expression`: the SQL expression for it. `slack`: what is added to the value before.
    `before`: the expression for the value before, if it is a different one. Neither expression is ever NULL.
    """

    name: str
    expression: str
    relation: str = SAME
    slack: int = 0
    before: str = ""


@dataclass(frozen=True, slots=True)
class Guards:
    """Everything that is asserted when a change is migrated and rolled back.

    `there`: the figures for the migration. `back`: the figures for the rollback. `objects`: the names of all objects
    after the migration, empty if they are not checked. `measured`: what is asserted, in words. `declared` and
    `reaches`: what enforces the numbers of `-- changes:`. `respelled`: the objects to which the rehearsed rollback gave
    another text with the same meaning.
    """

    there: tuple[Measure, ...]
    back: tuple[Measure, ...]
    objects: str = ""
    measured: str = ""
    declared: tuple[Declared, ...] = ()
    reaches: tuple[Reach, ...] = ()
    respelled: tuple[Respelling, ...] = ()


def rows_of(table: str, relation: str = SAME) -> Measure:
    """Return the measure that counts the rows of a table."""
    return Measure(f"{ROWS_OF}{table}", f"(SELECT count(*) FROM {quoted(table)})", relation)


def rows_lost(table: str) -> Measure:
    """Return the measure that counts the rows of a table that may lose rows. The caller sets how many it may lose."""
    return Measure(f"{ROWS_OF}{table}", f"(SELECT count(*) FROM {quoted(table)})", NOT_FEWER, UNBOUNDED_LOSS)


def orphans(table: str = "") -> Measure:
    """Return the measure that counts references to missing rows, in one table or in all. It must not grow."""
    if not table:
        return Measure("references that lead nowhere", ORPHANS, NOT_MORE)
    found = f"(SELECT count(*) FROM pragma_foreign_key_check({literal(table)}))"
    return Measure(f"references of {table} that lead nowhere", found, NOT_MORE)


def row_changes(most: int) -> Measure:
    """Return the measure that counts the rows changed since BEGIN, including those changed by triggers and cascades."""
    return Measure("rows changed", "total_changes()", NOT_MORE, most)


def keep_measures(column: str, measures: Sequence[Measure], attempt: str) -> Statement:
    """Build the statement that measures every figure and keeps the values as JSON in the marker row."""
    figures = ", ".join(f"({number}, {each.before or each.expression})" for number, each in enumerate(measures))
    value = f"(SELECT json_group_object(column1, column2) FROM (VALUES {figures}))" if measures else "'{}'"
    sql = f"UPDATE _orchestrate_migrations SET {column} = {value} WHERE attempt = ?"
    return Statement(sql, (attempt,), "measuring what may not be lost")


def hold_measures(column: str, measures: Sequence[Measure], attempt: str) -> Iterator[Statement]:
    """Yield the statements that compare the figures with the kept ones.

    Each statement compares some of them, and returns how much they grew, as JSON.
    """
    for start in range(0, len(measures), AT_ONCE):
        batch = enumerate(measures[start : start + AT_ONCE], start)
        figures = ", ".join(f"({n}, {each.expression}, '{each.relation}', {each.slack})" for n, each in batch)
        yield Statement(_COMPARISON.format(column=column, figures=figures), (attempt,), HOLDING)


_COMPARISON = """WITH now AS MATERIALIZED (
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
    """Return how much each figure grew, by its name, from the results of the `hold_measures` statements."""
    found = (item for rows in results for item in json.loads(str(rows.scalar)).items())
    return {measures[int(number)].name: int(growth) for number, growth in found}


def measure_in_message(measures: Sequence[Measure], words: str) -> tuple[str, str]:
    """Return the name of the figure that got worse, and the reason, from the error of a `hold_measures` statement."""
    number, _, reason = words.partition(" ")
    measure = measures[int(number)]
    allowed = f", and {abs(measure.slack):,} {'more' if measure.slack > 0 else 'fewer'} are allowed"
    return measure.name, reason + (allowed if measure.slack and reason.endswith(" after") else "")


def is_about_measures(measures: Iterable[Measure], message: str) -> str:
    """Return the name of the first figure that uses a table or column that the engine reports as missing."""
    missing = {
        name: each.name for each in reversed([*measures]) for name in _names_in(each) if _is_missing(message, name)
    }
    return missing[max(missing, key=len)] if missing else HOLDING


def _names_in(measure: Measure) -> set[str]:
    """Return the names of the tables and columns in an expression."""
    tokens = (token for token in tokenize(measure.expression) if token.kind in {"word", "name"})
    return {token.text[1:-1].replace('""', '"') if token.kind == "name" else token.text for token in tokens}


def _is_missing(message: str, name: str) -> bool:
    return any(f"no such {kind}: {schema}{name}" in message for kind in ("table", "column") for schema in ("", "main."))


def guards_json(measures: Iterable[Measure], respelled: Sequence[Respelling] = ()) -> str:
    """Return what a rollback asserts as JSON, for the marker row."""
    figures = [asdict(each) for each in measures]
    return json.dumps({"measures": figures, "respelled": [*map(asdict, respelled)]} if respelled else figures)


def guards_of_json(text: str) -> tuple[Measure, ...]:
    """Return the measures in the JSON of a marker row."""
    held = json.loads(text)
    return tuple(Measure(**each) for each in (held["measures"] if isinstance(held, dict) else held))


def respelled_of_json(text: str) -> tuple[Respelling, ...]:
    """Return the objects in other letters in the JSON of a marker row; earlier versions wrote none."""
    held = json.loads(text)
    return tuple(Respelling(**each) for each in held["respelled"]) if isinstance(held, dict) else ()
