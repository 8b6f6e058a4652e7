"""Find rows that got another rowid, although an index, a trigger, a view or the app finds them by their rowid.

Only a rowid that is an INTEGER PRIMARY KEY is safe. If a script copies rows without naming the rowid, the engine gives
each copy a new one. A statement of the app depends on rowids if it joins by the rowid, compares the rowid with a
constant or parameter, or returns the rowid. A rowid that only orders rows, or selects rows within the same statement,
may change.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from steps.support.proof.rows.keyed import has_key
from steps.support.proof.rows.tables import AFTER, BEFORE, Table, pair, side_by_side, tables
from steps.support.schema.connection import Connection
from steps.support.schema.virtual import ROWIDS, virtual_tables
from steps.support.sql.findings import Finding
from steps.support.sql.script import Script
from steps.support.sql.statement import Statement
from steps.support.sql.tokens import Token, folded, quoted, tokenize, unquoted_name
from steps.support.sql.verbs import Reading, read_statement

_CODE = f"SELECT type, name, tbl_name, sql FROM {AFTER}.sqlite_schema WHERE type IN ('trigger', 'view') ORDER BY name"
_TABLES = f"SELECT name FROM {AFTER}.sqlite_schema WHERE type IN ('table', 'view')"
_TRIED = 5  # rows without a key that are searched for under another rowid, by all their values


@dataclass(frozen=True, slots=True)
class Use:
    """Something that finds rows of a table by their rowid.

    `what`: its kind and name. `indexes`: the search indexes, in lower case, to which it passes the rowid.
    """

    what: str
    indexes: frozenset[str] = field(default_factory=frozenset)


def renumbered(before: Path, after: Path, script: Script, app: Sequence[Statement] = ()) -> list[Finding]:
    """Return a finding for each table whose rows got, or may get, other rowids although something finds them by rowid.

    `script`: the script that ran between the two files. `app`: the statements that the app sends. The call blocks. Both
    files must not change meanwhile.
    """
    readings = [read_statement(piece) for piece in script.pieces]
    with side_by_side(before, after) as connection:
        old, new = tables(connection, BEFORE), tables(connection, AFTER)
        both = sorted(old.keys() & new.keys())
        found = (_finding(connection, old[name], new[name], readings, app) for name in both)
        return [each for each in found if each]


def _finding(
    connection: Connection, old: Table, new: Table, readings: Sequence[Reading], app: Sequence[Statement]
) -> Finding | None:
    if not (old.root and old.rowid and new.rowid) or (old.is_numbered and new.is_numbered):
        return None
    name = folded(new.name)
    fresh = frozenset(_rebuilt(name, readings))
    uses = [use.what for use in _uses(connection, new) if not use.indexes or use.indexes - fresh]
    others = {folded(each) for (each,) in connection.execute(_TABLES)} - {name}
    uses += dict.fromkeys(readers(app, name, _hidden(new), others))
    if not uses:
        return None
    count, example = _moved(connection, old, new)
    may = not _has_rowid(name, readings) and _is_recreated(name, readings)
    rows = int(connection.execute(f"SELECT count(*) FROM {old.source}").fetchone()[0])
    if not count and not (may and rows):
        return None
    have = "has" if count == 1 else "have"
    got = f"{count:,} of {rows:,} rows {have} another rowid{example}" if count else "its rows may get other rowids"
    remedy = (
        f"Copy the rowid, too, by INSERT INTO {quoted(new.name)} (rowid, ...) SELECT rowid, ...; or rebuild what uses "
        "the rowid."
    )
    find = "finds" if len(uses) == 1 else "find"
    return Finding(
        new.name, f"{got}, and {', '.join(uses)} {find} rows by rowid", remedy, rule="rowid-renumbered", object=new.name
    )


def _moved(connection: Connection, old: Table, new: Table) -> tuple[int, str]:
    """Return how many rows have another rowid than before, and an example as text; empty if none is known."""
    two = pair(old, new)
    other = f"b.{old.rowid} <> a.{new.rowid}"
    if has_key(connection, two):
        sides = f"FROM {old.source} AS b CROSS JOIN {new.source} AS a ON {two.by_key} WHERE {other}"
        count, was, now = connection.execute(f"SELECT count(*), b.{old.rowid}, a.{new.rowid} {sides}").fetchone()
        return count, f", for example {was} became {now}" if count else ""
    sides = f"FROM {old.source} AS b JOIN {new.source} AS a ON a.{new.rowid} = b.{old.rowid} WHERE {two.differ}"
    (count,) = connection.execute(f"SELECT count(*) {sides}").fetchone()
    tried = f"(SELECT b.* , b.{old.rowid} AS _row {sides} LIMIT {_TRIED}) AS b"
    elsewhere = f"SELECT 1 FROM {tried} JOIN {new.source} AS a ON b._row <> a.{new.rowid} AND NOT {two.differ} LIMIT 1"
    return (count, "") if count and connection.execute(elsewhere).fetchone() else (0, "")


def _uses(connection: Connection, table: Table) -> Iterator[Use]:
    """Yield everything that finds rows of a table by a rowid that is not one of its columns."""
    indexes = {folded(each.name): each for each in virtual_tables(connection, AFTER)}
    own = {name for name, each in indexes.items() if folded(each.content or "") == folded(table.name)}
    for name in sorted(own):
        if folded(indexes[name].content_rowid) in _hidden(table):
            yield Use(f"{indexes[name].module} table {indexes[name].name}", frozenset({name}))
    for kind, name, host, sql in connection.execute(_CODE):
        words = [token for token in tokenize(sql) if token.kind != "comment"]
        if _reads_rowid(words, table, is_own=kind == "trigger" and folded(host) == folded(table.name)):
            yield Use(f"{kind} {name}", frozenset(own & set(_names(words))))


def _reads_rowid(tokens: Sequence[Token], table: Table, *, is_own: bool) -> bool:
    """Return True if a trigger or view reads the rowid of a table. `is_own`: whether it is a trigger of that table."""
    names, hidden = [*_names(tokens)], _hidden(table)
    qualified = {owner for owner, dot, name in zip(names, names[1:], names[2:], strict=False)
                 if dot == "." and name in hidden}  # fmt: skip
    if is_own and qualified & {"new", "old"}:
        return True
    return folded(table.name) in names and any(name in hidden for name in names) and not qualified & {"new", "old"}


def _hidden(table: Table) -> set[str]:
    """Return the names by which a table's rowid can be read: rowid, _rowid_ and oid, if no column has that name."""
    return {name for name in ROWIDS if name not in table.by_name}


def _names(tokens: Sequence[Token]) -> Iterator[str]:
    return (folded(unquoted_name(token.text)) for token in tokens)


def _rebuilt(table: str, readings: Sequence[Reading]) -> Iterator[str]:
    """Yield the search indexes that a script creates, or rebuilds after its last statement on a table."""
    last = max((at for at, each in enumerate(readings) if table in {each.table, each.renamed}), default=-1)
    for at, each in enumerate(readings):
        words = {folded(token.text) for token in each.piece.tokens}
        is_anew = each.verb == "CREATE TABLE" and "virtual" in words
        if is_anew or (at > last and each.verb == "INSERT" and words & {"'rebuild'", '"rebuild"'}):
            yield each.table


def _is_recreated(table: str, readings: Sequence[Reading]) -> bool:
    made = {each.table for each in readings if each.verb == "CREATE TABLE"}
    return table in made | {each.renamed for each in readings if each.verb == "RENAME TABLE"}


def _has_rowid(table: str, readings: Sequence[Reading]) -> bool:
    """Return True if a statement of a script fills a table and names the rowid."""
    names = {table} | {each.table for each in readings if each.verb == "RENAME TABLE" and each.renamed == table}
    fills = (each for each in readings if each.verb == "INSERT" and each.table in names)
    return any(name in ROWIDS for each in fills for name in _names(each.piece.tokens))


_TABLE_FOLLOWS = frozenset({"FROM", "JOIN", "UPDATE", "INTO", ","})
_NO_ALIAS = frozenset({
    "WHERE", "ON", "USING", "SET", "ORDER", "GROUP", "LIMIT", "JOIN", "LEFT", "INNER", "CROSS", "NATURAL", "UNION",
    "INDEXED", "NOT", "VALUES", "SELECT", "RETURNING", "EXCEPT", "INTERSECT", "HAVING", "WINDOW", "RIGHT", "FULL",
})  # fmt: skip
_COMPARES = frozenset({"=", "<", ">"})
_CONSTANTS = frozenset({"number", "string", "parameter"})


def readers(statements: Iterable[Statement], table: str, hidden: Collection[str], others: Collection[str]) -> list[str]:
    """Return the names of the statements that depend on the rowids of a table.

    `hidden`: the names by which its rowid can be read. `others`: the other tables of the schema. All names are in lower
    case.
    """
    return [each.name for each in statements if _knows(_tokens(each), table, hidden, others)]


def _tokens(statement: Statement) -> list[Token]:
    """Return the tokens of a statement, without comments and ORDER BY clauses."""
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
    """Yield the positions of the tokens, outside of parentheses, that say what a statement returns."""
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
    """Return True if the name in the tokens `first` to `last` is compared with a constant or a parameter."""
    sides = tokens[last + 1 : last + 3], [*reversed(tokens[max(0, first - 2) : first])]
    several = [(side[0].text, side[1].kind) for side in sides if len(side) > 1]
    return any(sign in _COMPARES and kind in _CONSTANTS for sign, kind in several)
