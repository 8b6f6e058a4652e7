"""Normalize SQL text, so that texts with the same meaning become equal.

Names and keywords lose their case and quotes, and spaces and comments are dropped; literals stay as they are.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise

from steps.support.sql.tokens import Token, folded, literal, tokenize

Item = Token | tuple[Token, ...]  # a token, or the contents of a pair of parentheses

_PLAIN = re.compile(r"[^\W\d][\w$]*")
_NO_GAP_AFTER, _NO_GAP_BEFORE, _SIGNS = {"", ".", "("}, {".", ",", ")"}, set("<>=!|")


class Name(str):
    """An identifier that keeps its spelling, and equals every name that differs only in the case of ASCII letters.

    A Name also equals such a plain str. But a dictionary or a set that contains a Name finds it only by another Name.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        """Compare without case."""
        return isinstance(other, str) and folded(str(self)) == folded(str(other))

    def __ne__(self, other: object) -> bool:
        """Compare without case."""
        return not self == other

    def __hash__(self) -> int:
        """Return the same hash for every spelling."""
        return hash(folded(str(self)))


def meaningful(sql: str) -> tuple[Token, ...]:
    """Return the tokens that the engine reads. Comments are left out, even an unclosed one at the end."""
    return tuple(token for token in tokenize(sql) if token.kind not in {"comment", "open"})


def identifier(token: Token) -> Name:
    """Return the name that a token spells, without its quotes if it has any."""
    if token.kind not in {"name", "string"}:
        return Name(token.text)
    close = token.text[-1]
    return Name(token.text[1:-1].replace(close * 2, close) if close != "]" else token.text[1:-1])


def items(tokens: Sequence[Token]) -> tuple[Item, ...]:
    """Return tokens as items: the contents of each outer pair of parentheses become one item."""
    return tuple(_items(iter(tokens)))


def keyword(item: Item) -> str:
    """Return an item that is a keyword, in lower case; empty for a literal, a quoted name or parentheses."""
    return folded(item.text) if isinstance(item, Token) and item.kind == "word" else ""


def split_at_commas(tokens: Sequence[Token]) -> tuple[tuple[Item, ...], ...]:
    """Split tokens at the commas that are outside parentheses."""
    parts: list[tuple[Item, ...]] = [()]
    for item in items(tokens):
        comma = isinstance(item, Token) and item.text == ","
        parts[len(parts) if comma else -1 :] = [() if comma else (*parts[-1], item)]
    return tuple(parts)


def flat(parts: Sequence[Item]) -> tuple[Token, ...]:
    """Return items as tokens again. Parentheses that enclose everything are left out."""
    if len(parts) == 1 and not isinstance(parts[0], Token):
        return flat(items(parts[0]))
    return tuple(token for item in parts for token in ([item] if isinstance(item, Token) else _enclosed(item)))


def normalized(tokens: Sequence[Token], names: Collection[Name]) -> str:
    """Return tokens as text in a normal form: texts with the same meaning get the same form.

    A word in double quotes counts as a name if `names` contains it, else as a string, which is how the engine reads it.
    """
    spelled = [_spelled(token, names) for token in flat(items(tokens))]
    return "".join(f"{_gap(left, right)}{right}" for left, right in pairwise(["", *spelled]))


def _items(tokens: Iterator[Token]) -> Iterator[Item]:
    for token in tokens:
        yield tuple(_inside(tokens)) if token.text == "(" else token


def _inside(tokens: Iterator[Token]) -> Iterator[Token]:
    depth = 1
    for token in tokens:
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if not depth:
            return
        yield token


def _enclosed(tokens: Sequence[Token]) -> tuple[Token, ...]:
    return (Token("other", "(", 0), *tokens, Token("other", ")", 0))


def _spelled(token: Token, names: Collection[Name]) -> str:
    if token.kind == "string":
        return token.text
    if token.kind != "name":
        return folded(token.text)
    name = identifier(token)
    if token.text[0] == '"' and name not in names:
        return literal(name)
    return folded(name if _PLAIN.fullmatch(name) else '"' + name.replace('"', '""') + '"')


def _gap(left: str, right: str) -> str:
    call = right == "(" and _PLAIN.fullmatch(left)
    tight = left in _NO_GAP_AFTER or right in _NO_GAP_BEFORE or {left, right} <= _SIGNS or call
    return "" if tight else " "
