"""The copy, made from statements: a SQLite file that nobody else reads before it is whole.

It is written by APSW's SQLite, which is as new as the package: a million joined rows of ten columns took it 2.9 s of
processor time, the one of Debian 12 6.4 s (3.54.1 and 3.40.1, measured). It knows FTS5 and R*Tree anywhere, too.
"""

import re
from pathlib import Path

import apsw

from steps.support.core.errors import Problem
from steps.support.proof.copy.split import Sql, Statements

_SETTINGS = ("page_size = {page_size}", "journal_mode = OFF", "synchronous = OFF", "locking_mode = EXCLUSIVE",
             "foreign_keys = OFF", "cache_size = -16000")  # fmt: skip
_VALUES = re.compile(r"""(["'`])(?:(?!\1).)*\1?""", re.DOTALL)
_MEND = "Mend it on the server, then try again."


class Loader:
    """Runs what a copy is made of on a new file; for one thread at a time. `source` is what errors name."""

    def __init__(self, path: Path, source: str, page_size: int = 4096) -> None:
        self._connection = apsw.Connection(str(path), statementcachesize=0)
        self._connection.limit(apsw.SQLITE_LIMIT_ATTACHED, 0)  # a dump reaches no other file
        for setting in _SETTINGS:
            self._connection.execute(f"PRAGMA {setting.format(page_size=page_size)}")
        self.rows = 0
        self.last = b""
        self._source = source
        self._statements = Statements()

    def feed(self, piece: bytes) -> None:
        """Run the statements that end in this piece. Raises Problem where one cannot be run."""
        try:
            for sql in self._statements.feed(piece):
                self._run(sql)
        except ValueError as error:
            raise self._impossible(str(error)) from None

    @property
    def whole(self) -> bool:
        """Whether the text has ended where a statement ends, outside any transaction, with nothing rolled back."""
        self.feed(b"\n")  # the end of a comment, too, is the end of a line
        rolled_back = self.last[:8].upper() == b"ROLLBACK"
        return not (self._statements.rest or self._connection.in_transaction or rolled_back)

    def interrupt(self) -> None:
        """End the statement that another thread is running."""
        self._connection.interrupt()

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _run(self, sql: Sql) -> None:
        try:
            self._connection.execute(sql.text.decode())
        except (apsw.Error, ValueError) as error:
            raise self._impossible(*_cause(sql, str(error))) from None
        self.rows += sql.rows
        self.last = sql.text

    def _impossible(self, cause: str, remedy: str = _MEND) -> Problem:
        return Problem("copying", self._source, f"a copy is impossible: {cause}", remedy)


def _cause(sql: Sql, message: str) -> tuple[str, str]:
    """Say what is wrong with a statement, and what to do; values out of rows are not repeated."""
    if b"\0" in sql.text:
        remedy = "Find it with instr(column, char(0)) on the server, and replace it."
        return f"{_place(sql)} holds a text with a NUL character", remedy
    if sql.table and message.lower() == "no such column: inf":
        return f"{_place(sql)} holds an infinite number", "Replace it on the server by a number or NULL."
    return f"{_place(sql)}: {_VALUES.sub('...', message) if sql.table else message}", _MEND


def _place(sql: Sql) -> str:
    return f"table {sql.table}" if sql.table else _shown(sql.text[:400].decode(errors="replace"))


def _shown(sql: str) -> str:
    return " ".join(sql.split())[:80]
