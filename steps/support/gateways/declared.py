"""Tables with a declared number of row changes: the transaction counts them, and commits no other number.

A small table is kept beside itself until the end of the transaction, and compared row by row. A large one is held by
the statements that reach it, one by one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from steps.support.gateways.assertion import assertion
from steps.support.gateways.database import Statement
from steps.support.sql_owned import OURS
from steps.support.sql_tokens import quoted

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
    """The rows of a table that one statement of the script may change; `statement` is its place among them."""

    statement: int
    table: str
    most: int


def kept(declared: Sequence[Declared]) -> Iterator[Statement]:
    """Keep what each table held before."""
    for each in declared:
        yield Statement(f"CREATE TABLE {quoted(each.was)} AS {each.before}", name=f"keeping {each.table}")


def held(declared: Sequence[Declared]) -> Iterator[Statement]:
    """Hold each table to the number of rows that was declared, and drop what was kept of it."""
    for each in declared:
        why = f"{each.changed} || ' rows changed, and `-- changes:` allows {words(each.least, each.most)}'"
        yield assertion(f"changes of {each.table}", f"{each.changed} BETWEEN {each.least} AND {each.most}", why)
        yield Statement(f"DROP TABLE {quoted(each.was)}", name=f"keeping {each.table}")


def reached(script: Sequence[Statement], reaches: Sequence[Reach]) -> Iterator[Statement]:
    """Return the script with an assertion behind each statement that is held to the rows that it may change."""
    of = {each.statement: each for each in reaches}
    for number, statement in enumerate(script):
        yield statement
        if each := of.get(number):
            why = f"changes() || ' rows changed, and `-- changes:` allows {words(0, each.most)}'"
            name = f"changes of {each.table} by {statement.name}"
            yield assertion(name, f"changes() <= {each.most}", why)


def words(least: int, most: int) -> str:
    """Return a range in words."""
    if least == most:
        return f"{most:,}"
    return f"{least:,} to {most:,}" if least else f"at most {most:,}"
