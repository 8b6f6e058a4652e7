"""Follow rows through the text of a script: from which tables it takes them, and into which tables it puts them.

A table that existed before the script keeps its original name here, even if the script renames the table, or drops it
and creates another one with the same name. Names are in lower case.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from steps.support.schema.own_tables import KEPT
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
    """What a table contains: rows of tables that existed before the script.

    `tables`: the earlier tables from which the rows come. `whole`: those of them whose rows are all in this table.
    `beside`: tables that statements read only to choose rows. `is_loose`: whether some rows may have been replaced or
    removed. `is_copied`: whether statements copied the rows; False if the table was only renamed.
    """

    tables: frozenset[str] = frozenset()
    whole: frozenset[str] = frozenset()
    beside: frozenset[str] = frozenset()
    is_loose: bool = False
    is_copied: bool = False

    def __or__(self, other: "Contents") -> "Contents":
        """Return the contents of a table that receives both these rows and those of `other`."""
        return Contents(
            self.tables | other.tables,
            self.whole | other.whole,
            self.beside | other.beside,
            self.is_loose or other.is_loose,
            self.is_copied or other.is_copied,
        )

    @property
    def reduced(self) -> "Contents":
        """The contents after some of the rows were removed or replaced."""
        return replace(self, whole=frozenset(), is_loose=True)


@dataclass(frozen=True, slots=True)
class Flow:
    """What a script does to rows.

    `contents`: by table that the script creates or fills, what the table contains in the end. `gone`: the tables that
    existed before the script, and that the script drops or renames. `made`: the names that the script gives to new and
    renamed tables.
    """

    contents: Mapping[str, Contents]
    gone: frozenset[str]
    made: frozenset[str]

    def found(self, table: str) -> bool:
        """Return True if a table with this name existed before the script, as far as the script's text shows."""
        return table in self.gone or table not in self.made

    def into(self, source: str) -> list[str]:
        """Return the tables that contain rows of `source` in the end, in alphabetical order."""
        return sorted(name for name, contents in self.contents.items() if source in contents.tables)

    def is_whole(self, source: str, into: Collection[str]) -> bool:
        """Return True if, in the end, one of the tables in `into`, or a kept table, contains every row of `source`."""
        holding = [name for name, contents in self.contents.items() if source in contents.whole]
        return any(name in into or name.startswith(KEPT) for name in holding)


def row_flow(script: Script) -> Flow:
    """Read a script statement by statement, and return what it does to rows."""
    tracker = _Tracker()
    for piece in script.pieces:
        tracker.follow(read_statement(piece))
    return Flow(tracker.contents, frozenset(tracker.gone), frozenset(tracker.made))


def remaining_tables(known: Iterable[str], readings: Iterable[Reading]) -> set[str]:
    """Return the tables that exist after a script, as far as its text shows. `known`: the tables before."""
    tables = set(known)
    for each in readings:
        match each.verb:
            case "CREATE TABLE":
                tables.add(each.table)
            case "DROP TABLE":
                tables.discard(each.table)
            case "RENAME TABLE":
                tables.discard(each.table)
                tables.add(each.renamed)
    return tables


def kept_of(table: str, script: Script) -> list[str]:
    """Return the `_orchestrate_kept_` tables that a script fills from a table, directly or through other tables."""
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
class _Tracker:
    """Follow a script statement by statement, and remember what each table contains so far. Fields are as in Flow."""

    contents: dict[str, Contents] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    made: set[str] = field(default_factory=set)

    def follow(self, reading: Reading) -> None:
        """Record what one statement does to rows."""
        table, piece = reading.table, reading.piece
        match reading.verb:
            case _ if not table or piece.words(2) == ("CREATE", "VIRTUAL"):
                return  # a virtual table indexes rows of other tables, or stores rows in tables of its own
            case "CREATE TABLE" if not self._may_exist(table, piece):
                self.made.add(table)
                self.contents[table] = self._taken(table, piece)
            case "INSERT":
                both = self._held(table) | self._taken(table, piece)
                self.contents[table] = both.reduced if _may_replace(reading) else both
            case "UPDATE" if reading.conflict not in _NO_ROW_LEFT_OUT:
                self.contents[table] = self._held(table).reduced
            case "DELETE":
                self.contents[table] = Contents() if _deletes_all(reading) else self._held(table).reduced
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

    def _may_exist(self, table: str, piece: Piece) -> bool:
        """Return True if a statement is CREATE TABLE IF NOT EXISTS and its table may exist already."""
        only_if = ("IF", "NOT", "EXISTS") in zip(piece.words(6), piece.words(6)[1:], piece.words(6)[2:], strict=False)
        return only_if and (table in self.contents or table not in self.gone)

    def _lose(self, table: str) -> None:
        self.contents.pop(table, None)
        if table in self.made:
            self.made.discard(table)
        else:
            self.gone.add(table)

    def _taken(self, table: str, piece: Piece) -> Contents:
        """Return the rows that a statement takes from other tables.

        A kept table contains whole rows only if the statement takes all columns, by `SELECT *`.
        """
        found, taken = _Query.of(piece.tokens), Contents()
        is_all = _takes_all(piece.tokens, ("*",) if table.startswith(KEPT) else ())
        for name in found.rows:
            held = self._held(name)
            taken |= held if is_all else replace(held, whole=frozenset())
        beside = frozenset(each for name in found.beside for each in self._held(name).tables)
        return replace(taken | Contents(beside=beside), is_copied=bool(found.rows))


def _may_replace(reading: Reading) -> bool:
    return reading.conflict not in _NO_ROW_LEFT_OUT or "CONFLICT" in _keywords(reading.piece.tokens)


def _deletes_all(reading: Reading) -> bool:
    *_, where, last = _keywords(reading.piece.tokens)
    return not reading.where or (where == "WHERE" and last in _ALL)


def _takes_all(tokens: Sequence[Token], columns: Sequence[str]) -> bool:
    """Return True if a query returns every row of one table: it only lists columns, and has no join or condition.

    `columns`: if there are any, the query must list exactly these.
    """
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
    """Return the text of each token, in upper case unless it is a quoted name or a string."""
    return [token.text if token.kind in {"name", "string"} else token.text.upper() for token in tokens]


@dataclass(slots=True)
class _Level:
    """One level of parentheses in a statement.

    `query`: the query to which it belongs. `is_rows`: whether that query returns rows of the tables in its FROM.
    `in_from`: whether the reader is in a FROM clause. `awaits`: None unless a table name comes next; then whether the
    query returns rows of that table.
    """

    query: str
    is_rows: bool
    in_from: bool = False
    awaits: bool | None = None


@dataclass(slots=True)
class _Query:
    """The tables that a statement reads.

    `rows_of`: by query, the tables whose rows the query returns; the statement itself is the query without a name, and
    WITH names the others. `read`: all tables that the statement reads.
    """

    rows_of: dict[str, list[str]] = field(default_factory=lambda: {"": []})
    read: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, tokens: Sequence[Token]) -> "_Query":
        """Read the tables from the tokens of a statement."""
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
        """The tables whose rows the statement returns."""
        return [*dict.fromkeys(self._resolved("", set()))]

    @property
    def beside(self) -> set[str]:
        """The tables that the statement reads without returning their rows."""
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

    def _resolved(self, query: str, visited: set[str]) -> Iterator[str]:
        """Yield the tables whose rows a query returns, directly or through other queries."""
        visited.add(query)
        for name in self.rows_of[query]:
            if name not in self.rows_of:
                yield name
            elif name not in visited:
                yield from self._resolved(name, visited)


def _named_by_with(tokens: Sequence[Token], words: Sequence[str], place: int) -> str:
    """Return the name that WITH gives to the query whose parenthesis is at `place`; empty if the query has no name.

    The form is `name [(columns)] AS [NOT] [MATERIALIZED] (`.
    """
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
