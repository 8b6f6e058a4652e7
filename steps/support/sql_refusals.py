"""What a script may not hold, because it cannot run in the one transaction or was plainly not finished."""

import re
from collections.abc import Callable, Iterator, Sequence

from steps.support.sql_findings import Finding, place
from steps.support.sql_text import Piece
from steps.support.sql_tokens import TRANSACTION_CONTROL, Token

Said = tuple[str, str]  # a cause and its remedy
Rule = Callable[[Piece], Said | None]

READING = frozenset({"SELECT", "WITH", "VALUES"})

_ARGUMENT_ONLY_READS = re.compile(  # pragmas whose argument says what to read, not what to set
    "TABLE_X?INFO|TABLE_LIST|INDEX_X?INFO|INDEX_LIST|FOREIGN_KEY_LIST|FOREIGN_KEY_CHECK|INTEGRITY_CHECK|QUICK_CHECK"
)
_ACTING_PRAGMAS = frozenset({"OPTIMIZE", "WAL_CHECKPOINT", "INCREMENTAL_VACUUM", "SHRINK_MEMORY"})
_OUTSIDE = {
    "ATTACH": "Keep to the one database.",
    "DETACH": "Keep to the one database.",
    "VACUUM": "Run it by hand, apart from any change.",
}
_MARK = re.compile(
    r"\{\{[^{}]*\}\}"  # {{ owner }}
    r"|\$\{[^{}]*\}"  # ${OWNER}
    r"|<\s*(?i:your)\b[^<>]*>"  # <your user id>
    r"|<[A-Z][A-Z0-9]+(?:[_-][A-Z0-9]+)*>"  # <OWNER_ID>
)
_FILL_ME_IN = re.compile(
    r"(?i:\b(?:replace|change)[_-]?me\b)"
    r"|\b(?:TODO|FIXME)\b|\bYOUR_\w+"
    r"|\A(?i:your_\w+)\Z"
    r"|\A(?i:(?:\w+_)?x{3,})\Z"
)
_FINISH = "Put the real value; one that truly reads so can be written in two parts, as 'TO' || 'DO'."


def refusals(pieces: Sequence[Piece], name: str) -> Iterator[Finding]:
    """Say what is wrong with each statement of a script that is to run in one transaction."""
    return _judged(pieces, name, (_dot_command, _control, _outside, _pragma, _parameter, _mark, _fill_me_in))


def query_refusals(pieces: Sequence[Piece], name: str) -> Iterator[Finding]:
    """Say what is wrong with each statement of a script of questions."""
    return _judged(pieces, name, (_dot_command, _not_a_question, _parameter, _mark, _fill_me_in))


def _judged(pieces: Sequence[Piece], name: str, rules: Sequence[Rule]) -> Iterator[Finding]:
    for piece in pieces:
        for said in filter(None, (rule(piece) for rule in rules)):
            yield Finding(place(name, piece.line), *said)


def _dot_command(piece: Piece) -> Said | None:
    if piece.tokens[0].text != ".":
        return None
    line = piece.statement.sql.splitlines()[0]
    return f"{line} is a command of a shell, not SQL", "Remove it."


def _control(piece: Piece) -> Said | None:
    (first,) = piece.words(1)
    if first not in TRANSACTION_CONTROL:
        return None
    return f"{first} inside the script", "Remove it: the whole script is one transaction, supplied from outside."


def _outside(piece: Piece) -> Said | None:
    first, second = (*piece.words(2), "")[:2]
    if first == "CREATE" and second in {"TEMP", "TEMPORARY"}:
        return f"CREATE {second} is not offered by the server", "Make a plain table and drop it in the same script."
    return (f"{first} cannot run inside a transaction", _OUTSIDE[first]) if first in _OUTSIDE else None


def _pragma(piece: Piece) -> Said | None:
    first, *rest = piece.words(5)
    if first != "PRAGMA":
        return None
    name, sign, *_ = [*(rest[2:] if rest[1:2] == ["."] else rest), "", ""]
    if sign == "(" and _ARGUMENT_ONLY_READS.fullmatch(name):
        return None
    if not sign and name not in _ACTING_PRAGMAS:
        return None
    return f"PRAGMA {name.lower()} sets something", "Remove it; foreign keys are switched off around the transaction."


def _not_a_question(piece: Piece) -> Said | None:
    (first,) = piece.words(1)
    if first not in READING | {"."}:
        remedy = "Ask with SELECT, WITH or VALUES; for a PRAGMA there is SELECT * FROM pragma_foreign_key_check."
        return f"{first} is no question", remedy
    if first == "WITH" and (verb := _writes(piece.tokens)):
        return f"this {verb} changes rows", "A check only reads."
    return None


def _writes(tokens: Sequence[Token]) -> str | None:
    depth = 0
    for token, following in zip(tokens, (*tokens[1:], None), strict=True):
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        calls = following is not None and following.text == "("
        if not depth and not calls and token.text.upper() in {"INSERT", "UPDATE", "DELETE", "REPLACE"}:
            return token.text.upper()
    return None


def _parameter(piece: Piece) -> Said | None:
    found = [token.text for token in piece.tokens if token.kind == "parameter"]
    return (f"the placeholder {found[0]} has no value", "Write the value.") if found else None


def _mark(piece: Piece) -> Said | None:
    found = _MARK.search(_without_comments(piece.tokens))
    return (f"{found.group()} was not filled in", _FINISH) if found else None


def _without_comments(tokens: Sequence[Token]) -> str:
    ends = (0, *(token.start + len(token.text) for token in tokens))
    return "".join(" " * (token.start > end) + token.text for token, end in zip(tokens, ends, strict=False))


def _fill_me_in(piece: Piece) -> Said | None:
    strings = (token.text[1:-1] for token in piece.tokens if token.kind == "string")
    found = next((text for text in strings if _FILL_ME_IN.search(text)), None)
    return (f"'{found}' was not filled in", _FINISH) if found else None
