"""Load rows that break a constraint of their table, because the copy must have them if the source has them.

libSQL's ALTER COLUMN does not check existing rows. So rows in a dump may break NOT NULL or STRICT, and the engine would
refuse to load them. Each table is therefore created without these two constraints, which changes no row, and gets its
original definition after its rows are loaded.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import apsw

from steps.support.schema import definition
from steps.support.schema.text import Item, Name, flat, identifier, items, keyword, meaningful
from steps.support.sql.tokens import Token

_SQL = "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND sql IS NOT NULL"
_CHANGE = "UPDATE sqlite_schema SET sql = ? WHERE type = 'table' AND name = ?"


class LiftedConstraints:
    """The tables that a connection creates without NOT NULL and STRICT, until `put_back` restores their definitions."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._texts: dict[Name, str] = {}  # the source's definitions by table

    def create(self, sql: str) -> None:
        """Run a CREATE TABLE statement without NOT NULL and STRICT; if that fails, run the statement unchanged."""
        lifted = lift(sql)
        if lifted == sql:
            self._connection.execute(sql)
            return
        try:
            self._connection.execute(lifted)
        except apsw.SQLError:
            self._connection.execute(sql)
        else:
            self._texts[_name(sql)] = sql

    def put_back(self) -> None:
        """Write the source's own definitions into the schema."""
        if not self._texts:
            return
        now = {Name(name): (str(name), str(sql)) for name, sql in self._connection.execute(_SQL)}
        ((is_writable,),) = self._connection.execute("PRAGMA writable_schema").fetchall()  # a dump may set this
        self._connection.execute("PRAGMA writable_schema = ON")
        for name, text in self._texts.items():
            stored, lifted = now[name]
            self._connection.execute(_CHANGE, (_as_stored(text, lifted), stored))
        self._connection.execute("PRAGMA writable_schema = RESET")
        self._connection.execute(f"PRAGMA writable_schema = {is_writable}")
        self._texts = {}


def lift(sql: str) -> str:
    """Return a CREATE TABLE with spaces in place of NOT NULL and STRICT, so that all other words keep their positions.

    The type ANY of a STRICT table is removed as well: without STRICT, the engine would convert the column's values.
    """
    outer = items(meaningful(sql))
    body = next((place for place, item in enumerate(outer) if not isinstance(item, Token)), len(outer))
    if "as" in map(keyword, outer[:body]):
        return sql
    found = [part for each in definition.elements(sql) if each.column for part in _not_null(each)]
    options = [*outer[body + 1 :]]
    words = [keyword(item) for item in options]
    if "strict" in words:
        place = words.index("strict")
        commas = [at for at in (place - 1, place + 1) if 0 <= at < len(options) and not words[at]][:1]
        found += [options[at] for at in (*commas, place)]
        found += [each.parts[1] for each in definition.elements(sql) if each.column and each.words[1:2] == ("any",)]
    for token in flat(found):
        sql = sql[: token.start] + " " * len(token.text) + sql[token.start + len(token.text) :]
    return sql


def _not_null(element: definition.Element) -> Iterator[Item]:
    """Yield the words of a column's NOT NULL, and those of an ON CONFLICT clause after it."""
    for place, two in enumerate(pairwise(element.words)):
        if two == ("not", "null"):
            conflict = element.words[place + 2 : place + 4] == ("on", "conflict")
            yield from element.parts[place : place + (5 if conflict else 2)]


def _name(sql: str) -> Name:
    """Return the name of the table that a CREATE TABLE creates."""
    tokens = meaningful(sql)
    start = next(place for place, token in enumerate(tokens) if keyword(token) == "table") + 1
    start += 3 * (_words(tokens[start:]) == ("if", "not", "exists"))
    return identifier(tokens[start + 2 if tokens[start + 1].text == "." else start])


def _words(tokens: Sequence[Token]) -> tuple[str, ...]:
    return tuple(map(keyword, tokens[:3]))


def _as_stored(text: str, lifted: str) -> str:
    """Return a definition as the engine would store it.

    `lifted`: the stored definition without NOT NULL and STRICT. The engine rewrites the words before the first
    parenthesis, and stores the rest of the text as it was written.
    """
    return lifted[: lifted.index("(")] + text[text.index("(") :].removesuffix(";")
