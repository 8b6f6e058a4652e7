"""Check with the engine's quick_check whether a database file is damaged: its pages, and the links between them.

Rows that break a constraint, and indexes that lack rows, are not damage of the file: a server's database may have them,
and then its copy must have them, too. `proof/rehearsal/integrity.py` finds them with the server's own engine.
"""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import apsw

from steps.support.schema.reader import open_file
from steps.support.sql.tokens import quoted

_REPORTED = 5  # lines, at most
_ALL = 1_000_000  # lines, including those about rows, which are filtered out afterwards
_TABLES = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'shadow')"
_UNKNOWN = ("unknown function", "no such function", "no such module")
_OF_ROWS = re.compile(r"NULL value in .+|CHECK constraint failed in .+|(?:non-)?[A-Z]+ value in .+|ok", re.DOTALL)


def damages(file: Path) -> list[str]:
    """Return what quick_check reports about damage of a file, at most five lines; none if the file is sound.

    Skip tables with an index or a column that uses a function of the server: only the server can check them.
    """
    with open_file(file, learning=False) as connection:
        try:
            return [*islice(_lines(connection, str(_ALL)), _REPORTED)]
        except apsw.Error as error:
            if not _is_unknown(error):
                raise
        names = [str(name) for (name,) in connection.execute(_TABLES).fetchall()]
        return [line for name in names for line in _table_lines(connection, name)][:_REPORTED]


def _table_lines(connection: apsw.Connection, name: str) -> list[str]:
    try:
        return [*_lines(connection, quoted(name))]
    except apsw.Error as error:
        if _is_unknown(error):
            return []
        raise


def _lines(connection: apsw.Connection, about: str) -> Iterator[str]:
    lines = (str(line) for (line,) in connection.execute(f"PRAGMA quick_check({about})"))
    return (line for line in lines if not _OF_ROWS.fullmatch(line))


def _is_unknown(error: apsw.Error) -> bool:
    return any(words in str(error) for words in _UNKNOWN)
