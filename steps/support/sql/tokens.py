"""Split SQL into tokens, nearly as the engine does: exactly enough to tell code from strings and comments."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from string import ascii_lowercase, ascii_uppercase

TRANSACTION_CONTROL = frozenset({"BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE"})

_TOKEN = re.compile(
    r"""
      (?P<space>[ \t\n\r\f\v\ufeff]+)
    | (?P<comment>--[^\n]*|/\*.*?\*/)
    | (?P<string>'[^']*+(?:''[^']*+)*+')
    | (?P<name>"[^"]*+(?:""[^"]*+)*+"|`[^`]*+(?:``[^`]*+)*+`|\[[^\]]*+\])
    | (?P<open>/\*.*|['"`\[].*)
    | (?P<parameter>\?\d*|[:@$][\w$]+)
    | (?P<word>[A-Za-z_\x80-\U0010FFFF][\w$\x80-\U0010FFFF]*)
    | (?P<number>\d[\w.]*)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)

_PLAIN = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_RESERVED = frozenset({
    "ADD", "ALL", "ALTER", "AND", "AS", "AUTOINCREMENT", "BETWEEN", "CASE", "CHECK", "COLLATE", "COMMIT", "CONSTRAINT",
    "CREATE", "DEFAULT", "DEFERRABLE", "DELETE", "DISTINCT", "DROP", "ELSE", "ESCAPE", "EXCEPT", "EXISTS", "FOREIGN",
    "FROM", "GROUP", "HAVING", "IN", "INDEX", "INSERT", "INTERSECT", "INTO", "IS", "ISNULL", "JOIN", "LIMIT", "NOT",
    "NOTHING", "NOTNULL", "NULL", "ON", "OR", "ORDER", "PRIMARY", "REFERENCES", "RETURNING", "SELECT", "SET", "TABLE",
    "THEN", "TO", "TRANSACTION", "UNION", "UNIQUE", "UPDATE", "USING", "VALUES", "WHEN", "WHERE",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Token:
    """One token of SQL. `kind`: the name of the group in `_TOKEN` that matched. `start`: its offset in characters."""

    kind: str
    text: str
    start: int


def tokenize(text: str) -> Iterator[Token]:
    """Yield every token of a text, except whitespace."""
    for match in _TOKEN.finditer(text):
        if match.lastgroup != "space":
            yield Token(match.lastgroup or "", match.group(), match.start())


def first_word(sql: str) -> str:
    """Return the first word of a statement in upper case; empty if there is no statement."""
    return next((token.text.upper() for token in tokenize(sql) if token.kind != "comment"), "")


def quoted(name: str) -> str:
    """Return an identifier in double quotes."""
    return '"' + name.replace('"', '""') + '"'


def plain(name: str) -> str:
    """Return an identifier for use in SQL, in double quotes if it has unusual characters or is a reserved word."""
    return name if _PLAIN.fullmatch(name) and name.upper() not in _RESERVED else quoted(name)


def unquoted_name(name: str) -> str:
    """Return a name without its quotes, if it has any of the engine's four kinds: "name", 'name', `name` or [name]."""
    quote = name[0]
    if quote not in "\"'`[":
        return name
    return name[1:-1] if quote == "[" else name[1:-1].replace(quote * 2, quote)


def literal(text: str) -> str:
    """Return a text as an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)


@lru_cache(4096)
def folded(text: str) -> str:
    """Return a text with its ASCII letters in lower case; the engine compares identifiers in this form."""
    return text.translate(_LOWER)
