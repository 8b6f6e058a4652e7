"""What a statement does and to which table, read from its tokens, for every statement that the engine knows."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from steps.support.sql.script import Piece
from steps.support.sql.tokens import Token, folded, unquoted_name

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
    """One statement: what it does, with names in lower case and without quotes; a name it does not have is empty.

    `verb`: CREATE TABLE, DROP TABLE, RENAME TABLE, RENAME COLUMN, ALTER TABLE, INSERT, UPDATE, DELETE, or the first
    word of any other statement; empty if that is not SQL. `renamed`: the new name of the table, or of its `column`.
    `conflict`: the word after OR. `sql`: the statement without that clause. `where`: whether its own WHERE limits its
    rows.
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
        """The object of the statement: its table, or the first object it names, or its first word."""
        return self.table or _first_named(self.piece.tokens) or folded(self.piece.tokens[0].text)


@dataclass(frozen=True, slots=True)
class Deletion:
    """A DELETE: `rows`, from FROM to the end of its WHERE, selects what it deletes; `head` is the WITH before it."""

    piece: Piece
    table: str
    head: str
    rows: str


def deletion(piece: Piece) -> Deletion | None:
    """Return a DELETE in parts; None for any other statement."""
    reading = read_statement(piece)
    if reading.verb != "DELETE":
        return None
    main = _main(piece.tokens)
    ends = (main[index].start for index in _outside_parentheses(main) if _words(main[index:], 1)[0] in _AFTER_WHERE)
    rows, end = main[1].start - piece.start, next(ends, piece.end) - piece.start
    sql = piece.statement.sql
    return Deletion(piece, reading.table, sql[: main[0].start - piece.start], sql[rows:end])


def read_statement(piece: Piece) -> Reading:
    """Return what one statement does; each is read once."""
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
    """Return whether the statement creates a trigger, whose body does not run now."""
    return piece.words(2) == ("CREATE", "TRIGGER")


def unquoted(name: str) -> str:
    """Return a name in lower case, without its quotes, which may be of any of the four kinds."""
    return folded(unquoted_name(name))


def _main(tokens: Sequence[Token]) -> Sequence[Token]:
    """Return the tokens after a leading WITH clause, if there is one."""
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
    """Return the table named here, without its schema, and the tokens that follow."""
    match _words(tokens, 3):
        case (_, ".", _):
            return unquoted(tokens[2].text), tokens[3:]
        case _:
            return unquoted(tokens[0].text), tokens[1:]


def _first_named(tokens: Sequence[Token]) -> str:
    """Return the first table, index, trigger or view that a keyword introduces; a subquery names its own."""
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
