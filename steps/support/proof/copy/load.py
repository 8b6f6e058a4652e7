"""Load a dump into a new SQLite file: split it into statements, and join the INSERTs of one table.

Joining saves time: on one core, loading a million rows of ten columns took 6.4 s with INSERTs joined up to 1 kB, and
2.9 s with INSERTs joined up to 64 kB (measured with SQLite 3.54.1).

APSW's own SQLite writes the file, because it is as new as the APSW package, and has FTS5 and R*Tree on every machine.
It loaded a million joined rows in 2.9 s of processor time; the SQLite 3.40.1 of Debian 12 took 6.4 s (measured).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import apsw

from steps.support.core.errors import Problem
from steps.support.proof.copy.constraints import LiftedConstraints
from steps.support.schema.reader import readable

WINDOW = 64 << 10  # bytes of one joined INSERT, at most
LONGEST = 64 << 20  # bytes of one statement, at most, because the statement is held in memory

_BETWEEN = re.compile(rb"(?:\s++|--[^\n]*+\n|/\*.*?\*/)*+", re.DOTALL)
_STATEMENT = re.compile(
    rb"""(?:[^;'"`\[/-]++|'[^']*+'|"[^"]*+"|`[^`]*+`|\[[^\]]*+\]|--[^\n]*+\n|/\*.*?\*/|-(?!-)|/(?!\*))*+;""", re.DOTALL
)
_ROW = re.compile(rb"(?:[^;']++|'[^']*+')*+")
_LAST = re.compile(rb"(?:\s++|--[^\n]*+\n|/\*.*?\*/)*+END(?:\s++|--[^\n]*+\n|/\*.*?\*/)*+;", re.DOTALL | re.IGNORECASE)
_TRIGGER = re.compile(rb"CREATE\s+(?:TEMP\w*\s+)?TRIGGER\b", re.IGNORECASE)
_CREATED = re.compile(r"CREATE\s+(TABLE|INDEX)\b", re.IGNORECASE)
_INSERT = re.compile(
    rb"""INSERT\ INTO\ ("(?:[^"]|"")*+"|[^\s"'`(;]+)(?:\((?:[^()"'`;]|"[^"]*+")*+\))?\ VALUES\(""", re.VERBOSE
)


@dataclass(frozen=True, slots=True)
class Sql:
    """One statement of a dump. `table` and `rows`: the table of an INSERT, and the number of rows that it adds."""

    text: bytes
    rows: int = 0
    table: str = ""


class Statements:
    """Split SQL text, which arrives in pieces, into statements at the same places as the engine."""

    def __init__(self) -> None:
        self.rest = b""  # the text after the last complete statement

    def feed(self, piece: bytes) -> Iterator[Sql]:
        """Yield the statements that end in this piece of text. Raise ValueError if one exceeds LONGEST bytes."""
        text, at = self.rest + piece, 0
        while True:
            start = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]  # the pattern matches empty text, too
            if (end := _end(text, start)) is None:
                break
            found, at = _joined(text, start, end)
            yield found
        self.rest = text[start:]
        if len(self.rest) > LONGEST:
            raise ValueError(f"a statement has more than {LONGEST:,} bytes")


def _end(text: bytes, start: int) -> int | None:
    """Return the offset after the statement that begins at `start`; None if the text ends before the statement does.

    A trigger ends with END, because its body contains further statements.
    """
    is_trigger, end = _TRIGGER.match(text, start), start
    while found := _STATEMENT.match(text, end):
        if not is_trigger or (end > start and _LAST.fullmatch(text, end, found.end())):
            return found.end()
        end = found.end()
    return None


def _joined(text: bytes, start: int, end: int) -> tuple[Sql, int]:
    """Return the statement from `start` to `end`, joined with the INSERTs after it, and the offset after all of them.

    Only INSERTs into the same table with the same columns are joined.
    """
    insert = _INSERT.match(text, start)
    if insert is None:
        return Sql(text[start:end]), end
    table = insert[1].decode(errors="replace").strip('"')
    if text.startswith(b"\n" + insert[0], end):
        between = b");\n" + insert[0]
        rows = _whole(text[insert.end() : insert.end() + WINDOW].split(between)[:-1])
        if rows:
            ends = start + sum(map(len, rows)) + len(rows) * len(between)
            return Sql(b"%b%b)" % (insert[0], b"),(".join(rows)), len(rows), table), ends
    return Sql(text[start:end], 1, table), end


def _whole(rows: list[bytes]) -> list[bytes]:
    """Return the rows before the first incomplete one, which ends inside a string, or contains a statement's end."""
    doubtful = (place for place, row in enumerate(rows) if row.count(b"'") & 1 or b";" in row)
    return rows[: next((place for place in doubtful if not _ROW.fullmatch(rows[place])), len(rows))]


_SETTINGS = ("page_size = {page_size}", "journal_mode = OFF", "synchronous = OFF", "locking_mode = EXCLUSIVE",
             "foreign_keys = OFF", "ignore_check_constraints = ON", "cache_size = -16000")  # fmt: skip
_NEWEST = "SELECT rowid FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid DESC LIMIT 1"
_VALUES = re.compile(r"""(["'`])(?:(?!\1).)*\1?""", re.DOTALL)
_LACKING = re.compile(r"(?:no such|unknown) (function|module|collation)")
_FIX = "Fix it on the server, then try again."


class Loader:
    """Load SQL text into a new SQLite file, in one thread at a time. `source`: what errors call this text."""

    def __init__(self, path: Path, source: str, page_size: int = 4096) -> None:
        self._connection = apsw.Connection(str(path), statementcachesize=0)
        self._connection.limit(apsw.SQLITE_LIMIT_ATTACHED, 0)  # so that a dump cannot attach another file
        for setting in _SETTINGS:
            self._connection.execute(f"PRAGMA {setting.format(page_size=page_size)}")
        self._connection.create_scalar_function("libsql_vector_idx", lambda *_: None, deterministic=True)
        self.rows = 0
        self.last = b""
        self._source = source
        self._statements = Statements()
        self._lifted = LiftedConstraints(self._connection)
        self._definitions: dict[int, str] = {}  # definitions that SQLite cannot parse, by their rowid in the schema

    def feed(self, piece: bytes) -> None:
        """Run the statements that end in this piece of text. Raise Problem if a statement fails."""
        try:
            for sql in self._statements.feed(piece):
                self._run(sql)
        except ValueError as error:
            raise self._impossible(cause=str(error)) from None

    @property
    def whole(self) -> bool:
        """Return True if the text so far ends after a whole statement other than ROLLBACK, outside a transaction."""
        self.feed(b"\n")  # a comment on the last line needs its line break
        self._lifted.put_back()
        rolled_back = self.last[:8].upper() == b"ROLLBACK"
        return not (self._statements.rest or self._connection.in_transaction or rolled_back)

    def interrupt(self) -> None:
        """Interrupt the statement that another thread is running at the moment."""
        self._connection.interrupt()

    def close(self) -> None:
        """Write the definitions that SQLite could not parse into the schema, word for word, and close the file."""
        self._connection.execute("PRAGMA writable_schema = ON")
        for row, sql in self._definitions.items():
            self._connection.execute("UPDATE sqlite_schema SET sql = ? WHERE rowid = ?", (sql, row))
        self._connection.close()

    def _run(self, sql: Sql) -> None:
        try:
            self._execute(sql)
        except (apsw.Error, ValueError) as error:
            cause, remedy = _cause(sql, str(error))
            raise self._impossible(cause=cause, remedy=remedy) from None
        self.rows += sql.rows
        self.last = sql.text

    def _execute(self, sql: Sql) -> None:
        """Run a statement. If only libSQL can parse it, run a statement with the same effect that SQLite can parse.

        Tables are created without the constraints that their rows may break; after the rows, the constraints return.
        """
        text = sql.text.decode()
        created = _CREATED.match(text)
        known = _in_sqlite(text) if created else text
        if created and created[1].upper() == "TABLE":
            self._lifted.create(known)
        else:
            if not sql.table:
                self._lifted.put_back()
            self._connection.execute(known)
        if known != text:
            ((newest,),) = self._connection.execute(_NEWEST).fetchall()
            self._definitions[int(str(newest))] = text.rstrip(";").rstrip()

    def _impossible(self, *, cause: str, remedy: str = _FIX) -> Problem:
        return Problem(
            code="copy-failed",
            operation="copying",
            subject=self._source,
            cause=f"a copy is impossible: {cause}",
            remedy=remedy,
        )


def _in_sqlite(sql: str) -> str:
    """Return a CREATE statement in a form that SQLite can parse."""
    text = sql.rstrip(";").rstrip()
    known = readable(text)
    return sql if known == text else f"{known};"


def _cause(sql: Sql, message: str) -> tuple[str, str]:
    """Return cause and remedy for a statement that failed. Values of rows are left out, because they may be private."""
    if b"\0" in sql.text:
        remedy = "Find the text with instr(column, char(0)) on the server, and replace it."
        return f"{_place(sql)} contains a text with a NUL character", remedy
    if sql.table and message.lower() == "no such column: inf":
        return f"{_place(sql)} contains an infinite number", "Replace it on the server with a finite number or NULL."
    if found := _LACKING.search(message):
        own = f"SQLite {apsw.sqlite_lib_version()}, which loads the copy, does not have this {found[1]} of the server"
        remedy = f"{own}; use one that SQLite has, or a server that gives out the pages of its file."
        return f"{_place(sql)}: {message}", remedy
    return f"{_place(sql)}: {_VALUES.sub('...', message) if sql.table else message}", _FIX


def _place(sql: Sql) -> str:
    return f"table {sql.table}" if sql.table else _shown(sql.text[:400].decode(errors="replace"))


def _shown(sql: str) -> str:
    return " ".join(sql.split())[:80]
