"""What only the text of a definition shows, because no pragma does: read from its tokens."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile

from steps.support.schema.text import (
    Item,
    Name,
    flat,
    identifier,
    items,
    keyword,
    meaningful,
    normalized,
    split_at_commas,
)
from steps.support.sql.tokens import Token, folded, literal

_OF_THE_TABLE = frozenset({"constraint", "primary", "unique", "check", "foreign"})
_KINDS = {"unique": "UNIQUE", "key": "PRIMARY KEY", "null": "NOT NULL", "check": ""}
_CONSTANTS = {"null": "", "true": "1", "false": "0"}
_NO_STRINGS = frozenset({"current_time", "current_date", "current_timestamp"})


@dataclass(frozen=True, slots=True)
class Element:
    """One column or constraint of a CREATE TABLE."""

    parts: tuple[Item, ...]

    @property
    def words(self) -> tuple[str, ...]:
        """The keyword of each part, in the same order; empty for a part that is not a keyword."""
        return tuple(map(keyword, self.parts))

    @property
    def column(self) -> Name | None:
        """The column that it defines; None for a table constraint."""
        first = self.parts[0]
        return None if self.words[0] in _OF_THE_TABLE or not isinstance(first, Token) else identifier(first)

    def after(self, keyword: str) -> Iterator[Item]:
        """Return the part that follows each occurrence of a keyword."""
        return (following for found, following in zip(self.words, self.parts[1:], strict=False) if found == keyword)


def elements(sql: str) -> tuple[Element, ...]:
    """Return the columns and constraints of a CREATE TABLE."""
    body = next((item for item in items(meaningful(sql)) if not isinstance(item, Token)), ())
    return tuple(Element(parts) for parts in split_at_commas(body) if parts)


def after_name(sql: str, names: Collection[Name]) -> str:
    """Return what follows the name in a CREATE VIEW, TRIGGER or VIRTUAL TABLE."""
    tokens = _after_name(sql)
    return normalized(tokens, {*names, *_certain_names(tokens)})


def body(sql: str, names: Collection[Name]) -> str:
    """Return what a CREATE of any kind says about its object, without its name."""
    kind = " ".join(keyword(token) for token in meaningful(sql)[1:2] if keyword(token) in {"unique", "virtual"})
    return f"{kind} {after_name(sql, names)}".strip()


def shown_names(sql: str) -> tuple[str, ...]:
    """Return the names, letter by letter, that a result of SELECT * gets from the text of a CREATE TABLE or VIEW."""
    tokens = meaningful(sql)
    if keyword(tokens[1] if len(tokens) > 1 else ()) == "view":
        return tuple(str(name) for name in (*_listed_names(_after_name(sql)), *_aliases(_after_name(sql))))
    return tuple(str(each.column) for each in elements(sql) if each.column) if _is_plain_table(tokens) else ()


def _is_plain_table(tokens: Sequence[Token]) -> bool:
    return keyword(tokens[1] if len(tokens) > 1 else ()) == "table"


def _after_name(sql: str) -> tuple[Token, ...]:
    tokens = meaningful(sql)
    kinds = {"view", "trigger", "table", "index"}
    return tokens[next((index for index, token in enumerate(tokens) if keyword(token) in kinds), -2) + 2 :]


def _listed_names(tokens: Sequence[Token]) -> Iterator[Name]:
    """Yield the column names in parentheses that a view begins with."""
    first = next(iter(items(tokens)), ())
    yield from () if isinstance(first, Token) else (identifier(token) for token in first if token.text != ",")


def _aliases(tokens: Sequence[Token]) -> Iterator[Name]:
    """Yield the names after AS that the columns of a view's result get."""
    start = next((index for index, token in enumerate(tokens) if keyword(token) == "select"), len(tokens))
    result = takewhile(lambda item: keyword(item) != "from", items(tokens[start:]))
    for word, name in pairwise(result):
        if keyword(word) == "as" and isinstance(name, Token):
            yield identifier(name)


def _certain_names(tokens: Sequence[Token]) -> Iterator[Name]:
    """Yield what can only be a name, even in double quotes: what stands beside a dot, or after AS."""
    for left, right in pairwise(tokens):
        if right.text == ".":
            yield identifier(left)
        elif left.text == "." or (keyword(left) == "as" and right.text != "("):
            yield identifier(right)


def checks(parts: Sequence[Element], names: Collection[Name]) -> tuple[str, ...]:
    """Return the CHECK conditions in alphabetical order."""
    groups = (item for element in parts for item in element.after("check") if not isinstance(item, Token))
    return tuple(sorted(normalized(group, names) for group in groups))


def collation(element: Element) -> str:
    """Return a column's collation in upper case; empty if it is the default, BINARY."""
    named = [identifier(item).upper() for item in element.after("collate") if isinstance(item, Token)]
    return named[-1] if named and named[-1] != "BINARY" else ""


def computed(element: Element, names: Collection[Name]) -> str:
    """Return the expression of a generated column; empty if it is not generated."""
    groups = (item for item in element.after("as") if not isinstance(item, Token))
    return next((normalized(group, names) for group in groups), "")


def conflicts(parts: Sequence[Element]) -> tuple[str, ...]:
    """Return the constraints' ON CONFLICT clauses in alphabetical order, except ABORT, which is the default."""
    return tuple(sorted(clause for element in parts for clause in _conflicts(element)))


def deferred(parts: Sequence[Element]) -> tuple[bool, ...]:
    """Return for each REFERENCES, in order, whether it is checked only at COMMIT."""
    return tuple(answer for element in parts for answer in _deferred(element.words))


def default(text: str | None) -> str:
    """Return a default by its meaning: a bare word is a string, and NULL means no default."""
    tokens = flat(items(meaningful(text or "")))
    if len(tokens) != 1 or tokens[0].kind not in {"word", "name"} or keyword(tokens[0]) in _NO_STRINGS:
        return normalized(tokens, ())
    found = identifier(tokens[0])
    return _CONSTANTS.get(keyword(tokens[0]), literal(found))


def indexed(sql: str, names: Collection[Name]) -> tuple[str, ...]:
    """Return each column or expression of a CREATE INDEX, without collation and direction."""
    body = next(item for item in items(meaningful(sql)) if not isinstance(item, Token))
    return tuple(normalized(flat(_without_order(parts)), names) for parts in split_at_commas(body))


def where(sql: str, names: Collection[Name]) -> str:
    """Return the condition of a partial index; empty if there is none."""
    parts = items(meaningful(sql))
    starts = [index for index, part in enumerate(parts) if keyword(part) == "where"]
    return normalized(flat(parts[starts[0] + 1 :]), names) if starts else ""


def _without_order(parts: tuple[Item, ...]) -> tuple[Item, ...]:
    parts = parts[:-1] if keyword(parts[-1]) in {"asc", "desc"} else parts
    return parts[:-2] if keyword(parts[-2:][0]) == "collate" else parts


def _conflicts(element: Element) -> Iterator[str]:
    words = element.words
    for index in (found for found, two in enumerate(pairwise(words)) if two == ("on", "conflict")):
        kind = max(found for found in range(index) if words[found] in _KINDS)
        over = folded(element.column or normalized(flat(element.parts[kind + 1 : kind + 2]), ()))
        if _KINDS[words[kind]] and words[index + 2] != "abort":
            yield f"{_KINDS[words[kind]]} ({over}) ON CONFLICT {words[index + 2].upper()}"


def _deferred(words: Sequence[str]) -> Iterator[bool]:
    starts = [index for index, each in enumerate(words) if each == "references"]
    for start, end in pairwise([*starts, len(words)]):
        clause = " ".join(words[start:end])
        yield "deferrable initially deferred" in clause and "not deferrable" not in clause
