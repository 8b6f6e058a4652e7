"""Open a database file for reading, with an engine that knows what the file's server knows.

APSW's SQLite is as new as the package, and has FTS3, FTS4, FTS5 and R*Tree on every machine; Python's own may be years
older than the server. Two things are libSQL's own. A function that only the server has returns NULL here, so that the
tables that use it can be read. `RANDOM ROWID`, which SQLite cannot parse, is read as a comment behind the last column:
such a table is stored like any other. A vector index is read as one of no row, which is what it holds.
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
RANDOM_ROWID = " /* RANDOM ROWID */)"  # what stands for it where the columns end; SQLite keeps no comment after that

_RANDOM = re.compile(r"\s*\bRANDOM\s+ROWID\s*", re.IGNORECASE)
_VECTOR_INDEX = re.compile(r"\s*CREATE\s+INDEX\b.*\blibsql_vector_idx\s*\(", re.IGNORECASE | re.DOTALL)
_NO_ROW = " WHERE 0"  # libSQL leaves the tree of a vector index empty: SQLite must not count the rows of a table in it
_OF_LIBSQL = "(instr(upper(sql), 'RANDOM') OR instr(lower(sql), 'libsql_vector_idx'))"
_DEFINED = "SELECT rowid, sql FROM {}.sqlite_schema WHERE type IN ('table', 'index') AND sql IS NOT NULL"
_FUNCTIONS = "SELECT lower(name) FROM pragma_function_list"
_READ_ONLY = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI


@contextmanager
def open_file(file: Path, *, learning: bool = True, **others: Path) -> Iterator[apsw.Connection]:
    """Open a file for reading only, and others beside it under their names; none may change meanwhile.

    `learning`: let the schema use functions that only the server has, see `learn_functions`.

    Raise apsw.Error if one of them is not a database.
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
    """Return the one text that a query of the schema returns, with each definition as its server wrote it."""
    with closing(apsw.Connection(_address(file), flags=_READ_ONLY)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        return str(connection.execute(query).fetchall()[0][0])


def learn_functions(connection: apsw.Connection, schema: str = "main") -> frozenset[str]:
    """Let tables and indexes use functions that only their server has; return their names, in lower case.

    Views and triggers are not trusted: a server accepts them whether it knows their functions or not.
    """
    known = {name for (name,) in connection.execute(_FUNCTIONS)}
    lacking = called(sql for _, sql in connection.execute(_DEFINED.format(schema))) - known
    for name in lacking:
        connection.create_scalar_function(name, lambda *_: None, deterministic=True)
    return frozenset(lacking)


def called(definitions: Iterable[str]) -> set[str]:
    """Return every name before a parenthesis, in lower case: functions, and also types and tables."""
    found = set[str]()
    for sql in definitions:
        tokens = [token for token in tokenize(sql) if token.kind != "comment"]
        found |= {folded(one.text) for one, after in pairwise(tokens) if one.kind == "word" and after.text == "("}
    return found


def readable(sql: str) -> str:
    """Return a definition as SQLite can parse it, and read by it what is in the file."""
    if _VECTOR_INDEX.match(sql):
        return sql if sql.endswith(_NO_ROW) else f"{sql}{_NO_ROW}"
    at = _after_columns(sql)
    options = sql[at:].split(",")
    kept = [option for option in options if not _RANDOM.fullmatch(option)]
    return sql if kept == options else f"{sql[: at - 1]}{RANDOM_ROWID}{','.join(kept)}"


def original(sql: str) -> str:
    """Return a readable definition as its server writes it."""
    if _VECTOR_INDEX.match(sql):
        return sql.removesuffix(_NO_ROW)
    columns, random, others = sql.rpartition(RANDOM_ROWID)
    if not random:
        return sql
    return f"{columns}){others.rstrip()}{',' * bool(others.strip())} RANDOM ROWID"


def is_random(sql: str) -> bool:
    """Return True if a definition, or its readable form, gives each row a random rowid."""
    return not _VECTOR_INDEX.match(sql) and (RANDOM_ROWID in sql or readable(sql) != sql)


def sample_text(column: str) -> str:
    """Build the expression for a value to show: bytes of a text that are not UTF-8 are shown one by one."""
    return f"CASE typeof({column}) WHEN 'text' THEN as_text(CAST({column} AS BLOB)) ELSE {column} END"


def _readable(file: Path, stack: ExitStack) -> Path:
    """Return a file that SQLite can read: this one, or a copy of it with other definitions."""
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
    """Write definitions, by their rowid in the schema, as they are."""
    with closing(apsw.Connection(str(file))) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        for rowid, sql in definitions.items():
            connection.execute("UPDATE sqlite_schema SET sql = ? WHERE rowid = ?", (sql, rowid))


def _after_columns(sql: str) -> int:
    """Return where the options of a CREATE TABLE begin: after the parenthesis that closes its columns."""
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
