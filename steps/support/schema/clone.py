"""An empty clone of a schema, in memory: what the engine says about SQL when no row can be lost.

Functions and collations that only libSQL's server has are stubs there. Definitions are taken in the form that SQLite
can parse.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager

import apsw

from steps.support.schema.reader import readable

_LACKING = re.compile(
    r"no such (?P<kind>function|collation sequence): (?P<name>.+)|unknown function: (?P<other>.+)\(\)"
)
_MOST = 50  # functions and collations that the local engine lacks and one statement uses


@contextmanager
def empty_clone(definitions: Iterable[str]) -> Iterator[apsw.Connection]:
    """Open a database in memory with these definitions, except those that the local engine cannot create."""
    with closing(apsw.Connection(":memory:")) as connection:
        for sql in definitions:
            attempt(connection, readable(sql))
        yield connection


def attempt(connection: apsw.Connection, sql: str) -> str:
    """Run a statement, with stubs for what the local engine lacks, and return its error; empty if there is none."""
    error = ""
    for _ in range(_MOST):
        try:
            connection.execute(sql).fetchall()
        except apsw.Error as failed:
            error = str(failed)
        else:
            return ""
        if not (lacking := _LACKING.search(error)):
            return error
        if lacking["kind"] == "collation sequence":
            connection.create_collation(lacking["name"], lambda one, other: (one > other) - (one < other))
        else:
            connection.create_scalar_function(lacking["name"] or lacking["other"], lambda *_: None, deterministic=True)
    return error
