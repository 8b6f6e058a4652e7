"""Turn the temporary tables and views of a script into ordinary ones, because the server refuses temporary ones.

The tool gives each table or view a name of its own, uses that name wherever the script means the table or view, and
drops the table or view at the end of the script. No other connection sees it, because it exists in one transaction
only.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from steps.support.sql.findings import Finding, Severity, place
from steps.support.sql.script import Piece
from steps.support.sql.statement import Statement
from steps.support.sql.tokens import Token, folded, quoted, tokenize, unquoted_name
from steps.support.sql.verbs import makes_trigger, read_statement

PREFIX = "_orchestrate_temp_"
_TEMPORARY = ("TEMP", "TEMPORARY")
_KINDS = ("TABLE", "VIEW")
_DROPS = {("DROP", kind) for kind in _KINDS}
_TABLE_FOLLOWS = frozenset({"FROM", "JOIN", "INTO", "UPDATE", "IN"})
_CONFLICTS = frozenset({"ROLLBACK", "ABORT", "FAIL", "IGNORE", "REPLACE"})
_CLAUSES = frozenset({
    "FROM", "JOIN", "SELECT", "WHERE", "SET", "VALUES", "BY", "HAVING", "RETURNING", "LIMIT", "INTO", "WITH",
})  # fmt: skip
_NO_ALIAS_FOLLOWS = _TABLE_FOLLOWS | _CLAUSES | {
    "ADD", "ALL", "AND", "BETWEEN", "CASE", "COLUMN", "CONSTRAINT", "DISTINCT", "DROP", "ELSE", "ESCAPE", "EXISTS",
    "GLOB", "INDEX", "IS", "KEY", "LIKE", "NOT", "OFFSET", "ON", "OR", "RENAME", "TABLE", "THEN", "TO", "VIEW", "WHEN",
    *_CONFLICTS,
}  # fmt: skip
_RENAMED = "Create an ordinary table with the new name: even renamed, a temporary table ends with the connection."
_UNCLEAR = "Give the temporary table a name that nothing else in the statement has."
Edit = tuple[int, int, str]  # the first and the last token, and the text that replaces them


@dataclass(frozen=True, slots=True)
class Ordinary:
    """A script with ordinary tables and views in place of temporary ones.

    `notes`: a note for each of them. `refused`: a finding for each statement that needs one of them to be temporary.
    """

    pieces: tuple[Piece, ...]
    notes: tuple[Finding, ...] = ()
    refused: tuple[Finding, ...] = ()


def as_ordinary_tables(file: str, pieces: Iterable[Piece]) -> Ordinary:
    """Replace each temporary table or view in these statements with an ordinary one, and drop that one at the end."""
    own: dict[str, str] = {}  # by the lower-case name of each temporary table or view so far, the tool's name for it
    kinds: dict[str, str] = {}  # by the tool's name, TABLE or VIEW
    named_by_views: set[str] = set()
    taken: list[Piece] = []
    notes: list[Finding] = []
    refused: list[Finding] = []
    for piece in pieces:
        where, created = place(file, piece.line), _created(piece)
        kind = "table" if created is None else _kind(piece)
        if problem := _problem(piece, own) or _too_late(piece, created, named_by_views):
            refused.append(Finding(where, *problem))
            taken.append(piece)
            continue
        new = {} if created is None else {created: PREFIX + unquoted_name(piece.tokens[created].text)}
        taken.append(_renamed(piece, own, new))
        for index, name in new.items():
            own[_plain(piece.tokens[index].text)], kinds[name] = name, kind.upper()
            named_by_views |= {_plain(each.text) for each in piece.tokens[index + 1 :]} if kind == "view" else set()
            cause = f"the temporary {kind} {unquoted_name(piece.tokens[index].text)} becomes an ordinary one, {name}"
            notes.append(Finding(where, cause, "The transaction drops it at its end.", severity=Severity.NOTE))
        if piece.words(2) in {("DROP", "TABLE"), ("DROP", "VIEW")} and _is_table(
            piece.tokens, len(piece.tokens) - 1, own
        ):
            del own[_plain(piece.tokens[-1].text)]
    line = taken[-1].line + 1 if taken else 1
    drops = (f"DROP {kinds[name]} {quoted(name)}" for name in reversed(own.values()))
    dropped = (_written(sql, line, f"{file}, at its end") for sql in drops)
    return Ordinary((*taken, *dropped), tuple(notes), tuple(refused))


def _created(piece: Piece) -> int | None:
    """Return the index of `name` in CREATE TEMP TABLE name or CREATE VIEW temp.name; None for other statements."""
    words = piece.words(7)
    is_temporary = len(words) > 3 and words[0] == "CREATE" and words[1] in _TEMPORARY and words[2] in _KINDS  # noqa: PLR2004
    if not is_temporary and not (words[:1] == ("CREATE",) and words[1:2] and words[1] in _KINDS):
        return None
    name = 3 if is_temporary else 2
    name += 3 if words[name : name + 3] == ("IF", "NOT", "EXISTS") else 0
    if _is_schema(piece.tokens, name):
        return name + 2
    return name if is_temporary and len(piece.tokens) > name else None


def _kind(piece: Piece) -> str:
    return "view" if "VIEW" in piece.words(3) else "table"


def _too_late(piece: Piece, created: int | None, named_by_views: Collection[str]) -> tuple[str, str] | None:
    """Return cause and remedy if a statement creates what an earlier temporary view already names; else None."""
    if created is None or _plain(name := piece.tokens[created].text) not in named_by_views:
        return None
    return f"a temporary view before it names {unquoted_name(name)}", "Create it before the view."


def _problem(piece: Piece, own: Mapping[str, str]) -> tuple[str, str] | None:
    """Return cause and remedy if a statement needs its table to be temporary; None if an ordinary table will do."""
    used = _tables_used(piece.tokens, own)
    if used and read_statement(piece).verb == "RENAME TABLE":
        return f"the temporary table {min(used)} is renamed", _RENAMED
    if makes_trigger(piece) and (host := _host(piece)) in own:
        return (
            f"a trigger on the temporary table or view {host}",
            "Write the trigger's statements into the script itself.",
        )
    if unclear := sorted(used & _named_here(piece.tokens)):
        return f"{unclear[0]} is a temporary table, and also an alias or a query of the same statement", _UNCLEAR
    return None


def _tables_used(tokens: Sequence[Token], own: Mapping[str, str]) -> set[str]:
    return {_plain(token.text) for index, token in enumerate(tokens) if _is_table(tokens, index, own)}


def _host(piece: Piece) -> str:
    """Return the table, in lower case, on which a CREATE TRIGGER creates its trigger; empty if the table is missing."""
    words = piece.words(len(piece.tokens))
    return _plain(piece.tokens[words.index("ON") + 1].text) if "ON" in words[:-1] else ""


def _named_here(tokens: Sequence[Token]) -> set[str]:
    """Return the names, in lower case, that a statement itself introduces: aliases and common table expressions."""
    found = set()
    for before, token, after in zip(tokens, tokens[1:], (*tokens[2:], None), strict=False):
        word = before.text.upper()
        aliased = word == "AS" or ((before.kind in {"word", "name"} or word == ")") and word not in _NO_ALIAS_FOLLOWS)
        query = word in {"WITH", "RECURSIVE"} or (word == "," and after is not None and after.text.upper() == "AS")
        if token.kind in {"word", "name"} and (aliased or query):
            found.add(_plain(token.text))
    return found


def _renamed(piece: Piece, own: Mapping[str, str], new: Mapping[int, str]) -> Piece:
    """Return a statement with the tool's names in place of the names of temporary tables and views.

    `own`: by the name of each existing temporary table, the tool's name for it. `new`: by the position of its token,
    the tool's name for the table that the statement creates.
    """
    text, end = "", 0
    for first, last, name in _edits(piece, own, new):
        text += piece.statement.sql[end : piece.tokens[first].start - piece.start] + name
        end = piece.tokens[last].start + len(piece.tokens[last].text) - piece.start
    return _as_piece(piece, text + piece.statement.sql[end:]) if end else piece


def _edits(piece: Piece, own: Mapping[str, str], new: Mapping[int, str]) -> Iterator[Edit]:
    tokens = piece.tokens
    if new and tokens[1].text.upper() in _TEMPORARY:
        yield 1, 1, ""
    if makes_trigger(piece):  # a trigger sees the tables of its own schema only
        return
    used = _tables_used(tokens, own)
    for index, token in enumerate(tokens):
        name = quoted(new.get(index) or own.get(_plain(token.text), ""))
        if index in new or _is_table(tokens, index, own):
            yield (index - 2 if _is_schema(tokens, index - 2) else index), index, name
        elif _plain(token.text) in used and _qualifies(tokens, index):
            yield index, index, name


def _is_table(tokens: Sequence[Token], index: int, own: Mapping[str, str]) -> bool:
    """Return True if the token at `index` means a temporary table or view.

    The token must stand where a table is named, without a schema before it, or be qualified with the schema temp.
    """
    token = tokens[index]
    if token.kind not in {"word", "name", "string"} or _plain(token.text) not in own:
        return False
    around = [each.text for each in (*tokens[max(0, index - 1) : index], *tokens[index + 1 : index + 2])]
    return _is_schema(tokens, index - 2) if "." in around else _stands_for_table(tokens, index)


def _stands_for_table(tokens: Sequence[Token], index: int) -> bool:
    words = [token.text.upper() for token in tokens]
    before, second, third = [*reversed(words[max(0, index - 3) : index]), "", "", ""][:3]
    match before:
        case "TABLE" | "VIEW" | "EXISTS":  # CREATE names an ordinary table
            return words[0] != "CREATE" and (before in _KINDS or second == "IF")
        case "ON":
            return words[0] == "CREATE" and "INDEX" in words[1:3] and "ON" not in words[: index - 1]
        case "FROM":
            return not (second == "DISTINCT" and third in {"IS", "NOT"})
        case "," | "(":
            return _is_in_from(words[:index])
        case _:
            return before in _TABLE_FOLLOWS or (before in _CONFLICTS and (second, third) == ("OR", "UPDATE"))


def _is_in_from(words: Sequence[str]) -> bool:
    """Return True if a name after these words would be in the list of a FROM clause.

    The last word is a comma or an opening parenthesis.
    """
    depth = 0
    for word, before in pairwise(reversed(("", *words))):
        depth += {")": 1, "(": -1}.get(word, 0)
        if depth < 0:  # the name is inside a parenthesis, which may hold joined tables
            if before not in {"FROM", "JOIN", ",", "("}:
                return False
            depth = 0
        elif depth == 0 and word in _CLAUSES:
            return word in {"FROM", "JOIN"}
    return False


def _qualifies(tokens: Sequence[Token], index: int) -> bool:
    """Return True if the name at `index` qualifies a column, as in name.column, and has no schema before it."""
    follows = tokens[index + 1 : index + 2]
    return bool(follows) and follows[0].text == "." and (index == 0 or tokens[index - 1].text != ".")


def _is_schema(tokens: Sequence[Token], index: int) -> bool:
    """Return True if the token at `index` is the schema temp, before a dot and a name."""
    is_qualifier = index >= 0 and len(tokens) > index + 2 and tokens[index + 1].text == "."
    return is_qualifier and tokens[index].kind in {"word", "name", "string"} and _plain(tokens[index].text) == "temp"


def _plain(name: str) -> str:
    """Return a name in lower case, without its quotes."""
    return folded(unquoted_name(name))


def _as_piece(piece: Piece, sql: str) -> Piece:
    tokens = (token for token in tokenize(sql) if token.kind != "comment")
    moved = tuple(replace(token, start=token.start + piece.start) for token in tokens)
    return Piece(replace(piece.statement, sql=sql), moved, piece.line)


def _written(sql: str, line: int, name: str) -> Piece:
    return Piece(Statement(sql, name=name), tuple(tokenize(sql)), line)
