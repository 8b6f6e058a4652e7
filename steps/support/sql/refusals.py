"""Refuse statements that cannot run in the tool's one transaction, and statements that are clearly unfinished.

Functions and virtual tables that run SQL from a text, or reach outside the database, are refused, too:
`sha3_query('COMMIT')` commits in the middle of a transaction, and `readfile` reads the server's own files (measured on
sqld 0.24.32). The lists also contain functions that sqld lacks, because a server built with SQLite's shell has them.
"""

import re
from collections.abc import Callable, Iterator, Sequence

from steps.support.sql.findings import Finding, place
from steps.support.sql.script import Piece
from steps.support.sql.tokens import TRANSACTION_CONTROL, Token, folded, unquoted_name
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
    return "the schema temp is not supported by the server", _PLAIN  # "temp" works until the connection closes


def _unquoted(token: Token) -> str:
    return token.text.strip("\"'`[]").upper()


def _pragma(piece: Piece) -> CauseAndRemedy | None:
    first, *rest = piece.words(5)
    if first != "PRAGMA":
        return None
    name, sign, *_ = [*(rest[2:] if rest[1:2] == ["."] else rest), "", ""]
    if name == "USER_VERSION":  # part of the database, and of the transaction
        return None
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


_RUNS_SQL = "runs any SQL that a text contains, even COMMIT"
_REACHES_FILES = "reads or writes files of the server"
_RAW_PAGES = "reads or writes the pages of the database file"
_SETTINGS = "changes how the server works"

FUNCTIONS = {  # in lower case
    "sha3_query": _RUNS_SQL,
    "eval": _RUNS_SQL,
    "readfile": _REACHES_FILES,
    "writefile": _REACHES_FILES,
    "edit": _REACHES_FILES,
    "zipfile": _REACHES_FILES,
    "fsdir": _REACHES_FILES,
    "load_extension": "loads a program into the server",
    "fts3_tokenizer": _SETTINGS,
    "sqlite3mc_config": _SETTINGS,
    "sqlite3mc_config_table": _SETTINGS,
    "sqlite_dbpage": _RAW_PAGES,
    "sqlite_dbdata": _RAW_PAGES,
    "sqlite_dbptr": _RAW_PAGES,
}
MODULES = {
    "csv": _REACHES_FILES,
    "vsv": _REACHES_FILES,
    "fsdir": _REACHES_FILES,
    "zipfile": _REACHES_FILES,
    "unionvtab": _REACHES_FILES,
    "swarmvtab": _REACHES_FILES,
    "statement": _RUNS_SQL,
    "statement_vtab": _RUNS_SQL,
    "sqlite_dbpage": _RAW_PAGES,
    "sqlite_dbdata": _RAW_PAGES,
    "sqlite_dbptr": _RAW_PAGES,
}
_READ_AS_TABLES = frozenset({"fsdir", "sqlite_dbpage", "sqlite_dbdata", "sqlite_dbptr"})  # also without arguments
_TABLE_FOLLOWS = frozenset({"FROM", "JOIN", "INTO", "UPDATE", ","})
_NAMES_AN_OBJECT = frozenset({"TABLE", "INTO", "REFERENCES", "VIEW", "EXISTS"})
_QUERY_FOLLOWS = (("AS", "("), ("AS", "MATERIALIZED", "("), ("AS", "NOT", "MATERIALIZED", "("))


def forbidden(tokens: Sequence[Token]) -> Iterator[tuple[str, str]]:
    """Yield the name of each forbidden function or virtual table that a statement uses, and what it does."""
    words = [*map(_word, tokens)]
    for index, token in enumerate(tokens):
        name = folded(unquoted_name(token.text)) if token.kind in {"word", "name"} else ""
        first = index - 2 if words[index - 1 : index] == ["."] else index  # where a name with its schema begins
        before = words[first - 1] if first > 0 else ""
        if name in MODULES and before == "USING" and words[1:2] == ["VIRTUAL"]:
            yield name, MODULES[name]
        elif name in _READ_AS_TABLES and before in _TABLE_FOLLOWS:
            yield name, FUNCTIONS[name]
        elif name in FUNCTIONS and words[index + 1 : index + 2] == ["("] and before not in _NAMES_AN_OBJECT:
            called = not _is_indexed(words, first) and not _names_a_query(words, index)
            if called and (name != "fts3_tokenizer" or "," in words[index : _closing(words, index + 1)]):
                yield name, FUNCTIONS[name]


def _word(token: Token) -> str:
    """Return a token in upper case if it may be a keyword or a sign; empty for a quoted name, a string or a number."""
    return token.text.upper() if token.kind in {"word", "other"} else ""


def _is_indexed(words: Sequence[str], index: int) -> bool:
    """Return True if the word at `index` is the table in CREATE INDEX ... ON table (...)."""
    makes_index = words[0] == "CREATE" and "INDEX" in words[1:3]
    return makes_index and words[index - 1] == "ON" and "ON" not in words[: index - 1]


def _names_a_query(words: Sequence[str], index: int) -> bool:
    """Return True if the word at `index` names a common table expression: name (columns) AS (SELECT ...)."""
    after = _closing(words, index + 1) + 1
    return any(tuple(words[after : after + len(follows)]) == follows for follows in _QUERY_FOLLOWS)


def _closing(words: Sequence[str], opening: int) -> int:
    """Return the position of the parenthesis that closes the one at `opening`; the number of words if none does."""
    depth = 0
    for index in range(opening, len(words)):
        depth += {"(": 1, ")": -1}.get(words[index], 0)
        if not depth:
            return index
    return len(words)
