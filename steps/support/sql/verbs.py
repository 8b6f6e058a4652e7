"""Read from a statement's tokens what the statement does, and to which table; turn a query into a count of its rows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from steps.support.sql.script import Piece
from steps.support.sql.statement import Statement
from steps.support.sql.tokens import Token, folded, tokenize, unquoted_name

_HEADS = {  # longest first; the table follows these words
    ("CREATE", "VIRTUAL", "TABLE", "IF", "NOT", "EXISTS"): "CREATE TABLE",
    ("CREATE", "TABLE", "IF", "NOT", "EXISTS"): "CREATE TABLE",
    ("DROP", "TABLE", "IF", "EXISTS"): "DROP TABLE",
    ("CREATE", "VIRTUAL", "TABLE"): "CREATE TABLE",
    ("CREATE", "TABLE"): "CREATE TABLE",
    ("DROP", "TABLE"): "DROP TABLE",
    ("ALTER", "TABLE"): "ALTER TABLE",
    ("DELETE", "FROM"): "DELETE",
    ("INSERT", "INTO"): "INSERT",
    ("REPLACE", "INTO"): "INSERT",
    ("UPDATE",): "UPDATE",
}
_AFTER_WHERE = frozenset({"RETURNING", "ORDER", "LIMIT"})
_NAMES_ONE = frozenset({"FROM", "INTO", "UPDATE", "TABLE", "JOIN", "INDEX", "TRIGGER", "VIEW"})
_VERBS = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "VALUES"})
_OTHERS = _VERBS | {
    "ALTER", "ANALYZE", "ATTACH", "BEGIN", "COMMIT", "CREATE", "DETACH", "DROP", "END", "EXPLAIN", "PRAGMA", "REINDEX",
    "RELEASE", "REPLACE", "ROLLBACK", "SAVEPOINT", "VACUUM",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reading:
    """One statement and what it does. Names are in lower case and without quotes; a missing name is empty.

    `verb`: CREATE TABLE, DROP TABLE, RENAME TABLE, RENAME COLUMN, ALTER TABLE, INSERT, UPDATE, DELETE, or the first
    word of any other statement; empty if the engine knows no statement with this first word.
    `renamed`: the new name of the table, or of `column` if a column is renamed.
    `conflict`: the word after OR in INSERT OR ... or UPDATE OR ...; `sql`: the statement with that clause blanked out.
    `where`: whether a WHERE of the statement itself, not of a subquery, limits the rows.
    """

    piece: Piece
    verb: str
    table: str = ""
    renamed: str = ""
    conflict: str = ""
    sql: str = ""
    where: bool = False
    column: str = ""

    @property
    def subject(self) -> str:
        """What the statement is about: its table, else the first object that it names, else its first word."""
        return self.table or _first_named(self.piece.tokens) or folded(self.piece.tokens[0].text)


@dataclass(frozen=True, slots=True)
class Deletion:
    """A DELETE in parts. `head`: its WITH clause. `rows`: its text from FROM to the end of WHERE."""

    piece: Piece
    table: str
    head: str
    rows: str


def deletion(piece: Piece) -> Deletion | None:
    """Return the parts of a DELETE; None for any other statement."""
    reading = read_statement(piece)
    if reading.verb != "DELETE":
        return None
    main = _main(piece.tokens)
    ends = (main[index].start for index in _outside_parentheses(main) if _words(main[index:], 1)[0] in _AFTER_WHERE)
    rows, end = main[1].start - piece.start, next(ends, piece.end) - piece.start
    sql = piece.statement.sql
    return Deletion(piece, reading.table, sql[: main[0].start - piece.start], sql[rows:end])


def read_statement(piece: Piece) -> Reading:
    """Return what one statement does; a second call for the same statement reads it from a cache."""
    return _read(piece, piece.statement.name)


@lru_cache(4096)
def _read(piece: Piece, _name: str) -> Reading:  # equal statements of two files differ in name only
    tokens, conflict = _without_conflict(_main(piece.tokens))
    words = _words(tokens, 6)
    head = next((head for head in _HEADS if words[: len(head)] == head and len(tokens) > len(head)), None)
    if head is None:
        return Reading(piece, words[0] if words[0] in _OTHERS else "", sql=piece.statement.sql)
    table, rest = _named(tokens[len(head) :])
    match _HEADS[head], _words(rest, 3):
        case "ALTER TABLE", ("RENAME", "TO", _):
            return Reading(piece, "RENAME TABLE", table, renamed=unquoted(rest[2].text))
        case "ALTER TABLE", ("RENAME", _, _):
            old, new = (unquoted(rest[index].text) for index in (-3, -1))
            return Reading(piece, "RENAME COLUMN", table, column=old, renamed=new)
        case verb, _:
            word = conflict[1].text.upper() if conflict else "REPLACE" if head[0] == "REPLACE" else ""
            return Reading(piece, verb, table, "", word, _blanked(piece, conflict), _has_where(rest))


def makes_trigger(piece: Piece) -> bool:
    """Return True if the statement creates a trigger; then the statements in its body do not run now."""
    return piece.words(2) == ("CREATE", "TRIGGER")


def unquoted(name: str) -> str:
    """Return a name in lower case and without quotes, if it has any."""
    return folded(unquoted_name(name))


def _main(tokens: Sequence[Token]) -> Sequence[Token]:
    """Return the tokens of a statement without its leading WITH clause."""
    if tokens[0].text.upper() != "WITH":
        return tokens
    verbs = (index for index in _outside_parentheses(tokens) if _is_verb(_words(tokens[index:], 2)))
    return tokens[next(verbs, 0) :]


def _is_verb(words: tuple[str, ...]) -> bool:
    return words[0] in _VERBS or words == ("REPLACE", "INTO")  # otherwise the name of a table


def _without_conflict(tokens: Sequence[Token]) -> tuple[Sequence[Token], Sequence[Token]]:
    match _words(tokens, 3):
        case ("INSERT" | "UPDATE", "OR", _):
            return (tokens[0], *tokens[3:]), tokens[1:3]
        case _:
            return tokens, ()


def _blanked(piece: Piece, cut: Sequence[Token]) -> str:
    text = piece.statement.sql
    if not cut:
        return text
    start, end = cut[0].start - piece.start, cut[-1].start + len(cut[-1].text) - piece.start
    return text[:start] + " " * (end - start) + text[end:]


def _named(tokens: Sequence[Token]) -> tuple[str, Sequence[Token]]:
    """Return the table that these tokens begin with, without its schema, and the tokens after it."""
    match _words(tokens, 3):
        case (_, ".", _):
            return unquoted(tokens[2].text), tokens[3:]
        case _:
            return unquoted(tokens[0].text), tokens[1:]


def _first_named(tokens: Sequence[Token]) -> str:
    """Return the first name that a keyword such as FROM or TABLE introduces; empty if there is none."""
    for place, token in enumerate(tokens, 1):
        rest = tokens[place + 3 :] if _words(tokens[place:], 3) == ("IF", "NOT", "EXISTS") else tokens[place:]
        rest = rest[2:] if _words(rest, 2) == ("IF", "EXISTS") else rest
        if token.text.upper() in _NAMES_ONE and rest and rest[0].kind in {"word", "name"}:
            return _named(rest)[0]
    return ""


def _has_where(tokens: Sequence[Token]) -> bool:
    return any(tokens[index].text.upper() == "WHERE" for index in _outside_parentheses(tokens))


def _outside_parentheses(tokens: Sequence[Token]) -> Sequence[int]:
    found, depth = [], 0
    for index, token in enumerate(tokens):
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if not depth:
            found.append(index)
    return found


def _words(tokens: Sequence[Token], count: int) -> tuple[str, ...]:
    return tuple(token.text.upper() for token in tokens[:count])


READING = frozenset({"SELECT", "WITH", "VALUES"})


def written_by(words: Sequence[str]) -> str | None:
    """Return the verb by which a statement that begins with WITH changes rows; None if it only reads."""
    depth = 0
    for word, following in zip(words, (*words[1:], ""), strict=True):
        depth += {"(": 1, ")": -1}.get(word, 0)
        replaces = (word, following) == ("REPLACE", "INTO")  # otherwise a function or a name
        if not depth and (replaces or word in {"INSERT", "UPDATE", "DELETE"}):
            return word
    return None


def as_count(statement: Statement) -> Statement:
    """Return a query that computes the same rows but answers only their number; return other statements unchanged.

    A server cannot answer with text that is not UTF-8, or with too many rows.
    """
    words = [token.text.upper() for token in tokenize(statement.sql) if token.kind != "comment"]
    if not words or words[0] not in READING or written_by(words):
        return statement
    query = f"WITH _orchestrate_rows AS MATERIALIZED (\n{statement.sql.rstrip().rstrip(';')}\n)"
    return replace(statement, sql=f"{query} SELECT count(*) FROM _orchestrate_rows")
