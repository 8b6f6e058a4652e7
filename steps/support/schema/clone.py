"""Create a schema again in an empty database in memory, to ask the engine about SQL without risk to any row.

A stub stands in for each function and collation that only libSQL's server has, and definitions are rewritten into a
form that SQLite can parse.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager

import apsw

from steps.support.schema.reader import readable

_LACKING = re.compile(
    r"no such (?P<kind>function|collation sequence): (?P<name>.+)|unknown function: (?P<other>.+)\(\)"
)
_MOST = 50  # stubs for one statement


@contextmanager
def empty_clone(definitions: Iterable[str]) -> Iterator[apsw.Connection]:
    """Yield a connection to a database in memory with these definitions; skip what the local engine cannot create."""
    with closing(apsw.Connection(":memory:")) as connection:
        for sql in definitions:
            attempt(connection, readable(sql))
        yield connection


def attempt(connection: apsw.Connection, sql: str) -> str:
    """Run a statement, with stubs for functions and collations that the engine lacks; return its error, or ""."""
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
