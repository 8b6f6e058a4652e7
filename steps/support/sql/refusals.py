"""Refuse statements that cannot run in the tool's one transaction, and statements that are clearly unfinished."""

import re
from collections.abc import Callable, Iterator, Sequence

from steps.support.sql.findings import Finding, place
from steps.support.sql.functions import forbidden
from steps.support.sql.script import Piece
from steps.support.sql.tokens import TRANSACTION_CONTROL, Token
from steps.support.sql.verbs import READING, written_by

CauseAndRemedy = tuple[str, str]  # a cause and its remedy
Rule = Callable[[Piece], CauseAndRemedy | None]

_ARGUMENT_ONLY_READS = re.compile(  # pragmas whose argument selects what to read
    "TABLE_X?INFO|TABLE_LIST|INDEX_X?INFO|INDEX_LIST|FOREIGN_KEY_LIST|FOREIGN_KEY_CHECK|INTEGRITY_CHECK|QUICK_CHECK"
)
_ACTING_PRAGMAS = frozenset({"OPTIMIZE", "WAL_CHECKPOINT", "INCREMENTAL_VACUUM", "SHRINK_MEMORY"})
_ALONE = "Remove it: the tool runs the whole script in one transaction."
_UNPAIRED = {
    "BEGIN": "Close it with COMMIT, or remove it: a shell would never commit the statements after it.",
    "COMMIT": "Open it with BEGIN, or remove it: the tool runs the whole script in one transaction.",
    "END": "Open it with BEGIN, or remove it: the tool runs the whole script in one transaction.",
    "ROLLBACK": "Remove it, and the statements that it reverts: the tool commits the whole script, or nothing.",
    "SAVEPOINT": "Release it in the script, or remove it: the tool runs the whole script in one transaction.",
}
_ONLY_SQL = "Remove it: a script may only read and write this database, with SQL that can be checked beforehand."
_PLAIN = "Create an ordinary table and drop it in the same script."
_NAMES_A_TABLE = frozenset({"TABLE", "EXISTS", "INTO", "UPDATE", "FROM", "JOIN", "INDEX", "VIEW", "TRIGGER"})
_OUTSIDE = {
    "ATTACH": "Use only the one database.",
    "DETACH": "Use only the one database.",
    "VACUUM": "Remove it: the server refuses VACUUM even outside a transaction.",
}
_MARK = re.compile(
    r"\{\{[^{}]*\}\}"  # {{ owner }}
    r"|\$\{[^{}]*\}"  # ${OWNER}
    r"|<\s*(?i:your)\b[^<>]*>"  # <your user id>
    r"|<[A-Z][A-Z0-9]+(?:[_-][A-Z0-9]+)*>"  # <OWNER_ID>
)
_FILL_ME_IN = re.compile(
    r"(?<![^\W_])(?i:(?:replace|change)[_-]?me)(?![^\W_])"  # also after an underscore: user_REPLACE_ME
    r"|(?<![^\W_])(?:PLACEHOLDER(?![^\W_])|YOUR_\w+)"
    r"|\b(?:TODO|FIXME)\b"
    r"|\A(?i:your_\w+|(?:\w+[_-])?placeholder)\Z"
    r"|\A(?i:(?:[\w-]+[_-]\d?)?x{3,})\Z"  # user_xxx, user_2xxxx
    r"|\A\w+_(?:\.{3}|…)\Z"  # user_...
    r"|\A<(?=[^\W\d_][^\W_]*[ _-]+\w)[\w -]+>\Z"  # <owner id>, <clerk_user_id>; not <b>
    r"|\A<(?i:id|uuid|user|owner|email|name|value|token)>\Z"
    r"|\A\{ *[^\W\d][\w .]*\}\Z"  # {owner}; not {}, and no GUID
)
_FORMAT = re.compile(r"%(?:\(\w+\))?s")  # %s, %(owner)s
_TAKES_FORMATS = frozenset({"STRFTIME", "PRINTF", "FORMAT"})
_FINISH = "Write the real value; if this text is the real value, write it in two parts, such as 'TO' || 'DO'."


def refusals(pieces: Sequence[Piece], name: str) -> Iterator[Finding]:
    """Yield a finding for each statement that a script must not contain, because it runs in one transaction."""
    rules = (_dot_command, _control, _outside, _temporary, _pragma, _function, _parameter, _unfilled)
    return _apply_rules(pieces, name, rules)


def query_refusals(pieces: Sequence[Piece], name: str) -> Iterator[Finding]:
    """Yield a finding for each statement that a script of checks must not contain, because it may only read."""
    return _apply_rules(pieces, name, (_dot_command, _not_a_query, _temporary, _function, _parameter, _unfilled))


def _apply_rules(pieces: Sequence[Piece], name: str, rules: Sequence[Rule]) -> Iterator[Finding]:
    for piece in pieces:
        for problem in filter(None, (rule(piece) for rule in rules)):
            yield Finding(place(name, piece.line), *problem)


def _dot_command(piece: Piece) -> CauseAndRemedy | None:
    if piece.tokens[0].text != ".":
        return None
    line = piece.statement.sql.splitlines()[0]
    return f"{line} is a shell command, not SQL", "Remove it."


def _control(piece: Piece) -> CauseAndRemedy | None:
    (first,) = piece.words(1)
    if first not in TRANSACTION_CONTROL:
        return None
    return f"{first} inside the script", _UNPAIRED.get(first, _ALONE)


def _outside(piece: Piece) -> CauseAndRemedy | None:
    first, second = (*piece.words(2), "")[:2]
    if first == "CREATE" and second in {"TEMP", "TEMPORARY"}:
        return f"CREATE {second} is not supported by the server", _PLAIN
    if first == "ANALYZE":
        return "ANALYZE is not supported by the server", "Remove it: the query planner does not use its statistics."
    return (f"{first} cannot run inside a transaction", _OUTSIDE[first]) if first in _OUTSIDE else None


def _temporary(piece: Piece) -> CauseAndRemedy | None:
    names = [_unquoted(token) for token in piece.tokens]
    triples = zip(["", *names], names, names[1:], strict=False)
    before = [word for word, *qualifier in triples if qualifier == ["TEMP", "."]]
    an_alias = len(before) < names.count("TEMP")  # or a table of that name, which qualifies its columns
    if not before or (an_alias and _NAMES_A_TABLE.isdisjoint(before)):
        return None
    return "the schema temp is not supported by the server", _PLAIN  # in quotes it works, until the connection closes


def _unquoted(token: Token) -> str:
    return token.text.strip("\"'`[]").upper()


def _pragma(piece: Piece) -> CauseAndRemedy | None:
    first, *rest = piece.words(5)
    if first != "PRAGMA":
        return None
    name, sign, *_ = [*(rest[2:] if rest[1:2] == ["."] else rest), "", ""]
    if sign == "(" and _ARGUMENT_ONLY_READS.fullmatch(name):
        return None
    if not sign and name not in _ACTING_PRAGMAS:
        return None
    return f"PRAGMA {name.lower()} changes something", "Remove it: the script may only change tables and rows."


def _function(piece: Piece) -> CauseAndRemedy | None:
    found = next(forbidden(piece.tokens), None)
    return (" ".join(found), _ONLY_SQL) if found else None


def _not_a_query(piece: Piece) -> CauseAndRemedy | None:
    (first,) = piece.words(1)
    if first not in READING | {"."}:
        remedy = "Use SELECT, WITH or VALUES; instead of a PRAGMA, SELECT * FROM pragma_foreign_key_check and the like."
        return f"{first} is not a query", remedy
    if first == "WITH" and (verb := written_by(piece.words(len(piece.tokens)))):
        return f"this {verb} changes rows", "A check must only read."
    return None


def _parameter(piece: Piece) -> CauseAndRemedy | None:
    found = [token.text for token in piece.tokens if token.kind == "parameter"]
    return (f"the placeholder {found[0]} has no value", "Write the value.") if found else None


def _unfilled(piece: Piece) -> CauseAndRemedy | None:
    found = _mark(piece) or _fill_me_in(piece) or _format(piece)
    return (f"{found} was not filled in", _FINISH) if found else None


def _mark(piece: Piece) -> str | None:
    found = _MARK.search(_without_comments(piece.tokens))
    return found.group() if found else None


def _without_comments(tokens: Sequence[Token]) -> str:
    ends = (0, *(token.start + len(token.text) for token in tokens))
    return "".join(" " * (token.start > end) + token.text for token, end in zip(tokens, ends, strict=False))


def _fill_me_in(piece: Piece) -> str | None:
    strings = (token.text for token in piece.tokens if token.kind == "string")
    return next((text for text in strings if _FILL_ME_IN.search(text[1:-1])), None)


def _format(piece: Piece) -> str | None:
    words = ("", "", *piece.words(len(piece.tokens)))
    for token, before, called in zip(piece.tokens, words[1:], words, strict=False):
        formats = before == "LIKE" or (before == "(" and called in _TAKES_FORMATS)
        if token.kind == "string" and _FORMAT.fullmatch(token.text[1:-1]) and not formats:
            return token.text
    return None
