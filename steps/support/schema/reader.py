"""Open a database file for reading, even if its definitions use what only libSQL's server knows.

The engine is APSW's SQLite: it is as new as the package, and has FTS3, FTS4, FTS5 and R*Tree on every machine, while
Python's own may be years older than the server. libSQL's additions are replaced as follows. A function that only the
server has returns NULL, so that tables that use the function can be read. `RANDOM ROWID`, which SQLite cannot parse,
becomes a comment after the last column, because such a table is stored like any other. A vector index becomes an index
without rows, because libSQL stores no row in it.
"""

import re
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import apsw

from steps.support.schema.connection import Connection
from steps.support.sql.tokens import folded, tokenize

ENGINE_ERRORS = (apsw.Error, sqlite3.Error)
RANDOM_ROWID = " /* RANDOM ROWID */)"  # before the last parenthesis, because SQLite keeps no comment after it

_RANDOM = re.compile(r"\s*\bRANDOM\s+ROWID\s*", re.IGNORECASE)
_VECTOR_INDEX = re.compile(r"\s*CREATE\s+INDEX\b.*\blibsql_vector_idx\s*\(", re.IGNORECASE | re.DOTALL)
_NO_ROW = " WHERE 0"  # libSQL leaves a vector index's tree empty, so SQLite must not use it to count the table's rows
_NO_PART, _END = " 0 AND (/* no row */", "\n)"  # the same for an index with a condition: after its WHERE
_OF_LIBSQL = "(instr(upper(sql), 'RANDOM') OR instr(lower(sql), 'libsql_vector_idx'))"
_DEFINED = "SELECT rowid, sql FROM {}.sqlite_schema WHERE type IN ('table', 'index') AND sql IS NOT NULL"
_FUNCTIONS = "SELECT lower(name) FROM pragma_function_list"
_READ_ONLY = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI


@contextmanager
def open_file(file: Path, *, learning: bool = True, **others: Path) -> Iterator[apsw.Connection]:
    """Yield a read-only connection to a file. No file may change meanwhile.

    `others`: further files to attach, by their schema names. `learning`: whether to create stubs for functions that
    only the server has, see `learn_functions`. Raise apsw.Error if a file is not a database.
    """
    with ExitStack() as stack:
        main, *beside = [_readable(path, stack) for path in (file, *others.values())]
        connection = stack.enter_context(closing(apsw.Connection(_address(main), flags=_READ_ONLY)))
        connection.create_scalar_function("as_text", _as_text, 1, deterministic=True)
        for name, path in zip(others, beside, strict=True):
            connection.execute(f"ATTACH ? AS {name}", (_address(path),))
        for name in ("main", *others) if learning else ():
            learn_functions(connection, name)
        yield connection


def as_written(file: Path, query: str) -> str:
    """Return the single text that a query of the schema returns. Definitions are as the server wrote them."""
    with closing(apsw.Connection(_address(file), flags=_READ_ONLY)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        return str(connection.execute(query).fetchall()[0][0])


def learn_functions(connection: apsw.Connection, schema: str = "main") -> frozenset[str]:
    """Create a stub for each function that tables and indexes use and this engine lacks; return their names.

    The names are in lower case. The functions of views and triggers get no stub: the server may lack them, too, because
    it creates a view or a trigger without looking at its functions.
    """
    known = {name for (name,) in connection.execute(_FUNCTIONS)}
    lacking = called(sql for _, sql in connection.execute(_DEFINED.format(schema))) - known
    for name in lacking:
        connection.create_scalar_function(name, lambda *_: None, deterministic=True)
    return frozenset(lacking)


def called(definitions: Iterable[str]) -> set[str]:
    """Return every name before a parenthesis, in lower case: names of functions, but also of types and tables."""
    found = set[str]()
    for sql in definitions:
        tokens = [token for token in tokenize(sql) if token.kind != "comment"]
        found |= {folded(one.text) for one, after in pairwise(tokens) if one.kind == "word" and after.text == "("}
    return found


def readable(sql: str) -> str:
    """Return a definition in a form that SQLite can parse, and with which SQLite can read the data in the file."""
    if _VECTOR_INDEX.match(sql):
        return sql if sql.endswith(_NO_ROW) or _NO_PART in sql else _without_rows(sql)
    at = _after_columns(sql)
    options = sql[at:].split(",")
    kept = [option for option in options if not _RANDOM.fullmatch(option)]
    return sql if kept == options else f"{sql[: at - 1]}{RANDOM_ROWID}{','.join(kept)}"


def _without_rows(sql: str) -> str:
    """Return the definition of a vector index with a condition that no row meets."""
    words = (token for token in tokenize(sql) if token.kind == "word" and folded(token.text) == "where")
    at = next((token.start + len(token.text) for token in words), None)
    return f"{sql}{_NO_ROW}" if at is None else f"{sql[:at]}{_NO_PART}{sql[at:]}{_END}"


def original(sql: str) -> str:
    """Return a definition as the server wrote it: undo `readable`."""
    if _VECTOR_INDEX.match(sql):
        first, partial, condition = sql.partition(_NO_PART)
        return f"{first}{condition.removesuffix(_END)}" if partial else sql.removesuffix(_NO_ROW)
    columns, random, others = sql.rpartition(RANDOM_ROWID)
    if not random:
        return sql
    return f"{columns}){others.rstrip()}{',' * bool(others.strip())} RANDOM ROWID"


def is_random(sql: str) -> bool:
    """Return True if a definition has the option RANDOM ROWID, in libSQL's form or in the readable one."""
    return not _VECTOR_INDEX.match(sql) and (RANDOM_ROWID in sql or readable(sql) != sql)


def sample_text(column: str) -> str:
    """Build the SQL expression that reads a value for display; bytes that are not UTF-8 are shown one by one."""
    return f"CASE typeof({column}) WHEN 'text' THEN as_text(CAST({column} AS BLOB)) ELSE {column} END"


def _readable(file: Path, stack: ExitStack) -> Path:
    """Return this file if SQLite can read it, else a temporary copy with readable definitions."""
    with closing(apsw.Connection(_address(file), flags=_READ_ONLY)) as connection:
        changed = _changed(connection)
    if not changed:
        return file
    folder = stack.enter_context(TemporaryDirectory(prefix="readable-", dir=file.parent))
    copy = shutil.copyfile(file, Path(folder) / file.name)
    rewrite_definitions(copy, changed)
    return copy


def _changed(connection: Connection) -> dict[int, str]:
    connection.execute("PRAGMA writable_schema = ON")  # definitions that cannot be parsed are left out, not refused
    rows = connection.execute(f"{_DEFINED.format('main')} AND {_OF_LIBSQL}").fetchall()
    return {rowid: readable(sql) for rowid, sql in rows if readable(sql) != sql}


def rewrite_definitions(file: Path, definitions: dict[int, str]) -> None:
    """Write definitions into the schema of a file without parsing them, by their rowids in sqlite_schema."""
    with closing(apsw.Connection(str(file))) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        for rowid, sql in definitions.items():
            connection.execute("UPDATE sqlite_schema SET sql = ? WHERE rowid = ?", (sql, rowid))


def _after_columns(sql: str) -> int:
    """Return the offset at which the options of a CREATE TABLE begin: after the parenthesis that closes its columns."""
    depth = 0
    for token in tokenize(sql):
        if token.kind == "other" and token.text in "()":
            depth += 1 if token.text == "(" else -1
            if not depth:
                return token.start + 1
    return len(sql)


def _as_text(*values: Any) -> str:
    return str(values[0], "utf-8", errors="backslashreplace")


def _address(file: Path) -> str:
    return f"{file.resolve().as_uri()}?mode=ro&immutable=1"
