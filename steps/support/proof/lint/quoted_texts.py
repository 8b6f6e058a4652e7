"""Find words in double quotes that name no column, so that the engine reads them as texts instead.

The engine never reads a name in backticks as a text. So on an empty database with the same schema, a word is a text if
the statement can be prepared with the word in double quotes, but not with the word in backticks. A statement that the
local engine cannot prepare is not judged.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

import apsw

from steps.support.core.text import slip_of
from steps.support.schema.clone import attempt, empty_clone
from steps.support.sql.findings import Finding, Severity
from steps.support.sql.script import Piece, Script
from steps.support.sql.tokens import Token, folded, literal, unquoted_name
from steps.support.sql.verbs import read_statement, unquoted

DOUBLE_QUOTED = "double-quoted"

_OF_ROWS = frozenset({"SELECT", "VALUES", "INSERT", "UPDATE", "DELETE"})
_COLUMNS = "SELECT m.name, c.name FROM sqlite_schema AS m, pragma_table_info(m.name) AS c"


def quoted_texts(script: Script, definitions: Iterable[str]) -> list[Finding]:
    """Return a finding for each word in double quotes that the engine reads as a text.

    The finding is an error if, at any point of the script, a table in the statement has a column of the same or a
    similar name; else it is a warning, because a text may be meant. `definitions`: the SQL that creates the schema as
    it is before the script.
    """
    with empty_clone(definitions) as clone:
        columns, texts = {*_columns(clone)}, list[tuple[Piece, Token]]()
        for piece in script.pieces:
            if read_statement(piece).verb in _OF_ROWS:
                texts += ((piece, token) for token in _texts(clone, piece))
            else:
                attempt(clone, piece.statement.sql)
                columns.update(_columns(clone))
    return [_finding(script.name, piece, token, columns) for piece, token in texts]


def _finding(file: str, piece: Piece, token: Token, columns: set[tuple[str, str]]) -> Finding:
    name, named = unquoted_name(token.text), {unquoted(each.text) for each in piece.tokens}
    own = sorted(column for table, column in columns if table in named)
    column = folded(name) if folded(name) in own else slip_of(folded(name), own)
    meant = (
        "; a column of that name is in another table of the statement, or does not exist at this point"
        if column == folded(name)
        else f"; the nearest is {column}"
    )
    cause = f"{token.text} is no column here, so it is read as the text {literal(name)}{meant if column else ''}"
    remedy = "Name a column that exists here; if the text is meant, write it in single quotes."
    weight = Severity.ERROR if column else Severity.WARNING
    subject = read_statement(piece).subject
    return Finding(piece.statement.name, cause, remedy, DOUBLE_QUOTED, weight, subject, file)


def _texts(clone: apsw.Connection, piece: Piece) -> Iterator[Token]:
    """Yield each word in double quotes that the engine reads as a text, once, as the token where it first occurs."""
    names = [token for token in piece.tokens if token.text.startswith('"')]
    if not names or not _prepares(clone, piece, ()) or _prepares(clone, piece, names):
        return
    seen = set[str]()
    for token in names:
        if token.text not in seen and not _prepares(clone, piece, [token]):
            seen.add(token.text)
            yield token


def _prepares(clone: apsw.Connection, piece: Piece, in_backticks: Sequence[Token]) -> bool:
    sql = piece.statement.sql
    for token in reversed(in_backticks):
        at, name = token.start - piece.start, unquoted_name(token.text).replace("`", "``")
        sql = f"{sql[:at]}`{name}`{sql[at + len(token.text) :]}"
    error = attempt(clone, f"EXPLAIN {sql}")
    return not error or ("no such column" not in error and bool(in_backticks))


def _columns(clone: apsw.Connection) -> Iterator[tuple[str, str]]:
    with suppress(apsw.Error):
        yield from ((folded(table), folded(column)) for table, column in clone.execute(_COLUMNS).fetchall())
