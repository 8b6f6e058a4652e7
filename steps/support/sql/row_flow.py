"""Where rows go when a script runs, as far as its text tells: out of which tables, and into which.

A table that the script finds is known by the name that it had then, also where the script renames it, or drops it and
makes another of that name. Names are in lower case.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from steps.support.sql.own_tables import KEPT
from steps.support.sql.script import Piece, Script
from steps.support.sql.tokens import Token
from steps.support.sql.verbs import Reading, read_statement, unquoted

_ENDS_FROM = frozenset({
    "CONFLICT", "EXCEPT", "GROUP", "HAVING", "INTERSECT", "LIMIT", "ORDER", "RETURNING", "SELECT", "SET", "UNION",
    "WHERE", "WINDOW",
})  # fmt: skip
_QUERIES = frozenset({"SELECT", "WITH", "VALUES"})
_NAMES = frozenset({"word", "name", "string"})
_ALL = ("TRUE", "1")  # conditions that hold for every row
_NO_ROW_LEFT_OUT = frozenset({"", "ABORT", "FAIL", "ROLLBACK"})


@dataclass(frozen=True, slots=True)
class Contents:
    """What a table holds: rows of the tables that the script found.

    `whole`: those that it holds every row of. `beside`: tables that were read to choose rows. `is_loose`: rows may have
    given way to others. `is_copied`: statements moved the rows; a table that was only renamed kept them.
    """

    tables: frozenset[str] = frozenset()
    whole: frozenset[str] = frozenset()
    beside: frozenset[str] = frozenset()
    is_loose: bool = False
    is_copied: bool = False

    def __or__(self, other: "Contents") -> "Contents":
        """Return what a table holds that gets the rows of both."""
        return Contents(
            self.tables | other.tables,
            self.whole | other.whole,
            self.beside | other.beside,
            self.is_loose or other.is_loose,
            self.is_copied or other.is_copied,
        )

    @property
    def reduced(self) -> "Contents":
        """What is left once some of the rows went."""
        return replace(self, whole=frozenset(), is_loose=True)


@dataclass(frozen=True, slots=True)
class Flow:
    """What a script does to rows: the contents of each table that it makes or fills and leaves there.

    `gone`: tables that it found, and dropped or renamed. `made`: names that it gave to new or renamed tables.
    """

    contents: Mapping[str, Contents]
    gone: frozenset[str]
    made: frozenset[str]

    def found(self, table: str) -> bool:
        """Return whether the script found a table of this name, as far as it tells."""
        return table in self.gone or table not in self.made

    def into(self, source: str) -> list[str]:
        """Name the tables that hold rows of this one in the end."""
        return sorted(name for name, contents in self.contents.items() if source in contents.tables)

    def is_whole(self, source: str, into: Collection[str]) -> bool:
        """Return whether one of these tables, or one of ours, holds every row of this one in the end."""
        holding = [name for name, contents in self.contents.items() if source in contents.whole]
        return any(name in into or name.startswith(KEPT) for name in holding)


def row_flow(script: Script) -> Flow:
    """Read a script statement by statement."""
    course = _Course()
    for piece in script.pieces:
        course.take(read_statement(piece))
    return Flow(course.contents, frozenset(course.gone), frozenset(course.made))


def left(known: Iterable[str], readings: Iterable[Reading]) -> set[str]:
    """Name the tables that are there when the script has run, as far as its text tells."""
    there = set(known)
    for each in readings:
        match each.verb:
            case "CREATE TABLE":
                there.add(each.table)
            case "DROP TABLE":
                there.discard(each.table)
            case "RENAME TABLE":
                there.discard(each.table)
                there.add(each.renamed)
    return there


def kept_of(table: str, script: Script) -> list[str]:
    """Return the tables of ours that a script fills with rows of a table, by way of others or not."""
    sources: dict[str, set[str]] = {}
    for piece in script.pieces:
        reading = read_statement(piece)
        if reading.verb in {"CREATE TABLE", "INSERT"}:
            names = {unquoted(token.text) for token in piece.tokens if token.kind in {"word", "name"}}
            sources.setdefault(reading.table, set()).update(names - {reading.table})
    filled = {table}
    while more := {name for name, others in sources.items() if others & filled} - filled:
        filled |= more
    return sorted(name for name in filled if name.startswith(KEPT))


@dataclass(slots=True)
class _Course:
    """A script on its way: what the tables that it made or filled hold so far."""

    contents: dict[str, Contents] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    made: set[str] = field(default_factory=set)

    def take(self, reading: Reading) -> None:
        """Follow one statement."""
        table, piece = reading.table, reading.piece
        match reading.verb:
            case _ if not table or piece.words(2) == ("CREATE", "VIRTUAL"):
                return  # a virtual table indexes rows of others, or holds them in tables of its own
            case "CREATE TABLE" if not self._is_there(table, piece):
                self.made.add(table)
                self.contents[table] = self._taken(table, piece)
            case "INSERT":
                both = self._held(table) | self._taken(table, piece)
                self.contents[table] = both.reduced if _gives_way(reading) else both
            case "UPDATE" if reading.conflict not in _NO_ROW_LEFT_OUT:
                self.contents[table] = self._held(table).reduced
            case "DELETE":
                self.contents[table] = Contents() if _reaches_all(reading) else self._held(table).reduced
            case "DROP TABLE":
                self._lose(table)
            case "RENAME TABLE":
                held = self._held(table)
                self._lose(table)
                self.made.add(reading.renamed)
                self.contents[reading.renamed] = held

    def _held(self, table: str) -> Contents:
        if table in self.contents:
            return self.contents[table]
        found = frozenset() if table in self.gone else frozenset({table})
        return Contents(found, found)

    def _is_there(self, table: str, piece: Piece) -> bool:
        """Return whether a table that is made only if there is none may be there."""
        only_if = ("IF", "NOT", "EXISTS") in zip(piece.words(6), piece.words(6)[1:], piece.words(6)[2:], strict=False)
        return only_if and (table in self.contents or table not in self.gone)

    def _lose(self, table: str) -> None:
        self.contents.pop(table, None)
        if table in self.made:
            self.made.discard(table)
        else:
            self.gone.add(table)

    def _taken(self, table: str, piece: Piece) -> Contents:
        """Return the rows that a statement takes from other tables; a table of ours keeps a row only with all of it."""
        found, taken = _Query.of(piece.tokens), Contents()
        is_all = _takes_all(piece.tokens, ("*",) if table.startswith(KEPT) else ())
        for name in found.rows:
            held = self._held(name)
            taken |= held if is_all else replace(held, whole=frozenset())
        beside = frozenset(each for name in found.beside for each in self._held(name).tables)
        return replace(taken | Contents(beside=beside), is_copied=bool(found.rows))


def _gives_way(reading: Reading) -> bool:
    return reading.conflict not in _NO_ROW_LEFT_OUT or "CONFLICT" in _keywords(reading.piece.tokens)


def _reaches_all(reading: Reading) -> bool:
    *_, where, last = _keywords(reading.piece.tokens)
    return not reading.where or (where == "WHERE" and last in _ALL)


def _takes_all(tokens: Sequence[Token], columns: Sequence[str]) -> bool:
    """Return whether a query is a list of columns of one table, and nothing else; if `columns` are given, of these."""
    words = _keywords(tokens)
    start = words.index("SELECT") if "SELECT" in words else len(words)
    query = words[start:]
    if query.count("FROM") != 1 or not {"(", ")", "DISTINCT"}.isdisjoint(query) or "WITH" in words[:start]:
        return False
    cut = query.index("FROM")
    match query[cut + 1 :]:
        case [_] | [_, _] | [_, ".", _] | [_, "AS", _] | [_, ".", _, "AS", _]:
            return not columns or query[1:cut] == [*columns]
        case _:
            return False


def _keywords(tokens: Sequence[Token]) -> list[str]:
    """Return tokens in capitals; a name in quotes is none of the words of the language."""
    return [token.text if token.kind in {"name", "string"} else token.text.upper() for token in tokens]


@dataclass(slots=True)
class _Level:
    """One pair of parentheses: of which query it is a part, and whether the rows of its tables are that query's.

    `awaits`: a table comes next, and this tells whether its rows are what the query returns.
    """

    query: str
    is_rows: bool
    in_from: bool = False
    awaits: bool | None = None


@dataclass(slots=True)
class _Query:
    """The tables that a statement reads: by each query in it, those whose rows the query returns, and all others.

    The statement itself is the query without a name; the others are those that WITH names.
    """

    rows_of: dict[str, list[str]] = field(default_factory=lambda: {"": []})
    read: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, tokens: Sequence[Token]) -> "_Query":
        """Read a statement."""
        found, levels, words = cls(), [_Level("", is_rows=True)], _keywords(tokens)
        for place, token in enumerate(tokens):
            level, word = levels[-1], words[place]
            if word == "(":
                levels.append(found._opened(tokens, words, place, level))
                level.awaits = None
            elif word == ")":
                levels = levels[:-1] or [_Level("", is_rows=False)]
            elif word == "FROM" and words[place - 1] != "DISTINCT":
                level.in_from, level.awaits = True, level.is_rows
            elif word == "JOIN" or (word == "," and level.in_from):
                level.in_from, level.awaits = True, False
            elif word in _ENDS_FROM:
                level.in_from, level.awaits = False, None
            elif level.awaits is not None and token.kind in _NAMES and words[place + 1 : place + 2] != ["."]:
                found._note(level, unquoted(token.text))
        return found

    @property
    def rows(self) -> list[str]:
        """The tables whose rows the statement takes."""
        return [*dict.fromkeys(self._resolved("", set()))]

    @property
    def beside(self) -> set[str]:
        """The tables that it reads beside them."""
        return self.read - self.rows_of.keys() - {*self.rows}

    def _opened(self, tokens: Sequence[Token], words: Sequence[str], place: int, outer: _Level) -> _Level:
        is_query = words[place + 1 : place + 2] and words[place + 1] in _QUERIES
        if outer.awaits is not None:
            inner = _Level(outer.query, is_rows=outer.awaits)
            return inner if is_query else replace(inner, in_from=True, awaits=outer.awaits)
        named = _named_by_with(tokens, words, place) if is_query else ""
        if named:
            self.rows_of.setdefault(named, [])
        return _Level(named or outer.query, is_rows=bool(named))

    def _note(self, level: _Level, name: str) -> None:
        self.read.add(name)
        if level.awaits:
            self.rows_of[level.query].append(name)
        level.awaits = None

    def _resolved(self, query: str, passed: set[str]) -> Iterator[str]:
        """Give the tables behind a query, those behind the queries that it takes rows from among them."""
        passed.add(query)
        for name in self.rows_of[query]:
            if name not in self.rows_of:
                yield name
            elif name not in passed:
                yield from self._resolved(name, passed)


def _named_by_with(tokens: Sequence[Token], words: Sequence[str], place: int) -> str:
    """Return the name that WITH gives to the query that opens here: `name [(columns)] AS [NOT] [MATERIALIZED] (`."""
    at = place - 1
    while at >= 0 and words[at] in {"NOT", "MATERIALIZED"}:
        at -= 1
    if at < 1 or words[at] != "AS":
        return ""
    at -= 1
    if words[at] == ")":
        while at > 0 and words[at] != "(":
            at -= 1
        at -= 1
    return unquoted(tokens[at].text) if tokens[at].kind in _NAMES else ""
