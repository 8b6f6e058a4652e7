"""Which of the app's statements know a row by its rowid: they join by it, ask for it, or return it.

A rowid that only orders rows, or selects them within the same statement, may be another one afterwards.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence

from steps.support.sql.statement import Statement
from steps.support.sql.tokens import Token, folded, tokenize, unquoted_name

_TABLE_FOLLOWS = frozenset({"FROM", "JOIN", "UPDATE", "INTO", ","})
_NO_ALIAS = frozenset({
    "WHERE", "ON", "USING", "SET", "ORDER", "GROUP", "LIMIT", "JOIN", "LEFT", "INNER", "CROSS", "NATURAL", "UNION",
    "INDEXED", "NOT", "VALUES", "SELECT", "RETURNING", "EXCEPT", "INTERSECT", "HAVING", "WINDOW", "RIGHT", "FULL",
})  # fmt: skip
_COMPARES = frozenset({"=", "<", ">"})
_CONSTANTS = frozenset({"number", "string", "parameter"})


def readers(statements: Iterable[Statement], table: str, hidden: Collection[str], others: Collection[str]) -> list[str]:
    """Return the names of the statements that know rows of a table by their rowid.

    `hidden`: the names of its rowid; `others`: the other tables of the schema. All names are in lower case.
    """
    return [each.name for each in statements if _knows(_tokens(each), table, hidden, others)]


def _tokens(statement: Statement) -> list[Token]:
    """Return the tokens without comments, and without what only orders rows."""
    kept, depth, since = list[Token](), 0, -1
    words = [token for token in tokenize(statement.sql) if token.kind != "comment"]
    for token, after in zip(words, (*words[1:], None), strict=False):
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if since < 0 and token.text.upper() == "ORDER" and after is not None and after.text.upper() == "BY":
            since = depth
        elif since >= 0 and (depth < since or (depth == since and token.text.upper() == "LIMIT")):
            since = -1
        kept += [] if since >= 0 else [token]
    return kept


def _knows(tokens: Sequence[Token], table: str, hidden: Collection[str], others: Collection[str]) -> bool:
    names = [folded(unquoted_name(token.text)) for token in tokens]
    if table not in names or not tokens:
        return False
    owners, joined = {table, *_aliases(tokens, names, table)}, not {*names}.isdisjoint(others)
    shown = tokens[0].text.upper() == "SELECT" or "RETURNING" in (token.text.upper() for token in tokens)
    result = {*_result(tokens)} if shown else set[int]()
    for at in (at for at, name in enumerate(names) if name in hidden and tokens[at].kind in {"word", "name"}):
        qualified = names[at - 1 : at] == ["."]
        if names[at - 2] in owners if qualified and at > 1 else not joined:
            first = at - 2 if qualified else at
            if (joined and qualified) or at in result or _is_compared(tokens, first, at):
                return True
    return False


def _aliases(tokens: Sequence[Token], names: Sequence[str], table: str) -> Iterator[str]:
    for at, name in enumerate(names):
        if name == table and at and tokens[at - 1].text.upper() in _TABLE_FOLLOWS:
            rest = at + 2 if names[at + 1 : at + 2] == ["as"] else at + 1
            if (
                names[rest : rest + 1]
                and tokens[rest].kind in {"word", "name"}
                and names[rest].upper() not in _NO_ALIAS
            ):
                yield names[rest]


def _result(tokens: Sequence[Token]) -> Iterator[int]:
    """Yield the positions of what a statement returns, outside of parentheses."""
    words = [token.text.upper() for token in tokens]
    start = 0 if words[0] == "SELECT" else words.index("RETURNING")
    depth = 0
    for at, word in enumerate(words[start:], start):
        depth += {"(": 1, ")": -1}.get(word, 0)
        if not depth and word == "FROM":
            return
        if not depth:
            yield at


def _is_compared(tokens: Sequence[Token], first: int, last: int) -> bool:
    """Return True if the name from `first` to `last` is compared with a constant."""
    sides = tokens[last + 1 : last + 3], [*reversed(tokens[max(0, first - 2) : first])]
    several = [(side[0].text, side[1].kind) for side in sides if len(side) > 1]
    return any(sign in _COMPARES and kind in _CONSTANTS for sign, kind in several)
