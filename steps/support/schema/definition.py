"""Read from the text of a CREATE statement what no pragma of the engine returns."""

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
        """The name of the column that the element defines; None if it is a table constraint."""
        first = self.parts[0]
        return None if self.words[0] in _OF_THE_TABLE or not isinstance(first, Token) else identifier(first)

    def after(self, keyword: str) -> Iterator[Item]:
        """Return the parts that directly follow a keyword, one for each occurrence of the keyword."""
        return (following for found, following in zip(self.words, self.parts[1:], strict=False) if found == keyword)


def elements(sql: str) -> tuple[Element, ...]:
    """Return the columns and constraints of a CREATE TABLE."""
    body = next((item for item in items(meaningful(sql)) if not isinstance(item, Token)), ())
    return tuple(Element(parts) for parts in split_at_commas(body) if parts)


def after_name(sql: str, names: Collection[Name]) -> str:
    """Return the normalized text after the name in a CREATE VIEW, CREATE TRIGGER or CREATE VIRTUAL TABLE.

    `names`: all names of the schema, to recognize names in double quotes.
    """
    tokens = _after_name(sql)
    return normalized(tokens, {*names, *_certain_names(tokens)})


def body(sql: str, names: Collection[Name]) -> str:
    """Return the normalized text of any CREATE statement without its object's name: equal texts mean the same.

    `names`: all names of the schema, to recognize names in double quotes.
    """
    kind = " ".join(keyword(token) for token in meaningful(sql)[1:2] if keyword(token) in {"unique", "virtual"})
    return f"{kind} {after_name(sql, names)}".strip()


def shown_names(sql: str) -> tuple[str, ...]:
    """Return the column names that SELECT * shows, spelled as in the text of a CREATE TABLE or CREATE VIEW."""
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
    """Yield the column names that a view lists in parentheses before AS."""
    first = next(iter(items(tokens)), ())
    yield from () if isinstance(first, Token) else (identifier(token) for token in first if token.text != ",")


def _aliases(tokens: Sequence[Token]) -> Iterator[Name]:
    """Yield the names that a view's SELECT gives to its columns with AS."""
    start = next((index for index, token in enumerate(tokens) if keyword(token) == "select"), len(tokens))
    result = takewhile(lambda item: keyword(item) != "from", items(tokens[start:]))
    for word, name in pairwise(result):
        if keyword(word) == "as" and isinstance(name, Token):
            yield identifier(name)


def _certain_names(tokens: Sequence[Token]) -> Iterator[Name]:
    """Yield the tokens that can only be names, even in double quotes, because they are next to a dot or after AS."""
    for left, right in pairwise(tokens):
        if right.text == ".":
            yield identifier(left)
        elif left.text == "." or (keyword(left) == "as" and right.text != "("):
            yield identifier(right)


def checks(parts: Sequence[Element], names: Collection[Name]) -> tuple[str, ...]:
    """Return the normalized conditions of all CHECK constraints, in alphabetical order."""
    groups = (item for element in parts for item in element.after("check") if not isinstance(item, Token))
    return tuple(sorted(normalized(group, names) for group in groups))


def collation(element: Element) -> str:
    """Return a column's collation in upper case; empty if it is the default, BINARY."""
    named = [identifier(item).upper() for item in element.after("collate") if isinstance(item, Token)]
    return named[-1] if named and named[-1] != "BINARY" else ""


def computed(element: Element, names: Collection[Name]) -> str:
    """Return the normalized expression of a generated column; empty for any other column."""
    groups = (item for item in element.after("as") if not isinstance(item, Token))
    return next((normalized(group, names) for group in groups), "")


def conflicts(parts: Sequence[Element]) -> tuple[str, ...]:
    """Return the ON CONFLICT clauses of all constraints in alphabetical order; ABORT is left out as the default."""
    return tuple(sorted(clause for element in parts for clause in _conflicts(element)))


def deferred(parts: Sequence[Element]) -> tuple[bool, ...]:
    """Return, for each REFERENCES clause in order, True if the engine checks it only at COMMIT."""
    return tuple(answer for element in parts for answer in _deferred(element.words))


def default(text: str | None) -> str:
    """Return the normalized text of a default: a bare word becomes a string; empty for NULL, which is no default."""
    tokens = flat(items(meaningful(text or "")))
    if len(tokens) != 1 or tokens[0].kind not in {"word", "name"} or keyword(tokens[0]) in _NO_STRINGS:
        return normalized(tokens, ())
    found = identifier(tokens[0])
    return _CONSTANTS.get(keyword(tokens[0]), literal(found))


def indexed(sql: str, names: Collection[Name]) -> tuple[str, ...]:
    """Return the normalized columns and expressions of a CREATE INDEX, without their collation and direction."""
    body = next(item for item in items(meaningful(sql)) if not isinstance(item, Token))
    return tuple(normalized(flat(_without_order(parts)), names) for parts in split_at_commas(body))


def where(sql: str, names: Collection[Name]) -> str:
    """Return the normalized condition of a partial index; empty for any other index."""
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
